"""OAR 2.5.

Its daemons were not at hand for these tests: they hold this module against transcripts modelled on `oarstat`'s source
and on public logs.

`oarsub` takes a command on the command line, not a script on standard input: the script's lines are arguments of one
bash (see `encoding.one_line`), and the directives are options. `#OAR` lines are shown in the preview. OAR gives whole
cores of one node (or GPUs with what belongs to them); memory goes with the cores. `oarstat -J` has all times in
seconds since 1970, and knows ended jobs by their number. Nothing of the submitting shell is handed on.

The tasks of an array are jobs with numbers in a row, told together by `array_id`, the first of them. We call an array
`87132[]`, since `87132` is its first task; to end arrays and jobs in one command, `oardel` is given a condition
(`--sql`). An array of one task is called as a job is: `oarsub` does not say of it that it is an array.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Command, Output, usages
from perijove.spawners.job import PREFIX, Accounting, JobSpec, JobState, JobStatus, QueueStatus, Reason

_ID = r"[0-9]{1,12}"
_SUBMITTED = re.compile(r'(?:"job_id"\s*:\s*"?|OAR_JOB_ID=)([0-9]{1,12})\b', re.ASCII)
_SUBMITTED_ARRAY = re.compile(r'(?:"array_id"\s*:\s*"?|OAR_ARRAY_ID=)([0-9]{1,12})\b', re.ASCII)
_ANY = rf"{_ID}(\[\])?"  # a job or task, or an array by its first job
_UNAVAILABLE = (
    "db connection error",
    "cannot connect",
    "could not connect",
    "connection refused",
    "oar server",
    "almighty",
    "timeout",
)
_GONE = ("already", "does not exist", "no job", "not found", "in the state terminated", "in the state error")
STATES: dict[str, tuple[JobState, Reason]] = {
    "Waiting": (JobState.QUEUED, Reason.NONE),
    "toAckReservation": (JobState.QUEUED, Reason.RESERVATION),
    "Hold": (JobState.QUEUED, Reason.HELD_PERSON),
    "toLaunch": (JobState.STARTING, Reason.NONE),
    "Launching": (JobState.STARTING, Reason.NONE),
    "Running": (JobState.RUNNING, Reason.NONE),
    "Suspended": (JobState.SUSPENDED, Reason.NONE),
    "Resuming": (JobState.SUSPENDED, Reason.NONE),
    "Finishing": (JobState.ENDING, Reason.NONE),
    "toError": (JobState.ENDING, Reason.NONE),
    "Terminated": (JobState.ENDED, Reason.COMPLETED),
    "Error": (JobState.ENDED, Reason.FAILED),
}
#: Events of a job that tell how it ended; the first of this list that happened decides.
EVENTS: tuple[tuple[str, Reason], ...] = (
    ("WALLTIME", Reason.WALLTIME),
    ("FRAG_JOB_REQUEST", Reason.CANCELLED),
    ("BESTEFFORT_KILL", Reason.PREEMPTED),
    ("PING_CHECKER_NODE_SUSPECTED", Reason.NODE_FAILED),
    ("CANNOT_CREATE_TMP_DIRECTORY", Reason.LAUNCH_FAILED),
    ("WORKING_DIRECTORY", Reason.LAUNCH_FAILED),
    ("OUTPUT_FILES", Reason.LAUNCH_FAILED),
    ("CANNOT_WRITE_NODE_FILE", Reason.LAUNCH_FAILED),
    ("LAUNCHING_OAREXEC_TIMEOUT", Reason.NODE_FAILED),
    ("PROLOGUE_ERROR", Reason.LAUNCH_FAILED),
    ("CPUSET_ERROR", Reason.LAUNCH_FAILED),
    ("EXECUTE_SCRIPT_ERROR", Reason.FAILED),
)


class OAR(BatchSystem):
    """OAR."""

    programs = ("oarsub", "oarstat", "oardel", "oarnodes")

    def _options(self, job: JobSpec) -> list[tuple[str, ...]]:
        encoding.checked(job)
        what = f"gpu={job.gpus}" if job.gpus else f"core={job.cores}"
        log = f"batch.{job.tasks}.log" if job.tasks else "log"
        options: list[tuple[str, ...]] = [
            ("-n", job.name),
            ("-q", encoding.name("queue", job.queue)),
            ("-l", f"/nodes=1/{what},walltime={encoding.clock(job.walltime)}"),
            ("-O", log),
            ("-E", log),
        ]
        if job.tasks:
            options.append(("--array", str(job.tasks)))
        if job.account:
            options.append((f"--project={job.account}",))
        options += [(encoding.extra_option(extra),) for extra in self.scheduler.extra]
        return options

    def directives(self, job: JobSpec) -> Sequence[str]:
        """The options of the submission, for the preview. Raises ValueError for a value that is not plain."""
        return [f"#OAR {' '.join(option)}" for option in self._options(job)]

    def script(self, job: JobSpec) -> str:
        """See `BatchSystem.script`. OAR has no name for a task's own output: the tasks of an array write it."""
        own = 'exec >>"log.$OAR_ARRAY_INDEX" 2>&1\n' if job.tasks else ""
        return super().script(job).replace(" || exit 71\n", f" || exit 71\n{own}", 1)

    def submit(self, job: JobSpec) -> Command:
        """See `BatchSystem.submit`."""
        options = [word for option in self._options(job) for word in option]
        body = self.script(job).splitlines()[len(self.directives(job)) + 1 :]
        return Command((self.program("oarsub"), "-J", *options, encoding.quoted(encoding.one_line(body))))

    def parse_submit(self, output: Output) -> str:
        """See `BatchSystem.parse_submit`."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.REFUSED, _UNAVAILABLE)
        if match := _SUBMITTED_ARRAY.search(output.stdout):
            return f"{match[1]}[]"
        if match := _SUBMITTED.search(output.stdout):
            return match[1]
        raise answers.unreadable(output.stdout or output.stderr)

    def status(self, accounts: Sequence[str] = ()) -> Command:
        """See `BatchSystem.status`. `oarstat` takes one account: with several, all jobs are asked for."""
        user = ("-u", encoding.word("account", accounts[0])) if len(accounts) == 1 else ()
        return Command((self.program("oarstat"), "-f", "-J", *user))

    def parse_status(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_status`. Without jobs, `oarstat` prints nothing or `null`."""
        rows = _rows(output)
        jobs = (_job(job_id, row) for job_id, row in rows.items() if isinstance(row, dict))
        return [job for job in jobs if job is not None]

    def history(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.history`."""
        ids = encoding.identifiers("job_ids", job_ids, _ANY)
        asked = [word for job_id in ids if "[" not in job_id for word in ("-j", job_id)]
        if len(asked) < 2 * len(ids):
            asked = ["--sql", _where(ids)]
        return Command((self.program("oarstat"), "-f", "-J", *asked))

    def parse_history(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_history`."""
        return [job for job in self.parse_status(output) if job.state is JobState.ENDED]

    def accounting(self, since: datetime, until: datetime, accounts: Sequence[str] = ()) -> list[Command]:
        """See `BatchSystem.accounting`: of everybody, as OAR's own table of jobs has it."""
        window = f"stop_time >= {int(since.timestamp())} AND stop_time <= {int(until.timestamp())}"
        return [
            Command((self.program("oarstat"), "-f", "-J", "--sql", f"job_name LIKE '{PREFIX}%' AND {window}")),
        ]

    def parse_accounting(self, outputs: Sequence[Output]) -> Accounting:
        """See `BatchSystem.parse_accounting`."""
        return Accounting(tuple(usages(self.parse_status(outputs[0]))), "oarstat", complete=True)

    def cancel(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.cancel`."""
        ids = encoding.identifiers("job_ids", job_ids, _ANY)
        which = ("--sql", _where(ids)) if any("[" in job_id for job_id in ids) else ids
        return Command((self.program("oardel"), *which))

    def task_id(self, job_id: str, task: int) -> str:
        """See `BatchSystem.task_id`."""
        (array,) = encoding.identifiers("job_id", [job_id], _ANY)
        return str(int(array.rstrip("[]")) + encoding.whole("task", task, 1, encoding.TASKS) - 1)

    def parse_cancel(self, output: Output) -> None:
        """See `BatchSystem.parse_cancel`."""
        said = output.stderr.lower() + output.stdout.lower()
        if "not the right user" in said or "permission" in said or "not allowed" in said:
            raise BatchError(BatchProblem.NOT_ALLOWED, encoding.plain(said, 2000))
        if output.status == 0 or any(words in said for words in _GONE):
            return
        raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)

    def queues(self) -> Command:
        """See `BatchSystem.queues`."""
        return Command((self.program("oarnodes"), "-J"))

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        """All resources, as one queue without a name: any queue of OAR may use any of them."""
        flat = [row for node in _rows(output).values() for row in _resources(node)]
        alive = [row for row in flat if row.get("state") == "Alive"]
        busy = sum(1 for row in alive if row.get("jobs"))
        return [QueueStatus("", bool(alive), len(flat), len(alive) - busy, len(flat) - len(alive))]


def _where(ids: Sequence[str]) -> str:
    """The condition for jobs and whole arrays, all of them numbers."""
    plain = ",".join(job_id for job_id in ids if "[" not in job_id) or "0"
    return f"job_id IN ({plain}) OR array_id IN ({','.join(job_id[:-2] for job_id in ids if '[' in job_id)})"


def _array(row: Mapping[str, Any], job_id: str) -> tuple[str, int | None]:
    """What the job is called, and its number in the array that it belongs to: our arrays name their output so."""
    match = re.search(r"(?:^|/)batch\.([0-9]{1,9})\.log\Z", str(row.get("stdout_file") or "")[-100:], re.ASCII)
    array, task = (encoding.number(row.get(key)) for key in ("array_id", "array_index"))
    if not match or array is None or task is None or array < 1 or task < 1:
        return job_id, None
    return (job_id if int(match[1]) == 1 else f"{array}[]"), task


def _resources(value: object) -> list[Mapping[str, Any]]:
    """The resources of a node, or the one that `value` is (older versions list these without nodes)."""
    if isinstance(value, dict) and "state" in value:
        return [value]
    return [row for row in answers.mappings(value) if "state" in row]


def _rows(output: Output) -> dict[str, Any]:
    if output.status != 0:
        raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)
    if not output.stdout.strip():
        return {}
    answer = answers.from_json(output.stdout)
    if answer is None:
        return {}
    if not isinstance(answer, dict):
        raise answers.unreadable(output.stdout)
    return answer


def _job(job_id: str, row: Mapping[str, Any]) -> JobStatus | None:
    if not re.fullmatch(_ID, job_id, re.ASCII):
        return None
    called, task = _array(row, job_id)
    word = encoding.plain(row.get("state") or "")
    state, reason = STATES.get(word.partition(" ")[0], (JobState.UNKNOWN, Reason.OTHER))
    waits, ended = state is JobState.QUEUED, state is JobState.ENDED
    if "To be Deleted" in word and not ended:
        state = JobState.ENDING
    events = {str(event.get("type")) for event in answers.mappings(row.get("events"))}
    status = encoding.number(row.get("exit_code"))
    if ended:
        reason = Reason.FAILED if status else reason
    if reason is Reason.FAILED:
        reason = next((ours for event, ours in EVENTS if event in events), reason)
    hosts = row.get("assigned_network_address")
    start = answers.epoch(row.get("startTime"))
    stop = answers.epoch(row.get("stopTime"))
    cores = row.get("assigned_resources")
    used = (stop - start).total_seconds() if ended and start and stop else None
    return JobStatus(
        job_id=called,
        name=encoding.plain(row.get("name") or ""),
        state=state,
        reason=reason,
        raw=encoding.plain(row.get("message") or word),
        node=encoding.host(hosts[0]) if isinstance(hosts, list) and hosts and not waits else None,
        user=encoding.plain(row.get("owner") or "", 64) or None,
        submitted=answers.epoch(row.get("submissionTime")),
        started=None if waits else start,
        ended=stop if ended else None,
        expected=answers.epoch(row.get("scheduledStart")) if waits else None,
        exit_code=status >> 8 & 255 if ended and status is not None and not status & 127 else None,
        signal=status & 127 or None if ended and status is not None else None,
        core_seconds=int(used) * len(cores) if used is not None and used >= 0 and isinstance(cores, list) else None,
        task=task,
    )
