"""A broker for Dask heads: the HTTP interface of the real one, in this process, with real worker processes on
this machine.

A test decides what becomes of workers: `hold` keeps new ones in the queue, `refuse` refuses the next calls, `fail` lets
workers end at once, `hang` lets them run without ever connecting, `lose` kills one as a failing node would, `silent`
makes the broker answer nothing of use.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

PRICE = 500_000


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class Worker:
    """One task of a worker job."""

    name: str
    job: str
    task: int
    state: str = "requested"
    wanted: bool = True
    reason: str = ""
    detail: str = ""
    asked: str = field(default_factory=now)
    expected: str | None = None
    started: str | None = None
    ends_by: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    process: asyncio.subprocess.Process | None = None

    def row(self) -> dict[str, Any]:
        return {
            **{key: value for key, value in vars(self).items() if key != "process"},
            "raw_reason": "",
            "node": "localhost",
            "job_id": "1",
            "submitted": self.asked,
        }


class DaskBroker:
    """See the module's text. `base` is the folder of sessions and clusters, `walltime` that of workers (seconds)."""

    def __init__(self, base: Path, cluster: str, walltime: float | None = None) -> None:
        self.base, self.cluster, self.walltime = base, cluster, walltime
        self.workers: dict[str, Worker] = {}
        self.asked: list[dict[str, Any]] = []
        self.cancels: list[list[str]] = []
        self.reports: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.hold = self.fail = self.hang = self.silent = self.closed = False
        self.refuse: tuple[int, dict[str, Any]] | None = None
        self.version = self.polls = 0
        self._keys: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: HTTPServer | None = None

    async def __aenter__(self) -> DaskBroker:
        below = f"/api/v1/clusters/{self.cluster}"
        given = {"broker": self}
        self._server = HTTPServer(
            Application(
                [
                    (below, _Cluster, given),
                    (below + "/report", _Report, given),
                    (below + "/workers", _Workers, given),
                    (below + "/workers/([^/]+)/log", _Log, given),
                ],
                log_function=lambda handler: None,
            )
        )
        sockets = bind_sockets(0, "127.0.0.1")
        self._server.add_sockets(sockets)
        self.api = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/api/v1"
        return self

    async def __aexit__(self, *ignored: object) -> None:
        assert self._server is not None
        self._server.stop()
        await self._server.close_all_connections()
        for worker in self.workers.values():
            self._signal(worker, signal.SIGKILL)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self.workers.values():
            if worker.process is not None:
                await worker.process.wait()

    async def change(self) -> None:
        """Something is new: long polls answer."""
        async with self._changed:
            self.version += 1
            self._changed.notify_all()

    async def after(self, version: int, wait: float) -> None:
        """Wait for anything newer than `version`."""
        async with self._changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait_for(lambda: self.version > version)

    def listing(self) -> dict[str, Any]:
        rows = [worker.row() for worker in self.workers.values()]
        return {"version": self.version, "live": not self.closed, "closing": self.closed, "workers": rows}

    async def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Submit; the same key once."""
        if body["key"] in self._keys:
            return self._keys[body["key"]]
        self.asked.append(dict(body))
        job = f"job{len(self.asked):03d}aaaaaaa"
        names = [f"{job}-{task}" for task in range(1, body["count"] + 1)]
        for task, name in enumerate(names, 1):
            self.workers[name] = Worker(name, job, task, "queued", reason="priority")
            if not self.hold:
                await self.start(name)
        answer = {"jobs": [{"id": job, "count": body["count"]}], "workers": names}
        self._keys[body["key"]] = answer
        await self.change()
        return answer

    async def release(self) -> None:
        """Start everything that waits in the queue."""
        self.hold = False
        for worker in list(self.workers.values()):
            if worker.state == "queued":
                await self.start(worker.name)
        await self.change()

    async def start(self, name: str) -> None:
        """The batch system gives a node."""
        worker = self.workers[name]
        folder = self.base / worker.job
        folder.mkdir(mode=0o700, exist_ok=True)
        command = [sys.executable, "-m", "perijove.spawners.dask.worker", self.cluster, worker.job]
        if self.fail:
            command = [sys.executable, "-c", "import sys; sys.exit('no such module: it is broken here')"]
        if self.hang:
            hanging = "import signal; print('waiting for a licence', flush=True); signal.pause()"
            command = [sys.executable, "-c", hanging]
        with (folder / f"log.{worker.task}").open("wb") as log:
            worker.process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PERIJOVE_LOCAL_TASK": str(worker.task)},
                start_new_session=True,
            )
        worker.state, worker.reason, worker.started = "running", "", now()
        if self.walltime:
            end = datetime.now(UTC).timestamp() + self.walltime
            worker.ends_by = datetime.fromtimestamp(end, UTC).isoformat()
            self._spawn(self._end_at_walltime(worker))
        self._spawn(self._follow(worker))

    async def lose(self, name: str, reason: str = "node-failure") -> None:
        """The node dies: the whole job is gone without a word."""
        self.workers[name].reason = reason
        self._signal(self.workers[name], signal.SIGKILL)

    def log(self, name: str) -> str:
        worker = self.workers[name]
        return (self.base / worker.job / f"log.{worker.task}").read_text()

    async def cancel(self, names: list[str]) -> None:
        self.cancels.append(names)
        for worker in (self.workers[name] for name in names if name in self.workers):
            worker.wanted = False
            if worker.process is None:
                worker.state, worker.ended = "ended", now()
            else:
                self._signal(worker, signal.SIGTERM)
        await self.change()

    def _signal(self, worker: Worker, number: int) -> None:
        if worker.process is not None and worker.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, number)

    async def _follow(self, worker: Worker) -> None:
        assert worker.process is not None
        worker.exit_code = await worker.process.wait()
        worker.ended = now()
        worker.state = "lost" if worker.wanted and worker.exit_code else "ended"
        worker.reason = worker.reason or ("failed" if worker.state == "lost" else "")
        await self.change()

    async def _end_at_walltime(self, worker: Worker) -> None:
        await asyncio.sleep(self.walltime or 0)
        worker.reason = "walltime"
        self._signal(worker, signal.SIGKILL)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Handler(RequestHandler):
    def initialize(self, broker: DaskBroker) -> None:
        self.broker = broker

    def prepare(self) -> None:
        self.broker.tokens.add(self.request.headers.get("Authorization", ""))
        if self.broker.silent:
            self.set_status(503)
            self.finish("<html>Service Unavailable</html>")

    def body(self) -> dict[str, Any]:
        found = json.loads(self.request.body)
        assert isinstance(found, dict)
        return found


class _Cluster(_Handler):
    async def delete(self) -> None:
        self.broker.closed = True
        await self.broker.cancel([name for name, worker in self.broker.workers.items() if not worker.ended])
        self.finish({})


class _Report(_Handler):
    def put(self) -> None:
        self.broker.reports.append(self.body()["report"])
        self.finish(
            {"price": PRICE, "limits": {"workers": 200}, "used": {"workers": 0}, "centre": "here", "queue": "q"}
        )


class _Workers(_Handler):
    async def post(self) -> None:
        if self.broker.refuse:
            status, answer = self.broker.refuse
            self.set_status(status)
            self.finish(answer)
            return
        answer = await self.broker.ask(self.body())
        self.set_status(201)
        self.finish(answer)

    async def get(self) -> None:
        self.broker.polls += 1
        await self.broker.after(int(self.get_argument("after")), float(self.get_argument("wait")))
        self.finish(self.broker.listing())

    async def delete(self) -> None:
        await self.broker.cancel(self.body()["names"])
        self.finish(self.broker.listing())


class _Log(_Handler):
    def get(self, name: str) -> None:
        self.finish({"log": self.broker.log(name)})
