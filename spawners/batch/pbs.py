"""PBS: the Professional dialect (OpenPBS, Altair; JSON since version 14) and Torque's (`dialect = "torque"`; XML).

No PBS daemon was at hand: the tests hold this module against transcripts modelled on documentation and public logs.

PBS keeps a job's output on the node until its end, so the script writes `log` itself and PBS's own words go to
`batch.log`. Nothing of the submitting shell is handed on (no `-V`). A person's project is `-A`; a site that wants
`-P` says so in `extra`. Professional remembers ended jobs where the site configured it (`qstat -x`); Torque lists them
for `keep_completed` seconds in the ordinary listing. Times are the client's local time: the launcher asks in UTC.

An array is called `123[].server`, its tasks `123[4].server`. `qstat -t` lists tasks that wait, run and have ended
beside their array, of everybody: a site with arrays of many thousands of tasks gives answers of many megabytes. The
bound of a site is `max_array_size` (Professional: 10,000) or `max_job_array_size` (Torque).

`qstat -F json` of some versions prints other people's environments with broken quoting: `Variable_List` is cut out
before anything is parsed, so that nobody's environment can blind the gateway for everybody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.base import BatchError, BatchProblem, Command, Output, usages
from perijove.spawners.batch.logged import OWN_LOG, LoggedBatchSystem
from perijove.spawners.batch.pbs_rows import ID, jobs_from, mapping_of
from perijove.spawners.job import Accounting, JobSpec, JobState, JobStatus, QueueStatus

_UNAVAILABLE = (
    "cannot connect to",
    "connection refused",
    "communication failure",
    "end of file",
    "server shutting down",
    "connection timed out",
    "could not connect",
    "no default server name",
    "pbs_iff",
    "too many connections",
    "server too busy",
    "invalid credential",
)
_GONE = ("unknown job id", "job has finished", "request invalid for state of job", "job_queue complete")
_NO_HISTORY = "not configured to maintain job history"
_VARIABLES = re.compile(r'^([ \t]*)"Variable_List":\{\n.*?^\1\},?[ \t]*\n', re.MULTILINE | re.DOTALL)


class PBS(LoggedBatchSystem):
    """PBS Professional or Torque."""

    programs = ("qsub", "qstat", "qdel")

    @property
    def task_variable(self) -> str:  # type: ignore[override]
        """See `LoggedBatchSystem`."""
        return "PBS_ARRAYID" if self.torque else "PBS_ARRAY_INDEX"

    @property
    def torque(self) -> bool:
        """Whether this centre speaks Torque's dialect."""
        return self.scheduler.dialect == "torque"

    def directives(self, job: JobSpec) -> Sequence[str]:
        """See `BatchSystem.directives`. Raises ValueError for a value that is not plain."""
        encoding.checked(job)
        options = [
            f"-N {job.name}",
            f"-q {encoding.name('queue', job.queue)}",
            *self._resources(job),
            f"-l walltime={encoding.clock(job.walltime)}",
            "-S /bin/bash",
            "-j oe",
            f"-o {OWN_LOG}",
            "-m n",
        ]
        if job.tasks:
            options.append(self._range(job.tasks))
        if job.account:
            options.append(f"-A {job.account}")
        options += [encoding.extra_option(extra, joined=False) for extra in self.scheduler.extra]
        return [f"#PBS {option}" for option in options]

    def _resources(self, job: JobSpec) -> list[str]:
        if self.torque:
            gpus = f":gpus={job.gpus}" if job.gpus else ""
            return [f"-l nodes=1:ppn={job.cores}{gpus}", f"-l mem={job.memory}mb"]
        gpus = f":ngpus={job.gpus}" if job.gpus else ""
        return [f"-l select=1:ncpus={job.cores}:mem={job.memory}mb{gpus}"]

    def _range(self, tasks: int) -> str:
        """Professional refuses `1-1` (its `chk_Jrange`): `1-2:2` is the range of one."""
        return f"-t 1-{tasks}" if self.torque else "-J 1-2:2" if tasks == 1 else f"-J 1-{tasks}"

    def submit(self, job: JobSpec) -> Command:
        """See `BatchSystem.submit`."""
        return Command((self.program("qsub"),), self.script(job))

    def parse_submit(self, output: Output) -> str:
        """See `BatchSystem.parse_submit`."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.REFUSED, _UNAVAILABLE)
        for line in reversed(output.stdout.splitlines()):
            if re.fullmatch(ID, line.strip(), re.ASCII):
                return line.strip()
        raise answers.unreadable(output.stdout or output.stderr)

    def status(self, accounts: Sequence[str] = ()) -> Command:
        """All jobs, whatever `accounts`: `qstat -f` takes no account."""
        return Command((self.program("qstat"), "-t", *(("-x",) if self.torque else ("-f", "-F", "json"))))

    def parse_status(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_status`. Of history, ids that PBS does not know are left out."""
        if output.status != 0 and not (output.stdout.strip() and "unknown job id" in output.stderr.lower()):
            raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)
        if not output.stdout.strip():
            return []
        if self.torque:
            root = answers.from_xml(output.stdout)
            found = [(str((row := mapping_of(item)).get("Job_Id", "")), row) for item in root.iter("Job")]
        else:
            answer = answers.from_json(_VARIABLES.sub("", output.stdout))
            rows = answer.get("Jobs") if isinstance(answer, dict) else None
            items = rows.items() if isinstance(rows, dict) else ()
            found = [(job_id, row) for job_id, row in items if isinstance(row, dict)]
        return jobs_from(found, torque=self.torque)

    def history(self, job_ids: Sequence[str]) -> Command | None:
        """See `BatchSystem.history`. Torque has none: it lists ended jobs for a while."""
        if self.torque:
            return None
        ids = encoding.identifiers("job_ids", job_ids, ID)
        return Command((self.program("qstat"), "-x", "-t", "-f", "-F", "json", *ids))

    def parse_history(self, output: Output) -> list[JobStatus]:
        """See `BatchSystem.parse_history`."""
        said = output.stderr.lower()
        if _NO_HISTORY in said or (not output.stdout.strip() and "unknown job id" in said):
            return []
        return [job for job in self.parse_status(output) if job.state is JobState.ENDED]

    def accounting(self, since: datetime, until: datetime, accounts: Sequence[str] = ()) -> list[Command]:
        """See `BatchSystem.accounting`. Professional's history goes back as far as the site keeps it (two weeks)."""
        if self.torque:
            return super().accounting(since, until, accounts)
        return [Command((self.program("qstat"), "-x", "-t", "-f", "-F", "json"))]

    def parse_accounting(self, outputs: Sequence[Output]) -> Accounting:
        """See `BatchSystem.parse_accounting`. A site without history tells of nothing."""
        if not self.torque and _NO_HISTORY in outputs[0].stderr.lower():
            return Accounting((), "qstat", complete=False)
        jobs = tuple(usages(self.parse_status(outputs[0])))
        return Accounting(jobs, "qstat -x", complete=not self.torque)

    def cancel(self, job_ids: Sequence[str]) -> Command:
        """See `BatchSystem.cancel`."""
        return Command((self.program("qdel"), *encoding.identifiers("job_ids", job_ids, ID)))

    def task_id(self, job_id: str, task: int) -> str:
        """See `BatchSystem.task_id`."""
        (array,) = encoding.identifiers("job_id", [job_id], ID)
        return array.replace("[]", f"[{encoding.whole('task', task, 1, encoding.TASKS)}]")

    def parse_cancel(self, output: Output) -> None:
        """See `BatchSystem.parse_cancel`."""
        said = output.stderr.lower() + output.stdout.lower()
        if output.status == 0:
            return
        if "unauthorized request" in said or "not owner" in said:
            raise BatchError(BatchProblem.NOT_ALLOWED, encoding.plain(output.stderr, 2000))
        if any(words in said for words in _GONE):
            return
        raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)

    def queues(self) -> Command:
        """See `BatchSystem.queues`."""
        return Command((self.program("qstat"), "-Q", "-f"))

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        """See `BatchSystem.parse_queues`: jobs; PBS does not say how many cores are behind a queue."""
        if output.status != 0:
            raise answers.failure(output, BatchProblem.UNREADABLE, _UNAVAILABLE)
        found: list[QueueStatus] = []
        for block in re.split(r"^Queue:", output.stdout, flags=re.MULTILINE)[1:]:
            name, _, body = block.partition("\n")
            values = dict(re.findall(r"^\s+(\w+) = (.{0,500})$", body, re.MULTILINE))
            if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,128}", name.strip(), re.ASCII):
                continue
            counts = dict(re.findall(r"(\w+):\s?(\d{1,9})", values.get("state_count", "")))
            is_open = all(values.get(key, "False").strip() == "True" for key in ("enabled", "started"))
            running, queued = (encoding.number(counts.get(key)) for key in ("Running", "Queued"))
            found.append(QueueStatus(name.strip(), is_open, jobs_running=running, jobs_queued=queued))
        return found
