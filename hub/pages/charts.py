"""The geometry of the pages' small pictures: numbers in, coordinates out. Pure; `parts/plots.html` draws them.

No picture stands alone: each is drawn beside words that say the same, or carries them as its text alternative. Times
run on a logarithmic axis wherever the waits of queues are compared, since they differ by orders of magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

#: Units of the drawing; the browser scales it to the room that there is.
WIDTH, HEIGHT = 240, 40
#: Seconds that may be marked on a time axis.
TICKS = (60, 600, 3600, 6 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400)
#: Seconds: below this, differences matter little, and the logarithm flattens out.
KNEE = 20.0


def axis(longest: float) -> int:
    """Where an axis ends that has room for `longest` seconds: a tick, an hour or more."""
    return next((tick for tick in TICKS[2:] if tick >= longest), TICKS[-1])


def place(seconds: float, end: int) -> float:
    """Where `seconds` stand on a logarithmic axis that ends at `end`, in units of the drawing."""
    inside = min(max(seconds, 0.0), float(end))
    return round(WIDTH * math.log1p(inside / KNEE) / math.log1p(end / KNEE), 1)


def ticks(end: int) -> list[tuple[float, int]]:
    """The marks of an axis, without its start: where, and how many seconds."""
    return [(place(tick, end), tick) for tick in TICKS if tick <= end]


def labels(end: int) -> list[tuple[float, int]]:
    """Those marks that have room for words: the end first, then what stands clear of the one to its right."""
    found: list[tuple[float, int]] = []
    for x, seconds in reversed(ticks(end)):
        if x > 50 and (not found or found[-1][0] - x > 42):
            found.append((x, seconds))
    return found[::-1]


@dataclass(frozen=True, slots=True)
class Bar:
    """A range on an axis: the outer and the inner band as (x, width), and the likely point."""

    outer: tuple[float, float]
    inner: tuple[float, float]
    likely: float


class Block(NamedTuple):
    """A part of a column: a rectangle, and the number of its series."""

    x: float
    y: float
    width: float
    height: float
    series: int


def bar(low: float, inner: tuple[float, float], likely: float, high: float, end: int) -> Bar:
    """The picture of a forecast on a logarithmic axis; all in seconds."""
    marks = [place(seconds, end) for seconds in (low, high, *inner, likely)]
    return Bar(_band(marks[0], marks[1]), _band(marks[2], marks[3]), marks[4])


def line(low: float, inner: tuple[float, float], likely: float, high: float, end: float) -> Bar:
    """The same on a linear axis from 0 to `end` seconds: where a waiting session is in its forecast."""
    marks = [round(WIDTH * min(seconds, end) / end, 1) for seconds in (low, high, *inner, likely)]
    return Bar(_band(marks[0], marks[1]), _band(marks[2], marks[3]), marks[4])


def _band(left: float, right: float) -> tuple[float, float]:
    return left, round(max(right - left, 2.0), 1)


def load(samples: Sequence[tuple[datetime, float, float]], now: datetime, hours: float = 24) -> str:
    """The points of a step curve of free cores (a share of all, 0 to 1 upwards) over the last `hours`; "" for none.

    `samples` are (when, free, all), oldest first.
    """
    points: list[str] = []
    span, last = hours * 3600, 0.0
    for when, free, cores in samples:
        x = round(WIDTH * (1 - (now - when).total_seconds() / span), 1)
        y = round(HEIGHT * (1 - min(max(free / cores, 0.0), 1.0)), 1) if cores else float(HEIGHT)
        if not -1 <= x <= WIDTH + 1:
            continue
        points += [f"{x},{last}"] * bool(points) + [f"{x},{y}"]
        last = y
    return " ".join([*points, f"{WIDTH},{last}"]) if len(points) > 1 else ""


def area(points: str) -> str:
    """The closed shape below a curve of `load`."""
    if not points:
        return ""
    first, last = points.partition(",")[0], points.rpartition(" ")[2].partition(",")[0]
    return f"{first},{HEIGHT} {points} {last},{HEIGHT}"


def dots(waits: Sequence[float], end: int) -> list[tuple[float, float]]:
    """A dot for each wait (seconds), the newest lowest, so that a trend can be seen and none hides another."""
    many = max(len(waits) - 1, 1)
    return [(place(wait, end), round(4 + (HEIGHT - 8) * number / many, 1)) for number, wait in enumerate(waits)]


def stacks(columns: Sequence[Sequence[float]], width: float, height: float) -> list[list[Block]]:
    """Columns side by side, each piled up from its parts; the highest fills the height. Empty parts are left out."""
    most = max((sum(column) for column in columns), default=0.0)
    step = width / max(len(columns), 1)
    found = []
    for number, column in enumerate(columns):
        top, bars = height, list[Block]()
        for series, part in enumerate(column):
            tall = height * part / most if most else 0.0
            if tall > 0:
                top -= tall
                bars.append(
                    Block(round(step * (number + 0.1), 2), round(top, 2), round(step * 0.8, 2), round(tall, 2), series)
                )
        found.append(bars)
    return found


def shares(parts: Sequence[float], width: float) -> list[tuple[float, float]]:
    """Parts of a whole beside each other, each as (x, width); all of no width where there is nothing."""
    whole, at, found = sum(parts), 0.0, []
    for part in parts:
        wide = width * part / whole if whole else 0.0
        found.append((round(at, 2), round(wide, 2)))
        at += wide
    return found
