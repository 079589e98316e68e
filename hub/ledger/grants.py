"""Grants: money that a budget may spend between two times, and what becomes of what is left of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from perijove.hub.ledger.journal import Journal, about_grant, number
from perijove.hub.ledger.records import MOST, Closed, Grant, NoBudget
from perijove.hub.ledger.tables import budgets, grants, ledger_accounts, ledger_entries
from sqlalchemy import ColumnElement, Connection, insert, select, update


class Purse(NamedTuple):
    """A grant, the number of its account, and the micro-credits in it."""

    grant: Grant
    account: int
    left: int


def grant(  # noqa: PLR0913, PLR0917 - a grant says all of this
    c: Connection,
    budget: str,
    amount: int,
    starts: datetime,
    ends: datetime | None,
    by: str,
    note: str,
    now: datetime,
    key: str | None = None,
) -> Grant:
    """Money for a budget, from `starts` until `ends` (None: for ever). The same `key` again is the same grant.

    Raises:
        ValueError: no amount that can be granted, or times at which nothing could be spent.
        NoBudget, Closed.
    """
    journal = Journal.open(c, now)
    if key is not None and (known := _of_key(c, f"grant:key:{key}")):
        return known
    if not 0 < amount <= MOST:
        raise ValueError(f"a grant is of 1 to {MOST} micro-credits, not of {amount}")
    if ends is not None and (ends <= starts or ends <= now):
        raise ValueError("a grant ends after it starts, and in the future")
    found = c.execute(select(budgets).where(budgets.c.key == budget)).first()
    if found is None:
        raise NoBudget(budget)
    if found.closed is not None:
        raise Closed(budget)
    given = Grant(0, budget, amount, starts, ends, by, note, now)
    given = replace(given, id=number(c.execute(insert(grants), given.row())))
    account = journal.account("grant", given.id, given.id)
    moves = {journal.source: -amount, account: amount}
    journal.write("grant", f"grant:key:{key}" if key else f"grant:{given.id}", moves, _moved(given, amount))
    return given


def withdraw(c: Connection, grant_id: int, by: str, now: datetime) -> int:
    """Take back what is left of a grant, and say how much that was; what is on hold of it stays so until it is settled.

    Raises:
        LookupError: there is no such grant.
    """
    journal = Journal.open(c, now)
    purse = next(iter(purses(c, grants.c.id == grant_id)), None)
    if purse is None:
        raise LookupError(f"there is no grant {grant_id}")
    if purse.grant.withdrawn is not None or purse.grant.expired is not None:
        return 0
    c.execute(update(grants).where(grants.c.id == grant_id).values(withdrawn=now, withdrawn_by=by))
    after = replace(purse.grant, withdrawn=now, withdrawn_by=by)
    moves = {purse.account: -purse.left, journal.source: purse.left}
    journal.write("withdraw", f"withdraw:{grant_id}", moves, _moved(after, -purse.left, by))
    return purse.left


def expire(c: Connection, now: datetime) -> list[Grant]:
    """Take back what is left of grants that have ended; those that were not known to have."""
    journal = Journal.open(c, now)
    ended = (grants.c.ends <= now) & grants.c.expired.is_(None) & grants.c.withdrawn.is_(None)
    found = purses(c, ended)
    for purse in found:
        c.execute(update(grants).where(grants.c.id == purse.grant.id).values(expired=now))
        _return(journal, purse, f"expire:{purse.grant.id}")
    return [replace(purse.grant, expired=now) for purse in found]


def sweep(journal: Journal, ids: Iterable[int], cause: str) -> None:
    """What came back to grants that are over goes back to where they came from, too. `cause`: the entry that did it."""
    wanted = list(ids)
    for purse in purses(journal.c, grants.c.id.in_(wanted)) if wanted else ():
        if purse.grant.over(journal.now):
            _return(journal, purse, f"{_why(purse.grant)}:{purse.grant.id}:{cause}")


def purses(c: Connection, *where: ColumnElement[bool]) -> list[Purse]:
    """The grants that fit, those that end first before the others."""
    joined = grants.join(ledger_accounts, ledger_accounts.c.grant == grants.c.id)
    query = select(*grants.c, ledger_accounts.c.id.label("account"), ledger_accounts.c.balance).select_from(joined)
    found = []
    for row in c.execute(query.where(*where).order_by(grants.c.ends, grants.c.id)):
        values = dict(row._mapping)
        account, left = values.pop("account"), values.pop("balance")
        found.append(Purse(Grant(**values), account, left))
    return sorted(found, key=lambda purse: purse.grant.ends is None)


def spendable(c: Connection, budget: str, now: datetime) -> list[Purse]:
    """The grants of a budget that have money now, those that end first before the others."""
    live = (grants.c.starts <= now) & grants.c.expired.is_(None) & grants.c.withdrawn.is_(None)
    found = purses(c, grants.c.budget == budget, live, ledger_accounts.c.balance > 0)
    return [purse for purse in found if not purse.grant.over(now)]


def _return(journal: Journal, purse: Purse, key: str) -> None:
    if purse.left:
        moves = {purse.account: -purse.left, journal.source: purse.left}
        journal.write(_why(purse.grant), key, moves, _moved(purse.grant, -purse.left))


def _why(over: Grant) -> str:
    return "expire" if over.withdrawn is None else "withdraw"


def _moved(given: Grant, amount: int, by: str = "") -> dict[str, object]:
    return about_grant(given, by) | {"moved": amount}


def _of_key(c: Connection, key: str) -> Grant | None:
    made = select(ledger_entries.c.grant).where(ledger_entries.c.key == key).scalar_subquery()
    row = c.execute(select(grants).where(grants.c.id == made)).first()
    return Grant.of(row) if row else None


__all__ = ["Purse", "expire", "grant", "purses", "spendable", "sweep", "withdraw"]
