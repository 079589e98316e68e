"""A gateway for the hub's tests: the real proxy and the real hub as processes, and a broker made of a dictionary.

The broker here keeps the contract's API, and its sessions are one web server that says which token it was given; the
tests move a session from stage to stage themselves.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web
from harness.basics import eventually, free_ports, settings_in, sign_in
from perijove.hub import secretfiles
from perijove.hub.children import Child
from perijove.hub.people import NAMES, passwords
from perijove.hub.serve import Gateway
from perijove.hub.settings import Settings


@dataclass
class FakeBroker:
    """Sessions in a dictionary, with the contract's API; `silent` makes it answer 503 to everything."""

    port: int
    server_port: int
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    silent: bool = False
    server_silent: bool = False
    refuse: dict[str, Any] | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def live(self, owner: str, server: str) -> dict[str, Any] | None:
        """The latest session of (owner, server)."""
        found = [s for s in self.sessions.values() if (s["owner"], s["server"]) == (owner, server)]
        return found[-1] if found else None

    def only(self) -> dict[str, Any]:
        """The one session that there is."""
        (session,) = self.sessions.values()
        return session

    def move(self, session: dict[str, Any], stage: str, **more: Any) -> None:
        """Brings a session to `stage`, with an event."""
        session.update(stage=stage, **more)
        if stage == "ready":
            session.update(url=f"http://127.0.0.1:{self.server_port}", connected=True)
        events = self.events.setdefault(session["id"], [])
        events.append({"id": len(events) + 1, "stage": stage, "code": stage, "message": f"now {stage}"})
        self._news.set()
        self._news = asyncio.Event()

    async def start(self, stack: AsyncExitStack) -> None:
        """Listens: the API, and the sessions' server."""
        api = web.Application(middlewares=[self._gate])
        base = "/services/perijove/api/v1"
        api.router.add_get(base + "/health/live", self._live)
        api.router.add_put(base + "/sessions/by-name/{owner}/{server}", self._put)
        api.router.add_get(base + "/sessions/by-name/{owner}/{server}", self._by_name)
        api.router.add_get(base + "/sessions/{id}", self._get)
        api.router.add_get(base + "/sessions/{id}/events", self._events)
        api.router.add_delete(base + "/sessions/{id}", self._stop)
        server = web.Application()
        server.router.add_route("*", "/{path:.*}", self._serve)
        for app, port in ((api, self.port), (server, self.server_port)):
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", port).start()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls.append((request.method, request.path))
        if self.silent:
            return web.json_response({"error": "down"}, status=503)
        response: web.StreamResponse = await handler(request)
        return response

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _put(self, request: web.Request) -> web.Response:
        owner = request.match_info["owner"]
        server = "" if request.match_info["server"] == "-" else request.match_info["server"]
        body = await request.json()
        self.bodies.append(body)
        if self.refuse:
            return web.json_response(self.refuse, status=422)
        session = self.live(owner, server)
        if session is None or session["stage"] == "ended":
            name = f"aaa{len(self.sessions):010d}"
            session = {"id": name, "owner": owner, "server": server, "kind": "lab", "connected": False}
            self.sessions[name] = session
            self.move(session, "checked")
        if body["environment"]:
            self.environments[session["id"]] = body["environment"]
        else:
            self.environments.pop(session["id"], None)
        return self._json(session)

    def _json(self, session: dict[str, Any]) -> web.Response:
        return web.json_response(session | {"needs_environment": session["id"] not in self.environments})

    async def _by_name(self, request: web.Request) -> web.Response:
        server = request.match_info["server"]
        session = self.live(request.match_info["owner"], "" if server == "-" else server)
        return self._json(session) if session else web.json_response({"error": "no-session"}, status=404)

    async def _get(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["id"])
        return self._json(session) if session else web.json_response({"error": "no-session"}, status=404)

    async def _events(self, request: web.Request) -> web.Response:
        after, wait = int(request.query["after"]), float(request.query["wait"])
        events = self.events[request.match_info["id"]]
        if len(events) <= after:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait)
        return web.json_response({"events": events[after:]})

    async def _stop(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["id"]]
        self.move(session, "ended", outcome="cancelled", connected=False)
        return self._json(session)

    async def _serve(self, request: web.Request) -> web.Response:
        if self.server_silent:
            return web.Response(status=503, text="reconnecting")
        return web.json_response({"path": request.path})


@dataclass
class Hub:
    """The hub under test and what is needed to use it as a person."""

    gateway: Gateway
    settings: Settings
    broker: FakeBroker
    people: dict[str, str]
    stack: AsyncExitStack
    restarts_seen: int = 0

    @property
    def service(self) -> dict[str, str]:
        """The headers of the broker's own calls to the hub."""
        return {"Authorization": f"token {self.settings.secret('broker.token')}"}

    async def person(self, name: str) -> httpx.AsyncClient:
        """A signed-in browser, as it were."""
        client = httpx.AsyncClient(base_url=self.settings.url, follow_redirects=True, trust_env=False, timeout=30)
        await self.stack.enter_async_context(client)
        await sign_in(client, name, self.people[name])
        return client

    async def api(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A call to the hub's API with the broker's token."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.request(method, f"{self.settings.hub_api_url}{path}", headers=self.service, **more)

    async def server(self, owner: str, name: str) -> dict[str, Any] | None:
        """The hub's word on a server, or None."""
        answer = await self.api("GET", f"/users/{owner}")
        found: dict[str, Any] = answer.json().get("servers", {}) if answer.status_code == 200 else {}
        return found.get(name)

    async def user_of(self, token: str) -> int:
        """The status with which the hub answers to `token`."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            headers = {"Authorization": f"token {token}"}
            return (await client.get(f"{self.settings.hub_api_url}/user", headers=headers)).status_code


def more_people(folder: Path) -> Settings:
    """Settings of a gateway of its own, on free ports, whose people have the names of the demo and one more."""
    settings = settings_in(folder)
    secretfiles.write_once(
        folder / "people.json", json.dumps({name: secrets.token_hex(8) for name in (*NAMES, "alice-prod")})
    )
    return settings


@pytest.fixture
def demo_settings(tmp_path: Path) -> Settings:
    """Settings of a gateway of its own, on free ports."""
    return more_people(tmp_path / "state")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """Proxy and hub, up, with the dictionary broker."""
    settings = more_people(tmp_path_factory.mktemp("hub") / "state")
    async with AsyncExitStack() as stack:
        broker = FakeBroker(settings.broker_port, free_ports(1)[0])
        await broker.start(stack)
        gateway = Gateway(settings, settings.save())
        children: tuple[Child, ...] = (gateway.proxy, gateway.hub)
        for child in children:
            stack.push_async_callback(child.stop)
            await child.start()
        yield Hub(gateway, settings, broker, passwords(settings.state_dir), stack)


@pytest_asyncio.fixture(loop_scope="module")
async def hub(one_hub: Hub) -> AsyncIterator[Hub]:
    """The module's hub, with no session in it."""
    yield one_hub
    broker = one_hub.broker
    broker.silent, broker.refuse = False, None
    for session in list(broker.sessions.values()):
        if session["stage"] != "ended":
            broker.move(session, "ended", connected=False)
        path = f"/users/{session['owner']}/server" + (f"s/{session['server']}" if session["server"] else "")
        await one_hub.api("DELETE", path)

        async def stopped(session: dict[str, Any] = session) -> bool:
            server = await one_hub.server(session["owner"], session["server"])
            return not server or not (server["ready"] or server["pending"])

        await eventually(stopped)
    for memory in (broker.sessions, broker.events, broker.environments, broker.calls, broker.bodies):
        memory.clear()


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses."""
    return free_ports(1)[0]
