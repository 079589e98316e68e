"""A queue on one machine: first come, first served, with EASY backfilling, and its own estimate of starts.

EASY (D. A. Lifka, The ANL/IBM SP scheduling system, JSSPP 1995): the first job that waits has a reservation, and others
may pass it if that is not put off. What the batch system tells about starts is a plan of everything that waits, in
order, with every job running for the whole walltime that it asked for, as backfill schedulers print it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from workload import Job


@dataclass
class Machine:
    """The machine and its queue; time is moved on by whoever drives it."""

    cores: int
    free: int = field(init=False)
    waiting: list[Job] = field(default_factory=list)
    #: (end by walltime, number) -> cores of the jobs that run.
    running: dict[tuple[float, int], int] = field(default_factory=dict)
    ends: list[tuple[float, int, tuple[float, int], int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = self.cores

    def finish(self, now: float) -> None:
        """Free the cores of all jobs that end until `now`."""
        while self.ends and self.ends[0][0] <= now:
            _, _, key, size = heapq.heappop(self.ends)
            del self.running[key]
            self.free += size

    def schedule(self, now: float) -> list[Job]:
        """Start what may start now; these jobs."""
        started = []
        while self.waiting and self.waiting[0].size <= self.free:
            started.append(self._start(self.waiting.pop(0), now))
        if self.waiting and self.free:
            reserved, spare = self._reservation(self.waiting[0], now)
            for job in self.waiting[1:]:
                ends_before = now + job.walltime <= reserved
                if job.size <= self.free and (ends_before or job.size <= spare):
                    spare -= 0 if ends_before else job.size
                    started.append(self._start(job, now))
            gone = {job.number for job in started}
            self.waiting = [job for job in self.waiting if job.number not in gone]
        return started

    def _start(self, job: Job, now: float) -> Job:
        self.free -= job.size
        key = (now + job.walltime, job.number)
        self.running[key] = job.size
        heapq.heappush(self.ends, (now + min(job.runtime, job.walltime), job.number, key, job.size))
        return job

    def _reservation(self, head: Job, now: float) -> tuple[float, int]:
        """When the first job that waits can start at the latest, and the cores that it then leaves."""
        free = self.free
        for (end, _), size in sorted(self.running.items()):
            free += size
            if free >= head.size:
                return end, free - head.size
        raise AssertionError("a job is larger than the machine")

    def plan(self, now: float, more: Sequence[Job], depth: int = 200) -> list[float]:
        """Seconds until each of `more` would start, behind everything that waits; all by full walltimes."""
        profile = Profile(now, self.free, ((max(end, now), size) for (end, _), size in self.running.items()))
        for job in self.waiting[:depth]:
            profile.place(job.size, job.walltime)
        return [Profile.earliest(profile, job.size, job.walltime)[0] - now for job in more]


class Profile:
    """Free cores over time as steps: from `times[i]` on `free[i]` cores are free."""

    def __init__(self, now: float, free: int, ends: Iterable[tuple[float, int]]) -> None:
        self.times, self.free = [now], [free]
        for end, size in sorted(ends):
            free += size
            if end == self.times[-1]:
                self.free[-1] = free
            else:
                self.times.append(end)
                self.free.append(free)

    def earliest(self, size: int, length: float) -> tuple[float, int]:
        """The earliest time at which `size` cores are free for `length` seconds, and its step."""
        begin = 0
        while True:
            until = self.times[begin] + length
            step = begin
            while step < len(self.times) and self.times[step] < until:
                if self.free[step] < size:
                    break
                step += 1
            else:
                return self.times[begin], begin
            begin = step + 1

    def place(self, size: int, length: float) -> None:
        """Take the earliest place."""
        start, first = self.earliest(size, length)
        end = start + length
        last = bisect_left(self.times, end)
        if last == len(self.times) or self.times[last] != end:
            self.times.insert(last, end)
            self.free.insert(last, self.free[last - 1])
        for step in range(first, last):
            self.free[step] -= size
