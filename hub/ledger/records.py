"""What the ledger speaks of, and what it refuses. Pure: no I/O. All money is whole micro-credits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row

#: The most of one grant and of one hold, so that no sum of them leaves 64 bits: a thousand million credits.
MOST = 10**15
_TICK = timedelta(microseconds=1)


def charge(hourly: int, lasted: timedelta) -> int:
    """What `lasted` costs at `hourly` micro-credits an hour: rounded down, and nothing for less than no time."""
    return max(0, hourly * (lasted // _TICK) // (3600 * 1_000_000))


class BudgetKey(NamedTuple):
    """What pays, as its text says it: `person:NAME`, `project:SLUG` or `course:SLUG`."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> BudgetKey:
        """From its text.

        Raises:
            ValueError: it is none.
        """
        kind, colon, name = text.partition(":")
        if kind not in ("person", "project", "course") or not colon or not name:
            raise ValueError(f"{text!r} is no budget: person:NAME, project:NAME or course:NAME")
        return cls(kind, name)

    def __str__(self) -> str:
        """Its text."""
        return f"{self.kind}:{self.name}"


class LedgerError(Exception):
    """Something that the ledger refuses; nothing of it is written.

    Insufficient: the budget's money that can be spent now is less than what is to be held.
    LimitReached: the person, or all at this centre, would have more on hold and spent than their limit.
    NotMember: the person may not spend this budget.
    Closed: nobody may any more.
    NoBudget: there is none of this key.
    TooDear: more than the books hold for one thing.
    """


class Insufficient(LedgerError):
    """`missing` micro-credits are not there; `who` manages the budget (nobody: ask the operators)."""

    def __init__(self, budget: str, needed: int, available: int, who: tuple[str, ...]) -> None:
        super().__init__(f"{budget} has {available} micro-credits, and {needed} are needed")
        self.budget, self.needed, self.available, self.who = budget, needed, available, who
        self.missing = needed - available


class LimitReached(LedgerError):
    """`used` of `limit` are on hold or spent, by `person` ("": by all), at `centre` (None: anywhere)."""

    def __init__(self, budget: str, person: str, centre: str | None, limit: int, used: int, needed: int) -> None:
        whose = person or "all its members together"
        where = f" at {centre}" if centre else ""
        super().__init__(f"{whose} may use {limit} micro-credits of {budget}{where}: {used} are, {needed} are needed")
        self.budget, self.person, self.centre = budget, person, centre
        self.limit, self.used, self.needed = limit, used, needed
        self.missing = used + needed - limit


class NotMember(LedgerError):
    """`person` may not spend `budget`."""

    def __init__(self, budget: str, person: str) -> None:
        super().__init__(f"{person} is no member of {budget}")
        self.budget, self.person = budget, person


class Closed(LedgerError):
    """`budget` is closed."""

    def __init__(self, budget: str) -> None:
        super().__init__(f"{budget} is closed")
        self.budget = budget


class NoBudget(LedgerError):
    """There is no `budget`."""

    def __init__(self, budget: str) -> None:
        super().__init__(f"there is no budget {budget}")
        self.budget = budget


class TooDear(LedgerError):
    """`needed` micro-credits are more than is ever held for one thing, whoever pays."""

    def __init__(self, budget: str, needed: int) -> None:
        super().__init__(f"{needed} micro-credits are more than the {MOST} that can be held for one thing")
        self.budget, self.needed, self.most = budget, needed, MOST


@dataclass(frozen=True, slots=True)
class Subject:
    """What money is held for: a `session`, the `workers` of one worker job, or a session while it is kept `warm`."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Holding:
    """What is to be held: at most `amount` for `count` jobs of one shape that cost `hourly` an hour each.

    `budget` "" is the gateway itself. `ends` says when the hold should be over at the latest, if that is known.
    """

    budget: str
    person: str
    centre: str
    queue: str
    hourly: int
    amount: int
    price_version: int | None
    ends: datetime | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """What one grant (None: the gateway) gave to a hold, and what became of it; the rest went back."""

    grant: int | None
    account: int
    amount: int
    open: int
    charged: int = 0

    def row(self) -> dict[str, Any]:
        """For the store."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Hold:
    """One row of `holds`: `amount` was held, `open` of it still is, `charged` went to the centre, the rest back.

    `state` is `open`, `undecided` (`why` says why) or `settled`; `done` of its `count` jobs are settled. `absorbed` is
    what the gateway paid the centre where the job cost more than was held.
    """

    id: int
    kind: str
    subject: str
    budget: str
    person: str
    centre: str
    queue: str
    hourly: int
    count: int
    price_version: int | None
    amount: int
    parts: tuple[Part, ...]
    open: int
    ends: datetime | None
    created: datetime
    charged: int = 0
    absorbed: int = 0
    done: int = 0
    state: str = "open"
    why: str = ""
    settled: datetime | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> Hold:
        """From a row of the store."""
        values = dict(row._mapping)
        return cls(**values | {"parts": tuple(Part(**part) for part in values["parts"])})

    @property
    def about(self) -> Subject:
        """What it is for."""
        return Subject(self.kind, self.subject)

    def row(self) -> dict[str, Any]:
        """Its values for the store, without its number."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "id"}
        return values | {"parts": [part.row() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Grant:
    """One row of `grants`: money of a budget that can be spent from `starts` until `ends` (None: for ever)."""

    id: int
    budget: str
    amount: int
    starts: datetime
    ends: datetime | None
    by: str
    note: str
    created: datetime
    expired: datetime | None = None
    withdrawn: datetime | None = None
    withdrawn_by: str | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> Grant:
        """From a row of the store."""
        return cls(**row._mapping)

    def row(self) -> dict[str, Any]:
        """Its values for the store, without its number."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "id"}

    def over(self, now: datetime) -> bool:
        """Nothing of it can be spent any more; what is on hold stays so."""
        ended = self.ends is not None and self.ends <= now
        return ended or self.expired is not None or self.withdrawn is not None


@dataclass(frozen=True, slots=True)
class Balance:
    """Micro-credits of a budget: to be spent now, on hold, spent and granted since ever; when money next ends."""

    available: int
    held: int
    spent: int
    granted: int
    next_end: datetime | None


def plain(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence as JSON has it: times as ISO 8601 texts."""
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in evidence.items()}


__all__ = [
    "MOST",
    "Balance",
    "BudgetKey",
    "Closed",
    "Grant",
    "Hold",
    "Holding",
    "Insufficient",
    "LedgerError",
    "LimitReached",
    "NoBudget",
    "NotMember",
    "Part",
    "Subject",
    "charge",
    "plain",
]
