"""Short words for tests of the ledger: a project with members and money, and what is asked of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.books import Balance, Hold, Holding, Subject
from sqlalchemy import Connection

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SEA = "project:sea"


def project(c: Connection, amount: int = 1000, slug: str = "sea", **times: datetime | None) -> str:
    """A project that ada manages and bob is a member of."""
    key = budgets.create_project(c, slug, slug.title(), "ada", T0).key
    budgets.add_member(c, key, "bob", "member", T0)
    if amount:
        granted(c, amount, key, **times)
    return key


def granted(
    c: Connection, amount: int, budget: str = SEA, starts: datetime | None = T0, ends: datetime | None = None
) -> int:
    """The number of a new grant."""
    return books.grant(c, budget, amount, starts or T0, ends, "root", "", T0).id


def asked(amount: int = 100, person: str = "bob", budget: str = SEA, **other: Any) -> Holding:
    """One job at alpha."""
    given: dict[str, Any] = {"centre": "alpha", "queue": "cpu", "hourly": 60, "price_version": None}
    return Holding(budget=budget, person=person, amount=amount, **given | other)


def session(name: str = "s1") -> Subject:
    """A session."""
    return Subject("session", name)


def held(c: Connection, name: str = "s1", amount: int = 100, now: datetime = T0, **other: Any) -> Hold:
    """Hold for a session."""
    return books.hold(c, session(name), asked(amount, **other), now)


def settled(c: Connection, name: str, charge: int, now: datetime = T0 + HOUR, **evidence: Any) -> Hold | None:
    """A session's end."""
    return books.settle(c, session(name), "", charge, now, evidence=evidence)


def money(c: Connection, budget: str = SEA, now: datetime = T0) -> tuple[int, int, int]:
    """What is available, on hold and spent of a budget; and the books must balance."""
    assert books.check(c) == []
    found: Balance = books.balance(c, budget, now)
    return found.available, found.held, found.spent
