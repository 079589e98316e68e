"""What ended long ago is removed from the store: first the events and the log's last lines, later the session itself.

Only sessions for which nothing is left to be done, and of which everybody knows what they cost, oldest first, so many
in one transaction, so that nobody waits long for the store. What is to go is looked for in a read, so that a round that
finds nothing costs the writer nothing. The books are kept for ever. Runs of apps are not removed here: they are their
owners' results, and kept until these remove them. Several brokers on one store may do so at the same time: what one has
removed, the other does not find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from perijove.hub.broker.database import Database
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import clusters, events, sessions, worker_jobs, workers
from perijove.hub.ledger.tables import holds, refusals
from perijove.hub.limits import Retention
from perijove.spawners.session import Stage
from sqlalchemy import ColumnElement, Connection, Select, delete, select, update

#: Sessions in one transaction.
TOGETHER = 100


@dataclass(frozen=True, slots=True)
class Purge:
    """Removes what `retention` no longer keeps."""

    database: Database
    clock: Clock
    retention: Retention
    together: int = TOGETHER

    async def run(self) -> tuple[int, int]:
        """One round: how many sessions were removed, and from how many more the events and log."""
        if self.retention.sessions:
            await self._clusters()
            await self._refusals()
        gone = 0
        if self.retention.sessions:
            old = self._before(self.retention.sessions) & sessions.c.id.not_in(_unsettled("session", "warm"))
            gone = await self._all(old, _remove)
        # A session whose events are gone has no last one: so each is found once.
        has_more = (sessions.c.last_event != 0) | (sessions.c.log_tail != "")
        if not self.retention.events:
            return gone, 0
        return gone, await self._all(self._before(self.retention.events) & has_more, _trim)

    async def _clusters(self) -> None:
        """Clusters are kept as long as sessions, with their worker jobs and workers."""
        old = clusters.c.ended < self.clock() - timedelta(days=self.retention.sessions)
        kept = select(worker_jobs.c.cluster).where(worker_jobs.c.id.in_(_unsettled("workers")))
        over = clusters.c.forgotten & clusters.c.id.not_in(kept)
        query = select(clusters.c.id).where(old, over).order_by(clusters.c.ended).limit(self.together)
        while ids := await self.database.read(lambda c: list(c.scalars(query))):
            await self.database.write(partial(_remove_clusters, ids=ids))

    async def _refusals(self) -> None:
        """What was refused is kept as long as sessions."""
        old = refusals.c.time < self.clock() - timedelta(days=self.retention.sessions)
        if await self.database.read(lambda c: c.scalar(select(refusals.c.id).where(old).limit(1))) is not None:
            await self.database.write(lambda c: c.execute(delete(refusals).where(old)) and None)

    def _before(self, days: int) -> ColumnElement[bool]:
        ended: datetime = self.clock() - timedelta(days=days)
        return sessions.c.ended < ended

    async def _all(self, which: ColumnElement[bool], work: Callable[..., None]) -> int:
        over = (sessions.c.stage == Stage.ENDED.value) & sessions.c.hub_cleared & sessions.c.forgotten
        query = select(sessions.c.id).where(which, over).order_by(sessions.c.ended).limit(self.together)
        total = 0
        while ids := await self.database.read(lambda c: list(c.scalars(query))):
            await self.database.write(partial(work, ids=ids))
            total += len(ids)
        return total


def _unsettled(*kinds: str) -> Select[tuple[str]]:
    """What money is still on hold for: reconciling it needs to know whose job it was."""
    return select(holds.c.subject).where(holds.c.kind.in_(kinds), holds.c.state != "settled")


def _remove(c: Connection, ids: list[str]) -> None:
    c.execute(delete(events).where(events.c.session.in_(ids)))
    c.execute(delete(sessions).where(sessions.c.id.in_(ids)))


def _remove_clusters(c: Connection, ids: list[str]) -> None:
    jobs = select(worker_jobs.c.id).where(worker_jobs.c.cluster.in_(ids))
    c.execute(delete(workers).where(workers.c.job.in_(jobs)))
    c.execute(delete(worker_jobs).where(worker_jobs.c.cluster.in_(ids)))
    c.execute(delete(clusters).where(clusters.c.id.in_(ids)))


def _trim(c: Connection, ids: list[str]) -> None:
    c.execute(delete(events).where(events.c.session.in_(ids)))
    c.execute(update(sessions).where(sessions.c.id.in_(ids)).values(last_event=0, log_tail=""))


__all__ = ["Purge"]
