"""When a session's time is up, and what is to be said before: pure arithmetic, in seconds.

A warning that would come when a session has hardly begun says nothing: one of 20 minutes needs no "30 minutes left".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

#: The largest part of a session's time for which a warning of that much time left is worth giving.
_PART = 2 / 3
#: The largest part of a session's time that is given away for an orderly end.
_GIVEN_AWAY = 1 / 10


@dataclass(frozen=True, slots=True)
class Plan:
    """The end of a session that the centre kills at `killed` (seconds since 1970)."""

    killed: float
    #: Seconds before the end at which to warn, largest first.
    warnings: tuple[int, ...]
    #: Seconds by which the session ends itself before it is killed.
    margin: float

    @classmethod
    def make(cls, killed: float, walltime: float, minutes: Iterable[int], margin: float) -> Self:
        """The plan of a session of `walltime` seconds, with warnings at `minutes` before its end."""
        room = min(margin, walltime * _GIVEN_AWAY)
        seconds = sorted({m * 60 for m in minutes if 0 < m * 60 <= walltime * _PART}, reverse=True)
        return cls(killed, tuple(seconds), room)

    def left(self, now: float) -> float:
        """Seconds until the session ends itself; never below 0."""
        return max(0.0, self.killed - self.margin - now)

    def due(self, left: float) -> int | None:
        """The latest warning (its seconds) that holds with `left` seconds left; None before the first."""
        return min((seconds for seconds in self.warnings if left <= seconds), default=None)

    def pause(self, left: float) -> float:
        """Seconds until something is to be said or done."""
        return left - max((seconds for seconds in self.warnings if seconds < left), default=0)
