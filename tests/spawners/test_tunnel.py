"""From the gateway through a login node to a server in a job: the real agent, real SSH on both hops."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import asyncssh
import pytest
from doubles.jobs import SERVER_ARGV, SESSION, Job, eventually
from doubles.login import LoginNode, centre, new_key
from perijove.spawners.facts import AGENT_STARTED, GATEWAY_PORT
from perijove.spawners.link import Account, Link, LinkError, link_for
from perijove.spawners.ports import ports
from perijove.spawners.tunnel import Tunnel, TunnelError, TunnelProblem

SECRET = "swordfish-0123456789"
ENVIRONMENT = {
    "X_TOKEN": SECRET,
    "API": "http://127.0.0.1:{api_port}/hub/api",
    "GATEWAY": f"http://127.0.0.1:{GATEWAY_PORT}/user/ada/other/",
    "SOCKET": "{socket}",
}


class Rig:
    """A hub, a job, and a tunnel between them."""

    def __init__(self, link: Link, job: Job, hub_port: int, proxy_port: int = 9) -> None:
        self.link, self.job, self.proxy_port = link, job, proxy_port
        self.changes: list[bool] = []
        self.tunnel = self.new_tunnel(hub_port)
        self.hub_port = hub_port

    def new_tunnel(self, hub_port: int, **changes: object) -> Tunnel:
        """Another tunnel to the same job."""
        key = changes.get("client_key", self.job.client_key)
        assert isinstance(key, asyncssh.SSHKey)
        address, api = self.job.address, ("127.0.0.1", hub_port)
        gateway = ("127.0.0.1", self.proxy_port)
        return Tunnel(self.link, address, key, local_port=0, api=api, gateway=gateway, on_change=self.changes.append)

    async def open(self) -> None:
        """Open the tunnel as soon as the agent is there."""
        await eventually(self.try_open)

    async def try_open(self) -> bool:
        """One attempt."""
        try:
            await self.tunnel.open()
        except TunnelError as error:
            assert error.problem is TunnelProblem.NO_AGENT, error
            return False
        return True

    async def serve(self) -> None:
        """Open it and start the server."""
        await self.open()
        await self.tunnel.start_server(SERVER_ARGV, ENVIRONMENT, "~")
        await eventually(lambda: self.tunnel.ready("/"))

    async def get(self, path: str = "/", tunnel: Tunnel | None = None) -> tuple[int, bytes]:
        """Status and body of a request to the local port, as the proxy makes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", (tunnel or self.tunnel).local_port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await asyncio.wait_for(reader.read(-1), 20)).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), body


def command_lines() -> str:
    """The command lines of all processes."""
    texts = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            texts.append(path.read_text(errors="replace"))
    return "\n".join(texts)


def files_in(*places: Path) -> str:
    """The content of all files."""
    return "\n".join(path.read_text() for place in places for path in place.iterdir() if path.is_file())


def listening(port: int) -> list[str]:
    """The local addresses (as /proc/net/tcp has them) at which something listens on `port`."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"]


def mode(path: Path) -> int:
    """Permission bits."""
    return path.stat().st_mode & 0o777


@pytest.fixture
async def login(tmp_path: Path) -> AsyncIterator[LoginNode]:
    async with LoginNode(tmp_path) as node:
        yield node


@pytest.fixture(params=["through a login node", "on this machine"])
async def rig(login: LoginNode, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async def answer(name: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n\r\n")
        body = name + b" got " + line.split()[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(partial(answer, b"hub"), "127.0.0.1", 0)
    proxy = await asyncio.start_server(partial(answer, b"proxy"), "127.0.0.1", 0)
    folder = tmp_path / "session"
    folder.mkdir(0o700)
    job = Job(folder)
    job.write_keys()
    await job.start()
    link = link_for(centre() if request.param == "on this machine" else login.centre(), Account())
    rig = Rig(link, job, server.sockets[0].getsockname()[1], proxy.sockets[0].getsockname()[1])
    yield rig
    await rig.tunnel.close()
    await link.close()
    await job.stop()
    for one in (server, proxy):
        one.close()
        await one.wait_closed()


async def test_the_whole_way_there_and_back(rig: Rig) -> None:
    await rig.serve()
    status, body = await rig.get()
    environment = json.loads(body)
    hello = rig.tunnel.hello
    assert status == 200
    assert hello is not None
    assert (hello.session, environment["X_TOKEN"], environment["SOCKET"]) == (SESSION, SECRET, hello.socket)
    assert await rig.get("/hub") == (200, b"hub got /hub/api")
    assert await rig.get("/gateway") == (200, b"proxy got /user/ada/other/")
    assert await rig.get("/zeros/30000000") == (200, bytes(30_000_000))


async def test_no_token_is_in_a_file_an_argument_or_the_log(rig: Rig) -> None:
    await rig.serve()
    info = await rig.tunnel.info()
    hello = rig.tunnel.hello
    assert hello is not None
    assert "started with [secret] token=[secret]" in info.log
    assert "started with [secret]" in rig.job.log
    assert "PRIVATE KEY" not in files_in(rig.job.directory)
    assert SECRET not in files_in(rig.job.directory, Path(hello.socket).parent)
    assert SECRET not in command_lines()
    assert mode(Path(hello.socket).parent) == 0o700
    assert mode(Path(hello.socket)) & 0o077 == 0


async def test_an_interruption_is_mended_by_itself_and_the_session_lives_on(rig: Rig, login: LoginNode) -> None:
    await rig.serve()
    connection = rig.tunnel._connection
    assert connection is not None
    connection.abort()
    login.drop()
    status, _ = await rig.get()  # waits for the way to come back
    assert status == 200
    await eventually(lambda: asyncio.sleep(0, rig.changes == [True, False, True]))
    assert await rig.get("/hub") == (200, b"hub got /hub/api")
    assert await rig.get("/gateway") == (200, b"proxy got /user/ada/other/")


async def test_both_ways_back_are_open_to_the_sessions_own_account_only(rig: Rig) -> None:
    await rig.serve()
    hello = rig.tunnel.hello
    assert hello is not None
    assert len({hello.api_port, hello.gateway_port}) == 2
    for port in (hello.api_port, hello.gateway_port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # this process has the agent's uid
        writer.write(b"GET /x HTTP/1.1\r\n\r\n")
        assert b"got /x" in await asyncio.wait_for(reader.read(-1), 20)
        writer.close()
        assert listening(port) == [f"0100007F:{port:04X}"]


async def test_another_gateway_process_finds_the_session_and_starts_nothing_twice(rig: Rig) -> None:
    await rig.serve()
    pid = (await rig.tunnel.info()).processes
    await rig.tunnel.close()
    rig.tunnel = rig.new_tunnel(rig.hub_port)
    await rig.tunnel.open()
    await rig.tunnel.start_server(SERVER_ARGV, {"X_TOKEN": "another"}, "~")
    assert (await rig.tunnel.info()).processes == pid
    assert json.loads((await rig.get())[1])["X_TOKEN"] == SECRET
    assert await rig.get("/hub") == (200, b"hub got /hub/api")


async def test_while_the_way_is_interrupted_people_get_a_page_not_a_refusal(
    login: LoginNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perijove.spawners.tunnel_listener.HOLD", 0.05)
    job = Job(tmp_path)
    rig = Rig(link_for(login.centre(), Account()), job, 9)
    with pytest.raises(TunnelError) as caught:
        await rig.tunnel.open()
    assert caught.value.problem is TunnelProblem.NO_AGENT
    status, body = await rig.get()
    assert status == 503
    assert b"reconnecting" in body
    await rig.tunnel.close()
    with pytest.raises(ConnectionRefusedError):
        await rig.get()
    await rig.link.close()


async def test_a_stranger_on_the_first_port_is_passed_over(login: LoginNode, tmp_path: Path) -> None:
    first = next(ports(SESSION, 20000, 59999))
    stranger = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", first)
    job = Job(tmp_path)
    job.write_keys()
    await job.start()
    rig = Rig(link_for(login.centre(), Account()), job, 9)
    await rig.open()
    assert f":{first}" not in job.log
    await rig.tunnel.close()
    await rig.link.close()
    await job.stop()
    stranger.close()
    await stranger.wait_closed()


async def test_another_key_than_the_gateways_gets_nowhere(rig: Rig) -> None:
    await rig.serve()
    other = rig.new_tunnel(rig.hub_port, client_key=new_key())
    with pytest.raises(TunnelError) as caught:
        await other.open()
    assert caught.value.problem is TunnelProblem.WRONG_KEY or caught.value.problem is TunnelProblem.NO_AGENT
    assert not other.up
    await other.close()


async def test_the_agent_leads_to_the_sessions_socket_and_nowhere_else(rig: Rig) -> None:
    await rig.serve()
    connection = rig.tunnel._connection
    assert connection is not None
    for attempt in (
        connection.open_unix_connection("/run/systemd/private"),
        connection.open_connection("127.0.0.1", 22),
        connection.create_server(lambda *_: None, "0.0.0.0", 0),  # noqa: S104 - it must be refused
        connection.create_server(lambda *_: None, "127.0.0.1", 1234),
        connection.start_sftp_client(),
    ):
        with pytest.raises((asyncssh.Error, asyncssh.ChannelListenError, OSError)):
            await asyncio.wait_for(attempt, 5)
    for command in ("id", "sh -c id", "start; id", ""):
        done = await connection.run(command, input="{}", encoding="utf-8")
        assert json.loads(str(done.stdout))["ok"] is False


async def test_a_server_that_ends_is_reported_with_its_code_and_last_words(rig: Rig) -> None:
    await rig.open()
    argv = [sys.executable, "-c", "import sys; print('no licence'); sys.exit(7)"]
    await rig.tunnel.start_server(argv, {}, "/nowhere")

    async def ended() -> bool:
        return (await rig.tunnel.info()).server.state == "ended"

    await eventually(ended)
    info = await rig.tunnel.info()
    assert (info.server.exit_code, info.log) == (7, ("no licence",))
    assert (await rig.get())[0] == 503
    await rig.tunnel.bye()
    assert rig.job.process is not None
    assert await asyncio.wait_for(rig.job.process.wait(), 10) == 7


async def test_a_server_that_ends_well_by_itself_leaves_the_node_at_once(rig: Rig) -> None:
    await rig.open()
    code = "import os, sys; sys.exit(int(os.environ['BEGAN']) < 1e9)"
    await rig.tunnel.start_server([sys.executable, "-c", code], {"BEGAN": AGENT_STARTED}, "~")
    assert rig.job.process is not None
    # Within much less than the time for which an agent waits to be asked how it ended.
    assert await asyncio.wait_for(rig.job.process.wait(), 30) == 0


async def test_a_server_that_cannot_be_started_can_be_tried_again(rig: Rig) -> None:
    await rig.open()
    with pytest.raises(TunnelError) as caught:
        await rig.tunnel.start_server(["/no/such/program"], {}, "~")
    assert caught.value.problem is TunnelProblem.REFUSED
    await rig.serve()


async def test_an_orderly_stop_leaves_no_process_behind(rig: Rig) -> None:
    await rig.open()
    code = (
        "import subprocess, time; print(subprocess.Popen(['setsid', 'sleep', '600']).pid, flush=True); time.sleep(600)"
    )
    await rig.tunnel.start_server([sys.executable, "-c", code], {}, "~")

    async def printed() -> tuple[str, ...]:
        return (await rig.tunnel.info()).log

    daemon = int((await eventually(printed))[0])
    os.kill(daemon, 0)
    await rig.tunnel.stop_server(5)
    await rig.tunnel.bye()
    assert rig.job.process is not None
    assert await asyncio.wait_for(rig.job.process.wait(), 10) == 143
    await eventually(lambda: asyncio.sleep(0, f"/proc/{daemon}" not in map(str, Path("/proc").iterdir())))


async def test_a_centre_that_forbids_forwarding_is_a_problem_of_the_link(login: LoginNode, tmp_path: Path) -> None:
    login.forwarding = False
    rig = Rig(link_for(login.centre(), Account()), Job(tmp_path), 9)
    with pytest.raises(TunnelError, match="AllowTcpForwarding") as caught:
        await rig.tunnel.open()
    assert caught.value.problem is TunnelProblem.LINK
    assert isinstance(caught.value.__cause__, LinkError)
    await rig.tunnel.close()
    await rig.link.close()


async def test_closing_the_tunnel_leaves_the_job_alone(rig: Rig) -> None:
    await rig.serve()
    await rig.tunnel.close()
    assert not rig.tunnel.up
    assert rig.job.process is not None
    assert rig.job.process.returncode is None
