"""What we charged for against what a centre's own accounting says: pure, job by job.

A job is one and the same if its name is that of a session or worker job of ours, and its number and task are. Not every
difference is somebody's fault: a centre's clock counts whole seconds and may count a job's end as its own, so that
`TOLERANCE` seconds or `SHARE` of the time are none. A job that used nothing need not be known to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from perijove.hub.ledger.records import Subject
from perijove.spawners.job import Accounting, JobUsage

#: Seconds, and the share of the centre's time, by which two clocks may differ.
TOLERANCE, SHARE = 60, 0.01

#: `not-at-centre`: we charged for a job that the centre does not know. `not-ours`: the centre had a job with our mark
#: that the store lacks. `hours`: both know it, with other times. `undecided`: nobody knew here what it cost.
Kind = Literal["not-at-centre", "not-ours", "hours", "undecided"]
Key = tuple[str, str, int | None]  # the session or worker job, the batch system's number, the task


@dataclass(frozen=True, slots=True)
class Ours:
    """One job, or one task of an array, of ours that has ended; `seconds` is what was charged for."""

    subject: Subject
    job_id: str
    task: int | None
    seconds: int
    ended: datetime
    undecided: bool = False
    cores: int = 0
    gpus: int = 0

    @property
    def key(self) -> Key:
        """What it is the same by."""
        return self.subject.id, self.job_id, self.task


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; `ours` and `theirs` in seconds, None where that side does not know the job."""

    kind: Kind
    subject: Subject
    job_id: str  # of a task "123/4"
    ours: int | None
    theirs: int | None
    detail: str = ""
    usage: JobUsage | None = None
    mine: Ours | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` until before `until`: which ends are compared."""

    since: datetime
    until: datetime

    def has(self, when: datetime | None) -> bool:
        """Whether something that ended at `when` belongs into it."""
        return when is not None and self.since <= when < self.until


def compare(
    ours: Collection[Ours],
    theirs: Accounting,
    window: Window,
    subject_of: Callable[[str], str | None],
    known: Collection[str],
) -> list[Difference]:
    """Every difference between our ended jobs and the centre's, of those that ended in `window` by either's clock.

    `ours` and `theirs` may reach beyond it, lest a job is missing that ended at midnight by one clock. `subject_of`
    names the session or worker job that a job's name means (None: none of this gateway's); `known` are the
    `subject/number` of all that the store has, also those that have not ended.
    """
    there: dict[Key, JobUsage] = {}
    for job in theirs.jobs:
        if (subject := subject_of(job.name)) is not None:
            there[subject, job.job_id, job.task] = job
    mine = {one.key: one for one in ours}
    found = [*_ours(mine.values(), there, window, complete=theirs.complete)]
    found += _theirs((key for key in there if key not in mine), there, window, known)
    return found


def differ(ours: int, theirs: int) -> bool:
    """Whether two times in seconds are not the same."""
    return abs(ours - theirs) > max(TOLERANCE, SHARE * theirs)


def _ours(mine: Iterable[Ours], there: dict[Key, JobUsage], window: Window, *, complete: bool) -> Iterator[Difference]:
    for one in mine:
        job = there.get(one.key)
        if not (window.has(one.ended) or (job is not None and window.has(job.ended))):
            continue
        name, used = label(one.job_id, one.task), job.elapsed if job is not None else None
        if one.undecided:
            yield Difference("undecided", one.subject, name, None, used, job.state if job else "", job, one)
        elif job is None:
            if complete and one.seconds:
                yield Difference("not-at-centre", one.subject, name, one.seconds, None)
        elif used is not None and differ(one.seconds, used):
            runs = f"{job.runs} runs, " if job.runs > 1 else ""
            yield Difference("hours", one.subject, name, one.seconds, used, runs + job.state, job)


def _theirs(
    keys: Iterable[Key], there: dict[Key, JobUsage], window: Window, known: Collection[str]
) -> Iterator[Difference]:
    for key in keys:
        job = there[key]
        if not window.has(job.ended) or not job.elapsed or f"{key[0]}/{key[1]}" in known:
            continue
        about = ", ".join(filter(None, (job.name, job.user, job.queue, job.state)))
        yield Difference("not-ours", Subject("", key[0]), label(job.job_id, job.task), None, job.elapsed, about, job)


def label(job_id: str, task: int | None) -> str:
    """What a job is called in a report."""
    return job_id if task is None else f"{job_id}/{task}"


__all__ = ["Difference", "Kind", "Ours", "Window", "compare", "differ", "label"]
