"""Records of Grid Engine's accounting file, as `qacct -j` prints them, and the job whose end one tells of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from perijove.spawners.batch import answers, encoding
from perijove.spawners.job import JobState, JobStatus, JobUsage, Reason

ID = r"[0-9]{1,10}"
Key = tuple[str, int | None]  # the number of a job, and of its task
TIMES = (
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%a %b %d %H:%M:%S %Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S.%f",
)
#: The codes of `failed` that tell why (sge_status(5)); with any other the exit status does.
_FAILED: dict[int, Reason] = {
    **dict.fromkeys((*range(1, 12), 18, 20, 21, *range(26, 30), *range(31, 37), 38, 39), Reason.LAUNCH_FAILED),
    19: Reason.NODE_FAILED,  # before writing exit_status: the machine crashed
    22: Reason.NODE_FAILED,
    24: Reason.REQUEUED,  # migrating
    25: Reason.REQUEUED,  # rescheduling
}


def fields_of(block: str) -> dict[str, str]:
    """The fields of one record."""
    pairs = (line.strip().partition(" ") for line in block.splitlines())
    return {key: value.strip() for key, _, value in pairs if key}


def _first_number(text: str) -> int | None:
    match = re.match(r"-?\d{1,15}", text, re.ASCII)
    return int(match[0]) if match else None


def ended(fields: Mapping[str, str], earlier: Mapping[Key, JobStatus]) -> JobStatus | None:
    """How a job ended, by one record and those before it; None if it is none of a job."""
    job_id = fields.get("jobnumber", "")
    if not re.fullmatch(ID, job_id, re.ASCII):
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
        submitted=answers.calendar(fields.get("qsub_time"), *TIMES),
        started=answers.calendar(fields.get("start_time"), *TIMES),
        ended=answers.calendar(fields.get("end_time"), *TIMES),
        restarts=before.restarts + 1 if before else 0,
        exit_code=status if status is not None and status <= 128 else None,
        signal=status - 128 if status is not None and 128 < status < 128 + 65 else None,
        core_seconds=None if wallclock is None or slots is None else wallclock * slots,
        task=task,
    )


def usage_of(runs: Sequence[Mapping[str, str]]) -> JobUsage | None:
    """What a job or task used, by all records of it; None if it is not over."""
    ends = [run for run in runs if _FAILED.get(_first_number(run.get("failed", "")) or 0) is not Reason.REQUEUED]
    if not ends:
        return None  # it waits anew, or runs
    last = ends[-1]
    seconds = [_first_number(run.get("ru_wallclock", "")) or 0 for run in runs]
    slots = [_first_number(run.get("slots", "")) or 0 for run in runs]
    starts = [time for run in runs if (time := answers.calendar(run.get("start_time"), *TIMES))]
    return JobUsage(
        job_id=last["jobnumber"],
        name=encoding.plain(last["jobname"]),
        task=encoding.number(last.get("taskid")),
        user=encoding.plain(last.get("owner", ""), 64) or None,
        queue=encoding.plain(last.get("qname", ""), 128) or None,
        started=min(starts, default=None),
        ended=answers.calendar(last.get("end_time"), *TIMES),
        elapsed=sum(seconds),
        cores=max(slots),
        core_seconds=sum(a * b for a, b in zip(seconds, slots, strict=True)),
        runs=len(runs),
        state=encoding.plain(f"failed {last.get('failed', '')}, exit status {last.get('exit_status', '')}"),
    )


def minute(when: datetime) -> str:
    """As `qacct` takes a time; the launcher asks in UTC."""
    return when.astimezone(UTC).strftime("%Y%m%d%H%M")


def _why_ended(failed: int | None, status: int | None, fields: Mapping[str, str]) -> Reason:
    if fields.get("deleted_by", "NONE") != "NONE":
        return Reason.CANCELLED
    asked = re.search(r"\bh_rt=(\d{1,10})\b", fields.get("category", ""), re.ASCII)
    start, end = (answers.calendar(fields.get(key), *TIMES) for key in ("start_time", "end_time"))
    used = (end - start).total_seconds() if start and end else 0
    if failed in (37, 100) and asked and used >= int(asked[1]):
        return Reason.WALLTIME
    if failed == 37:  # h_rt, h_cpu or h_vmem
        return Reason.MEMORY if "h_vmem=" in fields.get("category", "") else Reason.WALLTIME
    # 100 is any SIGKILL, also that of qdel: nothing in the record tells them apart (recorded both).
    fallback = Reason.COMPLETED if status == 0 else Reason.FAILED
    return _FAILED.get(failed or 0, fallback)
