"""From the API's JSON to the operator's page of money: holds to decide, debts, demand, comparisons, prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from babel.dates import format_skeleton
from perijove.hub.pages.formats import Formats, clock, moment
from perijove.hub.pages.moneywords import DIFFERENCES, OTHER_DIFFERENCE, RECONCILED
from perijove.hub.pages.views import centre_name, queue_title
from perijove.hub.pages.words import UNKNOWN, Look, Words

Json = Mapping[str, Any]
#: Refusals for money.
FOR_MONEY = frozenset({"balance", "budget-limit", "budget-closed", "not-member"})


def _month(first: date, back: int) -> date:
    number = first.year * 12 + first.month - 1 - back
    return date(number // 12, number % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class Period:
    """A month (UTC), for which one looks at debts and demand."""

    first: date
    #: Months that can be chosen: value and words, this one first.
    choices: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, text: str, today: date, fmt: Formats) -> Period:
        """The month that is asked for as "2026-11"; this one for anything else."""
        months = [_month(today.replace(day=1), back) for back in range(12)]
        words = tuple((f"{m:%Y-%m}", format_skeleton("yMMMM", m, locale=fmt.language.locale)) for m in months)
        return cls(next((month for month in months if f"{month:%Y-%m}" == text), months[0]), words)

    @property
    def value(self) -> str:
        """As in a link."""
        return f"{self.first:%Y-%m}"

    @property
    def words(self) -> str:
        """The month in words."""
        return dict(self.choices)[self.value]

    @property
    def query(self) -> dict[str, str]:
        """From when until when, for the API."""
        until = _month(self.first, -1)
        return {key: f"{day.isoformat()}T00:00:00+00:00" for key, day in (("since", self.first), ("until", until))}


@dataclass(frozen=True, slots=True)
class HoldView:
    """Money on hold for something whose end nobody knows."""

    data: Json
    centres: Mapping[str, Json]
    fmt: Formats

    @property
    def id(self) -> str:
        """Its place in the page."""
        return f"{self.data.get('kind')}{self.data.get('subject')}"

    @property
    def centre(self) -> str:
        """The centre's name."""
        return centre_name(self.data.get("centre"), self.centres, self.fmt.language)

    @property
    def amount(self) -> int:
        """The most that it can be charged besides."""
        return int(self.data.get("open") or self.data.get("amount") or 0)

    @property
    def charged(self) -> int:
        """What is charged already, of workers that ended before."""
        return int(self.data.get("charged") or 0) + int(self.data.get("absorbed") or 0)

    @property
    def session(self) -> str:
        """Its session; "" for workers."""
        return str(self.data.get("subject") or "") if self.data.get("kind") in ("session", "warm") else ""

    @property
    def created(self) -> datetime | None:
        """When it was held."""
        return moment(self.data.get("created"))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table, with how long its bar is (0 to 240)."""

    data: Json
    centre: str
    queue: str
    bar: float

    @property
    def wait(self) -> float | None:
        """Seconds that half of the starts took at most."""
        return (self.data.get("waits") or {}).get("p50")

    @property
    def refused(self) -> int:
        """Starts that were refused."""
        return sum((self.data.get("refused") or {}).values())

    @property
    def unpaid(self) -> int:
        """Those of them that were refused for money."""
        return sum(many for code, many in (self.data.get("refused") or {}).items() if code in FOR_MONEY)


def _lines(rows: Sequence[Json], key: str, centres: Mapping[str, Json], fmt: Formats) -> list[Line]:
    most = max((int(row.get(key) or 0) for row in rows), default=0)
    found = []
    for row in sorted(rows, key=lambda one: -int(one.get(key) or 0)):
        name = centre_name(row.get("centre"), centres, fmt.language)
        queue = queue_title(centres.get(str(row.get("centre"))), str(row.get("queue") or ""), fmt.language)
        found.append(Line(row, name, queue, round(240 * int(row.get(key) or 0) / most, 1) if most else 0.0))
    return found


def owed_view(rows: Sequence[Json], centres: Mapping[str, Json], fmt: Formats) -> list[Line]:
    """What is owed to each centre, most first."""
    return _lines(rows, "owed", centres, fmt)


def demand_view(rows: Sequence[Json], centres: Mapping[str, Json], fmt: Formats) -> list[Line]:
    """What each queue is asked for, the most used first."""
    return _lines(rows, "income", centres, fmt)


@dataclass(frozen=True, slots=True)
class DifferenceView:
    """Something in which the books and a centre's accounts differ."""

    data: Json
    fmt: Formats

    @property
    def words(self) -> Words:
        """What it means."""
        return DIFFERENCES.get(str(self.data.get("kind")), OTHER_DIFFERENCE)

    @property
    def times(self) -> str:
        """What both sides say, as h:mm:ss."""
        gettext = self.fmt.language.gettext
        ours, theirs = (
            clock(value) if isinstance(value, int | float) else gettext("nothing")
            for value in (self.data.get("ours"), self.data.get("theirs"))
        )
        return gettext("We have {ours}, the centre has {theirs}.").format(ours=ours, theirs=theirs)


@dataclass(frozen=True, slots=True)
class ReconciliationView:
    """One comparison with a centre's own accounts."""

    data: Json
    centres: Mapping[str, Json]
    fmt: Formats

    @property
    def id(self) -> str:
        """Its place in the page."""
        return f"check-{self.data.get('id')}"

    @property
    def centre(self) -> str:
        """The centre's name."""
        return centre_name(self.data.get("centre"), self.centres, self.fmt.language)

    @property
    def day(self) -> str:
        """The day that was compared."""
        return self.fmt.day(f"{self.data.get('day')}T00:00:00+00:00")

    @property
    def differences(self) -> list[DifferenceView]:
        """What was found."""
        return [DifferenceView(row, self.fmt) for row in self.data.get("differences") or ()]

    @property
    def look(self) -> Look:
        """How it went."""
        return RECONCILED.get(str(self.data.get("state")), UNKNOWN)

    @property
    def counts(self) -> str:
        """How many jobs each side has."""
        words = self.fmt.language.gettext("{ours} jobs of ours, {theirs} in the centre's accounts")
        return words.format(ours=self.data.get("jobs_ours") or 0, theirs=self.data.get("jobs_theirs") or 0)


@dataclass(frozen=True, slots=True)
class PriceView:
    """The price of a queue: what holds, what comes, and what was."""

    centre: str
    queue: str
    now: Json | None
    others: tuple[Json, ...]


def price_view(rows: Sequence[Json], centres: Mapping[str, Json], fmt: Formats, now: datetime) -> list[PriceView]:
    """The prices by queue; of each the newest that is valid, and the other versions, newest first."""
    queues: dict[tuple[str, str], list[Json]] = {}
    for row in rows:
        queues.setdefault((str(row.get("centre")), str(row.get("queue"))), []).append(row)
    found = []
    for (centre, queue), versions in sorted(queues.items()):
        far = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
        ordered = sorted(versions, key=lambda row: moment(row.get("valid_from")) or far, reverse=True)
        valid = next((row for row in ordered if (moment(row.get("valid_from")) or far) <= now), None)
        title = queue_title(centres.get(centre), queue, fmt.language)
        others = tuple(row for row in ordered if row is not valid)
        found.append(PriceView(centre_name(centre, centres, fmt.language), title, valid, others))
    return found
