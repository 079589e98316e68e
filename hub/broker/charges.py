"""What something has cost so far: the one way behind every meter, and behind what the ledger charges at the end.

A job costs its price an hour from its start to its end, as the batch system says when these were; while it runs, until
now. `perijove.hub.ledger.records.charge` is the formula. Pure: no I/O.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perijove.hub.ledger.records import charge
from perijove.spawners.job import JobStatus

if TYPE_CHECKING:
    from perijove.hub.broker.records import Record

#: So long may nothing be known of a job that then turns out to be gone: it is charged until that was seen. Beyond it
#: nobody knows when it ended, and so not what it cost.
UNSEEN = timedelta(minutes=5)


def span_of(begun: datetime | None, taken: datetime | None, end: datetime) -> timedelta:
    """How long a session is charged for: what was kept warm before it was `taken` over is not its person's cost."""
    return timedelta(0) if begun is None else max(timedelta(0), end - max(begun, taken or begun))


def of_session(record: Record, hourly: int, now: datetime) -> int:
    """What a session has cost so far."""
    return charge(hourly, span_of(record.started, record.taken, record.ended or now))


def unseen(begun: datetime | None, seen: datetime | None, now: datetime) -> bool:
    """Of a job that is gone without a word: it had begun, and was last seen too long ago to say when it ended.

    `seen` None: not by this process, so that its beginning is the last that is known of it.
    """
    return begun is not None and now - (seen or begun) > UNSEEN


def times(job: JobStatus | None, begun: datetime | None, cores: int, now: datetime) -> tuple[datetime | None, datetime]:
    """When a job that is over began and ended: as the batch system says, else by the time that it used.

    `begun`: when it began as far as was known. Without any word of the end it ended when that was seen, `now`.
    """
    if job is None:
        return begun, now
    used = timedelta(seconds=job.core_seconds / cores) if job.core_seconds and cores else None
    begun, end = job.started or begun, job.ended
    if begun is None and used is not None:
        begun = (end or now) - used
    if end is None:
        end = now if begun is None or used is None else min(begun + used, now)
    return begun, end if begun is None else max(begun, end)


__all__ = ["UNSEEN", "charge", "of_session", "span_of", "times", "unseen"]
