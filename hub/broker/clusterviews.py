"""The API's JSON for clusters and their workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from perijove.hub.broker.clusterreads import LISTED
from perijove.hub.broker.clusterrecords import Batch, Cluster, Worker, WorkerState
from perijove.hub.broker.views import iso
from perijove.hub.limits import ClusterLimits, Used

_SHAPE = ("queue", "cores", "memory", "gpus", "walltime", "project")
_SAME = ("id", "name", "owner", "session", "server", "centre", "queue", "beside", "outcome", "price", "report")
_WORKER = ("name", "job", "task", "reason", "raw_reason", "detail", "node", "job_id", "exit_code", "wanted")


def cluster(
    found: Cluster,
    batches: Iterable[Batch],
    limits: ClusterLimits,
    used: Used,
    now: datetime,
    money: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A cluster. Costs are micro-credits an hour, memory MiB, walltime seconds. `money`: of all its workers ever."""
    listed = [(batch, worker) for batch in batches for worker in _listed(batch, now)]
    running = [batch.job.price for batch, worker in listed if worker.state is WorkerState.RUNNING]
    counts = {state: sum(worker.state is state for _, worker in listed) for state in WorkerState}
    shown = (WorkerState.REQUESTED, WorkerState.QUEUED, WorkerState.RUNNING, WorkerState.LOST)
    return {
        **{key: getattr(found, key) for key in _SAME},
        "shape": {key: getattr(found, key) for key in _SHAPE},
        "live": bool(found.live),
        "created": iso(found.created),
        "ended": iso(found.ended),
        "closed_by": found.closed_by,
        "counts": {state.value: counts[state] for state in shown},
        "cost_per_hour": sum(running),
        "money": money,
        "limits": limits.view(),
        "used": used.view(),
        "seen": iso(found.seen),
    }


def workers(found: Cluster, batches: Iterable[Batch], now: datetime) -> dict[str, Any]:
    """The workers of a cluster: all that have not ended, and those that ended a short while ago."""
    return {
        "version": found.version,
        "live": bool(found.live),
        "closing": found.closed is not None and found.ended is None,
        "workers": [_worker(batch, worker) for batch in batches for worker in _listed(batch, now)],
    }


def asked(batches: Iterable[Batch]) -> dict[str, Any]:
    """What came of a request for workers."""
    many = list(batches)
    jobs = [{"id": batch.job.id, "count": batch.job.count} for batch in many]
    return {"jobs": jobs, "workers": [worker.name for batch in many for worker in batch.workers]}


def _listed(batch: Batch, now: datetime) -> list[Worker]:
    return [worker for worker in batch.workers if worker.ended is None or worker.ended > now - LISTED]


def _worker(batch: Batch, worker: Worker) -> dict[str, Any]:
    silent = batch.job.unknown_since is not None and not worker.state.over
    view: dict[str, Any] = {key: getattr(worker, key) for key in _WORKER}
    view |= {"state": "unknown" if silent else worker.state.value, "before": worker.state.value if silent else None}
    view |= {"asked": iso(batch.job.created), "submitted": iso(batch.job.submitted)}
    view |= {key: iso(getattr(worker, key)) for key in ("expected", "started", "ends_by", "ended")}
    return view
