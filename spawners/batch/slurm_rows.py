"""Rows of squeue and sacct, and the job that one tells of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from perijove.spawners.batch import answers, encoding
from perijove.spawners.batch.slurm_words import STATES, reason_of
from perijove.spawners.batch.tasks import Expansion
from perijove.spawners.job import PREFIX, JobState, JobStatus, JobUsage, Reason

ID = r"[0-9]{1,10}"
TIME = "%Y-%m-%dT%H:%M:%S"
_SEPARATOR = re.compile(r"[A-Za-z_]{1,30}(=[0-9a-f]{16}=)")
_LAUNCH_SIGNAL = 53  # stands for a signal where slurmd could not set the job up


def rows(text: str, names: Sequence[str]) -> list[dict[str, str]]:
    """The rows under the header whose separator they share; lines of any other form are left out."""
    header, _, body = text.partition("\n")
    match = _SEPARATOR.match(header)
    if not match:
        raise answers.unreadable(header)
    # The last field, the name, may hold line breaks: then its line has no mark at the end, or too few fields.
    split = (line.split(match[1]) for line in body.split("\n"))
    return [
        dict(zip(names, (part.strip() for part in parts), strict=False)) for parts in split if len(parts) >= len(names)
    ]


def _core_seconds(row: Mapping[str, str]) -> int | None:
    if "core_seconds" in row:
        return encoding.number(row["core_seconds"])
    cores, used = encoding.number(row["cores"]), answers.seconds(row["used"])
    return None if cores is None or used is None else cores * used


def _exit(row: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Exit code and signal: "code:signal" from sacct, the raw wait status from squeue."""
    code, colon, signal = row["exit"].partition(":")
    if colon:
        return (None, encoding.number(signal)) if encoding.number(signal) else (encoding.number(code), None)
    raw = encoding.number(code)
    if raw is None:
        return None, None
    return (None, raw & 127) if raw & 127 else (raw >> 8 & 255, None)


def first_node(nodes: str) -> str | None:
    """The first node of a host list: "n[01-03,7],m1" -> "n01"; None if it has none.

    A name with a bracket in the middle ("r[1-2]c[3-4]") gives its first ("r1c3").
    """
    first = re.match(r"((?:[^,\[\]]|\[[^\]]{0,4000}\])*)(,|$)", nodes[:8000])
    plain = re.sub(r"\[(\d+)[^\]]*\]", r"\1", first[1] if first else "")
    return encoding.host(plain)


def _waits_for(why: str, restarts: int) -> Reason:
    reason = reason_of(why)
    return Reason.REQUEUED if restarts and reason is Reason.BEGIN_TIME else reason  # its pause after a requeue


def jobs_in(found: Iterable[Mapping[str, str]]) -> Iterator[JobStatus]:
    """The jobs, and the tasks of arrays, that the rows of one answer tell of."""
    expansion = Expansion()
    for row in found:
        if (job := job_in(row)) is not None:
            tasks = row["id"].partition("_")[2].strip("[]")
            yield from expansion(job, tasks) if tasks else (job,)


def job_in(row: Mapping[str, str]) -> JobStatus | None:
    """The status in a row of a job or array, or None if the row has no job number."""
    job_id = re.split(r"[_+]", row["id"], maxsplit=1)[0]  # "123_[5-9]" of an array, "123+0" of a heterogeneous job
    if not re.fullmatch(ID, job_id, re.ASCII):
        return None
    word = row["state"].split(" ")[0].rstrip("+")  # "CANCELLED by 1001", "CANCELLED+"
    state, reason = STATES.get(word, (JobState.UNKNOWN, Reason.OTHER))
    why = row.get("reason", "")
    code, signal = _exit(row)
    restarts = max(encoding.number(row.get("restarts")) or 0, 0)
    if state is JobState.QUEUED and reason in (Reason.NONE, Reason.REQUEUED):
        reason = _waits_for(why, restarts) or reason
    elif reason is Reason.FAILED and why == "BadConstraints":
        reason = Reason.NEVER
    elif reason is Reason.FAILED and signal == _LAUNCH_SIGNAL:
        reason = Reason.LAUNCH_FAILED
    waits, ended = state is JobState.QUEUED, state is JobState.ENDED
    node = None if waits else encoding.host(row.get("host", "").replace("n/a", "")) or first_node(row["nodes"])
    began = answers.calendar(row["started"], TIME)
    return JobStatus(
        job_id=job_id,
        name=encoding.plain(row["name"]),
        state=state,
        reason=reason,
        raw=encoding.plain(why if why not in ("", "None") and state is not JobState.UNKNOWN else row["state"]),
        node=node,
        user=encoding.plain(row["user"], 64) or None,
        submitted=answers.calendar(row["submitted"], TIME),
        started=began if node else None,  # a job that was cancelled in the queue "starts" at its end
        ended=answers.calendar(row["ended"], TIME) if ended else None,
        expected=began if waits else None,
        restarts=restarts,
        exit_code=code if ended else None,
        signal=signal if ended else None,
        core_seconds=_core_seconds(row),
    )


def usages_in(found: Iterable[Mapping[str, str]]) -> list[JobUsage]:
    """What jobs with names like ours that are over used: the rows of all runs of one together.

    Tasks of an array that never started are one row ("123_[5-9]") and used nothing: they are left out.
    """
    runs: dict[str, list[Mapping[str, str]]] = {}
    for row in found:
        if re.fullmatch(rf"{ID}(_[0-9]{{1,9}})?", row["id"], re.ASCII) and row["name"].startswith(PREFIX):
            runs.setdefault(row["id"], []).append(row)
    return [usage for rows_ in runs.values() if (usage := _usage(rows_)) is not None]


def _usage(runs: Sequence[Mapping[str, str]]) -> JobUsage | None:
    times = [(answers.calendar(run["started"], TIME), answers.calendar(run["ended"], TIME)) for run in runs]
    ends = [end for _, end in times if end is not None]
    if len(ends) < len(runs):  # one of them is under way, or is to be
        return None
    seconds = [answers.seconds(run["elapsed"]) or 0 for run in runs]
    cores = [encoding.number(run["cores"]) or 0 for run in runs]
    last = runs[max(range(len(runs)), key=lambda n: ends[n])]
    job_id, _, task = last["id"].partition("_")
    ran = [n for n in range(len(runs)) if seconds[n]]
    return JobUsage(
        job_id=job_id,
        name=encoding.plain(last["name"]),
        task=encoding.number(task),
        user=encoding.plain(last["user"], 64) or None,
        queue=encoding.plain(last["queue"], 128) or None,
        started=min((start for n in ran if (start := times[n][0])), default=None),
        ended=max(ends),
        elapsed=sum(seconds),
        cores=max(cores),
        core_seconds=sum(a * b for a, b in zip(seconds, cores, strict=True)),
        runs=len(runs),
        state=encoding.plain(last["state"]),
    )
