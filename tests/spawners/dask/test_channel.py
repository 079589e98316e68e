"""The resumable stream: whatever is cut, nothing is lost, doubled or reordered."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perijove.spawners.dask.channel import Channel, ChannelClosed
from perijove.spawners.dask.frames import BYE, DATA, HEADER, cut


class Wire:
    """A connection between two channels which delivers frames one by one, and may be cut with some under way."""

    def __init__(self, one: Channel, other: Channel) -> None:
        self.closed = False
        self.ends = (End(self, one), End(self, other))
        one_got, other_got = one.got, other.got
        one.attach(self.ends[0], other_got)
        other.attach(self.ends[1], one_got)

    def deliver(self, direction: int, count: int) -> int:
        """Up to `count` frames of one direction arrive; how many did."""
        sender, receiver = self.ends[direction], self.ends[1 - direction]
        done = 0
        while sender.under_way and done < count and not self.closed:
            receiver.channel.on_frame(receiver, sender.under_way.popleft())
            done += 1
        return done

    def cut(self) -> None:
        self.closed = True
        for end in self.ends:
            end.under_way.clear()
            end.channel.detach(end)


class End:
    def __init__(self, wire: Wire, channel: Channel) -> None:
        self.wire, self.channel = wire, channel
        self.under_way: deque[bytes] = deque()

    def send(self, frame: bytes) -> None:
        if not self.wire.closed:
            self.under_way.append(frame)

    def close(self) -> None:
        self.wire.closed = True


messages = st.lists(st.lists(st.binary(max_size=40), max_size=4), max_size=8)
steps = st.lists(st.one_of(st.tuples(st.integers(0, 1), st.integers(1, 5)), st.just("cut")), max_size=40)


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


@given(messages, messages, steps, st.integers(1, 30), st.integers(1, 60))
def test_every_message_arrives_once_and_in_order_however_often_the_connection_is_cut(
    one_says: list[list[bytes]],
    other_says: list[list[bytes]],
    happens: list[tuple[int, int] | str],
    chunk: int,
    window: int,
) -> None:
    async def scene() -> None:
        one, other = Channel(chunk=chunk, window=window), Channel(chunk=chunk, window=window)
        heard: tuple[list[list[bytes]], list[list[bytes]]] = ([], [])

        async def speak(channel: Channel, says: list[list[bytes]]) -> None:
            for message in says:
                await channel.write(message)

        async def listen(channel: Channel, count: int, into: list[list[bytes]]) -> None:
            for _ in range(count):
                into.append([bytes(frame) for frame in await channel.read()])

        tasks = [
            asyncio.ensure_future(speak(one, one_says)),
            asyncio.ensure_future(speak(other, other_says)),
            asyncio.ensure_future(listen(one, len(other_says), heard[0])),
            asyncio.ensure_future(listen(other, len(one_says), heard[1])),
        ]
        wire = Wire(one, other)
        for step in happens:
            await turn()
            if isinstance(step, tuple):
                wire.deliver(*step)
            else:
                wire.cut()
                await turn()
                wire = Wire(one, other)
        for _ in range(10_000):
            await turn()
            if all(task.done() for task in tasks):
                break
            wire.deliver(0, 100)
            wire.deliver(1, 100)
        assert all(task.done() for task in tasks), "stuck"
        for task in tasks:
            task.result()
        assert heard == (other_says, one_says)
        for channel in (one, other):
            channel.close()

    asyncio.run(scene())


@given(st.lists(st.binary(max_size=30)), st.integers(1, 20))
def test_cutting_keeps_every_byte_and_fills_every_part_but_the_last(pieces: list[bytes], size: int) -> None:
    parts = list(cut(pieces, size))
    assert b"".join(parts) == b"".join(pieces)
    assert all(len(part) == size for part in parts[:-1])
    assert all(parts)


async def test_a_writer_waits_while_the_other_side_reads_nothing_and_memory_stays_bounded() -> None:
    one, other = Channel(chunk=10, window=100), Channel(chunk=10, window=100)
    wire = Wire(one, other)
    writing = asyncio.ensure_future(one.write([b"x" * 10_000]))
    for _ in range(50):
        await turn()
        wire.deliver(0, 1000)
        wire.deliver(1, 1000)
    assert not writing.done()
    assert other.got <= 110
    reading = asyncio.ensure_future(other.read())
    while not writing.done():
        await turn()
        wire.deliver(0, 1000)
        wire.deliver(1, 1000)
    wire.deliver(0, 1000)
    assert await reading == [b"x" * 10_000]
    one.close()
    other.close()


async def test_what_was_sent_before_a_goodbye_is_still_read() -> None:
    one, other = Channel(), Channel()
    wire = Wire(one, other)
    await one.write([b"last words"])
    one.close()
    wire.closed = False
    wire.deliver(0, 100)
    assert not other.closed
    assert await other.read() == [b"last words"]
    with pytest.raises(ChannelClosed, match="other side closed"):
        await other.read()
    assert other.closed
    with pytest.raises(ChannelClosed):
        await other.write([b"too late"])


async def test_without_a_connection_for_too_long_the_channel_is_over_and_says_so() -> None:
    one, other = Channel(patience=0.01), Channel(patience=0.01)
    closed = asyncio.Event()
    one.on_closed = closed.set
    Wire(one, other).cut()
    with pytest.raises(ChannelClosed, match="no connection for"):
        await one.read()
    await closed.wait()


async def test_a_silent_connection_is_dropped_so_that_another_can_follow() -> None:
    one, other = Channel(beat=0.01, silence=0.03), Channel(beat=0.01, silence=0.03)
    wire = Wire(one, other)  # nothing is ever delivered: a black hole
    async with asyncio.timeout(20):
        while one.attached:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert wire.closed
    one.close()
    other.close()


async def test_a_gap_drops_the_connection_and_a_repetition_is_ignored() -> None:
    one, other = Channel(), Channel()
    wire = Wire(one, other)
    await one.write([b"abc"])
    frame = wire.ends[0].under_way[-1]
    wire.deliver(0, 10)
    other.on_frame(wire.ends[1], frame)
    assert other.attached
    assert await other.read() == [b"abc"]
    other.on_frame(wire.ends[1], HEADER.pack(DATA, 10_000, 0) + b"from the future")
    assert not other.attached
    one.close()
    other.close()


async def test_a_side_that_lost_track_is_refused() -> None:
    one, other = Channel(), Channel()
    end = Wire(one, other).ends[0]
    one.attach(end, 5)  # nothing was sent
    assert "lost track" in one.ended
    other.close()


async def test_a_goodbye_with_nothing_to_read_ends_the_channel_at_once() -> None:
    one, other = Channel(), Channel()
    end = Wire(one, other).ends[0]
    one.on_frame(end, HEADER.pack(BYE, 0, 0))
    assert one.closed
    other.close()


async def test_a_write_that_is_cancelled_half_way_closes_the_channel() -> None:
    one, other = Channel(chunk=10, window=20), Channel(chunk=10, window=20)
    Wire(one, other)
    writing = asyncio.ensure_future(one.write([b"x" * 1000]))
    await turn()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert one.closed
    other.close()
