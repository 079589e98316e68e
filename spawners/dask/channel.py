"""A byte stream that outlives the connections that carry it. Pure: no sockets, and time only through the event loop.

Each side numbers the bytes it sends, from 0, and sends them in frames, which `frames.py` lists. `offset` is the number
of a frame's first byte. `used` acknowledges: the other side's bytes that the application has taken so far. A sender
keeps what is not acknowledged, at most `WINDOW` bytes and one chunk, and a writer waits beyond that; so a receiver that
does not read stops the sender, memory is bounded on both sides, and nobody ever has to stop reading the connection
(which would hold back acknowledgements, too).

A connection that is cut is followed by another one. Before any frame, each side tells how many bytes it has *got*; the
other one sends on from there. So nothing is lost, doubled or reordered, wherever the cut fell. Bytes that come twice
all the same are dropped by their offset, and a gap drops the connection. Without a connection for `patience` seconds,
or when the other side does not know the channel any more, the channel is closed as any connection.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from perijove.spawners.dask.frames import BEAT, BYE, COUNT, DATA, HEADER, cut

#: Bytes in one frame, and bytes on their way before a writer waits.
CHUNK, WINDOW = 1 << 20, 16 << 20
#: Seconds: between signs of life, without any before a connection counts as dead, and without a connection at all.
BEAT_EVERY, SILENCE, PATIENCE = 15.0, 45.0, 600.0


class ChannelClosed(OSError):
    """The channel is over; the text says why."""


class Link(Protocol):
    """A connection. `send` never blocks; what it cannot send is lost with the connection."""

    def send(self, frame: bytes) -> None: ...
    def close(self) -> None: ...


class Channel:
    """One end. `on_closed` is called once, when the channel is over for whatever reason."""

    def __init__(
        self,
        *,
        window: int = WINDOW,
        chunk: int = CHUNK,
        beat: float = BEAT_EVERY,
        silence: float = SILENCE,
        patience: float = PATIENCE,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._window, self._chunk = window, chunk
        self._beat_every, self._silence, self._patience = beat, silence, patience
        self.on_closed: Callable[[], None] = lambda: None
        self._link: Link | None = None
        #: Sent and not acknowledged, with the offset of each; the next offset; what the other side has taken.
        self._kept: deque[tuple[int, bytes]] = deque()
        self._next = self._taken = 0
        #: Got from the other side; taken by the application; told to the other side.
        self.got = self._used = self._told = 0
        self._chunks: deque[memoryview] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._ended = ""
        self._peer_ended = False
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # -- connections --------------------------------------------------------------------------------------------------

    @property
    def attached(self) -> bool:
        """There is a connection."""
        return self._link is not None

    @property
    def ended(self) -> str:
        """Why the channel is over, or ""."""
        return self._ended

    @property
    def closed(self) -> bool:
        """Nothing more will come or go: closed here, or there with everything read."""
        return bool(self._ended) or (self._peer_ended and not self._chunks)

    def attach(self, link: Link, peer_got: int) -> None:
        """Go on over `link`; the other side has got `peer_got` bytes so far. An older connection is dropped."""
        if not self._taken <= peer_got <= self._next:
            self.fail("the other side lost track of this connection")
            link.close()
            return
        old, self._link = self._link, link
        if old is not None:
            old.close()
        self._heard = self._loop.time()
        self._set_timer(self._beat_every, self._beat)
        link.send(self._frame(BEAT))  # an acknowledgement may have been lost with the old connection
        for offset, chunk in self._kept:
            if offset + len(chunk) > peer_got:
                skip = max(0, peer_got - offset)
                link.send(self._frame(DATA, offset + skip, chunk[skip:] if skip else chunk))

    def detach(self, link: Link) -> None:
        """The connection is gone; another one may follow."""
        if link is self._link and not self._ended:
            self._link = None
            self._set_timer(self._patience, self._give_up)

    def on_frame(self, link: Link, frame: bytes) -> None:
        """A frame came over `link`."""
        if link is not self._link or self._ended:
            return
        self._heard = self._loop.time()
        try:
            kind, offset, used = HEADER.unpack_from(frame)
        except struct.error:
            self._drop()
            return
        self._acknowledged(used)
        if kind == DATA:
            new = memoryview(frame)[HEADER.size :]
            if offset > self.got:
                self._drop()
                return
            new = new[self.got - offset :]
            if len(new):
                self.got += len(new)
                self._chunks.append(new)
                self._wake_reader()
        elif kind == BYE:
            self._peer_ended = True
            self._wake()
            if not self._chunks:
                self.fail("the other side closed the connection")

    def close(self) -> None:
        """Say goodbye; nothing is read or written any more."""
        if not self._ended:
            if self._link is not None:
                self._link.send(self._frame(BYE))
            self.fail("closed")

    def fail(self, why: str) -> None:
        """The channel is over."""
        if self._ended:
            return
        self._ended = why
        if self._timer is not None:
            self._timer.cancel()
        link, self._link = self._link, None
        if link is not None:
            link.close()
        self._kept.clear()
        if why == "closed":
            self._chunks.clear()
        self._wake()
        self.on_closed()

    # -- messages -----------------------------------------------------------------------------------------------------

    async def write(self, frames: Sequence[bytes | bytearray | memoryview]) -> int:
        """Send one message of several frames; waits while too much is under way. Raises ChannelClosed.

        Cancelled in the middle, it closes the channel: the other side could make nothing of the half.
        """
        lengths = [memoryview(frame).nbytes for frame in frames]
        head = struct.pack(f"<{len(lengths) + 1}Q", len(lengths), *lengths)
        begun = False
        try:
            for chunk in cut((head, *frames), self._chunk):
                while self._next - self._taken >= self._window and not self._over_for_writing():
                    await self._room()
                if self._over_for_writing():
                    raise ChannelClosed(self._ended or "the other side closed the connection")
                begun = True
                self._send(chunk)
        except asyncio.CancelledError:
            if begun:
                self.close()
            raise
        return sum(lengths)

    async def read(self) -> list[bytes | bytearray]:
        """The frames of the next message. Raises ChannelClosed. Cancelled in the middle, it closes the channel."""
        start = self._used
        try:
            count = COUNT.unpack(await self._take(COUNT.size))[0]
            lengths = struct.unpack(f"<{count}Q", await self._take(COUNT.size * count))
            return [await self._take(length) for length in lengths]
        except asyncio.CancelledError:
            if self._used != start:
                self.close()
            raise

    def _over_for_writing(self) -> bool:
        return bool(self._ended) or self._peer_ended

    def _send(self, chunk: bytes) -> None:
        self._kept.append((self._next, chunk))
        if self._link is not None:
            self._link.send(self._frame(DATA, self._next, chunk))
        self._next += len(chunk)

    async def _take(self, count: int) -> bytes | bytearray:
        """The next `count` bytes."""
        if not count:
            return b""
        await self._some()
        if len(first := self._chunks[0]) >= count:
            found = bytes(first[:count])
            self._consume(count)
            return found
        whole, at = bytearray(count), 0
        while at < count:
            await self._some()
            part = self._chunks[0][: count - at]
            whole[at : at + len(part)] = part
            at += len(part)
            self._consume(len(part))
        return whole

    async def _some(self) -> None:
        """Wait until there is a byte to take. Raises ChannelClosed."""
        while not self._chunks:
            if self._ended or self._peer_ended:
                raise ChannelClosed(self._ended or "the other side closed the connection")
            self._reader = self._loop.create_future()
            await self._reader

    def _consume(self, count: int) -> None:
        first = self._chunks.popleft()
        if count < len(first):
            self._chunks.appendleft(first[count:])
        self._used += count
        if self._link is not None and self._used - self._told >= self._window // 4:
            self._link.send(self._frame(BEAT))
        if self._peer_ended and not self._chunks:
            self.fail("the other side closed the connection")

    # -- keeping it alive ---------------------------------------------------------------------------------------------

    def _frame(self, kind: int, offset: int = 0, data: bytes = b"") -> bytes:
        self._told = self._used
        return HEADER.pack(kind, offset, self._used) + data

    def _acknowledged(self, used: int) -> None:
        if self._taken < used <= self._next:
            self._taken = used
            while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= used:
                self._kept.popleft()
            if self._writer is not None and not self._writer.done():
                self._writer.set_result(None)

    async def _room(self) -> None:
        self._writer = self._loop.create_future()
        await self._writer

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake(self) -> None:
        self._wake_reader()
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _set_timer(self, after: float, call: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(after, call)

    def _beat(self) -> None:
        if self._link is None:
            return
        if self._loop.time() - self._heard > self._silence:
            self._drop()
            return
        self._link.send(self._frame(BEAT))
        self._set_timer(self._beat_every, self._beat)

    def _drop(self) -> None:
        """This connection is no good: give it up, and wait for another."""
        if (link := self._link) is not None:
            self.detach(link)
            link.close()

    def _give_up(self) -> None:
        self.fail(f"no connection for {self._patience:g} s")
