"""What the head asks of the gateway's broker: workers, and what became of them. Nothing else in a head speaks HTTP out.

Tornado's client, because distributed brings it: the centre's environment needs nothing more for this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPClientError, HTTPError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

#: Seconds: for a connection, for an answer, and for which the broker may hold a long poll.
CONNECT, ANSWER, POLL = 10.0, 60.0, 25.0


class Refused(Exception):
    """The broker said no; `code` and `values` are its own, `message` is for a person's log."""

    def __init__(self, status: int, code: str, message: str, values: Mapping[str, Any]) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.status, self.code, self.message, self.values = status, code, message, dict(values)


class Silent(Exception):
    """The broker gave no answer that can be used: down, in between two starts, or the way there is cut."""


class Broker:
    """The broker's API for one cluster.

    Args:
        api: its address, ".../api/v1".
        host: the Host header where the address alone does not name the gateway, or "".
        token: the server's token; goes into a header only.
    """

    def __init__(self, api: str, host: str, token: str, cluster: str) -> None:
        self._base = f"{api.rstrip('/')}/clusters/{quote(cluster, safe='')}"
        self._headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
        if host:
            self._headers["Host"] = host
        self._client = SimpleAsyncHTTPClient(
            force_instance=True, max_clients=20, defaults={"decompress_response": True}
        )

    async def ask(self, key: str, count: int, confirmed: bool) -> list[str]:
        """Ask for `count` workers; their names. The same `key` asks once, however often it is sent."""
        found = await self._call("POST", "/workers", {"key": key, "count": count, "confirmed": confirmed})
        return [str(name) for name in found["workers"]]

    async def workers(self, after: int, wait: float) -> dict[str, Any]:
        """All workers, as soon as anything is newer than version `after`, or after `wait` seconds."""
        return await self._call("GET", f"/workers?after={after}&wait={wait:g}", within=wait + ANSWER)

    async def cancel(self, names: Sequence[str]) -> dict[str, Any]:
        """Cancel these; the answer is that of `workers`."""
        return await self._call("DELETE", "/workers", {"names": list(names)})

    async def log(self, name: str) -> str:
        """The newest lines of a worker's job."""
        return str((await self._call("GET", f"/workers/{quote(name, safe='')}/log"))["log"])

    async def report(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Leave a report with the broker; its view of the cluster."""
        return await self._call("PUT", "/report", {"report": dict(report)})

    async def close_cluster(self, within: float = ANSWER) -> None:
        """Say that the cluster is over."""
        await self._call("DELETE", "", within=within)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, within: float = ANSWER
    ) -> dict[str, Any]:
        """One call. Raises Refused, Silent."""
        request = HTTPRequest(
            self._base + path,
            method=method,
            headers=self._headers,
            body=None if body is None else json.dumps(body),
            allow_nonstandard_methods=True,
            follow_redirects=False,
            connect_timeout=CONNECT,
            request_timeout=within,
        )
        try:
            answer = await self._client.fetch(request)
        except HTTPClientError as error:
            refusal = None if error.response is None or error.code >= 500 else _refusal(error.response)
            if refusal is None:
                raise Silent(f"{method} {path}: {error}") from error
            raise refusal from error
        except (HTTPError, OSError) as error:
            raise Silent(f"{method} {path}: {type(error).__name__}: {error}") from error
        return _json(answer.body) if answer.body else {}


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Silent(f"no JSON: {body[:80]!r}") from error
    if not isinstance(found, dict):
        raise Silent(f"no JSON object: {body[:80]!r}")
    return found


def _refusal(answer: HTTPResponse) -> Refused | None:
    """What the broker refuses in its own words; None for anybody else's, such as a proxy's without a route there yet.

    The difference counts: a request whose answer was lost is repeated until the broker itself has said what became of
    it. A new one in its place would get the same workers a second time.
    """
    try:
        body = _json(answer.body)
    except Silent:
        return None
    if not body.get("error"):
        return None
    values = body.get("values")
    return Refused(
        answer.code, str(body["error"]), str(body.get("message") or ""), values if isinstance(values, dict) else {}
    )
