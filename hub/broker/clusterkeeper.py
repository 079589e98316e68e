"""The clusters of one centre: each has a `ClusterWork`, and what the watcher lists of their workers is given to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from perijove.hub.broker.clusterrecords import Cluster
from perijove.hub.broker.clusterwork import ClusterWork
from perijove.hub.broker.context import Context
from perijove.hub.broker.strays import oldest
from perijove.hub.broker.workerdesk import WHOLE, Desk
from perijove.spawners.job import JobState, JobStatus
from perijove.spawners.link import Account
from perijove.spawners.watcher import Listing

#: Who closes a cluster whose session is over.
SESSION_OVER = "the end of its session"
#: Who closes one whose session's job was put back into the queue: its head is gone.
REQUEUED = "the requeue of its session"


class ClusterKeeper:
    """Part of a `Keeper`; it works while that has the centre's lease."""

    def __init__(self, context: Context, held: Callable[[], bool]) -> None:
        self.context = context
        self.held = held
        self.works: dict[str, ClusterWork] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._silence: dict[Account | None, datetime] = {}

    # --- life --------------------------------------------------------------------------------------------------

    async def scan(self) -> None:
        """Take up every cluster that the store has for this centre; close those whose host session is over."""
        clusters, centre = self.context.clusters, self.context.centre.id
        for orphan in await clusters.orphans(centre):
            await clusters.close(orphan.id, SESSION_OVER)
        for lost in await clusters.headless(centre):
            # Its workers would come for nobody. A session that is there for the head alone makes a new one of it.
            await (clusters.close(lost.id, REQUEUED) if lost.beside else clusters.let_go(lost.id))
        for cluster in await clusters.unfinished(centre):
            work = self.works.get(cluster.id)
            if work is None or work.cluster.version != cluster.version:
                self.poke(cluster)

    def poke(self, cluster: Cluster) -> None:
        """Something was written of this cluster."""
        if not self.held() or cluster.forgotten:
            return
        work = self.works.get(cluster.id)
        if work is None:
            work = self.works[cluster.id] = ClusterWork(cluster, self.context)
            work.silence = self._silence.get(cluster.login) or self._silence.get(None)
            task = asyncio.create_task(work.run(), name=f"cluster {cluster.id}")
            self._tasks[cluster.id] = task
            task.add_done_callback(lambda _: self._done(cluster.id))
        work.poke()

    def _done(self, cluster: str) -> None:
        self.works.pop(cluster, None)
        self._tasks.pop(cluster, None)

    def let_go(self) -> list[asyncio.Task[None]]:
        """Stop all work here: the tasks that are to be cancelled. Jobs are left as they are."""
        tasks = list(self._tasks.values())
        self.works.clear()
        self._silence.clear()
        return tasks

    # --- what is asked -----------------------------------------------------------------------------------------

    def accounts(self) -> list[Account]:
        """Whose worker jobs are watched."""
        return list(dict.fromkeys(work.cluster.login for work in self.works.values() if work.going))

    def fresh(self) -> bool:
        """There is a young submission, or a cancellation under way."""
        return any(work.fresh() for work in self.works.values())

    def going(self) -> set[str]:
        """The ids of all worker jobs that have not ended."""
        return {desk.batch.job.id for work in self.works.values() for desk in work.going}

    def array_of(self, worker_job: str, listed: Sequence[JobStatus]) -> str | None:
        """The batch system's id of a worker job's array (or job), if it is among those listed."""
        desk = next((work.desks[worker_job] for work in self.works.values() if worker_job in work.desks), None)
        return _id_of(desk, listed) if desk is not None else None

    # --- what is heard -----------------------------------------------------------------------------------------

    def hear(self, account: Account | None, since: datetime | None) -> None:
        """The centre is silent since then for this account (None: for everybody), or (None) answers."""
        if since is None:
            self._silence.pop(account, None)
        else:
            self._silence[account] = since
        for work in self.works.values():
            if account is None or work.cluster.login == account:
                work.hear(since)

    def listed(self, jobs: Mapping[str, Sequence[JobStatus]], listing: Listing, account: Account | None) -> set[str]:
        """Take up a listing; gives the ids of arrays with tasks that should be in it and are not."""
        asked = set(listing.query.vanished) if listing.asked_history else set()
        past: dict[str, dict[int, JobStatus]] = {}
        for job in listing.past:
            if job.state is JobState.ENDED:
                past.setdefault(job.job_id, {})[job.task or 1] = job
        vanished: set[str] = set()
        for work in self.works.values():
            if account is not None and work.cluster.login != account:
                continue
            for desk in work.going:
                vanished |= self._match(work, desk, jobs.get(desk.batch.job.id, ()), past, listing, asked)
        return vanished

    def _match(
        self,
        work: ClusterWork,
        desk: Desk,
        listed: Sequence[JobStatus],
        past: Mapping[str, Mapping[int, JobStatus]],
        listing: Listing,
        asked: set[str],
    ) -> set[str]:
        job, job_id = desk.batch.job, _id_of(desk, listed)
        if job_id is not None:
            work.seen(desk, {one.task or 1: one for one in listed if one.job_id == job_id}, job_id, listing.begun)
        if job.job_id is None:
            if job_id is None and job.created <= listing.begun:
                work.missing(desk, [WHOLE], listing.begun)
            return set()
        if job.submitted is not None and job.submitted >= listing.begun:
            return set()
        there = {one.task or 1 for one in listed if one.job_id == job.job_id}
        lacking = {worker.task for worker in desk.batch.going} - there
        ended = {task: one for task, one in past.get(job.job_id, {}).items() if task in lacking}
        if ended:
            work.seen(desk, ended, job.job_id, listing.begun)
        lacking -= set(ended)
        if not lacking:
            return set()
        if job.job_id in asked:
            work.missing(desk, lacking, listing.begun)
        else:
            self.context.hurry()
        return {job.job_id}


def _id_of(desk: Desk, listed: Sequence[JobStatus]) -> str | None:
    known = desk.batch.job.job_id
    if known is not None:
        return known if any(job.job_id == known for job in listed) else None
    found = oldest(listed)
    return found.job_id if found is not None else None


__all__ = ["SESSION_OVER", "ClusterKeeper"]
