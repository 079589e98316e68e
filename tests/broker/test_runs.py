"""The life of a run: its own session or another's, the end of either, cancelling, resuming, and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from broker.harness import Gateway, until
from broker.runworld import Runs, app_kind, report, results
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.runrecords import Run, RunState
from perijove.hub.broker.runviews import cost_in
from perijove.hub.broker.sessions import TooMany
from perijove.spawners.job import Reason
from perijove.spawners.request import BadRequest
from perijove.spawners.session import Stage
from sqlalchemy.exc import OperationalError

__all__ = ["app_kind"]


@pytest_asyncio.fixture
async def runs(gateway: Gateway) -> Runs:
    world = Runs(gateway)
    await world.begin()
    return world


async def test_a_run_without_a_session_gets_one_of_its_own(gateway: Gateway, runs: Runs) -> None:
    made = await runs.start()
    record = await gateway.get_session(str(made.session))
    assert (record.kind, record.server, record.cores, record.memory) == ("app", f"run-{made.id[3:]}", 2, 2048)
    assert record.request["options"] == {"app": "sums", "run": made.id} and record.walltime == 600
    assert made.state is RunState.STARTING and made.centre == "alpha" and made.most == record.price
    await runs.up(made.id)
    assert gateway.hub.starts[0] == made.session
    after = await runs.say(made, report())
    assert after.state is RunState.RUNNING and after.progress == 0.5 and after.started is not None
    over = await runs.say(made, report("done", ("done",), results=results(3.0)))
    assert over.state is RunState.DONE and over.progress == 1.0 and over.ended is not None
    assert (await runs.say(made, report("failed"))).state is RunState.DONE, "the end is told once"
    await runs.ends(made, Reason.COMPLETED)
    await until(lambda: _settled(runs, made.id))
    assert (await runs.get(made.id)).state is RunState.DONE


async def _settled(runs: Runs, run: str) -> bool:
    return (await runs.get(run)).settled


async def test_the_same_key_is_the_same_run_and_no_other(gateway: Gateway, runs: Runs) -> None:
    first = await runs.start(key="k")
    assert (await runs.start(key="k")).id == first.id and len(await runs.sessions()) == 1
    with pytest.raises(Refusal, match="key-used"):
        await runs.start(key="k", count=4)
    assert (await runs.start("bob", key="k")).id != first.id


async def test_a_run_that_cannot_have_a_session_is_not_there(gateway: Gateway, runs: Runs) -> None:
    await gateway.broker.orders.drain("alpha", "op")
    for request in ({}, {"centre": "alpha"}, {"centre": "nowhere"}, {"colour": "red"}):
        with pytest.raises(BadRequest):
            await runs.start(request=request)
    gateway.broker.parts.per_person = 0
    await gateway.broker.orders.undrain("alpha")
    with pytest.raises(TooMany):
        await runs.start()
    assert await runs.desk.runs.listing() == []


@pytest.mark.parametrize("reason", [Reason.NODE_FAILED, Reason.PREEMPTED])
async def test_it_goes_on_by_itself_once_when_the_centre_lost_its_session(runs: Runs, reason: Reason) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.say(made, report(steps=("done", "running")))
    await runs.ends(made, reason)
    again = await runs.up(made.id, attempt=2)
    assert again.server.endswith("-2") and again.session != made.session and again.resumed == 1
    with pytest.raises(Refusal, match="other-session"):
        await runs.say(made, report())
    await runs.say(again, report(steps=("kept", "running")))
    await runs.ends(again, reason)
    over = await runs.at(made.id, RunState.INTERRUPTED)
    assert over.ended is not None and over.session == again.session and len(await runs.sessions()) == 2


@pytest.mark.parametrize(
    ("reason", "steps"),
    [
        (Reason.NODE_FAILED, ("running",)),
        (Reason.MEMORY, ("done",)),
        (Reason.COMPLETED, ("done",)),
        (Reason.WALLTIME, ()),
    ],
)
async def test_otherwise_it_is_interrupted_and_its_person_may_go_on(
    runs: Runs, reason: Reason, steps: tuple[str, ...]
) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.say(made, report(steps=steps))
    await runs.ends(made, reason)
    over = await runs.at(made.id, RunState.INTERRUPTED)
    assert (await runs.desk.view(over))["can"] == ["resume", "rerun", "share", "delete"]
    assert (await runs.say(made, report())).state is RunState.INTERRUPTED
    resumed = await runs.desk.resume(over)
    assert resumed.id == made.id and resumed.session not in (None, made.session) and resumed.state is RunState.STARTING
    assert resumed.report is not None and resumed.ended is None


async def test_what_really_came_of_an_interrupted_run_is_believed(runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.ends(made, Reason.COMPLETED)
    await runs.at(made.id, RunState.INTERRUPTED)
    assert (await runs.say(made, report("done"))).state is RunState.DONE


async def test_a_silent_centre_is_no_end(gateway: Gateway, runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.say(made, report())
    gateway.centre.unavailable = "the controller does not answer"

    async def silent() -> bool:
        return (await runs.desk.view(await runs.get(made.id)))["unknown_since"] is not None

    await until(silent)
    await gateway.restart()
    assert (await runs.get(made.id)).state is RunState.RUNNING
    gateway.centre.unavailable = ""
    assert (await runs.say(made, report("done"))).state is RunState.DONE


async def test_cancelling_a_run_stops_its_own_session(gateway: Gateway, runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    asked = await runs.desk.cancel(await runs.get(made.id), "ada")
    assert asked.wanted == "cancel" and (await runs.desk.view(asked))["can"] == []
    over = await runs.at(made.id, RunState.CANCELLED)
    assert (await gateway.at(str(made.session), Stage.ENDED)).asked_by == "ada" and over.wanted is None
    assert (await runs.desk.cancel(over, "ada")).state is RunState.CANCELLED


async def test_a_run_in_another_session_is_cancelled_by_that_session(gateway: Gateway, runs: Runs) -> None:
    gateway.centre.auto = True
    host = await gateway.at((await gateway.open(cores=4)).id, Stage.READY)
    made = await runs.start(session=host.id)
    assert (made.session, made.server, made.own_session, made.price) == (host.id, "", False, 0)
    asked = await runs.desk.cancel(made, "ada")
    assert asked.state is RunState.STARTING and asked.wanted == "cancel"
    assert (await runs.say(made, report())).wanted == "cancel", "its next report hears of it"
    assert (await runs.say(made, report("cancelled"))).state is RunState.CANCELLED
    assert (await gateway.get_session(host.id)).live, "the session goes on"
    other = await runs.start(session=host.id)
    await gateway.broker.ask_to_stop(host, "ada")
    await runs.at(other.id, RunState.INTERRUPTED)
    with pytest.raises(Refusal, match="session-over"):
        await runs.start(session=host.id)
    with pytest.raises(Refusal, match="no-session"):
        await runs.start("bob", session=host.id)
    own = await runs.desk.resume(await runs.get(other.id))
    assert own.started is None, "what it cost before is counted, and not once more"
    assert own.own_session and own.server.startswith("run-")


async def test_a_run_does_not_go_on_in_the_session_that_ends_with_it(gateway: Gateway, runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    failed = await runs.say(made, report("failed"))
    assert failed is not None
    with pytest.raises(Refusal, match="session-over"):
        await runs.desk.resume(await runs.get(made.id), session=str(made.session))
    assert (await gateway.get_session(str(made.session))).asked_by is None, "and that one is not stopped for it"


async def test_a_session_that_lingers_after_its_run_is_stopped(
    gateway: Gateway, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perijove.hub.broker import runkeeper

    made = await runs.up((await runs.start()).id)
    await runs.say(made, report("done"))
    monkeypatch.setattr(runkeeper, "LINGERS", timedelta(0))
    await gateway.at(str(made.session), Stage.ENDED)
    await until(lambda: _settled(runs, made.id))


async def test_a_ready_session_that_says_nothing_of_its_run_is_not_paid_for_to_the_end(
    gateway: Gateway, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perijove.hub.broker import runkeeper

    heard, silent = await runs.up((await runs.start()).id), await runs.up((await runs.start()).id)
    await runs.say(heard, report("running"))
    monkeypatch.setattr(runkeeper, "SILENT", timedelta(0))
    over = await runs.at(silent.id, RunState.INTERRUPTED)
    assert (await gateway.at(str(over.session), Stage.ENDED)).asked_by == "policy" and over.settled
    assert (await runs.get(heard.id)).state is RunState.RUNNING
    assert "resume" in (await runs.desk.view(over))["can"]


async def test_one_run_that_cannot_be_seen_through_keeps_no_other_waiting(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, opened = runs.desk.keeper, runs.desk.keeper.open

    async def broken(run: Run) -> Run:
        if run.label == "broken":
            raise KeyError("what nobody thought of")
        return await opened(run)

    async def later(run: Run) -> Run:
        return run

    monkeypatch.setattr(keeper, "open", later)
    bad, good = await runs.start(label="broken"), await runs.start()
    monkeypatch.setattr(keeper, "open", broken)
    await runs.with_session(good.id)
    await runs.with_session((await runs.start()).id)
    assert (await runs.get(bad.id)).state is RunState.STARTING


async def test_a_store_that_breaks_in_between_leaves_no_session_without_its_run(
    gateway: Gateway, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, broken = runs.desk.runs.change, [True]

    async def change(run: str, transition: Any) -> Run | None:
        if broken and transition.__qualname__.startswith("opened"):
            broken.clear()
            raise OperationalError("update", {}, Exception("the disk is away"))
        return await changed(run, transition)

    monkeypatch.setattr(runs.desk.runs, "change", change)
    with pytest.raises(OperationalError):
        await runs.start(key="k")
    [(made, _)] = await runs.desk.runs.listing()
    found = await runs.with_session(made.id)
    assert await runs.sessions() == [found.server], "the session that was opened is found again"


def test_what_a_session_was_kept_warm_for_nobody_is_not_charged() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    run: Any = SimpleNamespace(settled=False, own_session=True, price=3600)
    times = {"started": start, "taken": start + timedelta(hours=2), "ended": start + timedelta(hours=3)}
    record: Any = SimpleNamespace(price=7200, **times)
    assert cost_in(run, record, start + timedelta(hours=9)) == 3600


async def test_a_run_is_forgotten_once_it_has_ended(runs: Runs) -> None:
    made = await runs.up((await runs.start()).id)
    await runs.desk.files.keep(made.id, "f.png", b"x")
    await runs.desk.shares.make(made.id, "view", 1, "ada")
    with pytest.raises(Refusal, match="run-live"):
        await runs.desk.forget(made)
    await runs.say(made, report("done"))
    await runs.desk.forget(await runs.get(made.id))
    assert await runs.desk.runs.get(made.id) is None
    assert (await runs.desk.files.listing(made.id))[made.id] == [] and await runs.desk.shares.listing(made.id) == []
