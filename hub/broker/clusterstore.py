"""Rows of clusters, worker jobs and workers: what is read and written inside a transaction of `Clusters`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from perijove.hub.broker import paying
from perijove.hub.broker.clusterrecords import Batch, BatchChange, Cluster, Worker, WorkerJob, WorkerState
from perijove.hub.broker.records import Change, News
from perijove.hub.broker.sessions import apply_change, one_session
from perijove.hub.broker.store import clusters, sessions, worker_jobs, workers
from perijove.hub.limits import Used
from sqlalchemy import Connection, Select, bindparam, func, select, update

JOINED = clusters.join(worker_jobs, worker_jobs.c.cluster == clusters.c.id).join(
    workers, workers.c.job == worker_jobs.c.id
)


def one(c: Connection, *where: Any) -> Cluster | None:
    """The cluster that fits."""
    row = c.execute(select(clusters).where(*where)).first()
    return Cluster.of(row) if row else None


def locked(c: Connection, cluster: str) -> Cluster:
    """The cluster, which nobody else changes until the transaction is over. It must be there."""
    return Cluster.of(c.execute(select(clusters).where(clusters.c.id == cluster).with_for_update()).one())


def living(owner: str, centre: str | None = None) -> Select[Any]:
    """The live clusters of a person."""
    query = select(clusters).where(clusters.c.owner == owner, clusters.c.live.is_(True))
    return query if centre is None else query.where(clusters.c.centre == centre)


def batches(c: Connection, cluster: Cluster, *where: Any) -> list[Batch]:
    """The worker jobs of a cluster that fit, oldest first, with their workers."""
    order = (worker_jobs.c.created, worker_jobs.c.key, worker_jobs.c.part)
    chosen = select(worker_jobs).where(worker_jobs.c.cluster == cluster.id, *where).order_by(*order)
    jobs = [WorkerJob.of(row) for row in c.execute(chosen)]
    ids, found = [job.id for job in jobs], dict[str, list[Worker]]()
    for some in (ids[i : i + 500] for i in range(0, len(ids), 500)):
        query = select(workers).where(workers.c.job.in_(some)).order_by(workers.c.job, workers.c.task)
        for row in c.execute(query):
            found.setdefault(row.job, []).append(Worker.of(row))
    return [Batch(cluster, job, tuple(found.get(job.id, ()))) for job in jobs]


def batch(c: Connection, worker_job: str) -> Batch | None:
    """One worker job."""
    its = select(worker_jobs.c.cluster).where(worker_jobs.c.id == worker_job).scalar_subquery()
    cluster = one(c, clusters.c.id == its)
    return next(iter(batches(c, cluster, worker_jobs.c.id == worker_job)), None) if cluster else None


def locked_batch(c: Connection, worker_job: str) -> Batch:
    """One worker job, its cluster's row locked before anything else is read. It must be there."""
    cluster = c.scalars(select(worker_jobs.c.cluster).where(worker_jobs.c.id == worker_job)).one()
    return batches(c, locked(c, cluster), worker_jobs.c.id == worker_job)[0]


def apply(c: Connection, before: Batch, change: BatchChange, now: datetime) -> Batch:
    """Writes a change, what it means for the cluster, and with the end of workers what they cost."""
    job = replace(before.job, **change.job)
    if change.job:
        c.execute(update(worker_jobs).where(worker_jobs.c.id == job.id).values(**change.job))
    by_keys: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for task, values in change.workers.items():
        row = {f"new_{key}": getattr(value, "value", value) for key, value in values.items()}
        by_keys.setdefault(tuple(sorted(values)), []).append(row | {"this_task": task})
    for keys, many in by_keys.items():
        this = (workers.c.job == job.id) & (workers.c.task == bindparam("this_task"))
        c.execute(update(workers).where(this).values({key: bindparam(f"new_{key}") for key in keys}), many)
    told = tuple(replace(worker, **change.workers.get(worker.task, {})) for worker in before.workers)
    after = Batch(grow(c, before.cluster, change.news, now), job, told)
    paying.settle_workers(c, before, after, change, now)
    return after


def grow(c: Connection, cluster: Cluster, news: Sequence[News], now: datetime) -> Cluster:
    """The cluster has changed: its version is the next one; with events of its host session."""
    version = cluster.version + 1
    c.execute(update(clusters).where(clusters.c.id == cluster.id).values(version=version))
    tell(c, cluster, news, now)
    return replace(cluster, version=version)


def tell(c: Connection, cluster: Cluster, news: Iterable[News], now: datetime) -> None:
    """Events of the host session, if it is still there."""
    told = tuple(news)
    if told and (host := one_session(c, sessions.c.id == cluster.session)):
        apply_change(c, host, Change({}, told), now)


def used(c: Connection, owner: str, centre: str) -> Used:
    """What the workers of a person at a centre are: those that are wanted and have not ended, and all that run."""
    states = workers.c.state
    waits = states.in_([WorkerState.REQUESTED.value, WorkerState.QUEUED.value]) & workers.c.wanted
    counts = (states == WorkerState.RUNNING.value) | waits
    sums = (func.count(), func.sum(clusters.c.cores), func.sum(worker_jobs.c.price))
    query = select(*sums).select_from(JOINED).where(clusters.c.owner == owner, clusters.c.centre == centre, counts)
    many, cores, price = c.execute(query).one()
    return Used(int(many), int(cores or 0), int(price or 0))


def number_of(states: Iterable[Worker]) -> Mapping[WorkerState, int]:
    """How many workers are in each state."""
    found = dict.fromkeys(WorkerState, 0)
    for worker in states:
        found[worker.state] += 1
    return found
