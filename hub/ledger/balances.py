"""What a budget has, and how fast it is spent."""

from __future__ import annotations

from datetime import datetime

from perijove.hub.broker.store import sessions, workers
from perijove.hub.ledger.grants import spendable
from perijove.hub.ledger.records import Balance
from perijove.hub.ledger.tables import grants, holds, uses
from sqlalchemy import Connection, func, select


def balance(c: Connection, budget: str, now: datetime) -> Balance:
    """What a budget has now, in micro-credits; all zero for one that there is not."""
    purses = spendable(c, budget, now)
    sums = select(func.coalesce(func.sum(uses.c.held), 0), func.coalesce(func.sum(uses.c.spent), 0))
    held, spent = c.execute(sums.where(uses.c.budget == budget)).one()
    granted = c.scalar(select(func.coalesce(func.sum(grants.c.amount), 0)).where(grants.c.budget == budget))
    ends = [purse.grant.ends for purse in purses if purse.grant.ends is not None]
    available = sum(purse.left for purse in purses)
    return Balance(available, int(held), int(spent), int(granted or 0), min(ends, default=None))


def burn(c: Connection, budget: str, now: datetime) -> int:
    """Micro-credits an hour of what runs now on a budget: sessions and workers that have started and not ended."""
    live = (holds.c.budget == budget) & (holds.c.state == "open")
    ran = (sessions.c.started <= now) & sessions.c.ended.is_(None)
    own = select(func.sum(holds.c.hourly)).select_from(holds.join(sessions, sessions.c.id == holds.c.subject))
    theirs = select(func.sum(holds.c.hourly)).select_from(holds.join(workers, workers.c.job == holds.c.subject))
    works = (workers.c.started <= now) & workers.c.ended.is_(None)
    of_sessions = c.scalar(own.where(live, holds.c.kind == "session", ran))
    of_workers = c.scalar(theirs.where(live, holds.c.kind == "workers", works))
    return int(of_sessions or 0) + int(of_workers or 0)


__all__ = ["balance", "burn"]
