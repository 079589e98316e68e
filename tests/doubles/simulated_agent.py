"""The agent of a simulated job: the real SSH server and protocol, but a session's server that is no process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from perijove.spawners.agent import Agent

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class _Server:
    """What a session's server is here: a socket on which each request is answered "ok"."""

    def __init__(self) -> None:
        self.argv: list[str] = []
        self.environment: dict[str, str] = {}
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None

    async def start(self, path: Path) -> None:
        self._server = await asyncio.start_unix_server(self._serve, path)

    @staticmethod
    async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_ANSWER)
                await writer.drain()
        writer.close()

    def state(self) -> dict[str, Any]:
        if not self._code.done():
            return {"state": "running", "pid": 1, "since": 0.0}
        return {"state": "ended", "exit_code": self._code.result(), "since": 0.0, "ended": 0.0}

    def log_tail(self, lines: int) -> list[str]:
        return ["simulated"][:lines]

    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    async def stop(self, grace: float) -> None:
        self.end(0)

    def end(self, code: int) -> None:
        if self._server is not None:
            self._server.close()
        if not self._code.done():
            self._code.set_result(code)


class SimulatedAgent(Agent):
    """The real agent's answers and SSH server, with a server that is no process."""

    server: _Server | None = None

    async def start(self, request: dict[str, Any]) -> dict[str, Any]:
        """As `Agent.start`."""
        if self.server is not None:
            return {"ok": True, "already": True, "server": self.server.state()}
        server = _Server()
        self.server = self.child = server  # type: ignore[assignment]
        server.argv, server.environment = request["argv"], request["env"]
        await server.start(self.socket)
        self.first_start.set()
        return {"ok": True, "already": False, "server": server.state()}

    async def answer(self, verb: str, request: dict[str, Any]) -> dict[str, Any]:
        """As `Agent.answer`; the use of this process by a thousand agents means nothing."""
        if verb == "info":
            state = self.server.state() if self.server else {"state": "none"}
            return {"ok": True, "server": state, "log": [], "memory": 0, "cpu": 0.0, "cores": 1, "processes": 1}
        return await super().answer(verb, request)
