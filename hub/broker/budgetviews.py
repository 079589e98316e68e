"""The API's JSON for budgets, grants, members and holds. Reads inside a transaction of the caller's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from perijove.hub.broker.views import iso
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.budgets import Budget
from perijove.hub.ledger.grants import purses
from perijove.hub.ledger.records import Grant, Hold
from perijove.hub.ledger.rules import managers
from perijove.hub.ledger.tables import grants, uses
from sqlalchemy import Connection, func, select


def budget(c: Connection, one: Budget, now: datetime) -> dict[str, Any]:
    """A budget and what is in it; `who` can be asked for more."""
    balance = books.balance(c, one.key, now)
    return {
        "key": one.key,
        "kind": one.kind,
        "title": one.title,
        "role": one.role,
        "created": iso(one.created),
        "closed": iso(one.closed),
        "available": balance.available,
        "held": balance.held,
        "spent": balance.spent,
        "granted": balance.granted,
        "next_end": iso(balance.next_end),
        "burn": books.burn(c, one.key, now),
        "who": list(managers(c, one.key)) if one.kind != "person" else [],
    }


def detail(c: Connection, one: Budget, only: str | None, now: datetime) -> dict[str, Any]:
    """A budget with its grants, members and limits; `only`: the one member who is shown."""
    used = _used(c, one.key)
    members = [
        {"person": m.person, "role": m.role, "limit": m.limit, "joined": iso(m.joined), **used.get(m.person, _NONE)}
        for m in budgets.members_of(c, one.key)
        if only in (None, m.person)
    ]
    limits = [
        {"person": limit.person, "centre": limit.centre, "limit": limit.limit}
        for limit in budgets.limits_of(c, one.key)
        if only is None or limit.person in ("", only)
    ]
    left = {purse.grant.id: purse.left for purse in purses(c, grants.c.budget == one.key)}
    given = [grant(found, left.get(found.id, 0)) for found in grants_of(c, one.key)]
    return budget(c, one, now) | {"members": members, "limits": limits, "grants": given}


_NONE = {"held": 0, "spent": 0}


def _used(c: Connection, key: str) -> dict[str, dict[str, int]]:
    """What each person has on hold and has spent of it."""
    sums = select(uses.c.person, func.sum(uses.c.held), func.sum(uses.c.spent)).where(uses.c.budget == key)
    rows = c.execute(sums.group_by(uses.c.person))
    return {str(person): {"held": int(held), "spent": int(spent)} for person, held, spent in rows}


def grants_of(c: Connection, key: str) -> list[Grant]:
    """The grants of a budget, newest first."""
    query = select(grants).where(grants.c.budget == key).order_by(grants.c.id.desc())
    return [Grant.of(row) for row in c.execute(query)]


def grant(one: Grant, left: int) -> dict[str, Any]:
    """A grant; `left`: what of it is neither on hold nor spent."""
    return {
        **{key: getattr(one, key) for key in ("id", "budget", "amount", "by", "note", "withdrawn_by")},
        **{key: iso(getattr(one, key)) for key in ("starts", "ends", "created", "expired", "withdrawn")},
        "left": left,
    }


def hold(one: Hold) -> dict[str, Any]:
    """What is or was held for something."""
    same = ("kind", "subject", "budget", "person", "centre", "queue", "hourly", "count", "price_version")
    money = ("amount", "open", "charged", "absorbed", "done", "state", "why")
    return {key: getattr(one, key) for key in (*same, *money)} | {
        key: iso(getattr(one, key)) for key in ("ends", "created", "settled")
    }


__all__ = ["budget", "detail", "grant", "grants_of", "hold"]
