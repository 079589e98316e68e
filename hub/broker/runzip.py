"""All files of a run as one ZIP, made while it is sent: no more than one piece of one file is in memory."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from datetime import datetime


class _Out:
    """A file that only grows; what was written is taken from it piece by piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """As a file's."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """As a file's."""

    def take(self) -> bytes:
        """What came since the last time."""
        data, self._parts = b"".join(self._parts), []
        return data


async def zipped(files: AsyncIterator[tuple[str, AsyncIterator[bytes]]], when: datetime) -> AsyncIterator[bytes]:
    """The ZIP of `files`: their names in it and their pieces. Pictures and archives would not get smaller: stored."""
    out = _Out()
    date = (max(when.year, 1980), when.month, when.day, when.hour, when.minute, when.second)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        async for name, pieces in files:
            with archive.open(zipfile.ZipInfo(name, date), "w", force_zip64=True) as member:
                async for piece in pieces:
                    member.write(piece)
                    if data := out.take():
                        yield data
    yield out.take()


__all__ = ["zipped"]
