"""Money as people see it: what their sessions and clusters have cost so far, and what was refused.

The meter of a session that runs is what the ledger would charge if it ended now (`charges`); of one that has ended it
is what was charged. Reads only, but for the refusals, which are written down for the operators' view of demand.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from perijove.hub.broker.charges import charge, of_session, span_of
from perijove.hub.broker.clusterrecords import Batch, Cluster, WorkerState
from perijove.hub.broker.database import Database
from perijove.hub.broker.paying import subject_of
from perijove.hub.broker.records import Record
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import worker_jobs
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.records import Hold, Subject
from perijove.hub.ledger.tables import holds, refusals
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)
Money = dict[str, Any]


class Meters:
    """The meters of one broker."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    async def holds(self, subjects: Iterable[Subject]) -> dict[Subject, Hold]:
        """What is or was held for these."""
        wanted = list(subjects)
        return await self.database.read(lambda c: holds_of(c, wanted)) if wanted else {}

    async def sessions(self, records: Sequence[Record]) -> dict[str, Money | None]:
        """Of each session, by its id; None for what is older than the ledger."""
        found, now = await self.holds(subject_of(record) for record in records), self.clock()
        return {one.id: session_money(found.get(subject_of(one)), one, now) for one in records}

    async def cluster(self, cluster: Cluster, batches: Sequence[Batch]) -> Money | None:
        """Of all workers that a cluster ever had; `batches` are those that go on."""

        def work(c: Connection) -> tuple[Hold | None, list[Hold]]:
            jobs = select(worker_jobs.c.id).where(worker_jobs.c.cluster == cluster.id)
            mine = select(holds).where(holds.c.kind == "workers", holds.c.subject.in_(jobs)).order_by(holds.c.id)
            return one_hold(c, Subject("session", cluster.session)), [Hold.of(row) for row in c.execute(mine)]

        host, found = await self.database.read(work)
        return cluster_money(host, found, batches, self.clock())

    async def refused(
        self, person: str, budget: str, centre: str, queue: str, code: str, missing: int | None = None
    ) -> None:
        """Write down that somebody was refused; that it cannot be written is no reason to refuse in other words."""
        row = {"time": self.clock(), "person": person[:255], "budget": budget[:300], "centre": centre[:32]}
        row |= {"queue": queue[:32], "code": code[:40], "missing": missing}
        try:
            await self.database.write(lambda c: c.execute(insert(refusals).values(**row)) and None)
        except SQLAlchemyError as error:
            log.warning("a refusal could not be noted: %s", error)


def holds_of(c: Connection, subjects: Sequence[Subject]) -> dict[Subject, Hold]:
    """The holds of these, in few queries."""
    wanted, found = set(subjects), {}
    ids = sorted({subject.id for subject in wanted})
    for some in (ids[i : i + 500] for i in range(0, len(ids), 500)):
        for row in c.execute(select(holds).where(holds.c.subject.in_(some))):
            hold = Hold.of(row)
            if hold.about in wanted:
                found[hold.about] = hold
    return found


def session_money(hold: Hold | None, record: Record, now: datetime) -> Money | None:
    """`spent` until now, at most what was held while nothing is settled, `held` now, `hourly` while it runs."""
    if hold is None:
        return None
    settled = hold.state == "settled"
    spent = hold.charged if settled else min(of_session(record, hold.hourly, now), hold.amount)
    return _money(hold.budget, hold.open, spent, hold.hourly, hold.state)


def cluster_money(host: Hold | None, found: Sequence[Hold], batches: Sequence[Batch], now: datetime) -> Money | None:
    """The same of workers together; `hourly` is what those that run cost an hour. `host`: of the head's session."""
    if (first := host or next(iter(found), None)) is None:
        return None
    by_job, spent, hourly = {hold.subject: hold for hold in found}, sum(hold.charged for hold in found), 0
    for batch in batches:
        if (hold := by_job.get(batch.job.id)) is None:
            continue
        running = [worker for worker in batch.workers if worker.state is WorkerState.RUNNING]
        costs = (charge(hold.hourly, span_of(worker.started, None, now)) for worker in running)
        spent += sum(min(cost, hold.amount // hold.count) for cost in costs)
        hourly += hold.hourly * len(running)
    states = {hold.state for hold in found}
    state = next((state for state in ("undecided", "open") if state in states), "settled")
    return _money(first.budget, sum(hold.open for hold in found), spent, hourly, state)


def _money(budget: str, held: int, spent: int, hourly: int, state: str) -> Money:
    return {"budget": budget, "held": held, "spent": spent, "hourly": hourly, "state": state}


__all__ = ["Meters", "cluster_money", "holds_of", "session_money"]
