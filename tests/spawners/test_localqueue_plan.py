"""The plan of the embedded batch system, held against its promises for any queue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from perijove.spawners.localqueue_plan import OVERDUE, Running, Size, Start, Waiting, plan

NODE = Size(4, 100, 1)
sizes = st.builds(Size, st.integers(1, 4), st.integers(1, 100), st.integers(0, 1))
waiting_jobs = st.lists(st.tuples(sizes, st.integers(1, 50)), max_size=12).map(
    lambda jobs: [Waiting(number, size, float(length)) for number, (size, length) in enumerate(jobs)]
)


def as_running(starts: list[Start], waiting: list[Waiting], upto: float) -> list[Running]:
    jobs = {job.id: job for job in waiting}
    return [Running(s.node, jobs[s.id].size, s.at + jobs[s.id].walltime) for s in starts if s.at <= upto]


def overfull(spans: list[tuple[float, float, int, Size]], node: Size) -> bool:
    for moment, _, number, _ in spans:
        there = [size for start, end, where, size in spans if where == number and start <= moment < end]
        if any(sum(used) > have for *used, have in zip(*there, node, strict=True)):
            return True
    return False


@given(st.integers(1, 3), waiting_jobs, waiting_jobs)
def test_no_node_ever_holds_more_than_it_has(nodes: int, before: list[Waiting], waiting: list[Waiting]) -> None:
    running = as_running(plan(nodes, NODE, [], before, 0.0), before, 0.0)
    jobs = {job.id: job for job in waiting}
    starts = plan(nodes, NODE, running, waiting, 1.0)
    spans = [(1.0, job.end if job.end > 1 else 1 + OVERDUE, job.node, job.size) for job in running]
    spans += [(s.at, s.at + jobs[s.id].walltime, s.node, jobs[s.id].size) for s in starts]
    assert not overfull(spans, NODE)
    assert sorted(start.id for start in starts) == sorted(jobs)


@given(st.integers(1, 3), waiting_jobs)
def test_nobody_is_put_back_by_a_later_job(nodes: int, waiting: list[Waiting]) -> None:
    whole = {start.id: start.at for start in plan(nodes, NODE, [], waiting, 0.0)}
    for number in range(len(waiting)):
        alone = {start.id: start.at for start in plan(nodes, NODE, [], waiting[: number + 1], 0.0)}
        assert alone[number] == whole[number]


def test_a_small_job_passes_a_big_one_that_must_wait_anyway() -> None:
    running = [Running(0, Size(3, 10, 0), 100.0)]
    big, short, long = (
        Waiting(1, Size(4, 10, 0), 50.0),
        Waiting(2, Size(1, 10, 0), 90.0),
        Waiting(3, Size(1, 10, 0), 200.0),
    )
    starts = {start.id: start.at for start in plan(1, NODE, running, [big, short, long], 0.0)}
    assert starts == {1: 100.0, 2: 0.0, 3: 150.0}


def test_a_job_that_no_node_can_hold_is_left_out_and_blocks_nobody() -> None:
    waiting = [Waiting(1, Size(5, 1, 0), 10.0), Waiting(2, Size(1, 1, 0), 10.0)]
    assert plan(1, NODE, [], waiting, 0.0) == [Start(2, 0, 0.0)]
