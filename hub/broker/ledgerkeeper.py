"""Looks after money: takes back what is left of grants that have ended, and ends sessions whose money was withdrawn.

Stated policy. What a session can cost at most is on hold before it starts, so money never runs out under one, and a
grant that comes to its end in the meantime still pays for it. But a budget may be taken away: a grant is withdrawn, a
project is closed, a member is removed. Then each session that holds money of it is told (`budget-withdrawn`, with the
time of its end), and stopped in order after the notice that the settings say; its Dask workers go with it. What it has
cost until then is still paid. Where nothing is enforced, nothing is stopped.

Each round looks at the store alone, and each step may be made twice: by the next round, by another broker, or after a
crash. A session is told once, by the broker that keeps its centre; the event is the memory of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perijove.hub.broker.records import Change, News, Record, Transition
from perijove.hub.broker.store import events, sessions
from perijove.hub.ledger import books
from perijove.hub.ledger.records import Hold
from perijove.hub.ledger.tables import budgets, grants, holds, members
from sqlalchemy import Connection, select

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker

log = logging.getLogger(__name__)
TOLD, POLICY = "budget-withdrawn", "policy"


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A live session whose money was taken away at `when`; `ends`: when it is to be stopped, as it was told."""

    session: str
    centre: str
    budget: str
    when: datetime
    ends: datetime | None


class LedgerKeeper:
    """The money of one broker's sessions."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def round(self) -> None:
        """One look at grants and at what they pay for."""
        parts = self.broker.parts
        now = parts.clock()
        if await parts.database.read(lambda c: _ended_grants(c, now)):
            await parts.database.write(lambda c: books.expire(c, now))
        if not parts.ledger.enforce:
            return
        for one in await parts.database.read(withdrawn):
            if self.broker.keeps(one.centre):
                await self._end(one, now)

    async def _end(self, one: Withdrawn, now: datetime) -> None:
        if one.ends is None:
            ends = now + timedelta(seconds=self.broker.parts.ledger.notice)
            await self.broker.sessions.change(one.session, _told(one.budget, ends))
        elif one.ends <= now and (record := await self.broker.sessions.get(one.session)) is not None:
            log.info("session %s: its money was withdrawn from %s: stopped", record.id, one.budget)
            await self.broker.ask_to_stop(record, POLICY)


def _told(budget: str, ends: datetime) -> Transition:
    def to(record: Record) -> Change | None:
        news = News.of(TOLD, budget=budget, ends_at=ends.isoformat(timespec="seconds"))
        return Change({}, (news,)) if record.live else None

    return to


def _ended_grants(c: Connection, now: datetime) -> bool:
    ended = (grants.c.ends <= now) & grants.c.expired.is_(None) & grants.c.withdrawn.is_(None)
    return c.scalar(select(grants.c.id).where(ended).limit(1)) is not None


def withdrawn(c: Connection) -> list[Withdrawn]:
    """The live sessions whose money was taken away, with what they were told of it."""
    gone_grants = dict(c.execute(select(grants.c.id, grants.c.withdrawn).where(grants.c.withdrawn.is_not(None))).all())
    closed = dict(c.execute(select(budgets.c.key, budgets.c.closed).where(budgets.c.closed.is_not(None))).all())
    left = {(row.budget, row.person): row.left for row in c.execute(select(members).where(members.c.left.is_not(None)))}
    if not (gone_grants or closed or left):
        return []
    live = holds.join(sessions, (sessions.c.id == holds.c.subject) & sessions.c.live.is_(True))
    query = select(holds).select_from(live).where(holds.c.kind == "session", holds.c.state == "open")
    found = []
    for hold in map(Hold.of, c.execute(query.where(holds.c.budget != ""))):
        known = [closed.get(hold.budget), left.get((hold.budget, hold.person))]
        known += [gone_grants.get(part.grant) for part in hold.parts if part.open]
        times = [when for when in known if when is not None]
        if times:
            when = min(times)
            told = _ends(c, hold.subject, when)
            found.append(Withdrawn(hold.subject, hold.centre, hold.budget, when, told))
    return found


def _ends(c: Connection, session: str, since: datetime) -> datetime | None:
    """When a session was told that it will be stopped, if it was since then."""
    query = select(events.c["values"]).where(events.c.session == session, events.c.code == TOLD, events.c.at >= since)
    told = c.scalar(query.order_by(events.c.id.desc()).limit(1))
    return datetime.fromisoformat(str(told["ends_at"])) if told else None


__all__ = ["LedgerKeeper", "Withdrawn", "withdrawn"]
