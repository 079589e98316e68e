"""The end of workers and of clusters: asked for, brought about, believed only on evidence, and cleaned up after."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING

from perijove.hub.broker import workerjobs
from perijove.hub.broker.clusterreads import LISTED
from perijove.hub.broker.config import backoff
from perijove.hub.broker.ending import cancel_as
from perijove.spawners.batch import BatchError
from perijove.spawners.link import LinkError

if TYPE_CHECKING:
    from perijove.hub.broker.clusterwork import ClusterWork
    from perijove.hub.broker.workerdesk import Desk

#: Seconds until something that only news brings about.
NEVER = inf
#: A centre that cannot be reached is asked again to remove folders, until nobody does any more.
AGAIN, PATIENCE = 300.0, timedelta(days=1)


async def cancel(work: ClusterWork) -> float:
    """Cancel every worker that is to end, with one command, again and again until there is evidence of its end."""
    context, now = work.context, asyncio.get_running_loop().time()
    chosen = [(desk, tasks) for desk in work.going if (tasks := _to_end(desk))]
    if not chosen:
        work.tries = 0
        return NEVER
    if work.due_cancel > now and all(tasks <= desk.tried for desk, tasks in chosen):
        return work.due_cancel - now
    for desk, tasks in chosen:
        desk.tried |= tasks
    ids = [name for desk, tasks in chosen for name in _names(desk, tasks)]
    await context.reach("workers-before-cancel")
    work.tries += 1
    pause = backoff(context.timing.cancel_every, work.tries)
    work.due_cancel = now + pause
    try:
        await cancel_as(context, work.cluster.login, *ids)
    except (LinkError, BatchError) as error:
        for desk, _ in chosen:
            await work.change(desk, workerjobs.not_cancelled(error.detail))
    else:
        for desk, tasks in chosen:
            for task in tasks - desk.cancelled:
                desk.absent.pop(task, None)
            desk.cancelled |= tasks
    context.hurry()
    return pause


def _to_end(desk: Desk) -> set[int]:
    known = desk.batch.job.job_id is not None
    return {worker.task for worker in desk.batch.going if not worker.wanted} if known else set()


def _names(desk: Desk, tasks: set[int]) -> list[str]:
    """What the batch system is asked to cancel: the whole array where none of its tasks is to go on."""
    job_id = desk.batch.job.job_id
    if job_id is not None and all(worker.task in tasks for worker in desk.batch.going):
        return [job_id]
    return [w.job_id for w in desk.batch.going if w.task in tasks and w.job_id]


async def close(work: ClusterWork) -> float:
    """See a cluster that is to be closed to its end."""
    cluster = work.cluster
    if cluster.live or cluster.ended is not None:
        return NEVER
    if not cluster.beside and not work.host_asked:
        await work.stop_host()
    if work.going:
        return NEVER
    await work.context.reach("cluster-ending")
    work.cluster = await work.context.clusters.ended(cluster.id)
    return 0.0


async def forget(work: ClusterWork) -> float:
    """Remove the folders of worker jobs that ended a while ago; at the cluster's end its own and all that are left."""
    context, over = work.context, work.cluster.ended
    now, clock = context.clock(), asyncio.get_running_loop().time()
    ended = {name: desk.batch.job.ended for name, desk in work.desks.items() if desk.batch.job.ended is not None}
    if over is not None:
        due = over + timedelta(seconds=context.timing.forget_after)
        gone = list(work.desks)
    else:
        due = min((when + LISTED for when in ended.values()), default=now + LISTED)
        gone = [name for name, when in ended.items() if when + LISTED <= now]
    if due > now:
        return (due - now).total_seconds() if ended or over else NEVER
    if work.due_forget > clock:
        return work.due_forget - clock
    folders = [*gone, *([work.cluster.id] if over else [])]
    request = {"verb": "cancel", "base": context.centre.paths.base, "argv": None, "forget": folders, "timeout": 10}
    try:
        await context.links.get(context.centre, work.cluster.login).launch(request, timeout=20)
    except LinkError:
        if now - due < PATIENCE:
            work.due_forget = clock + AGAIN
            return AGAIN
    work.cluster = await context.clusters.forgotten(work.cluster.id, gone, whole=over is not None)
    for job in gone:
        work.desks.pop(job, None)
    return 0.0


__all__ = ["NEVER", "cancel", "close", "forget"]
