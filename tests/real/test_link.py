"""The way to a session at real centres: real sshd, real batch systems, isolated nodes, and a curious neighbour."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from doubles.jobs import SERVER, eventually
from doubles.realjob import RealJob
from harness.neighbour import KNOCK, LISTENING, SCAN
from perijove.spawners.link import Account, LinkError, LinkProblem
from perijove.spawners.tunnel import Tunnel, TunnelError
from perijove.testbed import Testbed

SECRET = "swordfish-5d1c0ffee5d1c0ffee"


def job_at(testbed: Testbed, centre: str, person: str = "alice") -> RealJob:
    """A job of a person, reached with the person's own key."""
    account = Account(testbed.account(centre, person), str(testbed.key_file(centre, person)))
    return RealJob(testbed.centre_description(centre, "key"), account)


async def serve(job: RealJob) -> Tunnel:
    """A running session whose server answers."""
    tunnel = await job.open()
    argv = [str(job.centre.environment.python), "-c", SERVER, "{socket}"]
    await tunnel.start_server(argv, {"X_TOKEN": SECRET, "API": "http://127.0.0.1:{api_port}/"}, "~")
    await eventually(lambda: tunnel.ready("/"))
    return tunnel


async def get(tunnel: Tunnel, path: str = "/") -> bytes:
    """A body through the local port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.local_port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    body = (await asyncio.wait_for(reader.read(-1), 60)).partition(b"\r\n\r\n")[2]
    writer.close()
    return body


@pytest.fixture
async def hub() -> AsyncIterator[int]:
    """Something that stands for the hub; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nthe hub")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("centre", ["alpha", "beta", "gamma"])
async def test_a_real_job_is_reached_and_reaches_the_hub(testbed: Testbed, centre: str, hub: int) -> None:
    job = job_at(testbed, centre)
    job.hub_port = hub
    await job.submit()
    try:
        tunnel = await serve(job)
        assert tunnel.hello is not None
        assert tunnel.hello.job["id"] == job.job_id
        assert json.loads(await get(tunnel))["X_TOKEN"] == SECRET
        assert await get(tunnel, "/hub") == b"the hub"
        assert await get(tunnel, "/zeros/50000000") == bytes(50_000_000)
        assert (await tunnel.info()).memory > 1e6
        await tunnel.stop_server(5)
        await tunnel.bye()
    finally:
        await job.end()


@pytest.mark.parametrize("centre", ["alpha", "gamma"])
async def test_a_neighbour_on_the_same_node_gets_nothing(testbed: Testbed, centre: str) -> None:
    job = job_at(testbed, centre)
    await job.submit()
    try:
        tunnel = await serve(job)
        assert tunnel.hello is not None
        assert job.status is not None
        node = str(job.status.node).rpartition("-")[2]

        async def run(role: str, code: str, *words: object, user: str = "bob", stdin: str = "") -> str:
            argv = ["/usr/bin/python3", "-c", code, *map(str, words)]
            done = await asyncio.to_thread(testbed.exec, centre, role, argv, user, stdin, 120)
            assert done.returncode == 0, done.stderr
            return done.stdout

        own = await run(node, SCAN, user="alice", stdin=SECRET)
        assert f"/proc/{tunnel.hello.pid}/environ" not in own  # not even the agent keeps it in its environment
        assert "/environ" in own, "the scan does not find what is there"
        for role in (node, "login"):
            seen, *hits = (await run(role, SCAN, stdin=SECRET)).split()
            assert int(seen) > 20
            assert hits == []
        port = next(line for line in (await run(node, LISTENING)).split() if int(line) >= 20000)
        knocked = await run(node, KNOCK, job.status.node, port, tunnel.hello.api_port, tunnel.hello.socket)
        assert "agent SSH-2.0-" in knocked
        assert "hub ConnectionResetError" in knocked or "hub b'closed'" in knocked
        assert "socket PermissionError" in knocked
    finally:
        await job.end()


async def test_connections_that_drop_come_back_and_the_session_goes_on(own_testbed: Testbed) -> None:
    job = job_at(own_testbed, "alpha")
    await job.submit()
    try:
        tunnel = await serve(job)
        first = json.loads(await get(tunnel))
        stream = asyncio.create_task(get(tunnel, "/zeros/500000000"))
        await asyncio.sleep(0.3)  # in the middle of it
        await asyncio.to_thread(own_testbed.fault, "alpha", "login-drop")
        assert len(await stream) < 500_000_000
        await eventually(lambda: asyncio.sleep(0, tunnel.up))
        assert json.loads(await get(tunnel)) == first
        assert await job.look() is not None
    finally:
        await job.end()


async def test_a_login_node_that_hangs_is_found_out_and_left_for_a_new_connection(own_testbed: Testbed) -> None:
    job = job_at(own_testbed, "alpha")
    await job.submit()
    try:
        tunnel = await serve(job)
        await asyncio.to_thread(own_testbed.fault, "alpha", "login-hang")
        with pytest.raises(LinkError) as caught:
            await job.link.launch({"verb": "status", "base": "~", "commands": [], "timeout": 5}, timeout=3)
        assert caught.value.problem is LinkProblem.TIMEOUT
        await eventually(lambda: asyncio.sleep(0, not tunnel.up), seconds=40)
        await asyncio.to_thread(own_testbed.fault, "alpha", "login-hang", undo=True)
        await eventually(lambda: asyncio.sleep(0, tunnel.up), seconds=60)
        assert json.loads(await get(tunnel))["X_TOKEN"] == SECRET
    finally:
        await job.end()


async def test_a_full_home_is_named_and_a_running_session_survives_it(own_testbed: Testbed) -> None:
    job, late = job_at(own_testbed, "alpha"), job_at(own_testbed, "alpha")
    await job.submit()
    try:
        tunnel = await serve(job)
        await asyncio.to_thread(own_testbed.fault, "alpha", "home-full", "alice")
        with pytest.raises(LinkError) as caught:
            await late.submit()
        assert (caught.value.problem, caught.value.code) == (LinkProblem.LAUNCHER, "home-full")
        assert json.loads(await get(tunnel))["X_TOKEN"] == SECRET
        assert (await tunnel.info()).log
    finally:
        with suppress(Exception):
            await asyncio.to_thread(own_testbed.fault, "alpha", "home-full", "alice", undo=True)
        await late.link.close()
        await job.end()


@pytest.mark.soak
@pytest.mark.timeout(400)
async def test_a_requeued_job_takes_fresh_keys_and_opens_again(own_testbed: Testbed) -> None:
    job = job_at(own_testbed, "alpha")
    await job.submit()
    try:
        tunnel = await serve(job)
        await asyncio.to_thread(own_testbed.fault, "alpha", "requeue", job.job_id)
        await eventually(lambda: asyncio.sleep(0, not tunnel.up), seconds=60)
        await tunnel.close()
        await job.hand_keys_over()
        tunnel = await serve(job)  # Slurm lets a requeued job wait two minutes
        assert json.loads(await get(tunnel))["X_TOKEN"] == SECRET
    finally:
        await job.end()


async def test_a_node_that_dies_takes_the_tunnel_down_and_nothing_else(own_testbed: Testbed) -> None:
    job = job_at(own_testbed, "alpha")
    await job.submit()
    node = ""
    try:
        tunnel = await serve(job)
        assert job.status is not None
        node = str(job.status.node).rpartition("-")[2]
        await asyncio.to_thread(own_testbed.fault, "alpha", "node-kill", node)
        await eventually(lambda: asyncio.sleep(0, not tunnel.up), seconds=40)
        with pytest.raises(TunnelError):
            await tunnel.info()
        body = await get(tunnel)
        assert b"reconnecting" in body
        answer: dict[str, Any] = await job.link.launch({"verb": "status", "base": "~", "commands": [], "timeout": 5})
        assert answer["ok"]
    finally:
        if node:
            await asyncio.to_thread(own_testbed.fault, "alpha", "node-kill", node, undo=True)
        await job.end()
