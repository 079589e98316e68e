"""dask-jobqueue's job, without its commands: the broker has submitted it before Dask knows its name."""

from __future__ import annotations

from typing import Any

from dask_jobqueue.core import Job
from distributed.core import Status
from distributed.deploy.spec import ProcessInterface


class Desk:
    """Where jobs are handed in that are wanted no longer; the cluster has them cancelled all together."""

    def __init__(self) -> None:
        self.unwanted: set[str] = set()


class BrokerJob(Job):
    """One worker of a worker job; its Dask name is `<worker job>-<task>`."""

    config_name = "perijove"

    def __init__(self, scheduler: Any = None, name: Any = None, *, desk: Desk, **options: Any) -> None:
        super().__init__(scheduler, name, **options)  # type: ignore[no-untyped-call]
        self.job_header = ""
        self._desk = desk

    async def start(self) -> None:
        """Nothing to submit: the name exists because the broker has accepted it."""
        self.job_id = str(self.name).rpartition("-")[0]
        await ProcessInterface.start(self)

    async def close(self) -> None:
        """Hand it in for cancelling."""
        self._desk.unwanted.add(str(self.name))
        self.status = Status.closed
        self._event_finished.set()
