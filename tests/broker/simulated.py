"""A whole centre in this process: batch system, login node and agents, with every fault a test may want.

A job starts when the test (or `auto`) says so; the invariants can be checked on it at any time.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncssh
from broker.simulated_link import SimLink
from perijove.spawners.batch import BatchError, BatchProblem, BatchSystem, Command, Output
from perijove.spawners.centre import Centre, Scheduler, parse
from perijove.spawners.job import JobSpec, JobState, JobStatus, QueueStatus, Reason
from perijove.spawners.link import Account, LinkError, LinkProblem

if TYPE_CHECKING:
    from broker.simulated_tunnel import SimTunnel

#: The account that the centre's description says.
NOBODY = Account()


def centre(name: str = "alpha", **changes: Any) -> Centre:
    """A described centre; its batch system is the simulated one."""
    return parse(
        {
            "id": name,
            "name": {"en": name.title(), "zh": name},
            "scheduler": {"system": "slurm"},
            "login": {"host": "login.example", "host_keys": [HOST_KEY], "account": "gate"},
            "environment": {"python": "/opt/env/bin/python"},
            "queues": [{"name": "cpu", "cores": 64, "memory": "256G", "max_time": "2d", "nodes": 10}],
            **changes,
        }
    )


HOST_KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


@dataclass
class Job:
    """A job of the simulated batch system."""

    id: str
    session: str
    name: str
    user: str
    submitted: datetime
    state: JobState = JobState.QUEUED
    reason: Reason = Reason.PRIORITY
    node: str | None = None
    restarts: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    hidden: bool = False  # not listed yet
    #: The agent's host key (public), once it has read its file; the server's state; what it was started with.
    key: str = ""
    server: str = "none"
    environment: dict[str, str] = field(default_factory=dict)
    answers: bool = True
    #: One task of an array, and the id of that.
    task: int | None = None
    array: str = ""

    @property
    def live(self) -> bool:
        return self.state is not JobState.ENDED

    def status(self) -> JobStatus:
        said = (self.array or self.id, self.name, self.state, self.reason, self.reason.value, self.node, self.user)
        times = (self.submitted, self.started, self.ended, None)
        used = int((self.ended - self.started).total_seconds()) if self.ended and self.started else None
        return JobStatus(*said, *times, self.restarts, self.exit_code, core_seconds=used, task=self.task)


class SimSystem(BatchSystem):
    """Asks and answers in JSON."""

    programs = ("sim",)

    def __init__(self, scheduler: Scheduler, centre: SimulatedCentre) -> None:
        super().__init__(scheduler)
        self.centre = centre

    def directives(self, job: JobSpec) -> Sequence[str]:
        return [f"#SIM {job.name}"]

    def submit(self, job: JobSpec) -> Command:
        return Command(("sim", "submit", job.session, job.name, str(job.tasks)), self.script(job))

    def parse_submit(self, output: Output) -> str:
        self._check(output)
        return output.stdout

    def status(self, accounts: Sequence[str] = ()) -> Command:
        return Command(("sim", "status"))

    def parse_status(self, output: Output) -> list[JobStatus]:
        self._check(output)
        return self.centre.snapshots[output.stdout]

    def history(self, job_ids: Sequence[str]) -> Command | None:
        return Command(("sim", "history", *job_ids)) if self.centre.has_history else None

    def parse_history(self, output: Output) -> list[JobStatus]:
        self._check(output)
        return self.centre.snapshots[output.stdout]

    def cancel(self, job_ids: Sequence[str]) -> Command:
        return Command(("sim", "cancel", *job_ids))

    def task_id(self, job_id: str, task: int) -> str:
        return f"{job_id}_{task}"

    def parse_cancel(self, output: Output) -> None:
        self._check(output)

    def queues(self) -> Command:
        return Command(("sim", "queues"))

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        return [QueueStatus("cpu", True, 640, 100)]

    def _check(self, output: Output) -> None:
        if output.status == 2:
            raise BatchError(BatchProblem.REFUSED, output.stderr)
        if output.status:
            raise BatchError(BatchProblem.UNAVAILABLE, output.stderr)


class SimulatedCentre:
    """The centre; also the broker's pool of links to it."""

    def __init__(self, described: Centre | None = None) -> None:
        self.described = described or centre()
        self.system = SimSystem(self.described.scheduler, self)
        self.jobs: dict[str, Job] = {}
        self.folders: dict[str, dict[str, str]] = {}
        self.snapshots: dict[str, list[JobStatus]] = {}
        self.calls: Counter[str] = Counter()
        self.commands: list[tuple[float, str]] = []
        self.cancelled: list[str] = []
        self.tunnels: list[SimTunnel] = []
        self.taken: dict[int, SimTunnel] = {}
        self.forgotten: list[str] = []
        self.submissions: list[str] = []
        self.tail = "the last line"
        self.has_history = True
        self.auto = False  # jobs start by themselves when they are listed
        self.delay = 0.0  # seconds that each call of the launcher takes
        self.fail: Callable[[Mapping[str, Any]], None] = lambda request: None
        self.lose_answers = 0  # so many submissions are made but not answered
        self.late_listing = False  # new jobs are not listed until the test says so
        self.cancel_fails = 0
        self.refuse = ""
        self.unavailable = ""
        self._number = self._asked = 0

    def get(self, centre: Centre, account: Account = NOBODY) -> SimLink:
        return SimLink(self, centre, account)

    # --- what a test does ----------------------------------------------------------------------------------------

    def of(self, session: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.session == session]

    def live(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.live]

    def run(self, job: Job, node: str = "n1") -> None:
        job.state, job.node, job.reason = JobState.RUNNING, node, Reason.NONE
        job.started = job.started or datetime.now(UTC)
        self._take_key(job)

    def requeue(self, job: Job) -> None:
        job.state, job.node, job.started, job.key, job.server = JobState.QUEUED, None, None, "", "none"
        job.restarts += 1
        self.drop(job)

    def end(self, job: Job, reason: Reason = Reason.COMPLETED, code: int = 0) -> None:
        if job.live:
            job.state, job.reason, job.ended, job.exit_code = JobState.ENDED, reason, datetime.now(UTC), code
            job.server = "ended"
            self.drop(job)

    def drop(self, job: Job) -> None:
        """The connection to the job's agent breaks."""
        for tunnel in list(self.tunnels):
            if tunnel.address.session == job.session:
                tunnel.lose()

    def _take_key(self, job: Job) -> None:
        text = self.folders.get(job.session, {}).pop("agent.json", None)
        if text and job.state is JobState.RUNNING:
            key = asyncssh.import_private_key(json.loads(text)["host_key"])
            job.key = key.export_public_key().decode().strip()

    # --- the launcher --------------------------------------------------------------------------------------------

    async def launch(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        self.calls[request["verb"]] += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        self.fail(request)
        if request["verb"] == "submit":
            return self._submit(request, user)
        if request["verb"] == "status":
            answers = [self._command(command["argv"]) for command in request["commands"]]
            tails = {name: self.tail for name in request["tails"] if name.partition("/")[0] in self.folders}
            return {"ok": True, "outputs": answers, "tails": tails}
        if request["verb"] == "cancel":
            for session in request["forget"]:
                self.forgotten.append(session)
                self.folders.pop(session, None)
            return {"ok": True, "outputs": [self._command(request["argv"])] if request["argv"] else []}
        return {"ok": True, "outputs": [], "account": user}

    def _submit(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        session = request["session"]
        self.folders.setdefault(session, {}).update(request["files"])
        if request["argv"] is None:
            for job in self.of(session):
                if job.state is JobState.RUNNING and not job.key:
                    self._take_key(job)
            return {"ok": True, "outputs": []}
        self._count("submit")
        if self.refuse:
            return {"ok": True, "outputs": [_output(2, stderr=self.refuse)]}
        if self.unavailable:
            return {"ok": True, "outputs": [_output(1, stderr=self.unavailable)]}
        self._number += 1
        name, tasks, number = request["argv"][3], int(request["argv"][4]), str(self._number)
        self.submissions.append(session)
        for task in range(1, tasks + 1) or [None]:
            job_id = number if task is None else self.system.task_id(number, task)
            job = Job(job_id, session, name, user, datetime.now(UTC), hidden=self.late_listing)
            job.task, job.array = task, "" if task is None else number
            self.jobs[job_id] = job
        if self.lose_answers:
            self.lose_answers -= 1
            raise LinkError(LinkProblem.TIMEOUT, "no answer in time")
        return {"ok": True, "outputs": [_output(0, number)]}

    def _command(self, argv: Sequence[str]) -> dict[str, Any]:
        self._count(argv[1])
        if self.unavailable:
            return _output(1, stderr=self.unavailable)
        if argv[1] == "cancel":
            return self._cancel(argv[2:])
        if argv[1] == "status" and self.auto:
            for job in self.jobs.values():
                if job.state is JobState.QUEUED:
                    self.run(job, f"n{int(job.array or job.id) % 10}")
        jobs = self.jobs.values()
        shown = [j for j in jobs if j.live and not j.hidden] if argv[1] == "status" else []
        if argv[1] == "history":
            shown = [j for j in jobs if not j.live and (j.array or j.id) in argv[2:]]
        self._asked += 1
        name = f"snapshot {self._asked}"
        self.snapshots[name] = [job.status() for job in shown]
        self.snapshots.pop(f"snapshot {self._asked - 50}", None)
        return _output(0, name)

    def _cancel(self, ids: Sequence[str]) -> dict[str, Any]:
        if self.cancel_fails:
            self.cancel_fails -= 1
            return _output(1, stderr="cancel: the controller does not answer")
        for job_id in ids:
            self.cancelled.append(job_id)
            for job in self.jobs.values():
                if job_id in (job.id, job.array):
                    self.end(job, Reason.CANCELLED, 0)
        return _output(0)

    def _count(self, command: str) -> None:
        self.commands.append((asyncio.get_running_loop().time(), command))


def _output(status: int, stdout: str = "", stderr: str = "") -> dict[str, Any]:
    return {"status": status, "stdout": stdout, "stderr": stderr}
