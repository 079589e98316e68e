"""When and where jobs of the embedded batch system run: a pure function of queue, running and waiting jobs.

First come, first served, with conservative backfill: each waiting job, in the order of submission, takes the earliest
place that is free for its whole walltime beside everything placed before it. So a small job may pass a big one, and no
job is ever put back by one that was submitted later. The same plan says what starts now and when the rest may expect
to start. Only the standard library, and little of it: this is loaded by every command of the queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

#: Waiting jobs that are planned in one go; those behind them wait until it is their turn.
DEPTH = 100
#: Seconds after its walltime that a job may need to end.
OVERDUE = 30.0


class Size(NamedTuple):
    """Cores, MiB of memory and GPUs: what a node has, or what a job asks for on one node."""

    cores: int
    memory: int
    gpus: int


class Running(NamedTuple):
    """A job that holds a part of node number `node` until `end` (seconds since the epoch) at the latest."""

    node: int
    size: Size
    end: float


class Waiting(NamedTuple):
    """A job that asks for `size` for `walltime` seconds."""

    id: int
    size: Size
    walltime: float


class Start(NamedTuple):
    """Job `id` may start on node number `node` at the time `at`."""

    id: int
    node: int
    at: float


class _Use(NamedTuple):
    start: float
    end: float
    size: Size


def fits(need: Size, have: Size) -> bool:
    """Whether a node of size `have` can hold `need` at all."""
    return all(asked <= there for asked, there in zip(need, have, strict=True))


def plan(
    nodes: int, node: Size, running: Iterable[Running], waiting: Sequence[Waiting], now: float, depth: int = DEPTH
) -> list[Start]:
    """Places for the first `depth` of the `waiting` jobs on `nodes` equal nodes, in the order given.

    A job that no node can hold is left out. Those with `at == now` can start at once.
    """
    uses: list[list[_Use]] = [[] for _ in range(nodes)]
    for job in running:
        if job.node < nodes:
            end = job.end if job.end > now else now + OVERDUE
            uses[job.node].append(_Use(now, end, job.size))
    starts = []
    for candidate in waiting[:depth]:
        if nodes and fits(candidate.size, node):
            at, where = _earliest(uses, node, candidate, now)
            uses[where].append(_Use(at, at + candidate.walltime, candidate.size))
            starts.append(Start(candidate.id, where, at))
    return starts


def _earliest(uses: list[list[_Use]], node: Size, job: Waiting, now: float) -> tuple[float, int]:
    best: tuple[float, int] | None = None
    for number, there in enumerate(uses):
        at = _earliest_on(there, node, job, now)
        if best is None or at < best[0]:
            best = (at, number)
        if at <= now:
            break
    assert best is not None  # noqa: S101 - the caller has at least one node
    return best


def _earliest_on(there: list[_Use], node: Size, job: Waiting, now: float) -> float:
    for at in sorted({now, *(use.end for use in there)}):
        window = [use for use in there if use.end > at and use.start < at + job.walltime]
        moments = {at, *(use.start for use in window if use.start > at)}
        if all(_free_at(moment, window, node, job.size) for moment in moments):
            return at
    raise AssertionError("after the last end a node is free")


def _free_at(moment: float, window: list[_Use], node: Size, need: Size) -> bool:
    busy = [use.size for use in window if use.start <= moment < use.end]
    return all(sum(used) + asked <= have for *used, asked, have in zip(*busy, need, node, strict=True))
