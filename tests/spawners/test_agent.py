"""The agent's own parts, without a gateway."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import pytest
from doubles.jobs import SESSION, Job, eventually
from hypothesis import given
from hypothesis import strategies as st
from perijove.spawners import agent
from perijove.spawners.agent import job_facts, make_socket_directory, take_keys
from perijove.spawners.agent_child import Child
from perijove.spawners.agent_net import addresses, owner_of
from perijove.spawners.ports import CANDIDATES, ports
from perijove.spawners.tunnel_types import AgentInfo, Hello, TunnelError


@given(st.text(max_size=20), st.integers(1, 65535), st.integers(1, 65535))
def test_ports_are_the_same_for_both_ends_within_range_and_without_repeats(session: str, one: int, two: int) -> None:
    first, last = sorted((one, two))
    candidates = list(ports(session, first, last))
    assert candidates == list(ports(session, first, last))
    assert len(set(candidates)) == len(candidates) <= CANDIDATES
    assert candidates
    assert all(first <= port <= last for port in candidates)
    assert len(candidates) >= min(CANDIDATES, last - first + 1) * 0.9


@pytest.mark.parametrize(("first", "last"), [(0, 10), (10, 9), (1, 70000)])
def test_a_range_that_is_none_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="not a range"):
        next(ports("abc", first, last))


async def test_keys_are_read_once_and_removed(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write_keys()
    keys = await take_keys(tmp_path)
    assert keys is not None
    assert keys.session == SESSION
    assert await take_keys(tmp_path, 0) is None


async def test_a_requeued_job_waits_for_fresh_keys(tmp_path: Path) -> None:
    waiting = asyncio.create_task(take_keys(tmp_path, 20))
    await asyncio.sleep(0)
    assert not waiting.done()
    Job(tmp_path).write_keys()
    assert await waiting is not None
    assert await take_keys(tmp_path, 0) is None


async def test_a_job_whose_keys_never_come_says_so_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(agent.take_keys, "__defaults__", (0.0,))
    assert await agent.serve(tmp_path) == agent.NO_KEYS
    assert "agent.json" in capsys.readouterr().out


def test_the_socket_has_a_short_path_in_a_private_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wanted in (str(tmp_path), "/no/such/place", "/tmp/" + "x" * 200, ""):
        monkeypatch.setenv("TMPDIR", wanted)
        made = make_socket_directory()
        assert made.stat().st_mode & 0o777 == 0o700
        assert len(str(made / "s")) < 100
        made.rmdir()


def test_the_batch_system_tells_the_job_its_id_and_end() -> None:
    assert job_facts({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "1800000000"}) == {
        "id": "7",
        "walltime_end": 1800000000,
    }
    assert job_facts({"JOB_ID": "8", "SLURM_JOB_END_TIME": "NONE"}) == {"id": "8"}
    assert job_facts({}) == {"id": None}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_owner_of_a_local_connection_is_known(family: socket.AddressFamily) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(family) as client:
        port = server.getsockname()[1]
        client.connect(("127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1", port))
        connection, (host, peer) = server.accept()
        assert owner_of(host, peer, port) == os.getuid()
        assert owner_of(host, peer, port + 1) is None
        assert owner_of(host, 1, port) is None
        connection.close()


def test_a_node_whose_name_is_on_the_loopback_listens_where_it_can_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("127.0.1.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert addresses()[-1] == "127.0.0.1"
    assert "127.0.1.1" not in addresses()


async def test_output_without_line_ends_and_beyond_measure_stays_small() -> None:
    child = Child([sys.executable, "-c", "print('x' * 10_000_000)"], {}, "/")
    await child.start()
    assert await child.wait() == 0
    assert sum(map(len, child.log_tail(10**6))) < 4_000_000
    assert child.log_tail(0) == []


async def test_a_server_that_ignores_the_request_to_stop_is_ended() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    child = Child([sys.executable, "-c", code], {}, "/")
    await child.start()
    await eventually(lambda: asyncio.sleep(0, child.log_tail(1)))
    await child.stop(0.1)
    assert child.state()["exit_code"] == -9
    assert await child.wait() == 137


def test_an_older_agent_has_no_way_to_the_proxy_and_that_is_no_error() -> None:
    said = {
        "session": SESSION, "pid": 1, "node": "n1", "started": 1.0, "server": {}, "socket": "/tmp/s", "api_port": 8,
        "job": {},
    }  # fmt: skip
    assert Hello.parse(said).gateway_port == 0
    assert Hello.parse(said | {"gateway_port": 9}).gateway_port == 9
    with pytest.raises(TunnelError):
        Hello.parse(said | {"gateway_port": 70000})


@pytest.mark.parametrize("text", ["{}", "[]", '{"session": "a", "pid": "x"}', '{"session": []}'])
def test_an_agent_that_says_nonsense_is_not_believed(text: str) -> None:
    data = json.loads(text)
    for kind in (Hello, AgentInfo):
        with pytest.raises(TunnelError):
            kind.parse(data)
