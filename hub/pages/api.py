"""The broker's own HTTP API, called in this process with the person's token: pages have no other way to anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI

Json = dict[str, Any]


class Refused(Exception):
    """The API said no: `status`, its `code`, and the faults by field."""

    def __init__(self, status: int, code: str, message: str, faults: list[Json]) -> None:
        self.status, self.code, self.message, self.faults = status, code, message, faults
        super().__init__(f"{status} {code}: {message}")


def _refusal(response: httpx.Response) -> Refused:
    try:
        body = response.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    faults = [fault for fault in body.get("faults") or [] if isinstance(fault, dict)]
    return Refused(response.status_code, str(body.get("error", "")), str(body.get("message", "")), faults)


def _rows(answer: Any, key: str) -> list[Json]:
    rows = answer.get(key, []) if isinstance(answer, dict) else answer
    return list(rows)


@dataclass(frozen=True, slots=True)
class Api:
    """The API as one person sees it."""

    app: FastAPI
    #: The path of the API, e.g. "/services/perijove/api/v1".
    path: str
    token: str

    async def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """The answer to one request; without a token, as nobody.

        Raises:
            Refused: for any status of 400 or more.
        """
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = {"Authorization": f"token {self.token}"} if self.token else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://broker", timeout=90) as client:
            response = await client.request(method, f"{self.path}{path}", json=body, params=query, headers=headers)
        if response.status_code >= 400:
            raise _refusal(response)
        return response

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """The answer to one request, parsed.

        Raises:
            Refused: for any status of 400 or more.
        """
        response = await self.send(method, path, body, query)
        return response.json() if response.content else None

    async def centres(self) -> dict[str, Json]:
        """Every centre by its id."""
        return {str(row["id"]): row for row in _rows(await self.call("GET", "/centres"), "centres")}

    async def offers(self, wish: Mapping[str, Any]) -> Json:
        """Every queue, whether `wish` fits there, when it would start and for how much; and which is recommended."""
        answer = await self.call("POST", "/offers", wish)
        return dict(answer) if isinstance(answer, dict) else {"offers": list(answer)}

    async def preview(self, options: Mapping[str, Any]) -> Json:
        """The job script for `options`, as it would be submitted."""
        return dict(await self.call("POST", "/preview", options))

    async def sessions(self, owner: str) -> list[Json]:
        """The sessions of a person, live and ended, newest first."""
        rows = _rows(await self.call("GET", "/sessions", query={"owner": owner}), "sessions")
        return sorted(rows, key=lambda row: str(row.get("created", "")), reverse=True)

    async def session(self, session: str) -> Json:
        """One session."""
        return dict(await self.call("GET", f"/sessions/{quote(session, safe='')}"))

    async def session_of(self, owner: str, session: str) -> Json | None:
        """A session of `owner`; None if they have none of this id (any more)."""
        try:
            row = await self.session(session[:64]) if session else {}
        except Refused as refused:
            if refused.status >= 500:
                raise
            return None
        return row if row.get("owner") == owner else None

    async def session_by_name(self, owner: str, server: str) -> Json:
        """The latest session of a person's server ("" is the default one, which the API calls "-")."""
        path = f"/sessions/by-name/{quote(owner, safe='')}/{quote(server or '-', safe='')}"
        return dict(await self.call("GET", path))

    async def live(self, owner: str, server: str) -> Json | None:
        """The live session of a person's server; None if there is none."""
        try:
            row = await self.session_by_name(owner, server)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None
        return row if row.get("stage") not in ("ending", "ended") else None

    async def start(self, server: str, options: Mapping[str, Any]) -> Json:
        """Start a session: the one call here that spends."""
        return dict(await self.call("POST", "/sessions", {"server": server, "options": dict(options)}))

    async def stop(self, session: str) -> None:
        """Stop a session."""
        await self.call("DELETE", f"/sessions/{quote(session, safe='')}")

    async def clusters(self, owner: str) -> list[Json]:
        """The live Dask clusters of a person."""
        return _rows(await self.call("GET", "/clusters", query={"owner": owner, "live": True}), "clusters")

    async def workers(self, cluster: str) -> list[Json]:
        """The workers of a cluster, as the batch system knows them."""
        return _rows(await self.call("GET", f"/clusters/{quote(cluster, safe='')}/workers"), "workers")

    async def stop_cluster(self, cluster: str) -> None:
        """Close a cluster: its workers are cancelled."""
        await self.call("DELETE", f"/clusters/{quote(cluster, safe='')}")

    async def wait(self, session: str, after: int, seconds: int) -> int:
        """Wait until something happens to a session (or `seconds` pass); gives the number of its last event."""
        path = f"/sessions/{quote(session, safe='')}"
        await self.call("POST", f"{path}/watch")
        events = _rows(await self.call("GET", f"{path}/events", query={"after": after, "wait": seconds}), "events")
        return max([after, *(int(event.get("id") or event.get("seq") or 0) for event in events)])

    async def identities(self) -> list[Json]:
        """The person's accounts at centres."""
        return _rows(await self.call("GET", "/identities"), "identities")

    async def register_key(self, centre: str, account: str) -> None:
        """Make a key for the person's `account` at a centre."""
        await self.call("POST", "/identities", {"centre": centre, "account": account})

    async def check_key(self, centre: str) -> None:
        """Try to sign in at a centre with the person's key."""
        await self.call("POST", f"/identities/{quote(centre, safe='')}/check")

    # --- for operators: everybody else is refused ----------------------------------------------------------------

    async def watchers(self) -> list[Json]:
        """Every centre, and how it is watched."""
        return _rows(await self.call("GET", "/watchers"), "watchers")

    async def everybody(self, wanted: Mapping[str, Any]) -> list[Json]:
        """The sessions of all people that are like `wanted` (owner, centre, stage, live, limit), newest first."""
        return _rows(await self.call("GET", "/sessions", query=wanted), "sessions")

    async def all_clusters(self) -> list[Json]:
        """The live Dask clusters of all people."""
        return _rows(await self.call("GET", "/clusters", query={"live": True, "limit": 1000}), "clusters")

    async def drain(self, centre: str, note: str) -> None:
        """Take no new sessions at a centre."""
        await self.call("PUT", f"/centres/{quote(centre, safe='')}/drain", {"note": note})

    async def undrain(self, centre: str) -> None:
        """Take new sessions there again."""
        await self.call("DELETE", f"/centres/{quote(centre, safe='')}/drain")

    async def notify(self, centre: str, english: str, chinese: str, level: str) -> None:
        """Set the notice of a centre."""
        body = {"text": {"en": english, "zh": chinese}, "level": level}
        await self.call("PUT", f"/centres/{quote(centre, safe='')}/notice", body)

    async def unnotify(self, centre: str) -> None:
        """Remove the notice of a centre."""
        await self.call("DELETE", f"/centres/{quote(centre, safe='')}/notice")
