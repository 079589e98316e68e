"""The gateway is killed at every step of a run's life: the run is there once, goes on, and nothing is left over."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from broker.harness import Gateway, until
from broker.runworld import Runs, app_kind, report
from perijove.hub.broker.runrecords import RunState
from perijove.spawners.job import Reason
from perijove.spawners.session import Stage

__all__ = ["app_kind"]
#: Between two steps of the way to a run in its own session; the last ones are those of that session's start.
START = ["run-written", "run-session-opened", "run-opened", "intent", "after-submission"]


@pytest_asyncio.fixture
async def runs(gateway: Gateway) -> Runs:
    world = Runs(gateway)
    await world.begin()
    return world


async def killed_at(runs: Runs, point: str, work: object) -> None:
    """Start something, kill the gateway once it is at `point`, and start that anew."""
    runs.gateway.reached.clear()
    runs.gateway.point = point
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    await until(runs.gateway.reached.is_set, what=point)
    await runs.gateway.kill()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await runs.gateway.start()


@pytest.mark.parametrize("point", START)
async def test_killed_while_a_run_is_started(gateway: Gateway, runs: Runs, point: str) -> None:
    await killed_at(runs, point, runs.start(key="k"))
    [(made, _)] = await runs.desk.runs.listing()
    found = await runs.up(made.id)
    assert (await runs.start(key="k")).id == made.id, "the same request again is the same run"
    assert await runs.sessions() == [found.server] and len(gateway.centre.jobs) == 1


async def test_killed_before_a_run_that_is_not_wanted_any_more_has_its_session(runs: Runs) -> None:
    await killed_at(runs, "run-written", runs.start())
    [(made, _)] = await runs.desk.runs.listing()
    await runs.desk.cancel(made, "ada")
    over = await runs.at(made.id, RunState.CANCELLED)
    if over.session is not None:  # the new broker may have been quicker than its person
        await runs.gateway.at(over.session, Stage.ENDED)


async def test_killed_between_the_wish_to_cancel_and_the_stop(gateway: Gateway, runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    await killed_at(runs, "run-cancel-asked", runs.desk.cancel(made, "ada"))
    over = await runs.at(made.id, RunState.CANCELLED)
    assert (await gateway.at(str(over.session), Stage.ENDED)).asked_by == "ada"


async def test_killed_when_the_session_was_lost(gateway: Gateway, runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.say(made, report(steps=("done", "running")))
    await killed_at(runs, "run-session-over", runs.ends(made))
    again = await runs.up(made.id, attempt=2)
    assert again.resumed == 1 and await runs.sessions() == [made.server, again.server]


@pytest.mark.parametrize("point", ["run-session-opened", "run-opened"])
async def test_killed_while_it_goes_on_by_itself(gateway: Gateway, runs: Runs, point: str) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.say(made, report(steps=("done", "running")))
    await killed_at(runs, point, runs.ends(made, Reason.PREEMPTED))
    again = await runs.up(made.id, attempt=2)
    assert again.resumed == 1 and await runs.sessions() == [made.server, again.server]


async def test_killed_while_its_person_resumes_it(runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.ends(made, Reason.COMPLETED)
    over = await runs.at(made.id, RunState.INTERRUPTED)
    await killed_at(runs, "run-resumed", runs.desk.resume(over))
    again = await runs.up(made.id, attempt=2)
    assert again.state is RunState.STARTING and len(await runs.sessions()) == 2


async def test_killed_while_it_is_settled(runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.say(made, report("done"))
    await killed_at(runs, "run-settling", runs.ends(made, Reason.COMPLETED))

    async def settled() -> bool:
        return (await runs.get(made.id)).settled

    await until(settled)


async def test_a_running_run_outlives_the_gateway(gateway: Gateway, runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.say(made, report())
    await gateway.restart()
    await gateway.restart()
    assert (await runs.get(made.id)).state is RunState.RUNNING
    assert (await runs.say(made, report("done"))).state is RunState.DONE
    assert not gateway.centre.cancelled and await runs.sessions() == [made.server]
