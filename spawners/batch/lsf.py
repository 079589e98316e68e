"""LSF: IBM Spectrum LSF 10 and the `bsub` dialects that offer `bjobs -o ... -json`.

No LSF was at hand: the tests hold this module against transcripts modelled on documentation and public logs.

LSF keeps a job's output until its end, so the script writes `log` itself and LSF's own report goes to `batch.log`.
`-env none` keeps the submitting shell's variables out of the job. Memory is asked for per host (`rusage`) and bounded
(`-M`), both with their unit. `bjobs -a` also lists jobs that ended within `CLEAN_PERIOD` (an hour), with the reason: no
second query is needed for how a job ended. Times are local without a year, in words: the launcher asks in UTC, and the
year is the one that brings the time nearest to now. LSF estimates no starts. `bjobs` lists the tasks of an array one by
one, with the array's id, and its name with the number in brackets; a site's bound is MAX_JOB_ARRAY_SIZE (1,000).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, Command, Output
from perijove.spawners.batch.logged import OWN_LOG, LoggedBatchSystem
from perijove.spawners.job import JobSpec, JobState, JobStatus, QueueStatus, Reason

_ID = r"[0-9]{1,12}"
_FIELDS = (
    "jobid jobindex stat user queue job_name submit_time start_time finish_time exec_host pend_reason exit_code "
    "exit_reason run_time slots"
)
_ANY = rf"{_ID}(\[[0-9]{{1,9}}\])?"  # a job or array, or a task of one
_SUBMITTED = re.compile(r"Job <([0-9]{1,12})> is submitted", re.ASCII)
_UNAVAILABLE = (
    "lsf is down",
    "cannot connect to lsf",
    "batch daemon not responding",
    "still trying",
    "communication time out",
    "failed in sending/receiving a message",
    "connection refused",
    "lim is down",
    "lsf daemon",
    "master lim",
    "mbatchd",
    "bad host name",
)
_NOTHING = ("no unfinished job found", "no job found", "no matching job found")
_GONE = (*_NOTHING, "job has already finished")
STATES: dict[str, tuple[JobState, Reason]] = {
    "PEND": (JobState.QUEUED, Reason.NONE),
    "FWD_PEND": (JobState.QUEUED, Reason.NONE),
    "WAIT": (JobState.QUEUED, Reason.NONE),
    "PSUSP": (JobState.QUEUED, Reason.HELD_PERSON),
    "PROV": (JobState.STARTING, Reason.NONE),
    "RUN": (JobState.RUNNING, Reason.NONE),
    "USUSP": (JobState.SUSPENDED, Reason.HELD_PERSON),
    "SSUSP": (JobState.SUSPENDED, Reason.NONE),
    "ZOMBI": (JobState.ENDING, Reason.NODE_FAILED),
    "DONE": (JobState.ENDED, Reason.COMPLETED),
    "EXIT": (JobState.ENDED, Reason.FAILED),
    "UNKWN": (JobState.UNKNOWN, Reason.NODES_DOWN),
}
#: The word at the start of `exit_reason` (`lsbatch.h`).
ENDS: dict[str, Reason] = {
    "TERM_RUNLIMIT": Reason.WALLTIME,
    "TERM_DEADLINE": Reason.WALLTIME,
    "TERM_WINDOW": Reason.WALLTIME,
    "TERM_MEMLIMIT": Reason.MEMORY,
    "TERM_SWAP": Reason.MEMORY,
    "TERM_OWNER": Reason.CANCELLED,
    "TERM_ADMIN": Reason.CANCELLED,
    "TERM_FORCE_OWNER": Reason.CANCELLED,
    "TERM_FORCE_ADMIN": Reason.CANCELLED,
    "TERM_BUCKET_KILL": Reason.CANCELLED,
    "TERM_PREEMPT": Reason.PREEMPTED,
    "TERM_ZOMBIE": Reason.NODE_FAILED,
    "TERM_RMS": Reason.NODE_FAILED,
    "TERM_CWD_NOTEXIST": Reason.LAUNCH_FAILED,
    "TERM_PRE_EXEC_FAIL": Reason.LAUNCH_FAILED,
    "TERM_ORPHAN_SYSTEM": Reason.CANCELLED,
}
#: The first text that a pending reason has decides (lower case).
PENDING: tuple[tuple[str, Reason], ...] = (
    ("no suitable hosts", Reason.NEVER),
    ("dependency condition invalid", Reason.NEVER),
    ("dependency", Reason.DEPENDENCY),
    ("suspended by the user", Reason.HELD_PERSON),
    ("suspended by lsf admin", Reason.HELD_CENTRE),
    ("suspended by an admin", Reason.HELD_CENTRE),
    ("queue is inactivated", Reason.QUEUE_CLOSED),
    ("dispatch windows", Reason.QUEUE_CLOSED),
    ("queue has reached", Reason.LIMIT_QUEUE),
    ("queue's job slot limit", Reason.LIMIT_QUEUE),
    ("user has reached", Reason.LIMIT_PERSON),
    ("user's job slot limit", Reason.LIMIT_PERSON),
    ("per-user", Reason.LIMIT_PERSON),
    ("user group", Reason.LIMIT_ACCOUNT),
    ("project", Reason.LIMIT_ACCOUNT),
    ("specified start", Reason.BEGIN_TIME),
    ("advance reservation", Reason.RESERVATION),
    ("licens", Reason.LICENCES),
    ("waiting for scheduling", Reason.PRIORITY),
    ("waiting for re-scheduling", Reason.REQUEUED),
    ("closed by", Reason.NODES_DOWN),
    ("unreachable", Reason.NODES_DOWN),
    ("limit has been reached", Reason.LIMIT_QUEUE),
    ("job slot limit reached", Reason.RESOURCES),
    ("not enough", Reason.RESOURCES),
    ("requirements", Reason.RESOURCES),
    ("resource", Reason.RESOURCES),
)


class LSF(LoggedBatchSystem):
    """LSF."""

    programs = ("bsub", "bjobs", "bkill", "bqueues")
    task_variable = "LSB_JOBINDEX"

    def directives(self, job: JobSpec) -> Sequence[str]:
        """See `BatchSystem.directives`. Raises ValueError for a value that is not plain."""
        encoding.checked(job)
        options = [
            f'-J "{job.name}[1-{job.tasks}]"' if job.tasks else f"-J {job.name}",
            f"-Jd perijove/{job.session}",
            f"-q {encoding.name('queue', job.queue)}",
            f"-n {job.cores}",
            f'-R "span[hosts=1] rusage[mem={job.memory}MB]"',
            f"-M {job.memory}MB",
            f"-W {encoding.minutes(job.walltime)}",
            f"-o {OWN_LOG}",
            "-env none",
        ]
        if not job.requeue:
            options.append("-rn")
        if job.gpus:
            kind = f":gmodel={job.gpu_type}" if job.gpu_type else ""
            options.append(f'-gpu "num={job.gpus}{kind}"')
        if job.account:
            options.append(f"-P {job.account}")
        options += [encoding.extra_option(extra, joined=False) for extra in self.scheduler.extra]
        return [f"#BSUB {option}" for option in options]

    def submit(self, job: JobSpec) -> Command:
        """See `BatchSystem.submit`."""
        return Command((self.program("bsub"),), self.script(job))

    def parse_submit(self, output: Output) -> str:
        """See `BatchSystem.parse_submit`."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.REFUSED, _UNAVAILABLE)
        if match := _SUBMITTED.search(output.stdout):
            return match[1]
        raise answers.unreadable(output.stdout or output.stderr)

    def status(self, accounts: Sequence[str] = ()) -> Command:
        """See `BatchSystem.status`. `bjobs` takes one account: with several, all jobs are asked for."""
        user = encoding.word("account", accounts[0]) if len(accounts) == 1 else "all"
        return Command((self.program("bjobs"), "-a", "-u", user, "-json", "-o", _FIELDS))

    def parse_status(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_status`."""
        said = (output.stderr + output.stdout[:1000]).lower()
        if any(words in said for words in _NOTHING) and "records" not in said:
            return []
        jobs = (_job(row) for row in _records(output))
        return [job for job in jobs if job is not None]

    def cancel(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.cancel`."""
        return Command((self.program("bkill"), *encoding.identifiers("job_ids", job_ids, _ANY)))

    def task_id(self, job_id: str, task: int) -> str:
        """See `BatchSystem.task_id`."""
        (array,) = encoding.identifiers("job_id", [job_id], _ID)
        return f"{array}[{encoding.whole('task', task, 1, encoding.TASKS)}]"

    def parse_cancel(self, output: Output) -> None:
        """See `BatchSystem.parse_cancel`."""
        said = output.stderr.lower() + output.stdout.lower()
        if "permission denied" in said:
            raise BatchError(BatchProblem.NOT_ALLOWED, encoding.plain(output.stderr or output.stdout, 2000))
        if output.status == 0 or any(words in said for words in _GONE):
            return
        raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)

    def queues(self) -> Command:
        """See `BatchSystem.queues`."""
        return Command((self.program("bqueues"), "-json", "-o", "queue_name status max njobs pend run"))

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        """See `BatchSystem.parse_queues`: what waits and runs, in slots; LSF counts no free cores per queue."""
        return [
            QueueStatus(
                name,
                str(row.get("STATUS")) == "Open:Active",
                encoding.number(row.get("MAX")),
                jobs_running=encoding.number(row.get("RUN")),
                jobs_queued=encoding.number(row.get("PEND")),
            )
            for row in _records(output)
            if (name := encoding.plain(row.get("QUEUE_NAME", ""), 128))
        ]


def _records(output: Output) -> list[Mapping[str, Any]]:
    if output.status != 0:
        raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)
    answer = answers.from_json(output.stdout)
    records = answer.get("RECORDS") if isinstance(answer, dict) else None
    if not isinstance(records, list):
        raise answers.unreadable(output.stdout)
    return list(answers.mappings(records))


def time_of(text: object, now: datetime | None = None) -> datetime | None:
    """The time that LSF's "Dec 20 16:25 L" means (the letter tells whether it is exact or an estimate), or None.

    Without a year: the one in which it is nearest to `now`.
    """
    match = re.fullmatch(
        r"([A-Z][a-z]{2} +\d{1,2} \d{2}:\d{2}(?::\d{2})?)( \d{4})?( [LEX])?", str(text).strip()[:40], re.ASCII
    )
    if not match:
        return None
    now, seconds = now or datetime.now(UTC), match[1] if match[1].count(":") == 2 else match[1] + ":00"
    years = [match[2].strip()] if match[2] else [str(now.year + n) for n in (-1, 0, 1)]
    times = [answers.calendar(f"{seconds} {year}", "%b %d %H:%M:%S %Y") for year in years]
    return min((time for time in times if time), key=lambda time: abs(time - now), default=None)


def _job(row: Mapping[str, Any]) -> JobStatus | None:
    job_id, _, inside = str(row.get("JOBID", "")).partition("[")  # some versions write "123[4]"
    task = encoding.number(row.get("JOBINDEX") or inside.rstrip("]"))  # 0 of a job that is no array
    if not re.fullmatch(_ID, job_id, re.ASCII):
        return None
    word = str(row.get("STAT", ""))
    state, reason = STATES.get(word, (JobState.UNKNOWN, Reason.OTHER))
    waits, ended = state is JobState.QUEUED, state is JobState.ENDED
    pending, end = (encoding.plain(row.get(key) or "") for key in ("PEND_REASON", "EXIT_REASON"))
    code = encoding.number(row.get("EXIT_CODE"))
    if waits:
        found = next((ours for words, ours in PENDING if words in pending.lower()), Reason.NONE)
        reason = found or reason or (Reason.OTHER if pending else Reason.NONE)
    elif reason is Reason.FAILED:
        reason = ENDS.get(end.partition(":")[0], Reason.FAILED)
    ran, slots = (answers.seconds(str(row.get(key) or "").partition(" ")[0]) for key in ("RUN_TIME", "SLOTS"))
    start = time_of(row.get("START_TIME"))
    return JobStatus(
        job_id=job_id,
        name=encoding.plain(row.get("JOB_NAME", "")).partition("[")[0]
        if task
        else encoding.plain(row.get("JOB_NAME", "")),
        state=state,
        reason=reason,
        raw=pending or end or encoding.plain(word),
        node=None if waits else _first_host(row.get("EXEC_HOST")),
        user=encoding.plain(row.get("USER") or "", 64) or None,
        submitted=time_of(row.get("SUBMIT_TIME")),
        started=None if waits else start,
        ended=time_of(row.get("FINISH_TIME")) if ended else None,
        expected=start if waits and start and start > datetime.now(UTC) - timedelta(hours=1) else None,
        exit_code=code if ended and code is not None and code < 128 else 0 if word == "DONE" else None,
        signal=code - 128 if ended and code is not None and 128 < code < 128 + 65 else None,
        core_seconds=None if ran is None or slots is None else ran * slots,
        task=task or None,
    )


def _first_host(value: object) -> str | None:
    """ "4*cn01:2*cn02" -> "cn01"."""
    return encoding.host(value[:1000].partition(":")[0].rpartition("*")[2]) if isinstance(value, str) else None
