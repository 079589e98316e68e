"""The questions to a batch system, as pure text: argument lists and scripts out, answers in.

One file per batch system. Nothing here runs a command, reads a file or knows a shell: `perijove.spawners.launcher`
runs what is returned, and its output comes back to the `parse_*` methods. All output is that of a machine we do
not control: it is bounded by the launcher, and parsers ignore what they do not understand instead of raising.

A `parse_*` method raises `BatchError` when the command failed, with a code that tells a refusal ("this can never
run", retrying is useless) from a hiccup ("the controller does not answer", nothing is known, ask again).
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self

from perijove.spawners.centre import Centre, Scheduler
from perijove.spawners.job import PREFIX, Accounting, JobSpec, JobState, JobStatus, JobUsage, QueueStatus


@dataclass(frozen=True, slots=True)
class Command:
    """A command for the launcher: an argument list, never a shell string, and its standard input."""

    argv: tuple[str, ...]
    stdin: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """How a command ended: exit status, and bounded text."""

    status: int
    stdout: str = ""
    stderr: str = ""


class BatchProblem(StrEnum):
    """What kind of failure a batch system's answer is."""

    REFUSED = "refused"  # it said no to this job: ask for something else
    UNAVAILABLE = "unavailable"  # it did not answer: nothing is known, try again
    NO_SUCH_JOB = "no-such-job"
    NOT_ALLOWED = "not-allowed"  # this account may not
    UNREADABLE = "unreadable"  # an answer that we do not understand


class BatchError(Exception):
    """A command of a batch system failed.

    `problem` is the code, `detail` the batch system's own words (bounded to 2,000 characters).
    """

    def __init__(self, problem: BatchProblem, detail: str) -> None:
        self.problem = problem
        self.detail = detail.strip()[:2000]
        super().__init__(f"{problem}: {self.detail}")


class BatchSystem(ABC):
    """One batch system, in the dialect of one centre."""

    #: The usual names of the commands used; `[scheduler.commands]` may rename each.
    programs: ClassVar[tuple[str, ...]]

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    @classmethod
    def of(cls, centre: Centre) -> Self:
        """The batch system of `centre`."""
        return cls(centre.scheduler)

    def program(self, name: str) -> str:
        """What this centre calls the command `name`."""
        return self.scheduler.commands.get(name, name)

    # -- submit ------------------------------------------------------------------------------------------------
    @abstractmethod
    def directives(self, job: JobSpec) -> Sequence[str]:
        """The script's directive lines. Output (stdout and stderr) goes to `log` in the session's folder, which is
        the working directory of the submission; that of a task of an array to `log.<task>`."""

    def script(self, job: JobSpec) -> str:
        """The job's whole script, fit to be shown to the person as a preview."""
        program, *arguments = job.command
        lines = [
            "#!/bin/bash",
            *self.directives(job),
            f"cd -- {_path(job.directory)} || exit 71",
            *job.prolog,
            " ".join(["exec", _path(program), *map(shlex.quote, arguments)]),
        ]
        return "\n".join(lines) + "\n"

    @abstractmethod
    def submit(self, job: JobSpec) -> Command:
        """The command that submits `job`, run in the session's folder with the script as standard input."""

    @abstractmethod
    def parse_submit(self, output: Output) -> str:
        """The job's or array's id. Raises BatchError."""

    # -- status ------------------------------------------------------------------------------------------------
    @abstractmethod
    def status(self, accounts: Sequence[str] = ()) -> Command:
        """One query for all live jobs, of `accounts` only where given."""

    @abstractmethod
    def parse_status(self, output: Output) -> list[JobStatus]:
        """All jobs listed, arrays task by task. An empty list is an answer; a query that failed raises BatchError."""

    def history(self, job_ids: Sequence[str]) -> Command | None:
        """One query for how jobs that are no longer listed ended; None where the batch system cannot tell."""
        return None

    def parse_history(self, output: Output) -> list[JobStatus]:
        """The ended jobs it knows; others are left out. Raises BatchError only if nothing can be said at all."""
        return []

    # -- accounting ----------------------------------------------------------------------------------------------
    def accounting(self, since: datetime, until: datetime, accounts: Sequence[str] = ()) -> list[Command]:
        """The queries for what jobs used that ended from `since` to `until` (aware), of `accounts` only where given.

        Where there is no accounting that people may read, it is the listing, which knows ended jobs for a while.
        """
        return [self.status(accounts)]

    def parse_accounting(self, outputs: Sequence[Output]) -> Accounting:
        """What the queries' outputs say, of jobs with names like ours. Raises BatchError."""
        jobs = self.parse_status(outputs[0])
        return Accounting(tuple(usages(jobs)), self.status().argv[0], complete=False)

    # -- cancel ------------------------------------------------------------------------------------------------
    @abstractmethod
    def cancel(self, job_ids: Sequence[str]) -> Command:
        """The command that cancels `job_ids`: jobs, arrays with all their tasks, and tasks as `task_id` names them."""

    @abstractmethod
    def task_id(self, job_id: str, task: int) -> str:
        """What `cancel` takes for the task `task` of the array `job_id`. Raises ValueError."""

    @abstractmethod
    def parse_cancel(self, output: Output) -> None:
        """Raises BatchError unless the jobs are cancelled, being cancelled, or were gone already."""

    # -- queues and forecasts ------------------------------------------------------------------------------------
    @abstractmethod
    def queues(self) -> Command:
        """One query for what all queues look like."""

    @abstractmethod
    def parse_queues(self, output: Output) -> list[QueueStatus]:
        """All queues. Raises BatchError."""

    def estimate(self, job: JobSpec) -> Command | None:
        """A query for when `job` would start, without submitting it; None where there is none."""
        return None

    def parse_estimate(self, output: Output) -> datetime | None:
        """When it would start (aware), or None if the batch system does not say. Raises BatchError if it says never."""
        return None


def _path(path: str) -> str:
    """A path as a shell word; the shell of the job knows the home that "~/" means."""
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def usages(jobs: Iterable[JobStatus]) -> Iterator[JobUsage]:
    """What the statuses of those jobs that are called like ours and are over say of their last run."""
    for job in jobs:
        if job.state is not JobState.ENDED or not job.name.startswith(PREFIX):
            continue
        elapsed = None if job.ended is None else 0
        if job.started is not None and job.ended is not None:
            elapsed = max(0, round((job.ended - job.started).total_seconds()))
        yield JobUsage(
            job_id=job.job_id,
            name=job.name,
            task=job.task,
            user=job.user,
            started=job.started,
            ended=job.ended,
            elapsed=elapsed,
            cores=job.core_seconds // elapsed if elapsed and job.core_seconds is not None else None,
            core_seconds=job.core_seconds,
            runs=job.restarts + 1,
            state=job.raw or job.reason.value,
        )
