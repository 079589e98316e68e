"""The work on one cluster: its workers' jobs are submitted once each, watched, cancelled when they are not wanted.

One task per cluster. Each step submits what waits for it, cancels what is to end (one command for all of it), and sees
a closed cluster to its end: the jobs gone, the host session asked to stop if it was there for the head alone, the
folders removed. As with sessions, what is about to be done is in the store before it is done, and nothing ends a worker
but evidence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from perijove.hub.broker import clusterends, transitions, workerjobs, workersubmission
from perijove.hub.broker.clusterrecords import BatchTransition, Cluster
from perijove.hub.broker.config import backoff
from perijove.hub.broker.workerdesk import Desk
from perijove.spawners.job import JobStatus
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from datetime import datetime

    from perijove.hub.broker.context import Context

log = logging.getLogger(__name__)


class ClusterWork:
    """One cluster being brought on its way."""

    __slots__ = (
        "answered",
        "cluster",
        "context",
        "desks",
        "due_cancel",
        "due_forget",
        "faults",
        "host_asked",
        "silence",
        "stale",
        "tries",
        "wake",
    )

    def __init__(self, cluster: Cluster, context: Context) -> None:
        self.cluster = cluster
        self.context = context
        #: Its worker jobs whose folders are not removed, by id.
        self.desks: dict[str, Desk] = {}
        self.wake = asyncio.Event()
        self.stale = True
        self.faults = 0
        self.tries = 0
        self.host_asked = False
        #: Since when the centre is silent; or that it has answered since the store says that it is.
        self.silence: datetime | None = None
        self.answered = False
        #: On the event loop's clock: no cancellation, or removal of folders, before then.
        self.due_cancel = self.due_forget = 0.0

    @property
    def going(self) -> list[Desk]:
        """The worker jobs that have not ended."""
        return [desk for desk in self.desks.values() if desk.batch.job.ended is None]

    async def run(self) -> None:
        """Step until nothing is left to do."""
        while not self.cluster.forgotten:
            self.wake.clear()
            try:
                pause = await self._step()
                self.faults = 0
            except SQLAlchemyError as error:
                log.warning("%s: the store cannot be used now: %s", self.cluster.id, error)
                pause = 2.0
            except Exception:
                # A fault of ours must not leave the workers alone: it is logged, and tried again.
                log.exception("%s: a step of the cluster failed", self.cluster.id)
                self.faults += 1
                pause = backoff((1.0, 30.0), self.faults)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.wake.wait()

    async def _step(self) -> float | None:
        """Seconds until the next step is due; None: when there is news."""
        if self.stale:
            await self._load()
        pauses: list[float] = []
        for desk in self.going:
            if self.silence is not None:
                await self.change(desk, workerjobs.silent(self.silence))
            elif self.answered:
                await self.change(desk, workerjobs.answers_again())
            await desk.take_up(self)
            if desk.batch.job.ended is None and desk.batch.job.job_id is None:
                pauses.append(await workersubmission.step(self, desk))
        if self.stale:
            return 0.01
        pauses += [await clusterends.cancel(self), await clusterends.close(self), await clusterends.forget(self)]
        soonest = min(pauses)
        return None if soonest == clusterends.NEVER else max(0.01, soonest)

    async def _load(self) -> None:
        """What is in the store now; what is known besides of each job is kept."""
        self.stale = False
        found = await self.context.clusters.get(self.cluster.id)
        self.cluster = found or self.cluster
        batches = await self.context.clusters.batches(self.cluster.id)
        self.desks = {
            batch.job.id: self.desks[batch.job.id].replaced(batch) if batch.job.id in self.desks else Desk(batch)
            for batch in batches
        }

    async def change(self, desk: Desk, transition: BatchTransition) -> None:
        """Make the change in the store, and go on with what is there now. What would change nothing costs nothing."""
        if transition(desk.batch) is None:
            return
        before = self.cluster.version
        desk.replaced(await self.context.clusters.change(desk.batch.job.id, transition))
        self.cluster = desk.batch.cluster
        # Somebody else wrote, too: what is known of the other jobs is old.
        self.stale = self.stale or self.cluster.version > before + 1

    async def stop_host(self) -> None:
        """The host session was there for the head alone: ask it to stop. It is of this very centre."""
        now = self.context.clock()
        by = self.cluster.closed_by or "policy"
        await self.context.sessions.change_all([self.cluster.session], transitions.stop_asked(by, now))
        self.host_asked = True

    # --- what others put on the desk -----------------------------------------------------------------------------

    def poke(self) -> None:
        """Something was written into the store."""
        self.stale = True
        self.wake.set()

    def seen(self, desk: Desk, jobs: Mapping[int, JobStatus], job_id: str, asked: datetime) -> None:
        """A listing that was asked for at `asked` said this of tasks of a job."""
        if desk.seen(jobs, job_id, asked):
            self.wake.set()

    def missing(self, desk: Desk, tasks: Collection[int], asked: datetime) -> None:
        """A listing that was asked for at `asked` should have had these tasks (0: the whole job) and did not."""
        attempted = desk.batch.job.attempted
        if attempted is not None and asked < attempted:
            return
        desk.missing(tasks, asked)
        self.wake.set()

    def hear(self, since: datetime | None) -> None:
        """The centre is silent since then, or (None) answers."""
        told = any(desk.batch.job.unknown_since is not None for desk in self.going)
        news = told or self.silence is not None if since is None else self.silence is None
        if news:
            self.answered, self.silence = since is None, since
            self.wake.set()

    def fresh(self) -> bool:
        """It has workers that were asked for a short while ago and wait, or that are to end."""
        limit = timedelta(seconds=self.context.timing.fresh_for)
        now = self.context.clock()
        return any(
            (worker.started is None and now - desk.batch.job.created < limit) or not worker.wanted
            for desk in self.going
            for worker in desk.batch.going
        )


__all__ = ["ClusterWork"]
