"""Statements: what the journal says of a budget, a person or a centre, entry by entry or summed up. Only reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from perijove.hub.ledger.tables import ledger_entries
from perijove.spawners.units import credits_text
from sqlalchemy import Column, ColumnElement, Connection, Row, func, select

#: What use can be summed up by. A queue is named with its centre: `alpha/cpu`.
BY = ("day", "centre", "queue", "person", "budget")
#: The entries that charge.
CHARGING = ("settle", "adjust")
#: A spreadsheet would take a text that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the journal. Micro-credits and seconds.

    `moved` is what it adds to the money that the budget has and that is not on hold; `charged` what the budget has
    spent with it, `absorbed` what the gateway paid the centre beyond that.
    """

    id: int
    time: datetime
    kind: str
    key: str
    subject_kind: str
    subject: str
    part: str
    budget: str
    person: str
    centre: str
    queue: str
    grant: int | None
    price_version: int | None
    moved: int
    charged: int
    absorbed: int
    core_seconds: int
    gpu_seconds: int
    by: str
    note: str
    evidence: Mapping[str, Any]

    @classmethod
    def of(cls, row: Row[Any]) -> Entry:
        """From a row of the store."""
        return cls(**row._mapping)

    @property
    def job_id(self) -> str:
        """The batch system's number of the job, where the evidence has it."""
        return str(self.evidence.get("job_id") or "")


class Page(NamedTuple):
    """Some entries, newest first, and what to ask for those before them with; None: there are none."""

    entries: list[Entry]
    cursor: int | None


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used under one `key` of what it is summed up by: micro-credits, seconds, and jobs that have ended."""

    key: str
    charged: int
    absorbed: int
    core_seconds: int
    gpu_seconds: int
    jobs: int

    @property
    def core_hours(self) -> float:
        """Hours of cores."""
        return self.core_seconds / 3600

    @property
    def gpu_hours(self) -> float:
        """Hours of GPUs."""
        return self.gpu_seconds / 3600


@dataclass(frozen=True, slots=True)
class Owed:
    """What a centre has earned: by budgets, by the gateway, and in all; micro-credits."""

    centre: str
    charged: int
    absorbed: int
    owed: int
    jobs: int


def entries(  # noqa: PLR0913 - each is a filter
    c: Connection,
    *,
    budget: str | None = None,
    person: str | None = None,
    centre: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    kinds: Sequence[str] = (),
    cursor: int | None = None,
    limit: int = 100,
) -> Page:
    """The entries that fit, from `since` until before `until`, at most `limit` before the entry `cursor`."""
    where = _where(since, until, budget=budget, person=person, centre=centre)
    if kinds:
        where.append(ledger_entries.c.kind.in_(kinds))
    if cursor is not None:
        where.append(ledger_entries.c.id < cursor)
    columns = [ledger_entries.c[one.name] for one in fields(Entry)]
    query = select(*columns).where(*where).order_by(ledger_entries.c.id.desc()).limit(limit + 1)
    found = [Entry.of(row) for row in c.execute(query)]
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


def usage(
    c: Connection,
    by: str,
    *,
    budget: str | None = None,
    person: str | None = None,
    centre: str | None = None,
    queue: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Usage]:
    """What was used and charged from `since` until before `until`, summed up by one of `BY`; sorted by that.

    A job counts on the day (UTC) on which its end was written down. "" is the gateway's own use.

    Raises:
        ValueError: it cannot be summed up by that.
    """
    if by not in BY:
        raise ValueError(f"use is summed up by {', '.join(BY)}, not by {by!r}")
    e = ledger_entries.c
    keys: Mapping[str, list[ColumnElement[Any]]] = {"day": [func.date(e.time)], "queue": [e.centre, e.queue]}
    group = keys.get(by) or [e[by]]
    where = [e.kind.in_(CHARGING), *_where(since, until, budget=budget, person=person, centre=centre, queue=queue)]
    summed = [func.sum(column) for column in (e.charged, e.absorbed, e.core_seconds, e.gpu_seconds)]
    jobs = func.count().filter(e.kind == "settle")
    query = select(*group, *summed, jobs).where(*where).group_by(*group).order_by(*group)
    many = len(group)
    return [Usage("/".join(map(str, row[:many])), *(int(value) for value in row[many:])) for row in c.execute(query)]


def owed(c: Connection, since: datetime | None = None, until: datetime | None = None) -> list[Owed]:
    """What each centre has earned from `since` until before `until`."""
    found = usage(c, "centre", since=since, until=until)
    return [Owed(one.key, one.charged, one.absorbed, one.charged + one.absorbed, one.jobs) for one in found]


def _where(since: datetime | None, until: datetime | None, **equal: str | None) -> list[ColumnElement[bool]]:
    columns: Mapping[str, Column[Any]] = dict(ledger_entries.c.items())
    where = [columns[name] == value for name, value in equal.items() if value is not None]
    where += [] if since is None else [ledger_entries.c.time >= since]
    return where + ([] if until is None else [ledger_entries.c.time < until])


#: Columns of tables for spreadsheets: micro-credits are written in credits, seconds in hours.
ENTRY_COLUMNS = (
    *("time", "kind", "subject_kind", "subject", "part", "job_id", "budget", "person", "centre", "queue"),
    *("price_version", "moved", "charged", "absorbed", "core_hours", "gpu_hours", "by", "note"),
)
USAGE_COLUMNS = ("key", "charged", "absorbed", "core_hours", "gpu_hours", "jobs")
OWED_COLUMNS = ("centre", "charged", "absorbed", "owed", "jobs")
MONEY = ("moved", "charged", "absorbed", "owed")


def csv_text(rows: Iterable[Entry | Usage | Owed], columns: Sequence[str]) -> str:
    """A table for spreadsheets, with a line of names; no text in it is a formula."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows(csv_rows(rows, columns))
    return out.getvalue()


def csv_rows(rows: Iterable[Entry | Usage | Owed], columns: Sequence[str]) -> Iterator[list[str]]:
    """The lines of that table."""
    yield list(columns)
    for row in rows:
        yield [_cell(row, name) for name in columns]


def _cell(row: Entry | Usage | Owed, name: str) -> str:
    if name in ("core_hours", "gpu_hours"):
        return f"{getattr(row, name.replace('hours', 'seconds')) / 3600:.4f}"
    value = getattr(row, name)
    if name in MONEY:
        return credits_text(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


__all__ = [
    "BY",
    "ENTRY_COLUMNS",
    "OWED_COLUMNS",
    "USAGE_COLUMNS",
    "Entry",
    "Owed",
    "Page",
    "Usage",
    "csv_rows",
    "csv_text",
    "entries",
    "owed",
    "usage",
]
