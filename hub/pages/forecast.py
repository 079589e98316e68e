"""A start forecast in words and as a picture: the API's `start` object, whichever broker gave it. Pure.

The words say a range and what it rests on, never a promise: "usually 2–10 min", "from 84 starts this week".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from perijove.hub.offers.forecast import FEWEST
from perijove.hub.pages import charts
from perijove.hub.pages.formats import Formats, moment

#: Seconds within which a start counts as being at once.
AT_ONCE = 90


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a request would start, in seconds from when it was asked. `low` to `high` is the 90 % range."""

    low: float
    likely: float
    high: float
    middle: tuple[float, float]
    evidence: str
    count: int
    days: int
    expected: datetime | None

    @classmethod
    def parse(cls, data: object) -> Self | None:
        """The API's `start` object; None if there is none.

        Raises:
            ValueError, TypeError: it is not what the API promises.
        """
        if data is None:
            return None
        if not isinstance(data, Mapping):
            raise TypeError(f"a forecast is an object, not {type(data).__name__}")
        if data.get("high") is None:
            return None
        low, high = float(data.get("low") or 0), float(data["high"])
        likely = float(data["likely"]) if data.get("likely") is not None else (low + high) / 2
        first, last = data.get("middle") or (likely, likely)
        return cls(
            low,
            likely,
            high,
            (float(first), float(last)),
            str(data.get("evidence") or "none"),
            int(data.get("count") or 0),
            int(data.get("days") or 7),
            moment(data.get("expected")),
        )

    @property
    def known(self) -> bool:
        """It rests on something."""
        return self.evidence in ("history", "centre", "both", "warm")

    @property
    def at_once(self) -> bool:
        """There is room now, and no history of its own says that there is a wait all the same.

        The ends of such a range are a policy for the worst case; told to a person they would be a wait that nobody has.
        """
        trusted = self.evidence in ("history", "both") and self.count >= FEWEST
        return not trusted and self.middle[1] <= AT_ONCE

    def range_words(self, fmt: Formats) -> str:
        """The range, e.g. "usually 2–10 min"."""
        _ = fmt.language.gettext
        if self.evidence == "warm":
            return _("at once")
        if self.at_once:
            return _("usually at once")
        text = _("usually {range}") if self.evidence in ("history", "both") else _("perhaps {range}")
        return text.format(range=fmt.reach(self.low, self.high))

    def basis_words(self, fmt: Formats) -> str:
        """What it rests on, e.g. "from 84 starts this week"."""
        _, ngettext = fmt.language.gettext, fmt.language.ngettext
        if not self.known:
            if self.at_once:
                return _("no starts recorded here yet")
            return _("no starts recorded here yet: the range is wide")
        if self.evidence == "warm":
            return _("a job is kept ready there")
        if self.evidence == "centre":
            return _("the centre's own estimate")
        week = ngettext("from {count} start this week", "from {count} starts this week", self.count)
        days = ngettext("from {count} start in {days} days", "from {count} starts in {days} days", self.count)
        day = ngettext("from {count} start in the last day", "from {count} starts in the last day", self.count)
        text = {1: day, 7: week}.get(self.days, days).format(count=fmt.number(self.count), days=self.days)
        return _("{basis}, and the centre's own estimate").format(basis=text) if self.evidence == "both" else text

    def bar(self, end: int) -> charts.Bar:
        """Its picture on the common axis of a list."""
        return charts.bar(self.low, self.middle, self.likely, self.high, end)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a waiting session is in the forecast that it was given; `elapsed` in seconds."""

    forecast: Forecast
    elapsed: float

    @property
    def end(self) -> float:
        """Seconds that the axis shows: the range, and some room behind it or behind where we are."""
        return max(self.forecast.high * 1.2, self.elapsed * 1.1, 120.0)

    @property
    def bar(self) -> charts.Bar:
        """The forecast on that axis."""
        one = self.forecast
        return charts.line(one.low, one.middle, one.likely, one.high, self.end)

    @property
    def at(self) -> float:
        """Where we are on it."""
        return round(charts.WIDTH * min(self.elapsed, self.end) / self.end, 1)

    @property
    def at_once(self) -> bool:
        """It is expected any moment: there is nothing to show on an axis."""
        return self.forecast.at_once and self.elapsed <= AT_ONCE

    def words(self, fmt: Formats) -> str:
        """Where we are, in a sentence."""
        _ = fmt.language.gettext
        if self.at_once:
            return _("There is room now: such jobs usually start at once.")
        if not self.forecast.known:
            return _("No starts are recorded here yet, so nobody can say how long this takes.")
        if self.elapsed > self.forecast.high:
            return _("This takes longer than forecast: nine of ten such starts are quicker.")
        if self.elapsed > self.forecast.middle[1]:
            return _("It takes a little longer than most, and is within the forecast.")
        return _("It is within the forecast.")
