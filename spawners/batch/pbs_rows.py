"""What PBS Professional (JSON) and Torque (XML) say of a job, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.tasks import Expansion
from perijove.spawners.job import JobState, JobStatus, Reason

#: The number of a job, an array (`[]`) or a task of one (`[4]`), and the server that gave it.
ID = r"[0-9]{1,12}(\[[0-9]{0,9}\])?(\.[A-Za-z0-9][A-Za-z0-9.-]{0,200})?"
_TIME = "%a %b %d %H:%M:%S %Y"
_FIRST_SIGNAL = 256  # an exit status from here on is a signal

#: `job_state`, with the reason that the letter alone tells. B, M, X are of job arrays and moved jobs.
STATES: dict[str, tuple[JobState, Reason]] = {
    "Q": (JobState.QUEUED, Reason.NONE),
    "T": (JobState.QUEUED, Reason.NONE),
    "M": (JobState.QUEUED, Reason.NONE),
    "W": (JobState.QUEUED, Reason.BEGIN_TIME),
    "H": (JobState.QUEUED, Reason.HELD_CENTRE),
    "R": (JobState.RUNNING, Reason.NONE),
    "B": (JobState.RUNNING, Reason.NONE),
    "S": (JobState.SUSPENDED, Reason.NONE),
    "U": (JobState.SUSPENDED, Reason.NONE),
    "E": (JobState.ENDING, Reason.NONE),
    "F": (JobState.ENDED, Reason.NONE),
    "X": (JobState.ENDED, Reason.NONE),
    "C": (JobState.ENDED, Reason.NONE),
}

#: The first text that the comment of a waiting job has decides (lower case).
COMMENTS: tuple[tuple[str, Reason], ...] = (
    ("can never run", Reason.NEVER),
    ("too many failed attempts", Reason.LAUNCH_FAILED),
    ("dedicated time", Reason.MAINTENANCE),
    ("not started", Reason.QUEUE_CLOSED),
    ("queue is not", Reason.QUEUE_CLOSED),
    ("per-user", Reason.LIMIT_PERSON),
    ("user has reached", Reason.LIMIT_PERSON),
    ("user's", Reason.LIMIT_PERSON),
    ("per-group", Reason.LIMIT_ACCOUNT),
    ("per-project", Reason.LIMIT_ACCOUNT),
    ("group has reached", Reason.LIMIT_ACCOUNT),
    ("project has reached", Reason.LIMIT_ACCOUNT),
    ("queue has reached", Reason.LIMIT_QUEUE),
    ("queue job limit", Reason.LIMIT_QUEUE),
    ("server job limit", Reason.LIMIT_QUEUE),
    ("limit", Reason.LIMIT_QUEUE),
    ("top job", Reason.PRIORITY),
    ("strict", Reason.PRIORITY),
    ("conflict with reservation", Reason.RESERVATION),
    ("reservation", Reason.RESERVATION),
    ("licens", Reason.LICENCES),
    ("offline", Reason.NODES_DOWN),
    ("node is down", Reason.NODES_DOWN),
    ("insufficient amount", Reason.RESOURCES),
    ("not enough", Reason.RESOURCES),
    ("no available resources", Reason.RESOURCES),
)

#: Substates of a task that has ended (X) and whose exit status was not kept (`job.h` of Professional).
_SUBJOB_ENDS: dict[int, Reason] = {91: Reason.CANCELLED, 92: Reason.COMPLETED, 93: Reason.FAILED}

#: Negative exit statuses of PBS Professional (`job.h`) and of Torque (`pbs_job.h`): they mean different things.
PRO_ENDS: dict[int, Reason] = {
    **dict.fromkeys((*range(-10, 0), -13, -16, -17, -21, -22, -23, -30), Reason.LAUNCH_FAILED),
    **dict.fromkeys((-11, -14, -18, -20), Reason.NODE_FAILED),
    -26: Reason.MEMORY,
    -27: Reason.MEMORY,
    -29: Reason.WALLTIME,
}
TORQUE_ENDS: dict[int, Reason] = {
    **dict.fromkeys(range(-9, 0), Reason.LAUNCH_FAILED),
    -10: Reason.MEMORY,
    -11: Reason.WALLTIME,
}


def jobs_from(found: Sequence[tuple[str, Mapping[str, Any]]], *, torque: bool = False) -> list[JobStatus]:
    """The jobs and tasks of one answer. An array's own row tells only of tasks that have none."""
    jobs = [job for job_id, row in found if (job := job_from(job_id, row, torque=torque)) is not None]
    told: dict[str, set[int]] = {}
    for job in jobs:
        if job.task is not None:
            told.setdefault(job.job_id, set()).add(job.task)
    if not any("[]" in job_id for job_id, _ in found):
        return jobs
    rows, expansion, result = dict(found), Expansion(), []
    for job in jobs:
        if job.task is not None or "[]" not in job.job_id:
            result.append(job)
            continue
        waits = replace(job, state=JobState.QUEUED) if job.state is JobState.RUNNING else job  # B: some task has begun
        each = expansion(waits, str(rows[job.job_id].get("array_indices_remaining", "")))
        listed = told.get(job.job_id, set())
        result += [task for task in each if task.task not in listed and (task.task is not None or not listed)]
    return result


def job_from(job_id: str, row: Mapping[str, Any], *, torque: bool = False) -> JobStatus | None:
    """The status that the attributes of a job tell, or None if `job_id` is none."""
    match = re.fullmatch(ID, job_id, re.ASCII)
    if not match:
        return None
    task = encoding.number((match[1] or "")[1:-1])
    state, reason = STATES.get(str(row.get("job_state")), (JobState.UNKNOWN, Reason.OTHER))
    comment = encoding.plain(row.get("comment", ""))
    status = encoding.number(row.get("Exit_status", row.get("exit_status")))
    waits, ended = state is JobState.QUEUED, state is JobState.ENDED
    if waits:
        reason = _waits_for(str(row.get("Hold_Types", "")), comment, reason)
    elif ended:
        reason = _why_ended(status, row, torque)
        if status is None and row.get("job_state") == "X":
            reason = _SUBJOB_ENDS.get(encoding.number(row.get("substate")) or 0, Reason.OTHER)
    signal, code = _exit(status)
    used = _mapping(row.get("resources_used"))
    seconds, cores = answers.seconds(used.get("walltime")), _cores(row)
    return JobStatus(
        job_id=job_id if task is None else job_id.replace(f"[{task}]", "[]"),
        name=encoding.plain(row.get("Job_Name", "")).removesuffix(f"-{task}"),  # so Torque names tasks
        state=state,
        reason=reason,
        raw=comment or encoding.plain(row.get("job_state", "")),
        node=None if waits else _first_host(row.get("exec_host")),
        user=encoding.plain(str(row.get("Job_Owner", "")).partition("@")[0], 64) or None,
        submitted=answers.calendar(_text(row.get("ctime")), _TIME),
        started=None if waits else answers.calendar(_text(row.get("stime", row.get("start_time"))), _TIME),
        ended=answers.calendar(_text(row.get("comp_time", row.get("mtime"))), _TIME) if ended else None,
        expected=answers.calendar(_text(_mapping(row.get("estimated")).get("start_time")), _TIME) if waits else None,
        restarts=max((encoding.number(row.get("run_count")) or 1) - 1, 0),
        exit_code=code if ended else None,
        signal=signal if ended else None,
        core_seconds=None if seconds is None or cores is None else seconds * cores,
        task=task,
    )


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _cores(row: Mapping[str, Any]) -> int | None:
    asked = _mapping(row.get("Resource_List"))
    if (cores := encoding.number(asked.get("ncpus"))) is not None:
        return cores
    match = re.fullmatch(r"1:ppn=(\d{1,6})(:.{0,200})?", str(asked.get("nodes", "")), re.ASCII)
    return int(match[1]) if match else None


def _first_host(value: object) -> str | None:
    """ "charon24/0*2+charon21/0*2" -> "charon24"."""
    return encoding.host(re.split(r"[/+]", value[:1000], maxsplit=1)[0]) if isinstance(value, str) else None


def _waits_for(holds: str, comment: str, otherwise: Reason) -> Reason:
    if otherwise is Reason.HELD_CENTRE and holds == "u":
        otherwise = Reason.HELD_PERSON
    low = comment.lower()
    found = next((reason for words, reason in COMMENTS if words in low), Reason.NONE)
    if otherwise in (Reason.HELD_PERSON, Reason.HELD_CENTRE):
        return found if found is Reason.LAUNCH_FAILED else otherwise
    return found or otherwise or (Reason.OTHER if low.startswith("not running") else Reason.NONE)


def _exit(status: int | None) -> tuple[int | None, int | None]:
    """Signal and exit code."""
    if status is None or status < 0:
        return None, None
    return (status - _FIRST_SIGNAL, None) if status > _FIRST_SIGNAL else (None, status)


def _why_ended(status: int | None, row: Mapping[str, Any], torque: bool) -> Reason:
    comment = str(row.get("comment", "")).lower()
    if status is None:  # it never ran
        return Reason.CANCELLED
    if status < 0:
        return (TORQUE_ENDS if torque else PRO_ENDS).get(status, Reason.OTHER)
    if status == 0:
        return Reason.COMPLETED
    late = _late(row)
    if status > _FIRST_SIGNAL and (late or "terminated" in comment or torque):
        return Reason.WALLTIME if late else Reason.CANCELLED
    return Reason.FAILED


def _late(row: Mapping[str, Any]) -> bool:
    used = answers.seconds(_mapping(row.get("resources_used")).get("walltime"))
    asked = answers.seconds(_mapping(row.get("Resource_List")).get("walltime"))
    return used is not None and asked is not None and used >= asked


def mapping_of(item: Element) -> dict[str, Any]:
    """The attributes of one `<Job>` of Torque's XML."""
    return {child.tag: mapping_of(child) if len(child) else child.text or "" for child in item}
