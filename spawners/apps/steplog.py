"""A step's log: its beginning and its end, however much the programs say, and the last lines for a person.

The beginning goes to the file at once; of the rest the last `TAIL` bytes are kept and written every few seconds, so
that a program that writes gigabytes of warnings fills neither disk nor memory.
"""

from __future__ import annotations

import re
import time
from collections import deque
from pathlib import Path
from types import TracebackType

from perijove.spawners.visible import visible

#: Bytes of the beginning and of the end that are kept.
HEAD, TAIL = 256 << 10, 256 << 10
#: Lines that a failure shows, characters of each.
LINES, WIDTH = 20, 500
#: Seconds between two writings of the end.
PAUSE = 2.0

_ENDS = re.compile(rb"[\r\n]+")


class StepLog:
    """The log of one try, in a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._head = 0
        self._tail: deque[bytes] = deque()
        self._kept = self._cut = 0
        self._written = time.monotonic()
        self._partial = b""
        self._last: deque[str] = deque(maxlen=LINES)

    def write(self, data: bytes) -> list[str]:
        """Takes what programs said; the lines that are whole now (they end at a newline or a carriage return)."""
        begin = data[: max(HEAD - self._head, 0)]
        if begin:
            self._file.write(begin)
            self._file.flush()
            self._head += len(begin)
        if rest := data[len(begin) :]:
            self._keep(rest)
        *whole, self._partial = _ENDS.split(self._partial + data)
        self._partial = self._partial[-4096:]
        lines = [line[-4096:].decode("utf-8", "replace") for line in whole if line.strip()]
        self._last.extend(lines[-LINES:])
        return lines

    def _keep(self, data: bytes) -> None:
        self._tail.append(data[-TAIL:])
        self._cut += max(len(data) - TAIL, 0)
        self._kept += len(self._tail[-1])
        while self._kept - len(self._tail[0]) >= TAIL:
            gone = len(self._tail.popleft())
            self._kept -= gone
            self._cut += gone
        if time.monotonic() - self._written > PAUSE:
            self._write_tail()

    def _write_tail(self) -> None:
        self._written = time.monotonic()
        self._file.seek(self._head)
        if self._cut:
            self._file.write(b"\n[... %d bytes left out ...]\n" % self._cut)
        self._file.write(b"".join(self._tail))
        self._file.truncate()
        self._file.flush()

    def lines(self) -> list[str]:
        """The last lines, fit to be shown."""
        partial = self._partial.decode("utf-8", "replace")
        last = [*self._last, *([partial] if partial.strip() else [])]
        return [visible(line.rstrip(), WIDTH) for line in last[-LINES:]]

    def __enter__(self) -> StepLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._kept:
                self._write_tail()
        finally:
            self._file.close()
