"""How the forecasts of a queue did, and how long its jobs wait: from the stored forecasts of sessions that started.

Right-censored waits (of sessions that were cancelled while they waited) are neither thrown away nor taken for starts:
- in the distribution of waits they take part by the product-limit estimate (Kaplan and Meier 1958);
- in the coverage a cancelled wait that had outlasted its range is a miss, which is certain; one that was cancelled
  before is not counted, since nobody can say whether the range would have held: coverage is rather put too low;
- the median error is that of starts alone: a censored wait has no error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from perijove.hub.offers.quantiles import survival_quantiles
from perijove.hub.offers.starts import Start

WAIT_DAYS, RECENT = 7, 60


@dataclass(frozen=True, slots=True)
class Scores:
    """Of `count` forecasts: the parts of starts within the 50 % and 90 % ranges, and the median error in seconds."""

    count: int
    cover50: float | None
    cover90: float | None
    median_error: int | None

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        return asdict(self)


def score(starts: Iterable[Start]) -> Scores:
    """The scores of the forecasts that were given for `starts`."""
    inside: list[tuple[bool, bool]] = []
    errors: list[float] = []
    for start in starts:
        given = start.forecast
        if not given:
            continue
        low, high, (first, third) = given["low"], given["high"], given["middle"]
        if start.observed:
            inside.append((first <= start.wait <= third, low <= start.wait <= high))
            errors.append(abs(start.wait - given["likely"]))
        elif start.wait > high:
            inside.append((False, False))
    if not inside:
        return Scores(0, None, None, None)
    parts = [sum(column) / len(inside) for column in zip(*inside, strict=True)]
    error = round(median(errors)) if errors else None
    return Scores(len(inside), round(parts[0], 3), round(parts[1], 3), error)


def waits(starts: Sequence[Start], now: float) -> dict[str, Any]:
    """The waits of the last week for the API, from starts in the order in which their waits were known."""
    week = [start for start in starts if start.known_at >= now - WAIT_DAYS * 86400]
    observed = [start for start in week if start.observed]
    half, most = survival_quantiles([(start.wait, not start.observed, 1.0) for start in week], (0.5, 0.9))
    return {
        "days": WAIT_DAYS,
        "count": len(observed),
        "median": None if half == math.inf else round(half),
        "p90": None if most == math.inf else round(most),
        "recent": [round(start.wait) for start in observed[-RECENT:]],
    }


__all__ = ["Scores", "score", "waits"]
