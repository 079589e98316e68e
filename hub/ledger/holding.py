"""Rows of holds."""

from __future__ import annotations

from datetime import datetime

from perijove.hub.ledger.records import Hold, Subject
from perijove.hub.ledger.tables import holds
from sqlalchemy import Connection, bindparam, select, update

#: What can change of a hold.
CHANGES = ("parts", "open", "charged", "absorbed", "done", "state", "why", "settled")
SAVE = update(holds).where(holds.c.id == bindparam("number")).values({n: bindparam(f"new_{n}") for n in CHANGES})


def one_hold(c: Connection, subject: Subject) -> Hold | None:
    """What is or was held for a subject."""
    row = c.execute(select(holds).where(holds.c.kind == subject.kind, holds.c.subject == subject.id)).first()
    return Hold.of(row) if row else None


def save(c: Connection, hold: Hold) -> Hold:
    """Write what can change of a hold."""
    row = hold.row()
    c.execute(SAVE, {"number": hold.id} | {f"new_{name}": row[name] for name in CHANGES})
    return hold


def undecided(c: Connection, before: datetime | None = None) -> list[Hold]:
    """The holds of which nobody knows what they cost, oldest first; with `before` those made before it."""
    query = select(holds).where(holds.c.state == "undecided").order_by(holds.c.created, holds.c.id)
    return [Hold.of(row) for row in c.execute(query if before is None else query.where(holds.c.created < before))]


def fed_by(c: Connection, grant_id: int, budget: str) -> list[Hold]:
    """The holds of a budget that still have money of one of its grants on hold."""
    live = select(holds).where(holds.c.budget == budget, holds.c.state != "settled").order_by(holds.c.id)
    found = (Hold.of(row) for row in c.execute(live))
    return [hold for hold in found if any(part.grant == grant_id and part.open for part in hold.parts)]


__all__ = ["fed_by", "one_hold", "save", "undecided"]
