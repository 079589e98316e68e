"""Taking up what the batch system said of a job; and waiting while it is in the queue."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from perijove.hub.broker import ending, submission, transitions
from perijove.hub.broker.charges import unseen
from perijove.spawners.job import JobState, JobStatus, Reason
from perijove.spawners.session import Stage

if TYPE_CHECKING:
    from perijove.hub.broker.work import Work

_ON_NODE = (Stage.GRANTED, Stage.STARTING, Stage.READY)
_HAS_NODE = (JobState.STARTING, JobState.RUNNING)


async def step(work: Work) -> float | None:
    """A session whose job is in the queue."""
    if not work.record.handed:
        return await submission.hand_over(work)
    await work.context.reach("queued" if work.record.stage is Stage.QUEUED else "waiting")
    return None


async def take_up(work: Work) -> None:
    """Bring the session up to what was listed since the last step."""
    job, work.job = work.job, None
    if work.record.stage is Stage.ENDED:
        return
    if job is not None:
        await _take(work, job)
    elif work.absent and work.record.job_id is not None:
        await _gone(work)


async def _take(work: Work, job: JobStatus) -> None:
    now = work.context.clock()
    record = work.record
    if record.job_id not in (None, job.job_id) and not work.instead:
        return  # listed before the answer to the last submission came: the next listing says more
    if record.job_id != job.job_id:
        # Found by its name: the answer to the submission was lost. If there were several attempts, the job may
        # have the key of an earlier one; while it waits, it is given a new one.
        again = record.attempt > 1 and job.state is JobState.QUEUED
        await work.change(transitions.submitted(job.job_id, now, found=True, hand_again=again))
    if job.state is JobState.ENDED:
        await ending.finish(work, job.reason or Reason.OTHER, job=job)
        return
    if work.record.stage is Stage.ENDING:
        return
    if _runs_anew(work, job):
        await work.drop_tunnel()
        work.begun, work.tries = None, 0
        await work.change(transitions.requeued(job))
        if await submission.hand_over(work) is not None:
            return
    elif job.restarts != work.record.restarts:
        await work.change(transitions.restarts_seen(job))
    if job.state is JobState.QUEUED:
        await work.change(transitions.listed(job))
    elif job.state in _HAS_NODE and job.node and work.record.handed:
        await work.change(transitions.granted(job, now))
        work.context.learn(work.record)
    work.taken = job if work.record.handed else None


def _runs_anew(work: Work, job: JobStatus) -> bool:
    """The batch system took the job from its node: what ran there is gone, and so is the key."""
    record = work.record
    if record.stage in _ON_NODE:
        if job.state is JobState.QUEUED:
            return True
        if job.state in _HAS_NODE and job.node and record.node and job.node != record.node:
            return True
    known = record.stage in (*_ON_NODE, Stage.QUEUED, Stage.SUBMITTED)
    return known and job.restarts > record.restarts


async def _gone(work: Work) -> None:
    """The job is neither listed nor known to the history. Evidence enough, after a while, that it is over."""
    timing, record, now = work.context.timing, work.record, work.context.clock()
    if work.tunnel is not None and work.tunnel.up:
        work.contact = now
        work.absent, work.missing_since = 0, None  # the agent lives: the batch system errs
        return
    if record.stage is Stage.ENDING and record.asked_at and work.cancelled:
        enough = work.absent >= 2
    else:
        since = work.missing_since or now
        fresh = record.submitted is not None and now - record.submitted < timedelta(seconds=timing.submit_grace)
        enough = (
            work.absent >= timing.absent_listings
            and now - since >= timedelta(seconds=timing.absent_for)
            and (record.stage in _ON_NODE or not fresh)
        )
    if enough:
        asked = record.stage is Stage.ENDING
        words = "" if asked else "the batch system does not know the job any more and does not say how it ended"
        outcome = Reason.CANCELLED if asked else Reason.OTHER
        long_ago = unseen(record.started, work.contact, now)
        await ending.finish(work, outcome, detail=words, unseen=long_ago)
    else:
        work.context.wait_for(timing.absent_for)
