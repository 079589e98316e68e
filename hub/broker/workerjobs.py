"""What may become of a worker job and its workers: pure functions, as `transitions` has them for sessions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from perijove.hub.broker.charges import times
from perijove.hub.broker.clusterrecords import (
    Batch,
    BatchChange,
    BatchTransition,
    Cluster,
    Worker,
    WorkerState,
)
from perijove.hub.broker.records import News
from perijove.spawners.batch import BatchSystem
from perijove.spawners.job import JobState, JobStatus, Reason

#: Names of lost workers that one event says.
NAMED = 5
#: An estimate of the start that moves by less is no news: some batch systems make a new one with every look.
SAME = timedelta(seconds=20)
_UNSAID = (Reason.FAILED, Reason.OTHER, Reason.NONE)


def attempting(now: datetime) -> BatchTransition:
    """A submission is about to be made."""

    def to(batch: Batch) -> BatchChange | None:
        job = batch.job
        if job.attempted or job.job_id or job.ended or not any(worker.wanted for worker in batch.going):
            return None
        return BatchChange({"attempted": now, "attempt": job.attempt + 1})

    return to


def attempt_over(detail: str) -> BatchTransition:
    """Certain: no job came of the attempt; it may be made again."""

    def to(batch: Batch) -> BatchChange | None:
        if batch.job.attempted is None:
            return None
        return BatchChange({"attempted": None, "detail": detail[:2000]}, _said(batch, detail))

    return to


def in_doubt(detail: str) -> BatchTransition:
    """The answer to the attempt did not come."""

    def to(batch: Batch) -> BatchChange | None:
        if batch.job.attempted is None or batch.job.job_id or batch.job.detail == detail[:2000]:
            return None
        return BatchChange({"detail": detail[:2000]}, _said(batch, detail))

    return to


def _said(batch: Batch, detail: str) -> dict[int, dict[str, Any]]:
    """The words to all its workers that are going."""
    text = detail[:500]
    return {worker.task: {"detail": text} for worker in batch.going if worker.detail != text}


def submitted(job_id: str, system: BatchSystem, now: datetime) -> BatchTransition:
    """The batch system has the job."""

    def to(batch: Batch) -> BatchChange | None:
        job = batch.job
        if job.ended or job.job_id == job_id:
            return None
        workers: dict[int, dict[str, Any]] = {}
        for worker in batch.going:
            own = system.task_id(job_id, worker.task) if job.array else job_id
            workers[worker.task] = {"job_id": own, "state": WorkerState.QUEUED, "detail": ""}
        values = {"job_id": job_id, "attempted": None, "detail": "", "submitted": job.submitted or now}
        news = News.of("workers-queued", count=len(workers), cluster=batch.cluster.name, job_id=job_id)
        return BatchChange(values, workers, (news,))

    return to


def over(outcome: Reason, detail: str, now: datetime) -> BatchTransition:
    """Certain: there is no job, and none will be submitted."""

    def to(batch: Batch) -> BatchChange | None:
        if batch.job.ended:
            return None
        ends = {worker.task: _end(worker, outcome, now, detail) for worker in batch.going}
        return BatchChange({"attempted": None, "ended": now, "detail": detail[:2000]}, ends, _losses(batch, ends))

    return to


def listed(jobs: Mapping[int, JobStatus], now: datetime) -> BatchTransition:
    """What the batch system said of its tasks."""

    def to(batch: Batch) -> BatchChange | None:
        changes = {}
        for worker in batch.going:
            job = jobs.get(worker.task)
            if job is not None and (values := _taken(worker, job, batch.cluster, now)):
                changes[worker.task] = values
        return _with_end(batch, changes, now)

    return to


def gone(tasks: Collection[int], now: datetime, unseen: Collection[int] = ()) -> BatchTransition:
    """Evidence enough that these are over, of which the batch system does not say how they ended.

    When those ended that somebody asked to end is known, too, unless they are `unseen` for long.
    """
    words = "the batch system does not know the job any more and does not say how it ended"

    def to(batch: Batch) -> BatchChange | None:
        ends = {w.task: _end(w, Reason.OTHER, now, words if w.wanted else "") for w in batch.going if w.task in tasks}
        change = _with_end(batch, ends, now)
        unknown = frozenset(w.task for w in batch.going if w.task in ends and (w.wanted or w.task in unseen))
        return change and replace(change, unknown=unknown)

    return to


def unwanted(tasks: Collection[int] | None = None) -> BatchTransition:
    """These workers (None: all) are asked to end."""

    def to(batch: Batch) -> BatchChange | None:
        chosen = [w.task for w in batch.going if w.wanted and (tasks is None or w.task in tasks)]
        return BatchChange({}, {task: {"wanted": False} for task in chosen}) if chosen else None

    return to


def not_cancelled(detail: str) -> BatchTransition:
    """A cancellation failed; it is made again."""
    text = f"not cancelled yet: {detail}"[:500]

    def to(batch: Batch) -> BatchChange | None:
        changes = {w.task: {"detail": text} for w in batch.going if not w.wanted and w.detail != text}
        return BatchChange({}, changes) if changes else None

    return to


def silent(since: datetime) -> BatchTransition:
    """The centre does not answer: nothing is known since then."""

    def to(batch: Batch) -> BatchChange | None:
        known = batch.job.unknown_since is None and batch.job.ended is None
        return BatchChange({"unknown_since": since}) if known else None

    return to


def answers_again() -> BatchTransition:
    """The centre answers."""
    return lambda batch: BatchChange({"unknown_since": None}) if batch.job.unknown_since else None


def _with_end(batch: Batch, changes: Mapping[int, Mapping[str, Any]], now: datetime) -> BatchChange | None:
    if not changes:
        return None
    left = [w for w in batch.going if not changes.get(w.task, {}).get("state", w.state).over]
    values = {} if left else {"ended": now, "unknown_since": None, "attempted": None}
    started = [task for task, new in changes.items() if new.get("state") is WorkerState.RUNNING and new.get("started")]
    told = [News.of("workers-started", count=len(started), cluster=batch.cluster.name)] if started else []
    return BatchChange(values, changes, (*told, *_losses(batch, changes)))


def _taken(worker: Worker, job: JobStatus, cluster: Cluster, now: datetime) -> dict[str, Any]:
    """The values of a worker that what was said of it changes."""
    if job.state is JobState.ENDED:
        return _end(worker, job.reason, now, "", job, cluster.cores)
    found: dict[str, Any] = {"restarts": job.restarts}
    if job.state is JobState.QUEUED:
        found |= {"state": WorkerState.QUEUED, "reason": job.reason.value, "raw_reason": job.raw[:200]}
        found |= {"node": None, "started": None, "ends_by": None}
        if job.expected is None or worker.expected is None or abs(job.expected - worker.expected) > SAME:
            found["expected"] = job.expected
    elif job.node and job.state in (JobState.STARTING, JobState.RUNNING, JobState.SUSPENDED):
        same = worker.started is not None and worker.node == job.node[:255] and worker.restarts == job.restarts
        begun = worker.started if same and worker.started else job.started or now
        found |= {"state": WorkerState.RUNNING, "node": job.node[:255], "started": begun, "expected": None}
        found |= {"ends_by": begun + timedelta(seconds=cluster.walltime), "reason": ""}
        found["raw_reason"] = job.raw[:200] if job.state is JobState.SUSPENDED else ""
    return {key: value for key, value in found.items() if getattr(worker, key) != value}


def _end(
    worker: Worker, reason: Reason, now: datetime, detail: str, job: JobStatus | None = None, cores: int = 1
) -> dict[str, Any]:
    """The values of a worker that is over. One that nobody wants, or that ended well, is not lost."""
    if not worker.wanted and reason in _UNSAID:
        reason = Reason.CANCELLED
    good = not worker.wanted or reason is Reason.COMPLETED
    values: dict[str, Any] = {"state": WorkerState.ENDED if good else WorkerState.LOST, "ended": now}
    values |= {"reason": (reason or Reason.OTHER).value, "detail": detail[:2000], "expected": None}
    if job is not None:
        begun, end = times(job, worker.started, cores, now)
        values |= {"started": begun, "ended": end, "exit_code": job.exit_code, "core_seconds": job.core_seconds}
        values["raw_reason"] = job.raw[:200]
        values["node"] = job.node[:255] if job.node else worker.node
    return values


def _losses(batch: Batch, changes: Mapping[int, Mapping[str, Any]]) -> tuple[News, ...]:
    """One event for all that were lost in the same way at the same time."""
    lost: dict[str, list[str]] = {}
    for worker in batch.workers:
        new = changes.get(worker.task, {})
        if new.get("state") is WorkerState.LOST:
            lost.setdefault(str(new["reason"]), []).append(worker.name)
    return tuple(
        News.of(
            "worker-lost",
            worker=", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else ""),
            count=len(names),
            reason=reason,
            cluster=batch.cluster.name,
        )
        for reason, names in lost.items()
    )
