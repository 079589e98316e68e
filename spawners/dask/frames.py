"""The frames of a channel, and the cutting of messages into them.

Each is one websocket message, little endian:

    type (1 byte), offset (8), used (8), then for DATA the bytes

    DATA  1   the bytes from `offset` on
    BEAT  2   nothing new, only `used` (offset is 0)
    BYE   3   the sender is done with this channel; what it has sent before still counts (offset is 0)

What the numbers mean is in `channel.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

HEADER = struct.Struct("<BQQ")
COUNT = struct.Struct("<Q")
DATA, BEAT, BYE = 1, 2, 3


def cut(pieces: Iterable[bytes | bytearray | memoryview], size: int) -> Iterator[bytes]:
    """The bytes of `pieces` one after the other, in parts of `size` bytes and a rest."""
    held: list[memoryview] = []
    room = size
    for piece in pieces:
        view = memoryview(piece).cast("B") if len(piece) else memoryview(b"")
        while len(view):
            held.append(view[:room])
            view = view[room:]
            room -= len(held[-1])
            if not room:
                yield b"".join(held)
                held, room = [], size
    if held:
        yield b"".join(held)
