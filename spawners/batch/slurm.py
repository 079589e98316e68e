"""Slurm, 20.11 to 25.05 (tested on 22.05), also under the renamed commands of national machines (`yhbatch`, ...).

**Fields, not JSON.** `squeue --json` needs a plug-in that sites leave out, ignores `--user`, and is many times as long.
So the query is `squeue -O` with a separator. A job's name is anybody's text and may hold line breaks, so that a fixed
separator could be forged into a line that speaks of another job. The separator is random per query, and Slurm prints
it in the header line, where the parser, which is stateless, finds it.

**Times.** Slurm prints local time. The launcher asks with `TZ=UTC`, which every client command heeds; a site's
`SLURM_TIME_FORMAT=%s` is understood too.

**How a job ended.** `squeue --states=all` also lists ended jobs until `MinJobAge` (300 s by default), with reason and
exit code, and needs no slurmdbd: the one query per tick is enough for the usual end. `history` is `sacct`, for jobs
that were missed for longer; without slurmdbd it answers with nothing, which is no error.

**Accounting.** `sacct --duplicates` has a row for each run of a job that was started anew. Without slurmdbd there is
the controller's listing (`squeue`), which forgets after `MinJobAge` and knows the last run only: it can say that a job
had other hours, not that one is missing. `sacct -c` reads the file of jobcomp/filetxt, which only Slurm's own account
may open (tried on 22.05: its plug-in opens it for writing).

**Arrays.** Tasks that wait are one line ("123_[7-9,12%4]"), and become one status each here. `--array` would list each
on a line of its own, at 0.4 kB: it is used where only our accounts are asked for, since among everybody's jobs one
person's array of 20,000 would fill the whole answer. Without it squeue cuts the list at 64 characters, so the launcher
sets `SLURM_BITSTR_LEN=0`. A task that was cancelled before it started is in no listing at all (tried), unless its
whole array was. A centre's bound is `MaxArraySize` - 1 (1,000 by default).

**Environment.** `--export=NONE`: nothing of the submitting shell reaches the job, and Slurm builds the person's login
environment on the node, so that `module` works in the prolog (measured here: no difference in start time to `ALL`).

**Walltime.** Slurm itself sends SIGTERM at the limit and SIGKILL after `KillWait` (30 s): the agent has time for an
orderly stop, and the state is TIMEOUT. With an earlier `--signal` the job ends as FAILED (tried): the reason is lost.

**Memory.** With cgroups the state is OUT_OF_MEMORY. Without, slurmstepd's kill looks like any other SIGKILL (FAILED,
JobLaunchFailure, 0:9, recorded for both): only the job's log tells, see `reason_in_log`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Command, Output
from perijove.spawners.batch.slurm_rows import ID, TIME, jobs_in, rows, usages_in
from perijove.spawners.batch.slurm_words import NO_SUCH_JOB, UNAVAILABLE
from perijove.spawners.job import Accounting, JobSpec, JobState, JobStatus, QueueStatus, Reason

# What is asked of squeue and sacct, and what we call it.
_SQUEUE = {
    "JobArrayID": "id",  # "123", "123_4" is a task, "123_[5-9]" are tasks that wait
    "UserName": "user",
    "State": "state",
    "Reason": "reason",
    "SubmitTime": "submitted",
    "StartTime": "started",
    "EndTime": "ended",
    "TimeUsed": "used",
    "NumCPUs": "cores",
    "BatchHost": "host",
    "NodeList": "nodes",
    "RestartCnt": "restarts",
    "exit_code": "exit",
    "Name": "name",  # last: it may hold line breaks
}
_SACCT = {
    "JobID": "id",  # "123_4" for a task, "123_[5-9]" for those that never started
    "User": "user",
    "State": "state",
    "Submit": "submitted",
    "Start": "started",
    "End": "ended",
    "CPUTimeRAW": "core_seconds",
    "NodeList": "nodes",
    "ExitCode": "exit",
    "JobName": "name",
}
_USED = {
    "JobID": "id",
    "User": "user",
    "Partition": "queue",
    "State": "state",
    "Start": "started",
    "End": "ended",
    "ElapsedRaw": "elapsed",
    "AllocCPUS": "cores",
    "JobName": "name",
}
_DISABLED = "accounting storage is disabled"
_QUEUE = re.compile(r"([A-Za-z0-9_.:@+/-]{1,128})\|(\w{1,10})\|(\d+)/(\d+)/(\d+)/(\d+)", re.ASCII)
_TO_START = re.compile(r"Job [0-9]{1,10} to start at (\S{1,40})", re.ASCII)


class Slurm(BatchSystem):
    """Slurm."""

    programs = ("sbatch", "squeue", "scancel", "sinfo", "sacct")

    def directives(self, job: JobSpec) -> Sequence[str]:
        """See `BatchSystem.directives`. Raises ValueError for a value that is not plain."""
        encoding.checked(job)
        options = [
            f"--job-name={job.name}",
            f"--comment=perijove/{job.session}",
            f"--partition={encoding.name('queue', job.queue)}",
            "--nodes=1",
            "--ntasks=1",
            f"--cpus-per-task={job.cores}",
            f"--mem={job.memory}M",
            f"--time={encoding.minutes(job.walltime)}",
            f"--output={'log.%a' if job.tasks else 'log'}",
            "--open-mode=append",
            "--mail-type=NONE",
            "--export=NONE",
        ]
        if not job.requeue:
            options.append("--no-requeue")
        if job.tasks:
            options.append(f"--array=1-{job.tasks}")
        if job.gpus:
            options.append(f"--gres=gpu:{job.gpu_type + ':' if job.gpu_type else ''}{job.gpus}")
        if job.account:
            options.append(f"--account={job.account}")
        options += [encoding.extra_option(extra) for extra in self.scheduler.extra]
        return [f"#SBATCH {option}" for option in options]

    def submit(self, job: JobSpec) -> Command:
        """`--export` stands on the command line too: SBATCH_EXPORT in a login profile would win over the script."""
        return Command((self.program("sbatch"), "--parsable", "--export=NONE"), self.script(job))

    def parse_submit(self, output: Output) -> str:
        """See `BatchSystem.parse_submit`."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.REFUSED, UNAVAILABLE)
        for line in output.stdout.splitlines():
            if match := re.fullmatch(rf"({ID})(;[A-Za-z0-9_.-]+)?", line.strip(), re.ASCII):
                return match[1]
        raise BatchError(BatchProblem.UNREADABLE, encoding.plain(output.stdout or output.stderr))

    def status(self, accounts: Sequence[str] = ()) -> Command:
        """See `BatchSystem.status`."""
        mark = _mark()
        fields = ",".join(f"{field}:{mark}" for field in _SQUEUE)
        users = [f"--user={','.join(encoding.word('account', account) for account in accounts)}"] if accounts else []
        each = ["--array"] if accounts else []
        return Command((self.program("squeue"), "--all", "--states=all", *each, *users, "--Format", fields))

    def parse_status(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_status`."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.UNREADABLE, UNAVAILABLE)
        return list(jobs_in(rows(output.stdout, list(_SQUEUE.values()))))

    def history(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.history`."""
        ids = ",".join(encoding.identifiers("job_ids", job_ids, rf"{ID}(_{ID})?"))
        form = ("--parsable2", f"--delimiter={_mark()}", f"--format={','.join(_SACCT)}")
        return Command((self.program("sacct"), "--allocations", f"--jobs={ids}", *form))

    def parse_history(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_history`."""
        if output.status != 0:
            if _DISABLED in output.stderr.lower():
                return []
            raise answers.failure(output, BatchProblem.UNREADABLE, UNAVAILABLE)
        jobs = jobs_in(rows(output.stdout, list(_SACCT.values())))
        return [job for job in jobs if job.state is JobState.ENDED]

    def accounting(self, since: datetime, until: datetime, accounts: Sequence[str] = ()) -> list[Command]:
        """See `BatchSystem.accounting`."""
        names = ",".join(encoding.word("account", account) for account in accounts)
        words = [
            *("--allocations", "--duplicates", f"--user={names}" if names else "--allusers"),
            *(f"--starttime={since.astimezone(UTC):{TIME}}", f"--endtime={until.astimezone(UTC):{TIME}}"),
            *("--parsable2", f"--delimiter={_mark()}", f"--format={','.join(_USED)}"),
        ]
        return [Command((self.program("sacct"), *words)), self.status(accounts)]

    def parse_accounting(self, outputs: Sequence[Output]) -> Accounting:
        """See `BatchSystem.parse_accounting`."""
        told, listed = outputs
        if told.status != 0 and _DISABLED in told.stderr.lower():
            return replace(super().parse_accounting([listed]), source="squeue")
        if told.status != 0:
            raise answers.failure(told, BatchProblem.UNREADABLE, UNAVAILABLE)
        return Accounting(tuple(usages_in(rows(told.stdout, list(_USED.values())))), "sacct", complete=True)

    def cancel(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.cancel`."""
        return Command((self.program("scancel"), *encoding.identifiers("job_ids", job_ids, rf"{ID}(_{ID})?")))

    def task_id(self, job_id: str, task: int) -> str:
        """See `BatchSystem.task_id`."""
        (array,) = encoding.identifiers("job_id", [job_id], ID)
        return f"{array}_{encoding.whole('task', task, 1, encoding.TASKS)}"

    def parse_cancel(self, output: Output) -> None:
        """See `BatchSystem.parse_cancel`."""
        said = output.stderr.lower()
        if output.status == 210 or "permission denied" in said:
            raise BatchError(BatchProblem.NOT_ALLOWED, encoding.plain(output.stderr, 2000))
        if output.status == 0 or any(words in said for words in NO_SUCH_JOB):
            return
        raise answers.failure(output, BatchProblem.UNREADABLE, UNAVAILABLE)

    def queues(self) -> Command:
        """See `BatchSystem.queues`."""
        return Command((self.program("sinfo"), "--all", "--noheader", "--format=%R|%a|%C"))

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        """See `BatchSystem.parse_queues`. Idle cores of drained nodes are among those that are down."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.UNREADABLE, UNAVAILABLE)
        found: dict[str, QueueStatus] = {}
        for line in output.stdout.splitlines():
            match = re.fullmatch(
                r"([A-Za-z0-9_.:@+/-]{1,128})\|(\w{1,10})\|(\d+)/(\d+)/(\d+)/(\d+)", line.strip(), re.ASCII
            )
            if not match:
                continue
            free, down, total = (encoding.number(part) for part in match.group(4, 5, 6))
            found[match[1]] = QueueStatus(match[1], match[2] == "up", total, free, down)
        return list(found.values())

    def estimate(self, job: JobSpec) -> Command:
        """See `BatchSystem.estimate`. It costs the cluster a job number, and no more."""
        return Command((self.program("sbatch"), "--test-only", "--export=NONE"), self.script(replace(job, tasks=0)))

    def parse_estimate(self, output: Output) -> datetime | None:
        """See `BatchSystem.parse_estimate`."""
        if match := _TO_START.search(output.stderr[:65536]):
            return answers.calendar(match[1], TIME)
        if output.status != 0:
            raise answers.failure(output, BatchProblem.REFUSED, UNAVAILABLE)
        return None


def reason_in_log(tail: str) -> Reason:
    """What slurmstepd wrote into the job's `log` about its end; NONE if it wrote nothing of the kind.

    The log is the job's own output, so this refines FAILED or CANCELLED and nothing else.
    """
    said = "\n".join(line for line in tail[-16384:].splitlines() if line.startswith("slurmstepd")).lower()
    for words, reason in (
        ("memory limit", Reason.MEMORY),
        ("oom", Reason.MEMORY),
        ("due to time limit", Reason.WALLTIME),
        ("due to preemption", Reason.PREEMPTED),
        ("due to node failure", Reason.NODE_FAILED),
    ):
        if words in said:
            return reason
    return Reason.NONE


def _mark() -> str:
    return f"={secrets.token_hex(8)}="
