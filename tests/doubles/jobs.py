"""A job without a batch system: the real agent as a process, and small servers for it to run."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from perijove.spawners.tunnel import AgentAddress

from doubles.login import new_key, public

SESSION = "abcdefghijklm"
#: A server on a unix socket that answers with what it finds: its environment, the hub, or megabytes.
SERVER = """
import http.server, json, os, socketserver, sys, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path in ("/hub", "/gateway"):
            body = urllib.request.urlopen(os.environ["API" if self.path == "/hub" else "GATEWAY"]).read()
        elif self.path.startswith("/zeros/"):
            body = bytes(int(self.path[7:]))
        else:
            body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
    def address_string(self):
        return "socket"
class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
print("started with", os.environ.get("X_TOKEN"), "token=0123456789abcdef", flush=True)
Server(sys.argv[1], Handler).serve_forever()
"""
SERVER_ARGV = [sys.executable, "-c", SERVER, "{socket}"]


class Job:
    """An agent's process and folder."""

    def __init__(self, directory: Path, session: str = SESSION) -> None:
        self.directory = directory
        self.session = session
        self.host_key = new_key()
        self.client_key = new_key()
        self.ports = (20000, 59999)
        self.process: asyncio.subprocess.Process | None = None

    def write_keys(self, **changes: Any) -> None:
        """Hand `agent.json` over."""
        keys = {
            "session": self.session,
            "host_key": self.host_key.export_private_key().decode(),
            "client_keys": [public(self.client_key)],
            "ports": self.ports,
            "listen": ["127.0.0.1"],
        }
        path = self.directory / "agent.json"
        path.touch(0o600)
        path.write_text(json.dumps(keys | changes))

    @property
    def address(self) -> AgentAddress:
        """Where a tunnel finds it."""
        return AgentAddress(self.session, "node1", self.ports, public(self.host_key))

    async def start(self) -> None:
        """Run the agent, its output in `log`."""
        with (self.directory / "log").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "perijove.spawners.agent", str(self.directory), stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        """What the job wrote."""
        return (self.directory / "log").read_text()

    async def stop(self) -> None:
        """End it by force."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 20)


async def eventually(question: Callable[[], Awaitable[Any]], *, seconds: float = 20.0, every: float = 0.02) -> Any:
    """The first true answer to `question`; fails after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (answer := await question()):
        assert loop.time() < deadline, "it did not happen in time"
        await asyncio.sleep(every)
    return answer
