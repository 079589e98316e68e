"""HTCondor, 9 to 24, with a file system that access point and nodes share.

No HTCondor was at hand: the tests hold this module against transcripts modelled on documentation and public logs.

`condor_submit` reads a submit description, not a script, on standard input. The script's lines are arguments of one
bash that runs them (see `encoding.one_line`), so that no file but the session's own is needed; every `$` is written
`$(DOLLAR)` and quotes are doubled, so nothing is a macro. HTCondor has no queues: the queue's name is an attribute of
the job (`PerijoveQueue`), which a site's START expressions can use. The walltime is a `periodic_remove`. Nothing of
the submitting shell is handed on (`getenv = false`). Only jobs with names of ours are asked for. An array is a cluster
of processes, counted from 0; our tasks count from 1. One of a single task is called by its process, as a job is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Command, Output, usages
from perijove.spawners.job import PREFIX, Accounting, JobSpec, JobState, JobStatus, QueueStatus, Reason

_ID = r"[0-9]{1,10}\.[0-9]{1,6}"
_ANY = r"[0-9]{1,10}(\.[0-9]{1,6})?"  # a job or task, or an array (a cluster of HTCondor's)
_LOGS = {
    False: ("output = log", "error = log"),
    True: (
        "PerijoveTask = $(Process) + 1",
        'environment = "PERIJOVE_TASK=$INT(PerijoveTask)"',
        "output = log.$INT(PerijoveTask)",
        "error = log.$INT(PerijoveTask)",
    ),
}
_ATTRIBUTES = (
    "ClusterId,ProcId,JobBatchName,JobStatus,Owner,QDate,JobCurrentStartDate,CompletionDate,EnteredCurrentStatus,"
    "RemoteHost,LastRemoteHost,HoldReason,HoldReasonCode,RemoveReason,LastRejMatchReason,ExitCode,ExitBySignal,"
    "ExitSignal,NumJobStarts,RemoteWallClockTime,RequestCpus,PerijoveTasks"
)
_SLOTS = "SlotType,State,Cpus,TotalSlotCpus,Machine"
_UNAVAILABLE = (
    "failed to connect",
    "can't find address",
    "failed to fetch ads",
    "couldn't contact",
    "unable to contact",
    "secman:",
    "communication error",
    "timeout",
    "authentication failed",
    "can't connect to",
)
STATES: dict[int, tuple[JobState, Reason]] = {
    1: (JobState.QUEUED, Reason.NONE),
    2: (JobState.RUNNING, Reason.NONE),
    3: (JobState.ENDED, Reason.CANCELLED),
    4: (JobState.ENDED, Reason.COMPLETED),
    5: (JobState.QUEUED, Reason.HELD_CENTRE),
    6: (JobState.ENDING, Reason.NONE),
    7: (JobState.SUSPENDED, Reason.NONE),
}
#: `HoldReasonCode` (job ClassAd attributes).
HOLDS: dict[int, Reason] = {
    1: Reason.HELD_PERSON,
    15: Reason.HELD_PERSON,
    **dict.fromkeys((6, 7, 8, 9, 10, 11, 12, 13, 14, 22, 35), Reason.LAUNCH_FAILED),
    34: Reason.MEMORY,
    46: Reason.WALLTIME,
    47: Reason.WALLTIME,
}


class HTCondor(BatchSystem):
    """HTCondor."""

    programs = ("condor_submit", "condor_q", "condor_rm", "condor_history", "condor_status")

    def directives(self, job: JobSpec) -> Sequence[str]:
        """The commands of the submit description but the program. Raises ValueError for a value that is not plain."""
        encoding.checked(job)
        lines = [
            "universe = vanilla",
            f"batch_name = {job.name}",
            f'+PerijoveSession = "{job.session}"',
            f'+PerijoveQueue = "{encoding.name("queue", job.queue)}"',
            f"request_cpus = {job.cores}",
            f"request_memory = {job.memory}MB",
            f"periodic_remove = (JobStatus == 2) && ((time() - JobCurrentStartDate) > {job.walltime})",
            "should_transfer_files = NO",
            "getenv = false",
            "notification = never",
            *_LOGS[job.tasks > 0],
        ]
        if job.tasks:
            lines.append(f"+PerijoveTasks = {job.tasks}")
        if job.gpus:
            lines.append(f"request_gpus = {job.gpus}")
        if job.account:
            lines.append(f"accounting_group = {encoding.name('account', job.account)}")
        lines += [_command(extra) for extra in self.scheduler.extra]
        return lines

    def script(self, job: JobSpec) -> str:
        """The whole submit description."""
        body = super().script(job).splitlines()[len(self.directives(job)) + 1 :]
        program, *arguments = encoding.one_line(body)
        words = " ".join(f"'{_literal(word)}'" for word in arguments)
        lines = [
            *self.directives(job),
            f"executable = {program}",
            "transfer_executable = false",
            f'arguments = "{words}"',
            f"queue {job.tasks or 1}",
        ]
        return "\n".join(lines) + "\n"

    def submit(self, job: JobSpec) -> Command:
        """See `BatchSystem.submit`."""
        return Command((self.program("condor_submit"), "-terse", "-"), self.script(job))

    def parse_submit(self, output: Output) -> str:
        """See `BatchSystem.parse_submit`."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.REFUSED, _UNAVAILABLE)
        for line in output.stdout.splitlines():
            if match := re.fullmatch(rf"({_ID})(?: - ({_ID}))?", line.strip(), re.ASCII):
                return match[1] if match[2] in (None, match[1]) else match[1].partition(".")[0]
        raise answers.unreadable(output.stdout or output.stderr)

    def status(self, accounts: Sequence[str] = ()) -> Command:
        """See `BatchSystem.status`."""
        ours = f'regexp("^{PREFIX}", JobBatchName)'
        owners = " || ".join(f'Owner == "{encoding.word("account", account)}"' for account in accounts)
        asked = f"{ours} && ({owners})" if owners else ours
        words = ("-allusers", "-constraint", asked, "-json", "-attributes", _ATTRIBUTES)
        return Command((self.program("condor_q"), *words))

    def parse_status(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_status`. No output at all is the empty list."""
        jobs = (_job(row) for row in _rows(output))
        return [job for job in jobs if job is not None]

    def history(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.history`."""
        ids = encoding.identifiers("job_ids", job_ids, _ANY)
        most = sum(1 if "." in job_id else encoding.TASKS for job_id in ids)
        words = ("-json", "-attributes", _ATTRIBUTES, "-limit", str(most), *ids)
        return Command((self.program("condor_history"), *words))

    def parse_history(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_history`."""
        return [job for job in self.parse_status(output) if job.state is JobState.ENDED]

    def accounting(self, since: datetime, until: datetime, accounts: Sequence[str] = ()) -> list[Command]:
        """See `BatchSystem.accounting`: of everybody. A removed job has no `CompletionDate`."""
        window = f"EnteredCurrentStatus >= {int(since.timestamp())} && EnteredCurrentStatus <= {int(until.timestamp())}"
        asked = f'regexp("^{PREFIX}", JobBatchName) && {window}'
        words = ("-constraint", asked, "-json", "-attributes", _ATTRIBUTES)
        return [Command((self.program("condor_history"), *words))]

    def parse_accounting(self, outputs: Sequence[Output]) -> Accounting:
        """See `BatchSystem.parse_accounting`. `RemoteWallClockTime` is that of all starts together."""
        jobs = [
            replace(usage, cores=cores, elapsed=job.core_seconds // cores if job.core_seconds and cores else 0)
            for row in _rows(outputs[0])
            if (job := _job(row)) is not None
            for cores in [encoding.number(row.get("RequestCpus"))]
            for usage in usages([job])
        ]
        return Accounting(tuple(jobs), "condor_history", complete=True)

    def cancel(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.cancel`."""
        return Command((self.program("condor_rm"), *encoding.identifiers("job_ids", job_ids, _ANY)))

    def task_id(self, job_id: str, task: int) -> str:
        """See `BatchSystem.task_id`."""
        (array,) = encoding.identifiers("job_id", [job_id], _ANY)
        return f"{array.partition('.')[0]}.{encoding.whole('task', task, 1, encoding.TASKS) - 1}"

    def parse_cancel(self, output: Output) -> None:
        """See `BatchSystem.parse_cancel`."""
        said = output.stderr.lower() + output.stdout.lower()
        if "permission denied" in said:
            raise BatchError(BatchProblem.NOT_ALLOWED, encoding.plain(said, 2000))
        if output.status == 0 or "not found" in said or "couldn't find/remove" in said or "already marked" in said:
            return
        raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)

    def queues(self) -> Command:
        """See `BatchSystem.queues`."""
        return Command((self.program("condor_status"), "-json", "-attributes", _SLOTS))

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        """The pool, as one queue without a name: HTCondor has no queues."""
        slots = [row for row in _rows(output) if row.get("SlotType") != "Dynamic"]
        cores = sum(encoding.number(row.get("TotalSlotCpus")) or 0 for row in slots)
        free = sum(encoding.number(row.get("Cpus")) or 0 for row in slots if row.get("State") == "Unclaimed")
        return [QueueStatus("", bool(slots), cores, free)]


def _command(extra: str) -> str:
    """`--name=value` of the description as a command of the submit description."""
    key, _, value = encoding.extra_option(extra).lstrip("-").partition("=")
    return f"{encoding.name('extra', key)} = {value}"


def _literal(word: str) -> str:
    """`word` inside single quotes inside an `arguments` in double quotes, with no macro in it."""
    return word.replace("'", "''").replace('"', '""').replace("$", "$(DOLLAR)")


def _rows(output: Output) -> list[Mapping[str, Any]]:
    if output.status != 0:
        raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)
    if not output.stdout.strip():
        return []
    answer = answers.from_json(output.stdout)
    if not isinstance(answer, list):
        raise answers.unreadable(output.stdout)
    return list(answers.mappings(answer))


def _job(row: Mapping[str, Any]) -> JobStatus | None:
    cluster, process = (encoding.number(row.get(key)) for key in ("ClusterId", "ProcId"))
    job_id = f"{cluster}.{process}"
    if cluster is None or process is None or not re.fullmatch(_ID, job_id, re.ASCII):
        return None
    tasks = encoding.number(row.get("PerijoveTasks")) or 0
    number = encoding.number(row.get("JobStatus"))
    state, reason = STATES.get(-1 if number is None else number, (JobState.UNKNOWN, Reason.OTHER))
    words = next((text for key in _SAID[state] if (text := encoding.plain(row.get(key) or ""))), "")
    signal = encoding.number(row.get("ExitSignal")) if row.get("ExitBySignal") is True else None
    code = encoding.number(row.get("ExitCode")) if signal is None else None
    if number == 5:
        reason = HOLDS.get(encoding.number(row.get("HoldReasonCode")) or 0, reason)
    elif number == 3 and "PeriodicRemove" in words:
        reason = Reason.WALLTIME
    elif number == 4 and (signal or code):
        reason = Reason.FAILED
    waits, ended = state is JobState.QUEUED, state is JobState.ENDED
    where = str(row.get("RemoteHost") or (row.get("LastRemoteHost") if ended else "") or "")
    used, cores = row.get("RemoteWallClockTime"), encoding.number(row.get("RequestCpus"))
    seconds = int(used) if isinstance(used, int | float) and 0 <= used < 2**40 else None
    finished = answers.epoch(row.get("CompletionDate")) or answers.epoch(row.get("EnteredCurrentStatus"))
    return JobStatus(
        job_id=job_id if tasks < 2 else str(cluster),
        name=encoding.plain(row.get("JobBatchName", "")),
        state=state,
        reason=reason,
        raw=words or encoding.plain(number),
        node=None if waits else encoding.host(where.rpartition("@")[2]),
        user=encoding.plain(row.get("Owner") or "", 64) or None,
        submitted=answers.epoch(row.get("QDate")),
        started=None if waits else answers.epoch(row.get("JobCurrentStartDate")),
        ended=finished if ended else None,
        restarts=max((encoding.number(row.get("NumJobStarts")) or 1) - 1, 0),
        exit_code=code if ended else None,
        signal=signal if ended else None,
        core_seconds=None if seconds is None or cores is None else seconds * cores,
        task=process + 1 if tasks > 0 else None,
    )


#: Where the words for the operator are, by state.
_SAID: dict[JobState, tuple[str, ...]] = {
    **dict.fromkeys(JobState, ()),
    JobState.QUEUED: ("HoldReason", "LastRejMatchReason"),
    JobState.ENDED: ("RemoveReason",),
}
