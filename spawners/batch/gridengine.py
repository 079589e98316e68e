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
A job or task that is deleted before it ran leaves no record. `qacct -E -b -e` gives those that ended in a window, in the
client's local time; `ru_wallclock` of all records of a job is what it used. No environment is handed on, because `-V` is not used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Command, Output
from perijove.spawners.batch.tasks import Expansion
from perijove.spawners.job import PREFIX, Accounting, JobSpec, JobState, JobStatus, JobUsage, QueueStatus, Reason

_ID = r"[0-9]{1,10}"
_ANY = rf"{_ID}(\.{_ID})?"  # a job or array, or a task of one
_Key = tuple[str, int | None]
_DAYS = "3"  # how long ago a job may have ended whose record is asked for among others
_TIMES = (
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%a %b %d %H:%M:%S %Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S.%f",
)
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
#: The codes of `failed` that tell why (sge_status(5)); with any other the exit status does.
_FAILED: dict[int, Reason] = {
    **dict.fromkeys((*range(1, 12), 18, 20, 21, *range(26, 30), *range(31, 37), 38, 39), Reason.LAUNCH_FAILED),
    19: Reason.NODE_FAILED,  # before writing exit_status: the machine crashed
    22: Reason.NODE_FAILED,
    24: Reason.REQUEUED,  # migrating
    25: Reason.REQUEUED,  # rescheduling
}


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
            if match := re.fullmatch(rf"({_ID})(\.[0-9:-]+)?", line.strip(), re.ASCII):  # "7", "7.1-20:1"
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
        jobs: dict[_Key, JobStatus] = {}
        for fields in self._records(output):
            if job := _ended(fields, jobs):
                jobs[job.job_id, job.task] = job
        return [job for job in jobs.values() if job.state is JobState.ENDED]

    def accounting(self, since: datetime, until: datetime, accounts: Sequence[str] = ()) -> list[Command]:
        """See `BatchSystem.accounting`: of everybody, since everybody may read the accounting file."""
        window = ("-E", "-b", _minute(since), "-e", _minute(until + timedelta(minutes=1)))
        return [Command((self.program("qacct"), *window, "-j", f"{PREFIX}*"))]

    def parse_accounting(self, outputs: Sequence[Output]) -> Accounting:
        """See `BatchSystem.parse_accounting`."""
        runs: dict[_Key, list[Mapping[str, str]]] = {}
        for fields in self._records(outputs[0]):
            if fields.get("jobname", "").startswith(PREFIX) and re.fullmatch(_ID, fields.get("jobnumber", "")):
                runs.setdefault((fields["jobnumber"], encoding.number(fields.get("taskid"))), []).append(fields)
        return Accounting(tuple(filter(None, map(_usage, runs.values()))), "qacct", complete=True)

    def cancel(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.cancel`."""
        return Command((self.program("qdel"), ",".join(encoding.identifiers("job_ids", job_ids, _ANY))))

    def task_id(self, job_id: str, task: int) -> str:
        """See `BatchSystem.task_id`."""
        (array,) = encoding.identifiers("job_id", [job_id], _ID)
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
        return [_fields(block) for block in re.split(r"^={20,}\s*$", output.stdout, flags=re.MULTILINE)]

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
    if not re.fullmatch(_ID, job_id, re.ASCII):
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
        submitted=answers.calendar(item.findtext("JB_submission_time"), *_TIMES),
        started=answers.calendar(item.findtext("JAT_start_time"), *_TIMES),
        restarts=int("R" in letters),
    )


def _fields(block: str) -> dict[str, str]:
    pairs = (line.strip().partition(" ") for line in block.splitlines())
    return {key: value.strip() for key, _, value in pairs if key}


def _first_number(text: str) -> int | None:
    match = re.match(r"-?\d{1,15}", text, re.ASCII)
    return int(match[0]) if match else None


def _ended(fields: Mapping[str, str], earlier: Mapping[_Key, JobStatus]) -> JobStatus | None:
    job_id = fields.get("jobnumber", "")
    if not re.fullmatch(_ID, job_id, re.ASCII):
        return None
    failed, status = (_first_number(fields.get(key, "")) for key in ("failed", "exit_status"))
    reason = _why_ended(failed, status, fields)
    task = encoding.number(fields.get("taskid"))  # "undefined" of a job that is no array
    before = earlier.get((job_id, task))
    wallclock, slots = (_first_number(fields.get(key, "")) for key in ("ru_wallclock", "slots"))
    return JobStatus(
        job_id=job_id,
        name=encoding.plain(fields.get("jobname", "")),
        state=JobState.QUEUED if reason is Reason.REQUEUED else JobState.ENDED,
        reason=reason,
        raw=encoding.plain(fields.get("failed", "") if failed else ""),
        node=encoding.host(fields.get("hostname", "")),
        user=encoding.plain(fields.get("owner", ""), 64) or None,
        submitted=answers.calendar(fields.get("qsub_time"), *_TIMES),
        started=answers.calendar(fields.get("start_time"), *_TIMES),
        ended=answers.calendar(fields.get("end_time"), *_TIMES),
        restarts=before.restarts + 1 if before else 0,
        exit_code=status if status is not None and status <= 128 else None,
        signal=status - 128 if status is not None and 128 < status < 128 + 65 else None,
        core_seconds=None if wallclock is None or slots is None else wallclock * slots,
        task=task,
    )


def _usage(runs: Sequence[Mapping[str, str]]) -> JobUsage | None:
    last = runs[-1]
    failed, status = (_first_number(last.get(key, "")) for key in ("failed", "exit_status"))
    if _why_ended(failed, status, last) is Reason.REQUEUED:
        return None  # it waits anew, or runs
    seconds = [_first_number(run.get("ru_wallclock", "")) or 0 for run in runs]
    slots = [_first_number(run.get("slots", "")) or 0 for run in runs]
    starts = [time for run in runs if (time := answers.calendar(run.get("start_time"), *_TIMES))]
    return JobUsage(
        job_id=last["jobnumber"],
        name=encoding.plain(last["jobname"]),
        task=encoding.number(last.get("taskid")),
        user=encoding.plain(last.get("owner", ""), 64) or None,
        queue=encoding.plain(last.get("qname", ""), 128) or None,
        started=min(starts, default=None),
        ended=answers.calendar(last.get("end_time"), *_TIMES),
        elapsed=sum(seconds),
        cores=max(slots),
        core_seconds=sum(a * b for a, b in zip(seconds, slots, strict=True)),
        runs=len(runs),
        state=encoding.plain(f"failed {last.get('failed', '')}, exit status {last.get('exit_status', '')}"),
    )


def _minute(when: datetime) -> str:
    """As `qacct` takes a time; the launcher asks in UTC."""
    return when.astimezone(UTC).strftime("%Y%m%d%H%M")


def _why_ended(failed: int | None, status: int | None, fields: Mapping[str, str]) -> Reason:
    if fields.get("deleted_by", "NONE") != "NONE":
        return Reason.CANCELLED
    asked = re.search(r"\bh_rt=(\d{1,10})\b", fields.get("category", ""), re.ASCII)
    start, end = (answers.calendar(fields.get(key), *_TIMES) for key in ("start_time", "end_time"))
    used = (end - start).total_seconds() if start and end else 0
    if failed in (37, 100) and asked and used >= int(asked[1]):
        return Reason.WALLTIME
    if failed == 37:  # h_rt, h_cpu or h_vmem
        return Reason.MEMORY if "h_vmem=" in fields.get("category", "") else Reason.WALLTIME
    # 100 is any SIGKILL, also that of qdel: nothing in the record tells them apart (recorded both).
    fallback = Reason.COMPLETED if status == 0 else Reason.FAILED
    return _FAILED.get(failed or 0, fallback)
