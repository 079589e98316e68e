"""The data path of a session beside `ssh -L` through the same login node: one stream, and the delay of small messages.

    sudo .venv/bin/python deploy/bench/tunnel.py [--centre alpha] [--rounds 5] [--json]

A job at a testbed centre runs a small server that listens on the session's unix socket, as a session does, and, for the
comparison only, on a TCP port of its node. Both ways are measured in turn, in the same minutes; the table has medians.
Where cores are few or busy, as on one machine that is everything at once, the sum of all processes' CPU time bounds a
stream; where each has a core of its own, as gateway, login node and compute node have, the busiest process does. So
CPU seconds per GB are measured, too: of all processes but the client, and of the busiest, whose reciprocal is the rate
that the way can reach there. `--outer asyncssh` shows the path of a gateway without OpenSSH.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
from perijove.spawners import link_master
from perijove.spawners.batch import batch_system
from perijove.spawners.batch.base import Output
from perijove.spawners.job import JobSpec, JobState, new_session_id
from perijove.spawners.link import Account, link_for
from perijove.spawners.tunnel import AgentAddress, Tunnel, TunnelError
from perijove.testbed.testbed import Testbed

BASE = "~/.perijove"
#: Bytes of one stream, and messages of one round.
STREAM, MESSAGES, CONNECTIONS = 256 << 20, 500, 50
#: Clock ticks a second in /proc.
TICK = os.sysconf("SC_CLK_TCK")
#: A line with a number gets as many bytes, one with "e" comes back.
SERVER = """
import socket, sys, threading
block = bytes(1 << 20)
def serve(connection):
    if connection.family == socket.AF_INET:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = connection.makefile("rb")
    for line in file:
        if line[:1] == b"e":
            connection.sendall(line)
        elif line[:1] == b"u":
            left = int(line[1:])
            while left:
                left -= len(file.read1(min(left, 1 << 20)))
            connection.sendall(b"k")
        else:
            left = int(line)
            while left:
                connection.sendall(block[:left])
                left -= min(left, len(block))
def listen(server):
    while True:
        threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
tcp = socket.create_server((socket.gethostbyname(socket.gethostname()), 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen(64)
print("port", tcp.getsockname()[1], flush=True)
threading.Thread(target=listen, args=(tcp,), daemon=True).start()
listen(unix)
"""


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    """A plain blocking connection to a local port."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def download(port: int) -> float:
    """MB/s of one stream towards the person."""
    with connection(port) as sock:
        buffer, left = bytearray(1 << 20), STREAM
        begun = time.perf_counter()
        sock.sendall(b"%d\n" % STREAM)
        while left:
            left -= sock.recv_into(buffer)
        return STREAM / 1e6 / (time.perf_counter() - begun)


def upload(port: int) -> float:
    """MB/s of one stream towards the job."""
    with connection(port) as sock:
        block = bytes(1 << 20)
        begun = time.perf_counter()
        sock.sendall(b"u%d\n" % STREAM)
        for _ in range(STREAM >> 20):
            sock.sendall(block)
        sock.recv(1)
        return STREAM / 1e6 / (time.perf_counter() - begun)


def message(port: int) -> float:
    """Milliseconds, median, of a small message there and back on an open connection."""
    with connection(port) as sock:
        times = []
        for _ in range(MESSAGES):
            begun = time.perf_counter()
            sock.sendall(b"e\n")
            sock.recv(16)
            times.append(time.perf_counter() - begun)
        return 1000 * statistics.median(times)


def cpu_times() -> dict[int, tuple[str, float]]:
    """Name and CPU seconds so far of each process of this machine (the testbed's nodes are namespaces of it)."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                text = (entry / "stat").read_text(errors="replace")
                name, fields = text.partition("(")[2].rpartition(")")[0], text.rpartition(")")[2].split()
                found[int(entry.name)] = name, (int(fields[11]) + int(fields[12])) / TICK
    return found


def spent(before: dict[int, tuple[str, float]]) -> tuple[float, float]:
    """CPU seconds since `before`: of all processes that moved bytes, and of the busiest."""
    moved = [after - before.get(pid, ("", 0.0))[1] for pid, (_, after) in cpu_times().items()]
    return sum(moved), max(moved)


def new_connection(port: int) -> float:
    """Milliseconds, median, of the first message on a new connection."""
    times = []
    for _ in range(CONNECTIONS):
        begun = time.perf_counter()
        with connection(port) as sock:
            sock.sendall(b"e\n")
            sock.recv(16)
        times.append(time.perf_counter() - begun)
    return 1000 * statistics.median(times)


MEASURES: dict[str, Callable[[int], float]] = {
    "one stream down, MB/s": download,
    "one stream up, MB/s": upload,
    "message, ms": message,
    "new connection, ms": new_connection,
}


async def open_session(stack: AsyncExitStack, name: str) -> tuple[Tunnel, str, int]:
    """A running job with the server in it: its tunnel, and node and port for `ssh -L`."""
    testbed = Testbed()
    centre = testbed.centre_description(name, "key")
    link = link_for(centre, Account(testbed.account(name, "alice"), str(testbed.key_file(name, "alice"))))
    stack.push_async_callback(link.close)
    batch, session = batch_system(centre), new_session_id("bch")
    host, client = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    public = [key.export_public_key().decode().strip() for key in (host, client)]
    ports = (centre.ports.first, centre.ports.last)
    keys = {"session": session, "host_key": host.export_private_key().decode(), "client_keys": public[1:]}
    command = (str(centre.environment.python), "-m", "perijove.spawners.agent", ".")
    spec = JobSpec(session, centre.queues[0].label, 1, 512, 0, 900, f"{BASE}/{session}", command)
    asked = batch.submit(spec)
    answer = await link.launch(
        {
            "verb": "submit", "session": session, "base": BASE, "timeout": 20, "argv": list(asked.argv),
            "stdin": asked.stdin, "files": {"agent.json": json.dumps({**keys, "ports": ports})},
        }
    )  # fmt: skip
    job = batch.parse_submit(_output(answer))
    cancel = {"verb": "cancel", "base": BASE, "timeout": 20, "argv": list(batch.cancel([job]).argv)}
    stack.push_async_callback(link.launch, cancel)
    node = ""
    while not node:
        await asyncio.sleep(0.2)
        asked = batch.status()
        commands = [{"argv": list(asked.argv), "stdin": asked.stdin}]
        answer = await link.launch({"verb": "status", "base": BASE, "timeout": 20, "commands": commands})
        for status in batch.parse_status(_output(answer)):
            if status.job_id == job and status.state is JobState.RUNNING:
                node = status.node or ""
    address = AgentAddress(session, node, ports, public[0])
    tunnel = Tunnel(link, address, client, local_port=0, api=("127.0.0.1", 9))
    stack.push_async_callback(tunnel.close)
    while True:
        try:
            await tunnel.open()
            break
        except TunnelError:
            await asyncio.sleep(0.2)
    await tunnel.start_server([str(centre.environment.python), "-c", SERVER, "{socket}"], {}, "~")
    while not (lines := (await tunnel.info()).log):
        await asyncio.sleep(0.05)
    return tunnel, node, int(lines[0].split()[1])


def _output(answer: dict[str, Any]) -> Output:
    """The output of the first command."""
    first = answer["outputs"][0]
    return Output(first["status"], first["stdout"], first["stderr"])


async def forward(stack: AsyncExitStack, name: str, node: str, port: int) -> int:
    """`ssh -L` to the same server; the local port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        local = int(sock.getsockname()[1])
    argv = Testbed().ssh(name, "alice")
    options = ["-o", "Ciphers=aes128-gcm@openssh.com", "-o", "ExitOnForwardFailure=yes"]
    # With a session (a command), as without one sshd leaves Nagle's algorithm on.
    process = await asyncio.create_subprocess_exec(
        argv[0], *options, "-L", f"127.0.0.1:{local}:{node}:{port}", *argv[1:], "sleep 900",
        stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    stack.callback(process.terminate)
    while True:
        try:
            with connection(local):
                return local
        except OSError:
            await asyncio.sleep(0.1)


async def probe(name: str, port: int) -> float:
    """One measure, in a process of its own: the client must not share an interpreter with the tunnel."""
    argv = [sys.executable, __file__, "--probe", name, str(port)]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    return float((await process.communicate())[0])


async def measure(name: str, rounds: int) -> dict[str, dict[str, float]]:
    """The table: measure -> way -> median, and for streams the CPU seconds per GB of each way."""
    async with AsyncExitStack() as stack:
        tunnel, node, port = await open_session(stack, name)
        ways = {"tunnel": tunnel.local_port, "ssh -L": await forward(stack, name, node, port)}
        table: dict[str, dict[str, float]] = {}
        for measure_name in MEASURES:
            figures: dict[str, list[float]] = {}
            for _ in range(rounds):
                for way, local in ways.items():
                    before = cpu_times()
                    figures.setdefault(way, []).append(await probe(measure_name, local))
                    for what, seconds in zip(("all", "busiest"), spent(before), strict=True):
                        figures.setdefault(f"{way}, {what}", []).append(seconds / STREAM * 1e9)
            table[measure_name] = {way: statistics.median(values) for way, values in figures.items()}
        return table


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["--probe"]:
        print(MEASURES[sys.argv[2]](int(sys.argv[3])))
        return
    parser = argparse.ArgumentParser(description="the data path of a session beside ssh -L")
    parser.add_argument("--centre", default="alpha")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--outer", choices=["ssh", "asyncssh"], default="ssh")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.outer == "asyncssh":
        link_master.available = lambda: False
    table = asyncio.run(measure(arguments.centre, arguments.rounds))
    if arguments.json:
        print(json.dumps(table))
        return
    print(f"{'':24}{'tunnel':>10}{'ssh -L':>10}{'ratio':>8}")
    for name, row in table.items():
        print(f"{name:24}{row['tunnel']:10.2f}{row['ssh -L']:10.2f}{row['tunnel'] / row['ssh -L']:8.2f}")
    print("CPU seconds per GB")
    for name, row in table.items():
        if "stream" in name:
            for what in ("all", "busiest"):
                ours, theirs = row[f"tunnel, {what}"], row[f"ssh -L, {what}"]
                print(f"{f'{name[:15]}, {what}':24}{ours:10.2f}{theirs:10.2f}{theirs / ours:8.2f}")


if __name__ == "__main__":
    main()
