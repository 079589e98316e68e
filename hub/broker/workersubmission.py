"""From a request for workers to a job array in the queue, exactly once; as `perijove.hub.broker.submission`.

What is about to be done is in the store before it is done. An attempt whose answer did not come is looked for by the
job's name, and made again only when so many listings, all asked after it, lacked the job.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from perijove.hub.broker import workerjobs
from perijove.hub.broker.clusterrecords import Batch
from perijove.hub.broker.config import backoff
from perijove.hub.broker.submission import HOPELESS, NOTHING_DONE, job_of, launch
from perijove.spawners.batch import BatchError, BatchProblem
from perijove.spawners.centre import Centre
from perijove.spawners.job import JobSpec, Reason
from perijove.spawners.link import LinkError, LinkProblem
from perijove.spawners.watcher import outputs_of

if TYPE_CHECKING:
    from perijove.hub.broker.clusterwork import ClusterWork
    from perijove.hub.broker.workerdesk import Desk

WORKER = ("-m", "perijove.spawners.dask.worker")


async def step(work: ClusterWork, desk: Desk) -> float:
    """Bring a worker job nearer to being in the queue; seconds until the next step for it."""
    context, batch = work.context, desk.batch
    if batch.job.attempted is not None:
        return await _doubt(work, desk)
    if not any(worker.wanted for worker in batch.going):
        await work.change(desk, workerjobs.over(Reason.CANCELLED, "", context.clock()))
        return 0.0
    if (left := desk.due - asyncio.get_running_loop().time()) > 0:
        return left
    async with context.preparing:
        return await _submit(work, desk)


async def _submit(work: ClusterWork, desk: Desk) -> float:
    context = work.context
    try:
        command = context.system.submit(job_spec(context.centre, desk.batch))
    except ValueError as error:  # the description has changed: nothing of ours is in it that was not checked
        await work.change(desk, workerjobs.over(Reason.LAUNCH_FAILED, str(error), context.clock()))
        return 0.0
    await context.reach("workers-intent")
    await work.change(desk, workerjobs.attempting(context.clock()))
    await context.reach("workers-before-submission")
    if desk.batch.job.attempted is None:
        return 0.0  # nobody wants them any more
    try:
        answer = await launch(context, desk.batch.cluster.login, desk.batch.job.id, command, {})
        await context.reach("workers-after-submission")
        job_id = context.system.parse_submit(outputs_of(answer, 1)[0])
    except LinkError as error:
        return await _link_failed(work, desk, error)
    except BatchError as error:
        return await _batch_failed(work, desk, error)
    desk.tries = 0
    await work.change(desk, workerjobs.submitted(job_id, context.system, context.clock()))
    await context.reach("workers-submitted")
    context.hurry()
    return 0.0


async def _doubt(work: ClusterWork, desk: Desk) -> float:
    """An attempt was made, and we do not know what came of it. If its job is listed, `Desk.seen` finds it."""
    context, timing, attempted = work.context, work.context.timing, desk.batch.job.attempted
    context.hurry()
    await work.change(desk, workerjobs.in_doubt(desk.batch.job.detail or "the gateway was interrupted"))
    waited = context.clock() - (attempted or context.clock())
    if desk.absences() < timing.submit_listings or waited < timedelta(seconds=timing.submit_grace):
        context.wait_for(timing.submit_grace)
        return max(timing.submit_grace - waited.total_seconds(), 0.2)
    await work.change(desk, workerjobs.attempt_over(""))
    return 0.0


async def _link_failed(work: ClusterWork, desk: Desk, error: LinkError) -> float:
    desk.tries += 1
    if error.problem is LinkProblem.LAUNCHER and error.code in HOPELESS:
        await work.change(desk, workerjobs.over(Reason.LAUNCH_FAILED, error.detail, work.context.clock()))
        return 0.0
    if error.problem in NOTHING_DONE or error.code:
        await work.change(desk, workerjobs.attempt_over(error.detail))
        pause = backoff(work.context.timing.retry, desk.tries)
        desk.due = asyncio.get_running_loop().time() + pause
        return pause
    desk.absent.clear()
    await work.change(desk, workerjobs.in_doubt(error.detail))
    return 0.0


async def _batch_failed(work: ClusterWork, desk: Desk, error: BatchError) -> float:
    if error.problem in (BatchProblem.REFUSED, BatchProblem.NOT_ALLOWED):
        await work.change(desk, workerjobs.over(Reason.LAUNCH_FAILED, error.detail, work.context.clock()))
        return 0.0
    # It did not answer, or not in words that we know: the job may be there all the same.
    desk.absent.clear()
    await work.change(desk, workerjobs.in_doubt(error.detail or error.problem.value))
    return 0.0


def job_spec(centre: Centre, batch: Batch) -> JobSpec:
    """The job of some workers."""
    cluster, job = batch.cluster, batch.job
    program = (*WORKER, cluster.id, job.id)
    tasks = job.count if job.array else 0
    return job_of(centre, cluster, job.id, program, cluster.project, requeue=False, tasks=tasks)
