"""A session's server keeps heads and passes their addresses on: a real server, real heads, the broker's double."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets
from doubles.dask_broker import DaskBroker
from doubles.jobs import eventually
from harness.dask_rig import CLUSTER, PREFIX, TOKEN, Gateway, Session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TOKENS = {"Authorization": f"token {TOKEN}"}


@dataclass
class Rig:
    """What a test has."""

    broker: DaskBroker
    gateway: Gateway
    session: Session

    async def ask(self, method: str, path: str, data: Any = None, **headers: str) -> httpx.Response:
        """A request to the session's server through the gateway."""
        async with httpx.AsyncClient(trust_env=False, timeout=90) as client:
            address = f"http://127.0.0.1:{self.gateway.port}{PREFIX}{path}"
            return await client.request(method, address, json=data, headers=headers or TOKENS)

    async def up(self) -> None:
        """Wait for the server."""

        async def answers() -> bool:
            try:
                return (await self.ask("GET", "api/status")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(answers, seconds=60)


@asynccontextmanager
async def rig_in(folder: Path) -> AsyncIterator[Rig]:
    """A rig with everything below `folder`, once its server answers."""
    (folder / "base").mkdir()
    async with DaskBroker(folder / "base", CLUSTER) as broker, Gateway(broker) as gateway:
        session = Session(folder, gateway)
        await session.start()
        try:
            made = Rig(broker, gateway, session)
            await made.up()
            yield made
        finally:
            await session.stop()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_in(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """One with the cluster `dask-1`, for tests that leave it as it is."""
    async with rig_in(tmp_path_factory.mktemp("rig")) as made:
        answer = await made.ask("POST", "perijove/clusters", {})
        assert answer.status_code == 201, (answer.text, made.session.log)
        yield made


async def test_a_head_is_made_once_listed_scaled_and_closed(rig: Rig) -> None:
    answer = await rig.ask("POST", "perijove/clusters", {"workers": 1})
    assert answer.status_code == 201, (answer.text, rig.session.log)
    status = answer.json()
    assert (status["id"], status["name"], status["centre"]) == (CLUSTER, "dask-1", "here")
    again = await rig.ask("POST", "perijove/clusters", {"name": "dask-1"})
    assert (again.status_code, again.json()["started"]) == (201, status["started"])

    async def connected() -> bool:
        found = (await rig.ask("GET", "perijove/clusters/dask-1/status")).json()
        return bool(found["counts"]["connected"] == 1)

    await eventually(connected, seconds=60)
    listed = (await rig.ask("GET", "perijove/clusters")).json()["clusters"]
    assert [(one["name"], one["state"]) for one in listed] == [("dask-1", "running")]
    scaled = await rig.ask("POST", "perijove/clusters/dask-1/scale", {"n": 0})
    assert (scaled.status_code, scaled.json()["target"]) == (200, 0)
    assert "logs" in (await rig.ask("GET", "perijove/clusters/dask-1/logs")).json()
    assert (await rig.ask("POST", "perijove/clusters/dask-1/close", {})).json() == {"closing": True}

    async def ended() -> bool:
        rows = (await rig.ask("GET", "perijove/clusters")).json()["clusters"]
        return bool(rows[0]["state"] == "ended")

    await eventually(ended, seconds=60)
    assert rig.broker.closed
    assert (await rig.ask("GET", "perijove/clusters/dask-1/status")).status_code == 404
    assert TOKEN not in rig.session.log


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_gets_anywhere_without_the_servers_token(standing: Rig) -> None:
    for method, path in (
        ("GET", "perijove/clusters"), ("POST", "perijove/clusters"), ("GET", "perijove/clusters/dask-1/status"),
        ("POST", "perijove/clusters/dask-1/scale"), ("POST", "perijove/clusters/dask-1/close"),
        ("GET", "perijove/clusters/dask-1/comm"), ("GET", "perijove/clusters/dask-1/dashboard/status"),
        ("GET", "perijove/dashboard"),
    ):  # fmt: skip
        answer = await standing.ask(method, path, {} if method == "POST" else None, Authorization="token wrong")
        assert answer.status_code in (302, 403), (path, answer.status_code)
        assert "Bokeh" not in answer.text
    for path in ("comm", "dashboard/status/ws"):
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(f"ws://127.0.0.1:{standing.gateway.port}{PREFIX}perijove/clusters/dask-1/{path}")
        assert caught.value.response.status_code == 403


@pytest.mark.asyncio(loop_scope="module")
async def test_the_dashboard_works_behind_the_login_and_its_websocket_only_from_its_own_pages(standing: Rig) -> None:
    first = await standing.ask("GET", "perijove/dashboard")
    assert (first.status_code, first.headers["location"]) == (302, f"{PREFIX}perijove/clusters/dask-1/dashboard/status")
    page = await standing.ask("GET", "perijove/clusters/dask-1/dashboard/status")
    assert page.status_code == 200, page.text[:500]
    assert "Bokeh" in page.text
    plots = await standing.ask("GET", "perijove/clusters/dask-1/dashboard/individual-plots.json")
    assert "Individual Task Stream" in plots.json()
    # A browser has a cookie instead of the token.
    async with httpx.AsyncClient(trust_env=False, timeout=90) as browser:
        root = f"http://127.0.0.1:{standing.gateway.port}"
        await browser.get(f"{root}{PREFIX}api/status?token={TOKEN}")
        shown = await browser.get(f"{root}{PREFIX}perijove/clusters/dask-1/dashboard/individual-task-stream")
        assert shown.status_code == 200
        cookie = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)
    bokeh = re.search(r'"token":"([^"]+)"', shown.text)
    assert bokeh, shown.text[:2000]
    address = f"{root.replace('http', 'ws')}{PREFIX}perijove/clusters/dask-1/dashboard/individual-task-stream/ws"
    more: dict[str, Any] = {"additional_headers": {"Cookie": cookie}, "subprotocols": ["bokeh", bokeh[1]]}
    async with websockets.connect(address, origin=root, **more) as connection:
        assert "ACK" in str(await asyncio.wait_for(connection.recv(), 30))
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(address, origin="http://elsewhere.example", **more)
    assert caught.value.response.status_code == 403


@pytest.mark.asyncio(loop_scope="module")
async def test_a_refusal_of_the_broker_reaches_whoever_asked(standing: Rig) -> None:
    standing.gateway.refuse = {"error": "bad-request", "message": "cores: at most 4", "faults": []}
    answer = await standing.ask("POST", "perijove/clusters", {"name": "large", "shape": {"cores": 99}})
    assert answer.status_code == 400
    assert answer.json()["message"] == "cores: at most 4"
    standing.gateway.refuse = None
    answer = await standing.ask("POST", "perijove/clusters", {"workers": -1, "nonsense": 1})
    assert answer.status_code == 400
    assert "workers" in answer.json()["message"] and "nonsense" in answer.json()["message"]
    standing.broker.refuse = (409, {"error": "limit-workers", "message": "too many", "values": {"most": 1}})
    answer = await standing.ask("POST", "perijove/clusters/dask-1/scale", {"n": 5})
    standing.broker.refuse = None
    assert (answer.status_code, answer.json()["error"], answer.json()["values"]) == (409, "limit-workers", {"most": 1})


async def test_a_head_that_dies_is_reported_and_its_cluster_closed(rig: Rig) -> None:
    await rig.ask("POST", "perijove/clusters", {})
    pids = await asyncio.to_thread(heads_below, rig.session.process)
    assert len(pids) == 1
    os.kill(pids[0], signal.SIGKILL)

    async def died() -> bool:
        return (await rig.ask("GET", "perijove/clusters/dask-1/status")).status_code == 410

    await eventually(died, seconds=30)
    answer = (await rig.ask("GET", "perijove/clusters/dask-1/status")).json()
    assert answer["error"] == "head-died"
    await eventually(lambda: asyncio.sleep(0, rig.broker.closed))
    assert (await rig.ask("GET", "perijove/clusters")).json()["clusters"][0]["state"] == "died"


async def test_heads_end_with_the_server_however_it_ends(rig: Rig) -> None:
    await rig.ask("POST", "perijove/clusters", {})
    process = rig.session.process
    assert process is not None
    (head,) = await asyncio.to_thread(heads_below, process)
    process.kill()
    await process.wait()
    await eventually(lambda: asyncio.to_thread(gone, head), seconds=30)


@pytest.mark.asyncio(loop_scope="module")
async def test_neither_cookie_nor_token_goes_on_to_the_head(standing: Rig) -> None:
    head = standing.session.folder / "seen"
    seen: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.0 200 OK\r\nSet-Cookie: a=b\r\nContent-Type: text/plain\r\n\r\nhere")
        await writer.drain()
        writer.close()

    (socket,) = await asyncio.to_thread(sockets_of, standing.session.process)
    await asyncio.to_thread(Path(socket).rename, head)
    server = await asyncio.start_unix_server(listen, socket)
    answer = await standing.ask(
        "GET", f"perijove/clusters/dask-1/dashboard/x?token={TOKEN}&a=1", Cookie="jupyterhub=secret", **TOKENS
    )
    assert (answer.status_code, answer.text) == (200, "here")
    assert "set-cookie" not in answer.headers or "a=b" not in answer.headers["set-cookie"]
    (request,) = seen
    assert request.startswith(f"GET {PREFIX}perijove/clusters/dask-1/dashboard/x?a=1 HTTP/1.0\r\n".encode())
    assert TOKEN.encode() not in request
    assert b"secret" not in request
    server.close()
    await server.wait_closed()
    await asyncio.to_thread(head.rename, socket)


def heads_below(process: Any) -> list[int]:
    """The heads that a server has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text(errors="replace").rpartition(")")[2].split()[1])
            words = (path.parent / "cmdline").read_text()
        except (OSError, ValueError, IndexError):
            continue
        if parent == process.pid and "perijove.spawners.dask.head" in words:
            found.append(int(path.parent.name))
    return found


def sockets_of(process: Any) -> list[str]:
    """The unix sockets of a server's heads."""
    (head,) = heads_below(process)
    inodes = {link.readlink().name for link in Path(f"/proc/{head}/fd").iterdir() if "socket" in str(link.readlink())}
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return [row[7] for row in rows if len(row) > 7 and f"socket:[{row[6]}]" in inodes and row[7].endswith("/h")]


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_a_server_that_starts_anew_closes_what_its_session_had_before(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    async with DaskBroker(tmp_path / "base", CLUSTER) as broker, Gateway(broker) as gateway:
        session = Session(tmp_path, gateway)
        view = {"id": CLUSTER, "name": "old", "session": "sssssssssssss", "beside": True}
        gateway.names["old"] = view
        await session.start()
        try:

            async def closed() -> bool:
                return broker.closed

            await eventually(closed, seconds=60)
        finally:
            await session.stop()
