"""OpenSSH as the outer hop of the data path: one `ssh` process per account, and channels through it as plain sockets.

asyncssh could do this hop, too, and does where there is no `ssh`; but a process of its own, in C, encrypts it for less
and beside the interpreter. CPU seconds of the gateway for one GB (deploy/bench/tunnel.py): 4.6 down and 9 up with
asyncssh on both hops, 2.1 and 4.2 with this. It also keeps streams and commands on two connections, so that a large
download does not delay a submission.

The process is a connection master (`ssh -M`). Channels are asked for over its control socket with the protocol of
OpenSSH's PROTOCOL.mux: a request for a `stdio forward` comes with one end of a socket pair, and from then on master
and gateway move bytes without anybody in between. Its main session runs `cat`, which ends when the gateway does, in
whatever way, and so does the master; having a session also turns off Nagle's algorithm on the connection.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import tempfile
from contextlib import suppress
from pathlib import Path

from perijove.spawners.centre import Login
from perijove.spawners.link import CIPHERS, LinkError, LinkProblem, NoAgent

CONNECT_TIMEOUT = 15.0
#: What OpenSSH says of a failure, and what it means.
_MEANING = (
    ("Host key verification failed", LinkProblem.HOST_KEY),
    ("host key", LinkProblem.HOST_KEY),
    ("Permission denied", LinkProblem.LOGIN),
    ("UNPROTECTED PRIVATE KEY", LinkProblem.LOGIN),
    ("Load key", LinkProblem.LOGIN),
)
#: PROTOCOL.mux: messages, and the version of the protocol.
_HELLO, _NEW_STDIO_FORWARD, _OPENED, _VERSION = 0x1, 0x10000008, 0x80000006, 4


def available() -> bool:
    """Whether this machine has OpenSSH's client."""
    return shutil.which("ssh") is not None


def ssh_argv(login: Login, account: str, key_file: str, directory: Path) -> list[str]:
    """The master's argument list: nothing of the gateway user's own configuration, known host keys only."""
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": directory / "known_hosts",
        "GlobalKnownHostsFile": "none",
        "HostKeyAlias": "login",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "IdentityFile": key_file,
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "ClearAllForwardings": "yes",
        "Ciphers": ",".join(CIPHERS),
        "Compression": "no",
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
        "ConnectTimeout": f"{CONNECT_TIMEOUT:.0f}",
        "ControlPersist": "no",
        "EscapeChar": "none",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    where = ["-p", str(login.port), "-l", account, "-S", str(directory / "c")]
    return ["ssh", "-F", "none", "-M", "-T", *words, *where, "--", login.host, "exec cat"]


class Master:
    """One `ssh -M`."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self._process = process
        self._directory = directory
        self._words = ""
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, login: Login, account: str, key_file: str) -> Master:
        """Connect. Raises LinkError."""
        directory = Path(tempfile.mkdtemp(prefix="perijove-"))
        known = "".join(f"login {key}\n" for key in login.host_keys)
        (directory / "known_hosts").write_text(known)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *ssh_argv(login, account, key_file, directory),
            stdin=pipe,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=pipe,
            start_new_session=True,
        )
        master = cls(process, directory)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await master._ready()
        except TimeoutError:
            await master.close()
            raise LinkError(LinkProblem.TIMEOUT, f"no connection in {CONNECT_TIMEOUT:g} s") from None
        except BaseException:
            await master.close()
            raise
        return master

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.returncode is None

    async def channel(self, host: str, port: int) -> tuple[socket.socket, socket.socket]:
        """A socket that leads to `port` of `host`, and one that keeps it open: close both at the end.

        Raises:
            NoAgent: nothing listens there.
            LinkError: the login node does not forward, or the connection broke.
        """
        control = socket.socket(socket.AF_UNIX)
        control.setblocking(False)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                await self._ask(control, theirs, host, port)
        except BaseException as error:
            ours.close()
            control.close()
            if isinstance(error, (OSError, EOFError)):
                raise LinkError(LinkProblem.UNREACHABLE, f"the connection broke: {error}") from None
            raise
        return ours, control

    async def _ask(self, control: socket.socket, end: socket.socket, host: str, port: int) -> None:
        """Ask for one channel."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(control, str(self._directory / "c"))
        await loop.sock_sendall(control, _string(struct.pack(">II", _HELLO, _VERSION)))
        await _message(control)
        request = struct.pack(">II", _NEW_STDIO_FORWARD, 0) + _string(b"") + _string(host.encode())
        await loop.sock_sendall(control, _string(request + struct.pack(">I", port)))
        for _ in ("input", "output"):
            socket.send_fds(control, [b"\0"], [end.fileno()])
        answer = await _message(control)
        if struct.unpack_from(">I", answer)[0] == _OPENED:
            return
        await asyncio.sleep(0)  # let the reader see why
        if "administratively prohibited" in self._words:
            raise LinkError(LinkProblem.REFUSED, "administratively prohibited")
        raise NoAgent(f"{host}:{port}: not open")

    async def close(self) -> None:
        """End it with all its channels."""
        if self.alive:
            with suppress(ProcessLookupError):
                self._process.terminate()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        await self._reader
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _ready(self) -> None:
        """Wait until it is connected. Raises LinkError."""
        while not os.path.exists(self._directory / "c"):  # noqa: ASYNC240, PTH110 - a look into /tmp
            if not self.alive or self._reader.done():
                await self._process.wait()
                await self._reader
                problem = next((p for words, p in _MEANING if words in self._words), LinkProblem.UNREACHABLE)
                raise LinkError(problem, self._words or "ssh ended without a word")
            await asyncio.sleep(0.005)

    async def _read(self) -> None:
        """Keep the last of what it says."""
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        while words := await self._process.stderr.read(4096):
            self._words = (self._words + words.decode("utf-8", "replace"))[-2000:]


def _string(data: bytes) -> bytes:
    """A string of the SSH protocol, which is also how messages are framed."""
    return struct.pack(">I", len(data)) + data


async def _message(control: socket.socket) -> bytes:
    """One message. Raises EOFError or OSError."""
    loop = asyncio.get_running_loop()

    async def exactly(count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = await loop.sock_recv(control, count - len(data))
            if not piece:
                raise EOFError("the control socket is closed")
            data += piece
        return data

    (length,) = struct.unpack(">I", await exactly(4))
    return await exactly(min(length, 65536))
