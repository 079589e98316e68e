"""What the watcher costs, and what it makes of silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from broker.simulated import SimulatedCentre
from perijove.spawners.batch import Command, Output
from perijove.spawners.link import Account, LinkError, LinkProblem
from perijove.spawners.watcher import Failure, Listing, Pace, Probe, Query, Watcher


class Heard:
    """Keeps what the watcher says."""

    def __init__(self) -> None:
        self.answers: list[Listing | Failure] = []

    async def __call__(self, answer: Listing | Failure) -> None:
        self.answers.append(answer)


def watcher(centre: SimulatedCentre, heard: Heard, queries: Callable[[], list[Query]] | None = None) -> Watcher:
    return Watcher(centre.described, centre.system, centre, queries or (lambda: [Query(Account())]), heard)


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time runs on as soon as there is nothing to do."""

    shift = 0.0

    def time(self) -> float:
        return super().time() + self.shift

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready and scheduled:
            self.shift += max(0.0, scheduled[0]._when - self.time())
        super()._run_once()  # type: ignore[misc]


def minutes(work: Callable[[Watcher, SimulatedCentre], None], count: int, jobs: int = 0) -> list[int]:
    """Batch system commands in each minute of simulated time."""
    centre = SimulatedCentre()
    heard = Heard()

    async def run() -> list[float]:
        from broker.simulated import Job
        from perijove.hub.broker.sessions import utc_now

        for number in range(jobs):
            centre.jobs[str(number)] = Job(str(number), "s", f"job{number}", "gate", utc_now())
        one = watcher(centre, heard)
        task = asyncio.create_task(one.run())
        start = asyncio.get_running_loop().time()
        work(one, centre)
        await asyncio.sleep(count * 60)
        task.cancel()
        return [at - start for at, _ in centre.commands]

    with asyncio.Runner(loop_factory=Clock) as runner:
        times = runner.run(run())
    return [len([at for at in times if 60 * n <= at < 60 * (n + 1)]) for n in range(count)]


@pytest.mark.parametrize("jobs", [1, 1000])
def test_six_commands_a_minute_at_most_however_many_jobs(jobs: int) -> None:
    counts = minutes(lambda watcher, centre: None, 20, jobs)
    assert max(counts[1:]) <= 6 and sum(counts[1:]) >= 4 * 19


def test_six_commands_a_minute_at_most_with_estimates_asked_for_in_each_round() -> None:
    def work(watcher: Watcher, centre: SimulatedCentre) -> None:
        watcher.probe = lambda: Probe(Command(("sim", "estimate")), lambda output: None)

    counts = minutes(work, 20)
    assert max(counts[1:]) <= 6


def test_about_one_a_second_while_somebody_waits_and_then_calm_again() -> None:
    counts = minutes(lambda watcher, centre: watcher.wait_for(120), 10)
    assert 40 <= counts[0] <= 62 and 40 <= counts[1] <= 62
    assert max(counts[3:]) <= 6


def test_the_purse_bounds_how_often_is_asked_in_a_hurry() -> None:
    def work(watcher: Watcher, centre: SimulatedCentre) -> None:
        loop = asyncio.get_running_loop()
        for second in range(0, 600, 2):
            loop.call_later(second, watcher.hurry)

    counts = minutes(work, 10)
    assert max(counts) <= 60 + 24 + 12 + 2


def test_a_centre_that_fails_is_asked_less_often() -> None:
    def work(watcher: Watcher, centre: SimulatedCentre) -> None:
        centre.unavailable = "down"
        watcher.wait_for(3600)

    assert max(minutes(work, 10)[1:]) <= 6


async def test_failures_in_a_row_are_counted_from_the_first_and_forgotten_at_an_answer() -> None:
    centre, heard = SimulatedCentre(), Heard()
    one = watcher(centre, heard)
    centre.unavailable = "no"
    await one.tick()
    await one.tick()
    centre.unavailable = ""
    await one.tick()
    first, second, third = heard.answers
    assert isinstance(first, Failure) and isinstance(second, Failure) and isinstance(third, Listing)
    assert (first.count, second.count) == (1, 2) and first.since == second.since


async def test_the_failure_of_one_account_is_not_that_of_another() -> None:
    centre, heard = SimulatedCentre(), Heard()
    accounts = [Account(run_as="ada"), Account(run_as="bob")]
    one = watcher(centre, heard, lambda: [Query(account) for account in accounts])
    original = centre.launch

    async def launch(request: dict[str, object], user: str) -> dict[str, object]:
        if user == "bob":
            raise LinkError(LinkProblem.LOGIN, "no such account")
        return await original(request, user)

    centre.launch = launch  # type: ignore[method-assign]
    await one.tick()
    kinds = {answer.query.account.run_as: type(answer) for answer in heard.answers}
    assert kinds == {"ada": Listing, "bob": Failure}


async def test_a_centre_that_hangs_is_a_failure_after_its_time() -> None:
    centre, heard = SimulatedCentre(), Heard()
    centre.delay = 60
    one = Watcher(centre.described, centre.system, centre, lambda: [Query(Account())], heard, pace=Pace(timeout=-9.95))
    await one.tick()
    assert isinstance(heard.answers[0], Failure)


async def test_the_history_of_vanished_jobs_comes_in_the_same_call() -> None:
    centre, heard = SimulatedCentre(), Heard()
    one = watcher(centre, heard, lambda: [Query(Account(), (), ("1", "2"))])
    await one.tick()
    assert centre.calls["status"] == 1
    assert [name for _, name in centre.commands] == ["status", "history", "queues"]
    (listing,) = heard.answers
    assert isinstance(listing, Listing) and listing.asked_history


@pytest.mark.parametrize("hangs", [False, True])
async def test_an_estimate_comes_in_the_same_call_and_its_failure_is_nobody_elses(hangs: bool) -> None:
    centre, heard, told = SimulatedCentre(), Heard(), list[Output]()
    one = watcher(centre, heard)
    queues: list[object] = []
    one.on_queues = queues.extend
    one.probe = lambda: Probe(Command(("sim", "estimate")), told.append)
    original = centre.launch

    async def launch(request: dict[str, object], user: str) -> dict[str, object]:
        answer = await original(request, user)
        if hangs:
            answer["outputs"][-1]["problem"] = "timeout"
        return answer

    centre.launch = launch  # type: ignore[method-assign]
    await one.tick()
    assert [name for _, name in centre.commands] == ["status", "queues", "estimate"]
    assert isinstance(heard.answers[0], Listing) and len(queues) == 1
    assert len(told) == (0 if hangs else 1)
