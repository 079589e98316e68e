"""How the memory of a centre is filled: from the store, from listings, and from estimates of the batch system.

An estimate is asked for in the watcher's round alone, never by a page; seldom, and for one small job of a queue in
which jobs wait: `sbatch --test-only` costs the centre a job number.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial

from perijove.hub.broker.context import Context
from perijove.hub.broker.drafts import sample
from perijove.hub.broker.memory import Memory, start_of
from perijove.hub.broker.records import Record
from perijove.hub.offers.forecast import KEPT, Model
from perijove.spawners.batch import BatchError, Output
from perijove.spawners.job import JobState, JobStatus
from perijove.spawners.watcher import Listing, Probe
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)


async def recall(context: Context, memory: Memory) -> None:
    """The history of starts, from the store; without it forecasts are wide, which is no reason not to start."""
    centre = context.centre
    try:
        found = await context.sessions.past(centre.id, [queue.name for queue in centre.queues], KEPT)
    except SQLAlchemyError as error:
        log.warning("%s: the history of starts cannot be read: %s", centre.id, error)
        return
    for queue, rows in found.items():
        for row in rows:
            if row.ready is not None:
                memory.was_ready(row.ready)
        starts = [start for row in rows if (start := start_of(row)) is not None]
        memory.recall(queue, await asyncio.to_thread(Model.of, starts))


def probe(context: Context, memory: Memory) -> Probe | None:
    """The question for the start of a small job, where one is due and the batch system has one."""
    queue = memory.probe(context.centre, context.clock())
    command = context.system.estimate(sample(context.centre, queue)) if queue else None
    if queue is None or command is None:
        return None
    return Probe(command, partial(_probed, context, memory, queue.label))


def _probed(context: Context, memory: Memory, label: str, output: Output) -> None:
    with contextlib.suppress(BatchError):
        if expected := context.system.parse_estimate(output):
            memory.probed(label, context.clock(), expected)


def listed(context: Context, memory: Memory, record: Record, job: JobStatus, listing: Listing) -> None:
    """A listing has a session's job: what it says of the start of one that waits."""
    queue = context.centre.queue(record.queue)
    if queue is not None and job.state is JobState.QUEUED and job.expected is not None:
        memory.waits(queue.label, listing.begun, job.expected)


__all__ = ["listed", "probe", "recall"]
