"""The link to an embedded `local` centre: the launcher is a process of this machine, agents listen on its loopback."""

# A caller says how long it waits.
# ruff: noqa: ASYNC109
from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from perijove.spawners.link import (
    ANSWER_LIMIT,
    BOOTSTRAP,
    Link,
    LinkError,
    LinkProblem,
    decode,
    encode,
    launcher_source,
)

if TYPE_CHECKING:
    import asyncssh

#: As many launchers at once; a laptop has few cores.
_AT_ONCE = 8


class LocalLink(Link):
    """This machine as a centre. The gateway's own account is the only one."""

    _slots: asyncio.Semaphore | None = None

    async def launch(self, request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:
        """As `Link.launch`. Its commands are the gateway's own, so all of them are allowed."""
        self._slots = self._slots or asyncio.Semaphore(_AT_ONCE)
        commands = [request, *request.get("commands", ())]
        allow = [command["argv"][0] for command in commands if command.get("argv")]
        data = encode(self.centre, {**request, "allow": allow})
        try:
            async with asyncio.timeout(timeout), self._slots:
                return decode(*await self._run(data))
        except TimeoutError:
            raise LinkError(LinkProblem.TIMEOUT, f"no answer in {timeout:g} s") from None
        except OSError as error:
            raise LinkError(LinkProblem.LAUNCHER, str(error)) from None

    async def _run(self, data: bytes) -> tuple[int | None, bytes, bytes]:
        """Run the launcher."""
        argv = [sys.executable, "-I", "-S", "-c", BOOTSTRAP.format(size=len(launcher_source()))]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            stdout, stderr = await process.communicate(data)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()  # what is left in its pipes would keep them open
        if len(stdout) > ANSWER_LIMIT:
            raise LinkError(LinkProblem.OUTPUT, "the answer is too long")
        return process.returncode, stdout, stderr

    async def connect(
        self, node: str, port: int, *, host_key: str, client_key: asyncssh.SSHKey
    ) -> asyncssh.SSHClientConnection:
        """As `Link.connect`; the node is always this machine."""
        from perijove.spawners.link_agent import connect

        return await connect("127.0.0.1", port, host_key=host_key, client_key=client_key, through=None)

    async def close(self) -> None:
        """Nothing stays open."""
