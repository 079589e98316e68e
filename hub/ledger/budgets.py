"""Budgets: a person's own, and those of projects and courses with members, roles and limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from perijove.hub.ledger.grants import grant
from perijove.hub.ledger.journal import Journal
from perijove.hub.ledger.records import BudgetKey, Closed, Grant, LedgerError, NoBudget, NotMember
from perijove.hub.ledger.rules import MANAGER, MEMBER, managers, role
from perijove.hub.ledger.tables import budgets, centre_limits, members
from sqlalchemy import Connection, delete, insert, select, update

SLUG = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Taken(LedgerError):
    """There is a project or course of this name already."""

    def __init__(self, budget: str) -> None:
        super().__init__(f"there is a {budget} already")
        self.budget = budget


class LastManager(LedgerError):
    """Who manages the budget would be nobody."""

    def __init__(self, budget: str, person: str) -> None:
        super().__init__(f"{person} is the last to manage {budget}: name another manager first")
        self.budget, self.person = budget, person


@dataclass(frozen=True, slots=True)
class Budget:
    """One row of `budgets`, as `person` sees it: `role` is `manager`, `member`, or None for who may not spend it."""

    key: str
    kind: str
    title: str
    created: datetime
    closed: datetime | None
    role: str | None = None

    @property
    def open(self) -> bool:
        """It can be spent."""
        return self.closed is None


@dataclass(frozen=True, slots=True)
class Member:
    """One row of `members`: `limit` in micro-credits, on hold and spent together (None: no limit)."""

    person: str
    role: str
    limit: int | None
    joined: datetime
    left: datetime | None


@dataclass(frozen=True, slots=True)
class CentreLimit:
    """The most that a person ("": all together) may have on hold and spent at a centre, in micro-credits."""

    person: str
    centre: str
    limit: int


def ensure_person(c: Connection, person: str, amount: int, now: datetime, ends: datetime | None = None) -> Grant | None:
    """A person has a budget, and has had its starting grant of `amount` (0: none yet); the grant, if it is new."""
    Journal.open(c, now)
    key = str(BudgetKey("person", person))
    had = c.scalar(select(budgets.c.starting).where(budgets.c.key == key))
    if had is None:
        row = {"key": key, "kind": "person", "title": person[:200], "created": now, "starting": False}
        c.execute(insert(budgets).values(row))
    if had or amount <= 0:
        return None
    c.execute(update(budgets).where(budgets.c.key == key).values(starting=True))
    return grant(c, key, amount, now, ends, "", "starting grant", now, key=f"starting:{key}")


def create_project(
    c: Connection, slug: str, title: str, manager: str, now: datetime, *, kind: str = "project"
) -> Budget:
    """A project, or a course, that `manager` manages.

    Raises:
        ValueError: no name for one.
        Taken.
    """
    Journal.open(c, now)
    if not SLUG.fullmatch(slug) or kind not in ("project", "course"):
        raise ValueError(f"{slug!r}: a {kind} is named with small letters, digits and -, at most 32, a letter first")
    key = str(BudgetKey(kind, slug))
    # One name for both kinds: addresses of projects and courses have the name alone.
    for taken in (str(BudgetKey(other, slug)) for other in ("project", "course")):
        if one(c, taken) is not None:
            raise Taken(taken)
    made = Budget(key, kind, title.strip()[:200] or slug, now, None, MANAGER)
    row = {"key": key, "kind": kind, "title": made.title, "created": now, "starting": False}
    c.execute(insert(budgets).values(row))
    add_member(c, key, manager, MANAGER, now)
    return made


def close(c: Connection, budget: str, now: datetime) -> None:
    """Nothing more can be held of it; what runs goes on. Its grants stay until they end or are withdrawn.

    Raises:
        NoBudget.
    """
    Journal.open(c, now)
    _known(c, budget)
    c.execute(update(budgets).where(budgets.c.key == budget, budgets.c.closed.is_(None)).values(closed=now))


def add_member(
    c: Connection, budget: str, person: str, role: str, now: datetime, *, limit: int | None = None
) -> Member:
    """Make a person a member, or give a member another role; a limit that is not said stays as it was,
    but of one who had left: that one has none then.

    Raises:
        ValueError: no such role, or a person's own budget, which has no members.
        NoBudget, Closed, LastManager.
    """
    Journal.open(c, now)
    if BudgetKey.parse(budget).kind == "person" or role not in (MANAGER, MEMBER) or not person:
        raise ValueError(f"{person!r} cannot be {role} of {budget}: projects and courses have managers and members")
    if not _known(c, budget).open:
        raise Closed(budget)
    _limit(limit)
    mine = (members.c.budget == budget) & (members.c.person == person)
    known = c.execute(select(members).where(mine)).first()
    if known is None:
        row = {"budget": budget, "person": person, "role": role, "limit": limit, "joined": now, "left": None}
        c.execute(insert(members).values(row))
        return Member(person, role, limit, now, None)
    if role != MANAGER:
        _not_the_last(c, budget, person)
    joined = known.joined if known.left is None else now
    kept = known.limit if known.left is None else None
    after = Member(person, role, kept if limit is None else limit, joined, None)
    values = {"role": role, "limit": after.limit, "joined": joined, "left": None}
    c.execute(update(members).where(mine).values(values))
    return after


def remove_member(c: Connection, budget: str, person: str, now: datetime) -> None:
    """The person can hold nothing more of it; what runs goes on. Once more changes nothing.

    Raises:
        NoBudget, NotMember, LastManager.
    """
    Journal.open(c, now)
    _known(c, budget)
    mine = (members.c.budget == budget) & (members.c.person == person)
    known = c.execute(select(members).where(mine)).first()
    if known is None:
        raise NotMember(budget, person)
    if known.left is None:
        _not_the_last(c, budget, person)
        c.execute(update(members).where(mine).values(left=now))


def set_limit(
    c: Connection, budget: str, limit: int | None, now: datetime, *, person: str = "", centre: str = ""
) -> None:
    """The most that a member, all together at a centre, or a member there may have on hold and spent; None: no limit.

    Raises:
        ValueError: below zero, or neither a person nor a centre: a budget's own limit are its grants.
        NoBudget, NotMember.
    """
    Journal.open(c, now)
    _limit(limit)
    known = _known(c, budget)
    if not person and not centre:
        raise ValueError("a limit is a person's, a centre's, or both: what a budget can spend in all are its grants")
    mine = (members.c.budget == budget) & (members.c.person == person)
    if person and known.kind != "person" and c.execute(select(members).where(mine)).first() is None:
        raise NotMember(budget, person)
    if not centre:
        if known.kind == "person":
            raise ValueError("a person's own budget has no members: it can be limited at a centre")
        c.execute(update(members).where(mine).values(limit=limit))
        return
    here = {"budget": budget, "person": person, "centre": centre}
    c.execute(delete(centre_limits).filter_by(**here))
    if limit is not None:
        c.execute(insert(centre_limits).values(**here, limit=limit))


def one(c: Connection, budget: str, person: str | None = None) -> Budget | None:
    """A budget, as `person` sees it."""
    row = c.execute(select(budgets).where(budgets.c.key == budget)).first()
    seen = role(c, budget, person) if row and person else None
    return Budget(row.key, row.kind, row.title, row.created, row.closed, seen) if row else None


def budgets_of(c: Connection, person: str, *, closed: bool = False) -> list[Budget]:
    """The budgets that a person may spend, its own first; with `closed` those, too, that nobody may any more."""
    mine = members.join(budgets, budgets.c.key == members.c.budget)
    query = select(budgets, members.c.role).select_from(mine)
    query = query.where(members.c.person == person, members.c.left.is_(None)).order_by(budgets.c.key)
    own = one(c, str(BudgetKey("person", person)), person)
    found = [own] if own else []
    found += [Budget(row.key, row.kind, row.title, row.created, row.closed, row.role) for row in c.execute(query)]
    return [budget for budget in found if closed or budget.open]


def listing(c: Connection, kind: str | None = None, *, closed: bool = False) -> list[Budget]:
    """All budgets, for operators."""
    query = select(budgets).order_by(budgets.c.key)
    query = query if kind is None else query.where(budgets.c.kind == kind)
    query = query if closed else query.where(budgets.c.closed.is_(None))
    return [Budget(row.key, row.kind, row.title, row.created, row.closed) for row in c.execute(query)]


def may_use(c: Connection, budget: str, person: str) -> bool:
    """The person may hold money of it: it is open, and the person's own or one of a project's or course's members."""
    found = one(c, budget, person)
    return found is not None and found.open and found.role is not None


def members_of(c: Connection, budget: str, *, gone: bool = False) -> list[Member]:
    """The members of a budget by name; with `gone` those, too, that were."""
    query = select(members).where(members.c.budget == budget).order_by(members.c.person)
    query = query if gone else query.where(members.c.left.is_(None))
    return [Member(row.person, row.role, row.limit, row.joined, row.left) for row in c.execute(query)]


def limits_of(c: Connection, budget: str) -> list[CentreLimit]:
    """The limits at centres."""
    query = select(centre_limits).where(centre_limits.c.budget == budget)
    ordered = query.order_by(centre_limits.c.centre, centre_limits.c.person)
    return [CentreLimit(row.person, row.centre, row.limit) for row in c.execute(ordered)]


def _known(c: Connection, budget: str) -> Budget:
    found = one(c, budget)
    if found is None:
        raise NoBudget(budget)
    return found


def _limit(limit: int | None) -> None:
    if limit is not None and limit < 0:
        raise ValueError(f"a limit of {limit} micro-credits: it is never below zero")


def _not_the_last(c: Connection, budget: str, person: str) -> None:
    if managers(c, budget) == (person,):
        raise LastManager(budget, person)


__all__ = [
    "Budget",
    "CentreLimit",
    "LastManager",
    "Member",
    "Taken",
    "add_member",
    "budgets_of",
    "close",
    "create_project",
    "ensure_person",
    "limits_of",
    "listing",
    "may_use",
    "members_of",
    "one",
    "remove_member",
    "role",
    "set_limit",
]
