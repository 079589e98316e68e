"""What is known of one worker job besides the store: what was listed since the last step, and what was not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perijove.hub.broker import workerjobs
from perijove.hub.broker.charges import unseen
from perijove.hub.broker.clusterrecords import Batch, Worker, WorkerState
from perijove.spawners.job import JobState, JobStatus

if TYPE_CHECKING:
    from perijove.hub.broker.clusterwork import ClusterWork

#: In the place of a task: the whole job, of which it is not known whether it was submitted.
WHOLE = 0


class Desk:
    """One worker job."""

    __slots__ = ("absent", "batch", "cancelled", "contact", "due", "jobs", "taken", "told", "tried", "tries")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        #: The newest that was said of each task, until it is taken up; under which id; and what was taken up last.
        self.jobs: dict[int, JobStatus] = {}
        self.told: str | None = None
        self.taken: dict[int, JobStatus] = {}
        #: By task: listings in a row that lacked it, and since when.
        self.absent: dict[int, tuple[int, datetime]] = {}
        #: By task: when a listing last showed that it lives.
        self.contact: dict[int, datetime] = {}
        self.tries = 0
        #: No attempt before then, on the event loop's clock.
        self.due = 0.0
        #: Tasks for which a cancellation was tried, and was answered.
        self.tried: set[int] = set()
        self.cancelled: set[int] = set()

    def replaced(self, batch: Batch) -> Desk:
        """The job as it is in the store now."""
        self.batch = batch
        return self

    def seen(self, jobs: Mapping[int, JobStatus], job_id: str, asked: datetime) -> bool:
        """What a listing or the history, asked for at `asked`, says; False if all of it is known."""
        self.contact |= {task: asked for task, job in jobs.items() if job.state is not JobState.ENDED}
        for task in (WHOLE, *jobs):
            self.absent.pop(task, None)
        fresh = {task: job for task, job in jobs.items() if self.taken.get(task) != job}
        self.jobs |= fresh
        self.told = job_id
        return bool(fresh)

    def missing(self, tasks: Collection[int], asked: datetime) -> None:
        """These were not in a listing that was asked for at `asked`."""
        for task in tasks:
            count, since = self.absent.get(task, (0, asked))
            self.absent[task] = count + 1, since

    def absences(self) -> int:
        """Listings in a row that lacked the whole job."""
        return self.absent.get(WHOLE, (0, None))[0]

    async def take_up(self, work: ClusterWork) -> None:
        """Bring the workers up to what was listed since the last step."""
        context, now = work.context, work.context.clock()
        jobs, self.jobs = self.jobs, {}
        if jobs and self.told is not None and self.batch.job.job_id is None:
            # Found by its name: the answer to the submission was lost.
            await work.change(self, workerjobs.submitted(self.told, context.system, now))
        if jobs and self.told == self.batch.job.job_id:
            await work.change(self, workerjobs.listed(jobs, now))
            self.taken |= jobs
        if self.batch.job.job_id is None or self.batch.job.ended:
            return
        over = [worker for worker in self.batch.going if self._gone(work, worker, now)]
        if over:
            long_ago = [one.task for one in over if unseen(one.started, self.contact.get(one.task), now)]
            await work.change(self, workerjobs.gone([one.task for one in over], now, long_ago))
        elif self.absent:
            context.wait_for(context.timing.absent_for)

    def _gone(self, work: ClusterWork, worker: Worker, now: datetime) -> bool:
        """Neither listed nor known to the history. Evidence enough, after a while, that it is over."""
        if worker.task not in self.absent:
            return False
        timing, (count, since) = work.context.timing, self.absent[worker.task]
        if not worker.wanted and worker.task in self.cancelled:
            return count >= 2
        submitted = self.batch.job.submitted
        fresh = submitted is not None and now - submitted < timedelta(seconds=timing.submit_grace)
        settled = worker.state is WorkerState.RUNNING or not fresh
        return count >= timing.absent_listings and now - since >= timedelta(seconds=timing.absent_for) and settled
