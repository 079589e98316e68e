"""A forecast as a range, and the wide ranges that are given where no history says better.

The ranges without history are stated policy, not statistics: they are not calibrated, and say so by their evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from perijove.hub.offers.starts import Situation

Evidence = Literal["history", "centre", "both", "warm", "none"]


@dataclass(frozen=True, slots=True)
class Range:
    """When a job would start, in seconds from now: [low, high] holds in 90 of 100 cases, `middle` in 50."""

    low: int
    middle: tuple[int, int]
    likely: int
    high: int
    evidence: Evidence
    #: The starts that it rests on, and the days over which they lie.
    count: int = 0
    days: int = 0

    def as_json(self, expected: str | None = None) -> dict[str, Any]:
        """For the API and the store; `expected` is the batch system's own estimate (ISO 8601)."""
        return {
            "low": self.low,
            "likely": self.likely,
            "high": self.high,
            "middle": list(self.middle),
            "evidence": self.evidence,
            "count": self.count,
            "days": self.days,
            "expected": expected,
        }


#: Seconds at 5, 25, 50, 75 and 95 %.
Five = tuple[float, float, float, float, float]
UNKNOWN: Five = (0, 60, 1800, 4 * 3600, 2 * 86400)
FREE: Five = (0, 5, 20, 60, 1800)
#: A job that runs already and is taken over.
WARM: Five = (0, 1, 2, 5, 15)
BUSY: Five = (0, 300, 3600, 4 * 3600, 2 * 86400)


def without_history(cores: int, situation: Situation) -> Five:
    """What to expect where there is no history: by the batch system's estimate, by free cores, or not at all.

    An estimate assumes that every job runs for its whole walltime, which few do, and that nobody comes in between.
    """
    if situation.wait is not None and situation.wait > 60:
        wait = situation.wait
        return 0, wait / 4, wait, 1.5 * wait + 300, 3 * wait + 6 * 3600
    if situation.cores_free is not None:
        # Others wait, but perhaps for more than is free: the batch system may say that a small job would pass them.
        passes = situation.wait is not None or not situation.jobs_queued
        return FREE if situation.cores_free >= cores and passes else BUSY
    return FREE if situation.wait is not None else UNKNOWN


def rounded(five: Five, evidence: Evidence, count: int = 0, days: int = 0) -> Range:
    """Five rising numbers as a range: outwards to whole seconds, so that rounding never loses a case."""
    low, first, likely, third, high = (min(max(value, 0.0), 366 * 86400.0) for value in five)
    middle = math.floor(first), math.ceil(third)
    return Range(math.floor(low), middle, round(likely), math.ceil(high), evidence, count, days)


__all__ = ["Evidence", "Five", "Range", "rounded", "without_history"]
