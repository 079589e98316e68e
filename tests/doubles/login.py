"""A login node in this process: a real SSH server that runs commands as this user and forwards to 127.0.0.1.

Any node name leads to this machine. Its faults are switches: `forwarding`, `command` (run instead of what was asked),
`frozen` (accepts and says nothing).
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
from perijove.spawners.centre import Centre, parse


def public(key: asyncssh.SSHKey) -> str:
    """The public part of `key` on one line."""
    return key.export_public_key().decode().strip()


def new_key() -> asyncssh.SSHKey:
    """A new ed25519 key."""
    return asyncssh.generate_private_key("ssh-ed25519")


def write_key(key: asyncssh.SSHKey, path: str) -> None:
    """Write a private key as OpenSSH wants it: for its owner only."""
    Path(path).touch(0o600)
    key.write_private_key(path)


def centre(**changes: Any) -> Centre:
    """A small centre; `changes` replace whole tables."""
    data: dict[str, Any] = {
        "id": "here",
        "name": {"en": "Here", "zh": "这里"},
        "scheduler": {"system": "local"},
        "environment": {"python": "/usr/bin/python3"},
        "queues": [{"name": "day", "cores": 2, "memory": "4G"}],
    }
    return parse(data | changes)


def end(process: asyncio.subprocess.Process) -> None:
    """Kill a command and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class LoginNode:
    """The double; use it as an asynchronous context."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host_key = new_key()
        self.client_key = new_key()
        self.forwarding = True
        self.command = ""
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.at_once = self.most_at_once = 0
        self.port = 0
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._running: set[asyncio.subprocess.Process] = set()

    async def __aenter__(self) -> LoginNode:
        write_key(self.client_key, self.key_file)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def key_file(self) -> str:
        """The gateway's key for this node."""
        return str(self.directory / "key")

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Server(self),
            process_factory=self._run,
            server_host_keys=[self.host_key],
            encoding=None,
            config=[],
            allow_pty=False,
            reuse_address=True,
        )
        self.port = self._acceptor.get_port()

    async def stop(self) -> None:
        """Go away, with all connections."""
        if self._acceptor is not None:
            self._acceptor.close()
            self.drop()
            await self._acceptor.wait_closed()
            self._acceptor = None
        for process in list(self._running):
            end(process)
            await process.wait()

    def drop(self) -> None:
        """Break all connections now."""
        for connection in self.connections:
            connection.abort()
        self.connections.clear()

    def centre(self, **login: Any) -> Centre:
        """A centre behind this node."""
        table = {
            "host": "127.0.0.1",
            "port": self.port,
            "host_keys": [public(self.host_key)],
            "account": "somebody",
            "key_file": self.key_file,
        }
        return centre(scheduler={"system": "slurm"}, login=table | login)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """What sshd does with a command: the account's shell runs it."""
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        pipe = asyncio.subprocess.PIPE
        command = self.command if self.command and process.command != "true" else process.command
        argv = ["/bin/sh", "-c", command or ""]
        child = await asyncio.create_subprocess_exec(
            *argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        self._running.add(child)
        moves = [
            asyncio.create_task(_move(child.stdout, process.stdout)),
            asyncio.create_task(_move(child.stderr, process.stderr)),
            asyncio.create_task(_move(process.stdin, child.stdin)),
        ]
        try:
            gone = asyncio.create_task(process.wait_closed())
            over = asyncio.gather(*moves[:2])
            await asyncio.wait({gone, over}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                end(child)
            process.exit(await child.wait())
        finally:
            end(child)
            for task in (*moves, gone):
                task.cancel()
            await asyncio.gather(*moves, gone, over, return_exceptions=True)
            await child.wait()
            child._transport.close()  # type: ignore[attr-defined]  # what it left behind may hold its pipes
            self._running.discard(child)
            self.at_once -= 1


async def _move(reader: Any, writer: Any) -> None:
    """Bytes from one stream to another until its end."""
    with suppress(OSError, asyncssh.Error):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Server(asyncssh.SSHServer):
    """One connection to the double."""

    def __init__(self, node: LoginNode) -> None:
        self._node = node
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._node.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "somebody" and key.public_data == self._node.client_key.public_data

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        if not self._node.forwarding or self._connection is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        return self._connection.forward_connection("127.0.0.1", dest_port)
