"""Grid Engine: Son of Grid Engine 8.1.9 (tested), and its relatives (Univa, Altair, OCS).

Memory is asked for per slot, by the `complex` that the site names in `memory_resource`, rounded up; cores are slots
of `parallel_environment`, which must keep them on one node; GPUs are the complex `gpu`, counted per job (`consumable
JOB`).
`-w e` makes qmaster refuse a job that no queue could ever run, which would otherwise wait for ever in silence.

`qstat -xml` has whole job names (the plain listing cuts them to ten characters). It does not say why a job waits, nor
whose hold `h` is; `-r` adds what a held job depends on. A job that could not be started stays in the list as `Eqw`: it
counts as queued with LAUNCH_FAILED. Times are the client's local time: the launcher asks with `TZ=UTC`.

The tasks of an array that wait are one entry (`<tasks>7,8,10-12:1</tasks>`), and become one status each here.

How jobs ended is in the accounting file (`qacct -j`), one record per run: a rescheduled job has several, and the last
one counts. Grid Engine kills at h_rt with SIGKILL at once, and so does `qdel`: an orderly stop goes through the agent.
A job or task that is deleted before it ran leaves no record. No environment is handed on, because `-V` is not used.

What jobs used is in the same file: `qacct -E -b -e` gives those that ended in a window, in the client's local time.
The record of a run that was rescheduled has no times (tried): Grid Engine counts the last run only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Command, Output
from perijove.spawners.batch.gridengine_records import ID, TIMES, Key, ended, fields_of, minute, usage_of
from perijove.spawners.batch.tasks import Expansion
from perijove.spawners.job import PREFIX, Accounting, JobSpec, JobState, JobStatus, QueueStatus, Reason

_ANY = rf"{ID}(\.{ID})?"  # a job or array, or a task of one
_DAYS = "3"  # how long ago a job may have ended whose record is asked for among others
_UNAVAILABLE = (
    "unable to send message to qmaster",
    "unable to contact qmaster",
    "can't connect to service",
    "commlib error",
    "got select error",
    "communication error",
    "timeout",
    "is not an admin, submit or execution host",
)
_GONE = re.compile(
    r'job "[^"]*" (?:task "[^"]*" )?does not exist|has registered the job|has deleted job|is already in deletion'
)


class GridEngine(BatchSystem):
    """Grid Engine."""

    programs = ("qsub", "qstat", "qdel", "qacct")

    def directives(self, job: JobSpec) -> Sequence[str]:
        """See `BatchSystem.directives`. Raises ValueError for a value that is not plain."""
        encoding.checked(job)
        options = [
            f"-N {job.name}",
            f"-ac perijove={job.session}",
            f"-q {encoding.word('queue', job.queue)}",
            f"-l h_rt={encoding.clock(job.walltime)}",
            "-S /bin/bash",
            "-cwd",
            "-j y",
            f"-o {'log.$TASK_ID' if job.tasks else 'log'}",
            "-m n",
            "-w e",
        ]
        if not job.requeue:
            options.append("-r n")
        if job.tasks:
            options.append(f"-t 1-{job.tasks}")
        if job.cores > 1:
            options.append(
                f"-pe {encoding.name('parallel_environment', self.scheduler.parallel_environment)} {job.cores}"
            )
        if self.scheduler.memory_resource:
            resource = encoding.name("memory_resource", self.scheduler.memory_resource)
            options.append(f"-l {resource}={encoding.share(job.memory, job.cores)}M")
        if job.gpus:
            options.append(f"-l gpu={job.gpus}")
        if job.account:
            options.append(f"-P {job.account}")
        options += [encoding.extra_option(extra, joined=False) for extra in self.scheduler.extra]
        return [f"#$ {option}" for option in options]

    def submit(self, job: JobSpec) -> Command:
        """See `BatchSystem.submit`."""
        return Command((self.program("qsub"), "-terse"), self.script(job))

    def parse_submit(self, output: Output) -> str:
        """See `BatchSystem.parse_submit`."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.REFUSED, _UNAVAILABLE)
        for line in output.stdout.splitlines():
            if match := re.fullmatch(rf"({ID})(\.[0-9:-]+)?", line.strip(), re.ASCII):  # "7", "7.1-20:1"
                return match[1]
        raise answers.unreadable(output.stdout or output.stderr)

    def status(self, accounts: Sequence[str] = ()) -> Command:
        """See `BatchSystem.status`."""
        users = ",".join(encoding.word("account", account) for account in accounts) or "*"
        return Command((self.program("qstat"), "-u", users, "-r", "-xml"))

    def parse_status(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_status`."""
        root = self._document(output)
        jobs, expansion = ((_job(item), item.findtext("tasks")) for item in root.iter("job_list")), Expansion()
        return [each for job, tasks in jobs if job for each in (expansion(job, tasks) if tasks else (job,))]

    def history(self, job_ids: Sequence[str]) -> Command:
        """One job by its id. `qacct` takes no list (tried: it reads the first and is silent): all of ours, then."""
        ids = encoding.identifiers("job_ids", job_ids, _ANY)
        which = ("-j", ids[0].partition(".")[0]) if len(ids) == 1 else ("-E", "-d", _DAYS, "-j", f"{PREFIX}*")
        return Command((self.program("qacct"), *which))

    def parse_history(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_history`."""
        jobs: dict[Key, JobStatus] = {}
        for fields in self._records(output):
            if job := ended(fields, jobs):
                jobs[job.job_id, job.task] = job
        return [job for job in jobs.values() if job.state is JobState.ENDED]

    def accounting(self, since: datetime, until: datetime, accounts: Sequence[str] = ()) -> list[Command]:
        """See `BatchSystem.accounting`: of everybody, since everybody may read the accounting file."""
        window = ("-E", "-b", minute(since), "-e", minute(until + timedelta(minutes=1)))
        return [Command((self.program("qacct"), *window, "-j", f"{PREFIX}*"))]

    def parse_accounting(self, outputs: Sequence[Output]) -> Accounting:
        """See `BatchSystem.parse_accounting`."""
        runs: dict[Key, list[Mapping[str, str]]] = {}
        for fields in self._records(outputs[0]):
            if fields.get("jobname", "").startswith(PREFIX) and re.fullmatch(ID, fields.get("jobnumber", "")):
                runs.setdefault((fields["jobnumber"], encoding.number(fields.get("taskid"))), []).append(fields)
        return Accounting(tuple(filter(None, map(usage_of, runs.values()))), "qacct", complete=True)

    def cancel(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.cancel`."""
        return Command((self.program("qdel"), ",".join(encoding.identifiers("job_ids", job_ids, _ANY))))

    def task_id(self, job_id: str, task: int) -> str:
        """See `BatchSystem.task_id`."""
        (array,) = encoding.identifiers("job_id", [job_id], ID)
        return f"{array}.{encoding.whole('task', task, 1, encoding.TASKS)}"

    def parse_cancel(self, output: Output) -> None:
        """See `BatchSystem.parse_cancel`."""
        said = output.stdout + "\n" + output.stderr
        if "do not have the necessary privileges" in said:
            raise BatchError(BatchProblem.NOT_ALLOWED, encoding.plain(said, 2000))
        if output.status == 0 or _GONE.search(said):
            return
        raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)

    def queues(self) -> Command:
        """See `BatchSystem.queues`."""
        return Command((self.program("qstat"), "-g", "c", "-xml"))

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        """See `BatchSystem.parse_queues`. A queue is open if any of its slots is neither disabled nor in error."""
        return [
            QueueStatus(name, down is None or total is None or down < total, total, free, down)
            for item in self._document(output).iter("cluster_queue_summary")
            if (name := encoding.plain(item.findtext("name") or "", 128))
            for total, free, disabled, broken in [[_count(item, t) for t in _SLOTS]]
            for down in [None if disabled is None or broken is None else disabled + broken]
        ]

    def estimate(self, job: JobSpec) -> Command:
        """Grid Engine estimates no starts: a dry run, which says whether `job` could ever run."""
        script = self.script(replace(job, tasks=0)).replace("#$ -w e\n", "")
        return Command((self.program("qsub"), "-w", "v"), script)

    def parse_estimate(self, output: Output) -> datetime | None:
        """See `BatchSystem.parse_estimate`."""
        said = output.stdout + output.stderr
        if output.status == 0 and "no suitable queues" not in said:
            return None
        raise answers.failure(output, BatchProblem.REFUSED, _UNAVAILABLE)

    def _records(self, output: Output) -> list[Mapping[str, str]]:
        if output.status != 0 and not output.stdout.strip():
            if "not found" in output.stderr or "no jobs running since startup" in output.stderr:
                return []
            raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)
        return [fields_of(block) for block in re.split(r"^={20,}\s*$", output.stdout, flags=re.MULTILINE)]

    def _document(self, output: Output) -> Element:
        if output.status != 0:
            raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)
        return answers.from_xml(output.stdout)


_SLOTS = ("total", "available", "temp_disabled", "manual_intervention")


def _count(item: Element, tag: str) -> int | None:
    return encoding.number(item.findtext(tag))


def state_of(letters: str) -> tuple[JobState, Reason]:
    """What the state letters of qstat(1) mean."""
    if not letters or not set(letters) <= set("dEhrRsStTNwqxP"):
        return JobState.UNKNOWN, Reason.OTHER
    for letter, state, reason in (
        ("d", JobState.ENDING, Reason.NONE),
        ("E", JobState.QUEUED, Reason.LAUNCH_FAILED),
        ("s", JobState.SUSPENDED, Reason.NONE),
        ("S", JobState.SUSPENDED, Reason.NONE),
        ("T", JobState.SUSPENDED, Reason.NONE),
        ("N", JobState.SUSPENDED, Reason.PREEMPTED),
        ("P", JobState.SUSPENDED, Reason.PREEMPTED),
        ("r", JobState.RUNNING, Reason.NONE),
        ("t", JobState.STARTING, Reason.NONE),
        ("h", JobState.QUEUED, Reason.HELD_CENTRE),
        ("R", JobState.QUEUED, Reason.REQUEUED),
        ("q", JobState.QUEUED, Reason.NONE),
        ("w", JobState.QUEUED, Reason.NONE),
    ):
        if letter in letters:
            return state, reason
    return JobState.UNKNOWN, Reason.OTHER


def _job(item: Element) -> JobStatus | None:
    job_id, letters = item.findtext("JB_job_number") or "", (item.findtext("state") or "").strip()
    if not re.fullmatch(ID, job_id, re.ASCII):
        return None
    state, reason = state_of(letters)
    if reason is Reason.HELD_CENTRE and item.find("predecessor_jobs") is not None:
        reason = Reason.DEPENDENCY
    return JobStatus(
        job_id=job_id,
        name=encoding.plain(item.findtext("full_job_name") or item.findtext("JB_name") or ""),
        state=state,
        reason=reason,
        raw=encoding.plain(letters),
        node=encoding.host((item.findtext("queue_name") or "").partition("@")[2]),
        user=encoding.plain(item.findtext("JB_owner") or "", 64) or None,
        submitted=answers.calendar(item.findtext("JB_submission_time"), *TIMES),
        started=answers.calendar(item.findtext("JAT_start_time"), *TIMES),
        restarts=int("R" in letters),
    )
