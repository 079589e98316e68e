"""Dask clusters, the jobs of their workers, and each worker, as the store has them. Pure: no I/O.

A *worker job* is one submission: an array of `count` tasks, or one plain job where a centre has no arrays. A *worker*
is one task of it. Nothing here says that a worker is connected: that is the head's knowledge; the batch system's is
all that the broker tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from perijove.hub.broker.records import News
from perijove.spawners.link import Account
from sqlalchemy import Row


class WorkerState(StrEnum):
    """What the batch system has said of a worker; only the last two are an end."""

    REQUESTED = "requested"  # it is not known that the batch system has accepted it
    QUEUED = "queued"
    RUNNING = "running"  # it has its node
    LOST = "lost"  # ended while it was wanted
    ENDED = "ended"  # ended after it was asked to, or well

    @property
    def over(self) -> bool:
        """Positive evidence of the end."""
        return self in (WorkerState.LOST, WorkerState.ENDED)


@dataclass(frozen=True, slots=True)
class Cluster:
    """One row of `clusters`. The shape is that of one worker: MiB, seconds; price in micro-credits an hour."""

    id: str
    owner: str
    name: str
    session: str
    server: str
    #: Its head is in the job of a session with other work; otherwise that session is there for the head alone.
    beside: bool
    centre: str
    queue: str
    cores: int
    memory: int
    gpus: int
    walltime: int
    price: int
    account: Mapping[str, str]
    created: datetime
    project: str | None = None
    live: bool | None = True
    #: Grows with every change of a worker.
    version: int = 0
    report: Mapping[str, Any] | None = None
    seen: datetime | None = None
    closed_by: str | None = None
    closed: datetime | None = None
    ended: datetime | None = None
    outcome: str | None = None
    forgotten: bool = False

    @classmethod
    def of(cls, row: Row[Any]) -> Cluster:
        """From a row of the store."""
        return cls(**row._mapping)

    @property
    def login(self) -> Account:
        """Whose account its workers run under."""
        return Account(**self.account)

    def row(self) -> dict[str, Any]:
        """Its values for the store."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """One row of `worker_jobs`."""

    id: str
    cluster: str
    #: What the head called the request, so that one that is repeated is not made twice; a part of it, from 0.
    key: str
    part: int
    count: int
    array: bool
    #: What one worker costs, as the prices were when it was asked for: micro-credits an hour, and of each thing.
    price: int
    tariff: Mapping[str, int]
    created: datetime
    attempt: int = 0
    attempted: datetime | None = None
    job_id: str | None = None
    detail: str = ""
    unknown_since: datetime | None = None
    submitted: datetime | None = None
    ended: datetime | None = None
    forgotten: bool = False

    @classmethod
    def of(cls, row: Row[Any]) -> WorkerJob:
        """From a row of the store."""
        return cls(**row._mapping)

    def row(self) -> dict[str, Any]:
        """Its values for the store."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class Worker:
    """One row of `workers`; `started`, `ended` and `core_seconds` are what a ledger charges."""

    job: str
    task: int
    state: WorkerState = WorkerState.REQUESTED
    wanted: bool = True
    reason: str = ""
    raw_reason: str = ""
    detail: str = ""
    node: str | None = None
    job_id: str | None = None
    restarts: int = 0
    expected: datetime | None = None
    started: datetime | None = None
    ends_by: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    core_seconds: int | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> Worker:
        """From a row of the store."""
        values = dict(row._mapping)
        return cls(**values | {"state": WorkerState(values["state"])})

    @property
    def name(self) -> str:
        """What Dask calls it."""
        return f"{self.job}-{self.task}"

    def row(self) -> dict[str, Any]:
        """Its values for the store."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"state": self.state.value}


@dataclass(frozen=True, slots=True)
class Batch:
    """A worker job with its cluster and its workers, in the order of their tasks."""

    cluster: Cluster
    job: WorkerJob
    workers: tuple[Worker, ...]

    @property
    def going(self) -> Iterator[Worker]:
        """The workers that have not ended."""
        return (worker for worker in self.workers if not worker.state.over)


@dataclass(frozen=True, slots=True)
class BatchChange:
    """New values of a worker job, of its workers by task, and the news of it for the host session."""

    job: Mapping[str, Any] = field(default_factory=dict)
    workers: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    news: tuple[News, ...] = ()
    #: Of these tasks the end is certain, but nobody says when it came: what they cost is not known yet.
    unknown: frozenset[int] = frozenset()


#: A pure function of what is in the store when the change is made: it is run inside the transaction.
BatchTransition = Callable[[Batch], BatchChange | None]

__all__ = ["Batch", "BatchChange", "BatchTransition", "Cluster", "Worker", "WorkerJob", "WorkerState"]
