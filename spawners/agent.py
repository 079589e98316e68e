"""The agent: what a session's batch job runs, `python -m perijove.spawners.agent DIRECTORY`.

An SSH server on the compute node that has the session's own host key and lets in nobody but the gateway. Over it the
gateway hands over the environment with its tokens, starts the session's server, reaches the server's unix socket, and
serves the way back to the hub. So no token stands in a script, an argument list, a file or a log, and no port of the
node leads into the session without the gateway's key.

The life of a job: read and unlink `agent.json` (a requeued job waits for a fresh one), listen on the first free port of
the session's sequence, wait for the gateway's `start`, run the server, answer until `bye`, exit as the server did.
A gateway that goes away changes nothing: it comes back and finds the agent.
"""

from __future__ import annotations

import asyncio
import ctypes.util
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perijove.spawners.agent_child import Child, become_reaper, end_descendants
from perijove.spawners.agent_net import bind
from perijove.spawners.facts import AGENT_STARTED, GATEWAY_PORT

#: Seconds that a job waits for `agent.json`: the gateway hands it over again after a requeue.
KEYS_WAIT = 300.0
#: Seconds that a job waits for its first `start`: a gateway that is down that long does not burn a whole walltime.
START_WAIT = 1800.0
#: Seconds that a gateway has to fetch how the server ended, if it did not end well.
LINGER = 60.0
#: Seconds for an orderly stop when the batch system asks for the end; most kill after 30.
GRACE = 15.0
#: Exit codes of the agent itself, from sysexits.h: no input, temporary failure.
NO_KEYS, NOBODY_CAME = 66, 75


@dataclass(frozen=True, slots=True)
class Keys:
    """What `agent.json` says."""

    session: str
    host_key: str
    client_keys: tuple[str, ...]
    ports: tuple[int, int]
    #: Addresses to listen on; empty: those that the node's own name resolves to.
    listen: tuple[str, ...] = ()


def parse_keys(text: str) -> Keys:
    """The content of `agent.json`. Raises ValueError, KeyError or TypeError."""
    data = json.loads(text)
    first, last = data["ports"]
    return Keys(
        str(data["session"]),
        str(data["host_key"]),
        tuple(map(str, data["client_keys"])),
        (int(first), int(last)),
        tuple(map(str, data.get("listen", ()))),
    )


async def take_keys(directory: Path, wait: float = KEYS_WAIT) -> Keys | None:
    """Read and unlink `agent.json`, waiting up to `wait` seconds for it; None if it does not come."""
    path = directory / "agent.json"
    deadline = time.monotonic() + wait
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.25)
            continue
        with os.fdopen(descriptor, encoding="utf-8") as file:
            text = file.read(1 << 20)
        path.unlink(missing_ok=True)
        return parse_keys(text)


def make_socket_directory() -> Path:
    """A new directory of mode 0700 on the node, short enough for a unix socket's path (108 bytes)."""
    wanted = os.environ.get("TMPDIR", "")
    parent = wanted if 0 < len(wanted) < 70 and os.access(wanted, os.W_OK) else "/tmp"  # noqa: S108 - mkdtemp in it
    return Path(tempfile.mkdtemp(prefix="perijove-", dir=parent))


def job_facts(environment: dict[str, str]) -> dict[str, Any]:
    """What the batch system tells the job about itself."""
    names = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "OAR_JOB_ID", "JOB_ID")
    facts: dict[str, Any] = {"id": next((environment[name] for name in names if name in environment), None)}
    end = environment.get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        facts["walltime_end"] = int(end)
    return facts


class Agent:
    """The state of one agent."""

    def __init__(self, keys: Keys, socket_directory: Path) -> None:
        self.keys = keys
        self.started = time.time()
        self.socket = socket_directory / "s"
        self.api_port = 0
        self.gateway_port = 0
        self.child: Child | None = None
        #: The gateway asked for the end.
        self.stopping = False
        self.acknowledged = asyncio.Event()
        self.first_start = asyncio.Event()

    def hello(self) -> dict[str, Any]:
        """Who this is."""
        return {
            "session": self.keys.session,
            "pid": os.getpid(),
            "node": os.uname().nodename,
            "started": self.started,
            "server": self.child.state() if self.child else {"state": "none"},
            "socket": str(self.socket),
            "api_port": self.api_port,
            "gateway_port": self.gateway_port,
            "job": job_facts(dict(os.environ)),
        }

    def _fill(self, text: str) -> str:
        """`text` with what only the agent knows."""
        known = {
            "{api_port}": self.api_port,
            GATEWAY_PORT: self.gateway_port,
            "{socket}": self.socket,
            AGENT_STARTED: round(self.started),
        }
        for holder, value in known.items():
            text = text.replace(holder, str(value))
        return text

    async def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start the server, once: its environment and tokens go from here straight into the new process."""
        if self.child is not None:
            return {"ok": True, "already": True, "server": self.child.state()}
        argv = [self._fill(word) for word in request["argv"]]
        environment = {name: self._fill(value) for name, value in request["env"].items()}
        child = Child(argv, environment, request.get("cwd") or "~")
        self.child = child
        try:
            await child.start()
        except OSError as error:
            self.child = None
            return {"ok": False, "error": f"the server cannot be started: {error}"}
        self.first_start.set()
        return {"ok": True, "already": False, "server": child.state()}

    async def answer(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request of the gateway."""
        match verb:
            case "hello":
                return {"ok": True, **self.hello()}
            case "start":
                return await self.start(request)
            case "info":
                from perijove.spawners.agent_stats import usage

                lines = self.child.log_tail(int(request.get("log_lines", 40))) if self.child else []
                state = self.child.state() if self.child else {"state": "none"}
                return {"ok": True, "server": state, "log": lines, **usage()}
            case "stop":
                self.stopping = True
                if self.child:
                    await self.child.stop(float(request.get("grace", GRACE)))
                self.first_start.set()
                return {"ok": True, "server": self.child.state() if self.child else {"state": "none"}}
            case "bye":
                self.acknowledged.set()
                return {"ok": True}
        return {"ok": False, "error": "unknown request"}

    async def run(self) -> int:
        """Wait for the server to be started and to end; the job's exit code."""
        try:
            await asyncio.wait_for(self.first_start.wait(), START_WAIT)
        except TimeoutError:
            return NOBODY_CAME
        code = await self.child.wait() if self.child else 0
        if code == 0 and not self.stopping:
            return 0  # it ended well and by itself (its time was up): nothing is to be fetched, no node kept
        with suppress(TimeoutError):
            await asyncio.wait_for(self.acknowledged.wait(), LINGER)
        return code


@contextmanager
def _without_searching_libraries() -> Iterator[None]:
    """Keep asyncssh's import from looking for optional C libraries (nettle, liboqs), which we do not use: Python runs
    ldconfig and gcc for that, a quarter of the agent's start (110 of 430 ms here)."""
    original = ctypes.util.find_library
    ctypes.util.find_library = lambda name: None
    try:
        yield
    finally:
        ctypes.util.find_library = original


async def serve(directory: Path) -> int:
    """Be the agent of the session whose folder is `directory`; the job's exit code."""
    keys = await take_keys(directory)
    if keys is None:
        print("perijove: no agent.json came; the gateway hands it over when it sees the job", flush=True)
        return NO_KEYS
    # The gateway is let in as far as TCP goes while the SSH server is still being loaded: it finds the agent sooner.
    sockets = bind(keys.session, keys.ports, keys.listen)
    for sock in sockets:
        print("perijove: the agent listens on {}:{}".format(*sock.getsockname()[:2]), flush=True)
    with _without_searching_libraries():
        from perijove.spawners.agent_server import close, listen

    loop = asyncio.get_running_loop()
    socket_directory = make_socket_directory()
    agent = Agent(keys, socket_directory)
    ended: asyncio.Future[int] = loop.create_future()

    def end(number: int) -> None:
        """The batch system, or a person at the node, asks the job to end."""
        if not ended.done():
            ended.set_result(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    try:
        servers = await listen(agent, sockets)
        life = asyncio.create_task(agent.run())
        await asyncio.wait({life, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and agent.child:
            await agent.child.stop(GRACE)
        code = life.result() if life.done() else ended.result()
        life.cancel()
        await close(servers)
        return code
    finally:
        shutil.rmtree(socket_directory, ignore_errors=True)
        end_descendants()


def main() -> None:
    """The job's command."""
    os.umask(0o077)
    if len(sys.argv) != 2:
        sys.exit("usage: python -m perijove.spawners.agent DIRECTORY")
    become_reaper()
    sys.exit(asyncio.run(serve(Path(sys.argv[1]).expanduser())))


if __name__ == "__main__":
    main()
