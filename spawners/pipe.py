"""Bytes from one connection to another, with back pressure: the data path of a session, at both of its ends.

One class serves as an asyncio protocol (a TCP or unix socket) and as an asyncssh session (a channel): the two have the
same callbacks, so a byte that arrives on one side is written to the other in the same turn of the loop, without a
stream reader, a task or a copy in between.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
from contextlib import suppress
from functools import cache
from typing import Any, cast

#: Receive window of a data channel in bytes. A stream moves one window per round trip: 8 MiB are 400 MB/s at 20 ms.
WINDOW = 8 * 1024 * 1024
#: Largest data packet between gateway and agent in bytes: fewer packets cost less Python per byte.
PACKET = 256 * 1024 - 1024
#: Parameters of mallopt(3).
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1


@cache
def keep_buffers() -> None:
    """Let the C library keep freed buffers of our size, for the whole process.

    By default glibc gives each of them back to the system and asks for it again, page fault by page fault, until a far
    bigger one was freed (measured: a first GB cost the agent 9 CPU seconds, the following ones 3). Elsewhere: nothing.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 32 << 20)
        library.mallopt(_TRIM_THRESHOLD, 64 << 20)


class Gate:
    """Back pressure of a whole SSH connection, which asyncssh leaves out: it knows the windows of its channels only.

    Without it, a window's worth of data piles up in the buffer of the connection's transport, and moving that buffer
    about costs more than the encryption (measured: 11 instead of 3 CPU seconds for a GB at the sending end).
    """

    def __init__(self, connection: Any) -> None:
        self.open = True
        self.sides: set[Pipe] = set()
        # The transport calls these on its protocol, which is the connection; asyncssh's own do nothing.
        connection.pause_writing = self._pause
        connection.resume_writing = self._resume

    def _pause(self) -> None:
        self.open = False
        for side in self.sides:
            side.regulate()

    def _resume(self) -> None:
        self.open = True
        for side in list(self.sides):
            side.regulate()


class Pipe(asyncio.Protocol):
    """One side of a connection; `join` makes two of them a pipe. Reading waits until it is joined.

    A side that is a channel has the `gate` of its SSH connection.
    """

    def __init__(self, gate: Gate | None = None) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: Pipe | None = None
        self.ended = False
        self.early: list[bytes] = []
        self._gate = gate
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection, or the channel, is open."""
        self.transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.peer is None:
            self.transport.pause_reading()
        if self._gate is not None:
            self._gate.sides.add(self)

    def session_started(self) -> None:
        """An asyncssh channel is ready; nothing to do."""

    def join(self, peer: Pipe) -> None:
        """Let bytes flow between the two sides from now on."""
        self.peer, peer.peer = peer, self
        for side, other in ((self, peer), (peer, self)):
            for data in side.early:
                other.write(data)
            side.early.clear()
            if side.transport is None or side.transport.is_closing():
                other.close()
            else:
                other.regulate()
                if side.ended:
                    other.write_eof()

    def write(self, data: bytes) -> None:
        """Send `data` on this side."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_eof(self) -> None:
        """No more data will be sent on this side."""
        if self.transport is not None and not self.transport.is_closing():
            with suppress(OSError):  # the peer closed its socket meanwhile: the end arrives as connection_lost
                self.transport.write_eof()

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Data arrived on this side."""
        if self.peer is not None:
            self.peer.write(data)
        else:
            self.early.append(data)

    def eof_received(self) -> bool:
        """The other end will send no more; the way back stays open."""
        self.ended = True
        if self.peer is None:
            return True
        self.peer.write_eof()
        return not self.peer.ended

    def pause_writing(self) -> None:
        """This side cannot take more."""
        self._full = True
        self.regulate()

    def resume_writing(self) -> None:
        """This side takes data again."""
        self._full = False
        self.regulate()

    def regulate(self) -> None:
        """Let the other side read, or not, as this one can take data or not."""
        if self.peer is None or self.peer.transport is None or self.peer.transport.is_closing():
            return
        if self._full or (self._gate is not None and not self._gate.open):
            self.peer.transport.pause_reading()
        else:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """This side is closed: so is the other, after what it still has to send."""
        self.transport = None
        if self._gate is not None:
            self._gate.sides.discard(self)
        if self.peer is not None:
            self.peer.close()

    def close(self) -> None:
        """Close this side."""
        if self.transport is not None:
            self.transport.close()


async def to_socket(path: str) -> Pipe:
    """A pipe side on the unix socket `path`. Raises OSError."""
    _, pipe = await asyncio.get_running_loop().create_unix_connection(Pipe, path)
    return pipe


async def to_address(host: str, port: int) -> Pipe:
    """A pipe side on a TCP address. Raises OSError."""
    _, pipe = await asyncio.get_running_loop().create_connection(Pipe, host, port)
    return pipe
