"""Money for sessions and workers, in the very transactions that write these down.

What a job can cost at most is put on hold with the intent, so that there is no session without its hold, and no hold
of a session that was refused. What it did cost is settled with the end, so that whoever sees an end sees its charge. A
crash leaves both or neither. An end of which nobody says when it came leaves the hold as it is, `undecided`, until the
centre's accounting or an operator says what it cost.

Who pays: the budget that the request names, else the person's own; for workers what pays for the session in whose job
their head is; for a session that is kept warm the gateway, until somebody takes it over.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from perijove.hub.broker.charges import charge, span_of
from perijove.hub.broker.clusterrecords import Batch, BatchChange, Cluster, WorkerJob
from perijove.hub.broker.records import Record
from perijove.hub.ledger import books, budgets, prices
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.records import Holding, Subject
from perijove.hub.limits import LedgerSettings
from sqlalchemy import Connection

#: Why a hold stays as it is.
VANISHED = "the batch system does not know the job any more and does not say how it ended"


def own_budget(person: str) -> str:
    """The budget that is a person's own."""
    return f"person:{person}"


def subject_of(record: Record) -> Subject:
    """What the ledger calls a session: while it is kept warm it is another thing than its person's session."""
    return Subject("warm" if record.warm else "session", record.id)


def hold_session(c: Connection, record: Record, *, settings: LedgerSettings, hourly: int) -> None:
    """Put the most that a session can cost on hold.

    Raises:
        LedgerError: it may not be spent; nothing of the transaction is kept.
    """
    budget = "" if record.warm else str(record.request.get("budget") or own_budget(record.owner))
    place = (budget, record.owner, record.centre, record.queue)
    _hold(c, settings, subject_of(record), Holding(*place, hourly, record.price, None), record.created)


def take_over(c: Connection, before: Record, after: Record, *, settings: LedgerSettings, hourly: int) -> None:
    """A session that was kept warm is its person's from `after.taken` on: until then the gateway pays.

    Raises:
        LedgerError: as `hold_session`.
    """
    now = after.taken or after.created
    _settle_session(c, before, now, now)
    hold_session(c, after, settings=settings, hourly=hourly)


def settle_session(c: Connection, record: Record, unknown: bool, now: datetime) -> None:
    """A session has ended; `unknown`: nobody says when."""
    if unknown:
        books.undecide(c, subject_of(record), now, VANISHED)
    else:
        _settle_session(c, record, record.ended or now, now)


def _settle_session(c: Connection, record: Record, end: datetime, now: datetime) -> None:
    if (hold := one_hold(c, subject_of(record))) is None:
        return  # it is older than the ledger
    span = span_of(record.started, record.taken, end)
    evidence: dict[str, Any] = {
        "job_id": record.job_id,
        "started": record.started,
        "ended": end,
        "outcome": record.outcome,
    }
    evidence |= _used(record.cores, record.gpus, span)
    books.settle(c, hold.about, "", charge(hold.hourly, span), now, evidence=evidence)


def hold_workers(c: Connection, cluster: Cluster, job: WorkerJob, *, settings: LedgerSettings) -> None:
    """Put the most that the workers of one submission can cost on hold.

    Raises:
        LedgerError: as `hold_session`.
    """
    host = one_hold(c, Subject("session", cluster.session))
    budget = host.budget if host is not None else own_budget(cluster.owner)
    most = job.count * charge(job.price, timedelta(seconds=cluster.walltime))
    place = (budget, cluster.owner, cluster.centre, cluster.queue)
    holding = Holding(*place, job.price, most, None, count=job.count)
    _hold(c, settings, Subject("workers", job.id), holding, job.created)


def settle_workers(c: Connection, before: Batch, after: Batch, change: BatchChange, now: datetime) -> None:
    """Some workers of a submission have ended: each is settled by itself."""
    over = {worker.task for worker in before.going} - {worker.task for worker in after.going}
    if not over or (hold := one_hold(c, Subject("workers", before.job.id))) is None:
        return
    cluster = before.cluster
    for worker in after.workers:
        if worker.task not in over or worker.task in change.unknown:
            continue
        span = span_of(worker.started, None, worker.ended or now)
        evidence: dict[str, Any] = {"job_id": worker.job_id, "outcome": worker.reason}
        evidence |= {"started": worker.started, "ended": worker.ended}
        evidence |= _used(cluster.cores, cluster.gpus, span)
        books.settle(c, hold.about, str(worker.task), charge(hold.hourly, span), now, evidence=evidence)
    if after.job.ended is not None:
        books.undecide(c, hold.about, now, VANISHED)


def _used(cores: int, gpus: int, span: timedelta) -> dict[str, int]:
    """What is written beside a charge: what was used for it."""
    seconds = round(span.total_seconds())
    return {"core_seconds": cores * seconds, "gpu_seconds": gpus * seconds}


def _hold(c: Connection, settings: LedgerSettings, subject: Subject, holding: Holding, now: datetime) -> None:
    if holding.person:
        ensure(c, settings, holding.person, now)
    version = prices.version_at(c, holding.centre, holding.queue, now)
    known = replace(holding, price_version=version.id if version else None)
    books.hold(c, subject, known, now, enforce=settings.enforce)


def ensure(c: Connection, settings: LedgerSettings, person: str, now: datetime) -> None:
    """A new person has a budget with the starting grant; again it changes nothing."""
    ends = now + timedelta(days=settings.starting_days) if settings.starting_days else None
    budgets.ensure_person(c, person, settings.starting_grant, now, ends)


__all__ = [
    "ensure",
    "hold_session",
    "hold_workers",
    "own_budget",
    "settle_session",
    "settle_workers",
    "subject_of",
    "take_over",
]
