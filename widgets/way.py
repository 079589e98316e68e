"""The way to the gateway, from a session or from a laptop: its broker, and the servers of one's own sessions.

Inside a session the way leads through the agent (`PERIJOVE_GATEWAY`), with the names of the outside in the Host header
where people have domains; the server of one's own session is reached at its unix socket, without the gateway. From a
laptop it is the address that people type, and a token. HTTP alone, with Tornado's client, which Dask brings along.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlsplit

from perijove.spawners.facts import Facts
from perijove.widgets.clustererror import ClusterError
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

#: Seconds to connect, and for a whole request that does not say more.
CONNECT, REQUEST = 20.0, 60.0
#: The broker's API below the gateway's base path.
API = "services/perijove/api/v1"


class Unreachable(ConnectionError):
    """There was no answer, or one of somebody in between: the request may be tried again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, and the JSON ({} where it was none)."""

    status: int
    data: dict[str, Any]

    def good(self) -> dict[str, Any]:
        """The data of an answer that is no refusal. Raises ClusterError."""
        if self.status < 400:
            return self.data
        raise ClusterError.of_answer(self.status, self.data)


class _Socket(Resolver):
    """Every name is the one unix socket."""

    def initialize(self, path: str) -> None:
        self._path = path

    async def resolve(self, host: str, port: int, family: Any = socket.AF_UNSPEC) -> list[tuple[int, Any]]:
        return [(socket.AF_UNIX, self._path)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server answers: an origin or a unix socket, the Host header it wants, and the path in front of all."""

    origin: str
    prefix: str = "/"
    host: str = ""
    socket: str = ""

    def headers(self, token: str) -> dict[str, str]:
        """The headers that every request there needs."""
        named = {"Host": self.host} if self.host else {}
        return named | ({"Authorization": f"token {token}"} if token else {})

    async def ask(
        self, method: str, path: str, token: str = "", data: Any = None, *, seconds: float = REQUEST
    ) -> Answer:
        """One request; `path` is below the prefix, and quoted. It has `seconds`.

        Raises:
            Unreachable: there was no answer in time, or somebody in between says that there is nobody (502, 503, 504).
        """
        body = None if data is None else json.dumps(data).encode()
        response = await self.send(method, path, token, body, "application/json", seconds=seconds)
        found = _json(response.body or b"")
        if response.code in (502, 503, 504, 599) and "error" not in found:
            raise Unreachable(f"{self.origin}: {response.code}")
        if response.code in (301, 302, 303, 307):
            # The hub itself answers for a server to which the proxy has no route (yet): it leads below its own prefix.
            if "/hub/user/" in urlsplit(response.headers.get("Location", "")).path:
                raise Unreachable(f"{self.origin}: the gateway has no route to the session")
            return Answer(403, {"error": "login-needed"})
        return Answer(response.code, found)

    async def send(
        self, method: str, path: str, token: str, body: bytes | None, kind: str, *, seconds: float = REQUEST
    ) -> HTTPResponse:
        """One request with bytes of the media type `kind`, and the answer as it came. Raises Unreachable."""
        more: dict[str, Any] = {"resolver": _Socket(path=self.socket)} if self.socket else {}
        client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=64 << 20, **more)
        request = HTTPRequest(
            f"{self.origin}{self.prefix}{path}",
            method=method,
            headers=self.headers(token) | {"Accept": "application/json", "Content-Type": kind},
            body=body,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            connect_timeout=min(CONNECT, seconds),
            request_timeout=seconds,
        )
        try:
            return await client.fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:
            raise Unreachable(f"{self.origin or self.socket}: {error}") from None
        finally:
            client.close()


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.lower()


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Way:
    """How somebody reaches the gateway, and as whom."""

    hub: Place
    api: str
    token: str = field(repr=False)
    user_host: str = ""
    inside: bool = False

    @classmethod
    def find(cls, gateway: str, token: str, environment: Mapping[str, str]) -> Self:
        """The way from here. What is given goes before the environment.

        Raises:
            ClusterError: no-gateway, no-token, or bad-gateway (an address that is none).
        """
        facts = Facts.read(environment)
        address = gateway or facts.gateway
        # A session's own token is for its own gateway, and for no other one that somebody names.
        own = (facts.gateway, environment.get("JUPYTERHUB_PUBLIC_HUB_URL", ""))
        if not facts.session or _origin(address) in {_origin(known) for known in own if known}:
            token = token or environment.get("JUPYTERHUB_API_TOKEN", "")
        if not address:
            raise ClusterError("no-gateway", {})
        if not token:
            raise ClusterError("no-token", {"gateway": address})
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClusterError("bad-gateway", {"gateway": address})
        origin, inside = f"{parts.scheme}://{parts.netloc}", bool(facts.api) and address == facts.gateway
        if inside:
            base = facts.api.removesuffix(API)
            return cls(Place(origin, base, facts.gateway_host), facts.api, token, facts.user_host, True)
        base = f"{parts.path.removesuffix('/hub').rstrip('/')}/"
        return cls(Place(origin, base), f"{base}{API}", token)

    async def broker(self, method: str, path: str, data: Any = None, *, seconds: float = REQUEST) -> Answer:
        """One request to the broker's API. Raises Unreachable."""
        place = Place(self.hub.origin, self.api, self.hub.host)
        return await place.ask(method, path, self.token, data, seconds=seconds)

    async def broker_bytes(
        self, method: str, path: str, body: bytes | None = None, *, seconds: float = REQUEST
    ) -> HTTPResponse:
        """One request to the broker's API with bytes, and the answer as it came.

        Raises:
            Unreachable: there was no answer, or nobody behind the proxy.
        """
        place = Place(self.hub.origin, self.api, self.hub.host)
        answer = await place.send(method, path, self.token, body, "application/octet-stream", seconds=seconds)
        if answer.code in (502, 503, 504, 599) and "error" not in _json(answer.body or b""):
            raise Unreachable(f"{self.hub.origin}: {answer.code}")
        return answer

    async def start(self, body: Mapping[str, Any]) -> Answer:
        """Ask for a session; where the answer is lost, again, which starts nothing twice. Raises Unreachable."""
        for pause in (0.5, 2.0):
            with suppress(Unreachable):
                return await self.broker("POST", "/sessions", body)
            await asyncio.sleep(pause)
        return await self.broker("POST", "/sessions", body)

    async def server(self, owner: str, server: str) -> Place:
        """Where a server of a session answers. Raises Unreachable."""
        path = "/".join(quote(word, safe="@~") for word in (owner, server) if word)
        prefix = f"{self.hub.prefix}user/{path}/"
        if self.inside:
            return Place(self.hub.origin, prefix, self.user_host)
        # Where people have domains, only the hub knows which one is whose.
        me = await self.hub.ask("GET", "hub/api/user", self.token)
        known = me.data.get("servers", {}).get(server, {}) if me.status == 200 else {}
        found = urlsplit(str(known.get("full_url") or known.get("url") or ""))
        if me.data.get("name") == owner and found.netloc and found.scheme == urlsplit(self.hub.origin).scheme:
            return Place(f"{found.scheme}://{found.netloc}", found.path or prefix)
        return Place(self.hub.origin, prefix)


def own_server(environment: Mapping[str, str]) -> Place | None:
    """The server of the session in which this runs, at its unix socket; None outside of one."""
    path = environment.get("PERIJOVE_SOCKET", "")
    prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", "/")
    return Place("http://127.0.0.1", prefix, socket=path) if path else None
