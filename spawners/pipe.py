"""Bytes from one connection to another, with back pressure: the data path of a session, at both of its ends.

One class serves as an asyncio protocol (a TCP or unix socket) and as an asyncssh session (a channel): the two have the
same callbacks, so a byte that arrives on one side is written to the other in the same turn of the loop, without a
stream reader, a task or a copy in between.
"""

from __future__ import annotations

import asyncio
import socket
from typing import cast

#: Receive window of a data channel in bytes. A stream moves one window per round trip: 8 MiB are 400 MB/s at 20 ms.
WINDOW = 8 * 1024 * 1024
#: Largest data packet between gateway and agent in bytes: fewer packets cost less Python per byte.
PACKET = 256 * 1024 - 1024


class Pipe(asyncio.Protocol):
    """One side of a connection; `join` makes two of them a pipe. Reading waits until it is joined."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: Pipe | None = None
        self.ended = False
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection, or the channel, is open."""
        self.transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.peer is None:
            self.transport.pause_reading()

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
                side.transport.resume_reading()
                if side.ended:
                    other.write_eof()

    def write(self, data: bytes) -> None:
        """Send `data` on this side."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def write_eof(self) -> None:
        """No more data will be sent on this side."""
        if self.transport is not None and not self.transport.is_closing():
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
        """This side cannot take more: stop reading from the other."""
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """This side takes data again."""
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """This side is closed: so is the other, after what it still has to send."""
        self.transport = None
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
