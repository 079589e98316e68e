"""Tasks of job arrays: the lines in which batch systems list many of them.

Pending tasks are one line for most batch systems (`123_[3-20:2,25%4]`, `<tasks>3-20:1</tasks>`). What one line can
become is bounded, because it is the text of a machine that we do not control.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, islice

from perijove.spawners.job import PREFIX, JobStatus

#: One line becomes at most so many tasks, and no array of ours has more.
MOST = 10_000
_PART = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?", re.ASCII)
_LONGEST = 32 * MOST  # characters of a line


def expand(text: str, most: int = MOST) -> list[int]:
    """The task numbers that "3-20:2,25%4" means, in its order, each once; at most `most`.

    After `%` stands how many may run at once, which is none of ours. Parts of any other form, such as the "..." with
    which Slurm cuts a long list, are left out.
    """
    parts = text[:_LONGEST].partition("%")[0].split(",")
    matches = (match for part in parts if (match := _PART.fullmatch(part.strip())))
    numbers = chain.from_iterable(
        range(int(match[1]), int(match[2] or match[1]) + 1, max(int(match[3] or 1), 1)) for match in matches
    )
    # Twice as many are looked at, lest a line that repeats itself takes for ever.
    return list(dict.fromkeys(islice(numbers, 2 * MOST)))[:most]


class Expansion:
    """Makes one status per task out of the lines of one answer, which together may not become more than `left`.

    Only what is called as a job of ours is expanded: others' arrays of a million tasks cost one status each.
    """

    def __init__(self, left: int = 10 * MOST) -> None:
        self._left = left

    def __call__(self, status: JobStatus, text: str) -> list[JobStatus]:
        """`status` for each task that `text` names (see `expand`); alone where it names none, or is not ours."""
        if not status.name.startswith(PREFIX):
            return [status]
        numbers = expand(text, min(MOST, self._left))
        self._left -= len(numbers)
        return [replace(status, task=number) for number in numbers] or [status]
