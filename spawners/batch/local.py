"""The embedded batch system's words: `perijove-localqueue`, whose answers are JSON.

Each command says what the queues of the centre have, so that the root directory always follows the description.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from perijove.spawners.batch import encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Command, Output, usages
from perijove.spawners.centre import Centre, Queue, Scheduler
from perijove.spawners.job import Accounting, JobSpec, JobState, JobStatus, QueueStatus, Reason

#: Exit status of the program where its state cannot be used at the moment.
_TRY_AGAIN = 75
_STATES = {"queued": JobState.QUEUED, "running": JobState.RUNNING, "ending": JobState.ENDING, "ended": JobState.ENDED}


class Local(BatchSystem):
    """`perijove.spawners.localqueue`, as the description of its centre has it."""

    programs: ClassVar[tuple[str, ...]] = ("perijove-localqueue",)

    def __init__(self, scheduler: Scheduler, queues: Sequence[Queue] = (), root: str = "~/.perijove-local") -> None:
        super().__init__(scheduler)
        self._root = scheduler.root or root
        self._queues = ",".join(f"{q.label}:{q.nodes}:{q.cores}:{q.memory}:{q.gpus}" for q in queues)

    @classmethod
    def of(cls, centre: Centre) -> Self:
        """With the sizes of the centre's queues, which here are ours to enforce."""
        return cls(centre.scheduler, centre.queues, f"~/.perijove-local/{centre.id}")

    def _command(self, verb: str, *options: str, stdin: str = "") -> Command:
        queues = ("--queues", self._queues) if self._queues else ()
        return Command((self.program(self.programs[0]), verb, "--root", self._root, *queues, *options), stdin)

    def directives(self, job: JobSpec) -> Sequence[str]:
        """None: everything stands on the command line; the queue's default output is `log`."""
        return ()

    def _wishes(self, job: JobSpec) -> tuple[str, ...]:
        numbers = {"cores": job.cores, "memory": job.memory, "gpus": job.gpus, "walltime": job.walltime}
        words = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
        return ("--queue", job.queue, *words)

    def submit(self, job: JobSpec) -> Command:
        """As `BatchSystem.submit`."""
        tasks = ("--tasks", str(job.tasks)) if job.tasks else ()
        return self._command("submit", "--name", job.name, *self._wishes(job), *tasks, stdin=self.script(job))

    def parse_submit(self, output: Output) -> str:
        """As `BatchSystem.parse_submit`."""
        job = _answer(output).get("id")
        if not isinstance(job, str) or not job.isdigit():
            raise BatchError(BatchProblem.UNREADABLE, output.stdout)
        return job

    def status(self, accounts: Sequence[str] = ()) -> Command:
        """As `BatchSystem.status`; all jobs of a root are of one account, so `accounts` narrows nothing."""
        return self._command("status")

    def parse_status(self, output: Output) -> list[JobStatus]:
        """As `BatchSystem.parse_status`."""
        waiting: Counter[str] = Counter()
        found = []
        for job in _list(output, "jobs"):
            if status := _status(job):
                queue = str(job.get("queue"))
                if status.state is JobState.QUEUED:
                    # The list is in the order of submission, and no job is put back by a later one.
                    status = replace(status, ahead=waiting[queue])
                    waiting[queue] += 1
                found.append(status)
        return found

    def history(self, job_ids: Sequence[str]) -> Command | None:
        """As `BatchSystem.history`."""
        return self._command("history", "--jobs", ",".join(job_ids))

    def parse_history(self, output: Output) -> list[JobStatus]:
        """As `BatchSystem.parse_history`."""
        return [status for status in self.parse_status(output) if status.state is JobState.ENDED]

    def accounting(self, since: datetime, until: datetime, accounts: Sequence[str] = ()) -> list[Command]:
        """As `BatchSystem.accounting`: ended jobs are remembered for a week."""
        window = (f"{since.timestamp():.3f}", f"{until.timestamp():.3f}")
        return [self._command("ended", "--since", window[0], "--until", window[1])]

    def parse_accounting(self, outputs: Sequence[Output]) -> Accounting:
        """As `BatchSystem.parse_accounting`."""
        rows = [(status, row) for row in _list(outputs[0], "jobs") if (status := _status(row))]
        jobs = [
            replace(usage, queue=str(row.get("queue")), cores=_number(row.get("cores")))
            for status, row in rows
            for usage in usages([status])
        ]
        return Accounting(tuple(jobs), self.programs[0], complete=True)

    def cancel(self, job_ids: Sequence[str]) -> Command:
        """As `BatchSystem.cancel`."""
        return self._command("cancel", "--jobs", ",".join(job_ids))

    def task_id(self, job_id: str, task: int) -> str:
        """As `BatchSystem.task_id`."""
        (array,) = encoding.identifiers("job_id", [job_id], "[0-9]{1,18}")
        return f"{array}_{encoding.whole('task', task, 1, encoding.TASKS)}"

    def parse_cancel(self, output: Output) -> None:
        """As `BatchSystem.parse_cancel`."""
        _answer(output)

    def queues(self) -> Command:
        """As `BatchSystem.queues`."""
        return self._command("queues")

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        """As `BatchSystem.parse_queues`."""
        return [
            QueueStatus(
                str(queue.get("name", "")),
                cores=_number(queue.get("cores")),
                cores_free=_number(queue.get("cores_free")),
                jobs_running=_number(queue.get("running")),
                jobs_queued=_number(queue.get("queued")),
            )
            for queue in _list(output, "queues")
        ]

    def estimate(self, job: JobSpec) -> Command | None:
        """As `BatchSystem.estimate`."""
        return self._command("estimate", *self._wishes(job))

    def parse_estimate(self, output: Output) -> datetime | None:
        """As `BatchSystem.parse_estimate`."""
        return _time(_answer(output).get("start"))


def _answer(output: Output) -> Mapping[str, Any]:
    if output.status:
        # Only the program's own "no" is a refusal; a program that is missing or was killed says nothing of the job.
        problem = BatchProblem.REFUSED if output.status == 1 else BatchProblem.UNAVAILABLE
        raise BatchError(problem, output.stderr or output.stdout or f"exit status {output.status}")
    try:
        answer = json.loads(output.stdout)
    except (ValueError, RecursionError):
        raise BatchError(BatchProblem.UNREADABLE, output.stdout) from None
    if not isinstance(answer, dict):
        raise BatchError(BatchProblem.UNREADABLE, output.stdout)
    return answer


def _list(output: Output, key: str) -> list[Mapping[str, Any]]:
    rows = _answer(output).get(key)
    if not isinstance(rows, list):
        raise BatchError(BatchProblem.UNREADABLE, output.stdout)
    return [row for row in rows if isinstance(row, dict)]


def _status(job: Mapping[str, Any]) -> JobStatus | None:
    identity, name = job.get("id"), job.get("name")
    if not isinstance(identity, str) or not isinstance(name, str):
        return None
    reason, node = job.get("reason"), job.get("node")
    started, ended, cores = _time(job.get("started")), _time(job.get("ended")), _number(job.get("cores"))
    used = int((ended - started).total_seconds() * cores) if started and ended and cores is not None else None
    known = reason in Reason.__members__.values()
    return JobStatus(
        identity,
        name,
        _STATES.get(str(job.get("state")), JobState.UNKNOWN),
        reason=Reason(str(reason)) if known else Reason.OTHER,
        raw=f"{job.get('state')} {reason or ''}".strip()[:200],
        node=node if isinstance(node, str) else None,
        submitted=_time(job.get("submitted")),
        started=started,
        ended=ended,
        expected=_time(job.get("expected")),
        restarts=_number(job.get("restarts")) or 0,
        exit_code=_number(job.get("exit_code")),
        signal=_number(job.get("signal")),
        core_seconds=used,
        task=_number(job.get("task")),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _time(value: object) -> datetime | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
