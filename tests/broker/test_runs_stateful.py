"""Anything may happen to runs in any order, crashes too: each ends as it must, once, with one session at a time."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

import pytest
from broker.harness import Gateway, until
from broker.runworld import APP, Runs, report
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.runrecords import Run, RunState
from perijove.spawners import kinds
from perijove.spawners.job import JobState, Reason
from perijove.spawners.session import Stage

STEPS = (
    *("run", "report", "steps", "done", "fail", "cancelled", "old-report", "cancel", "resume"),
    *("lose", "end", "out-of-memory", "kill", "silence", "answer", "stop-session", "pause"),
)
SAID = {
    "report": report(),
    "steps": report(steps=("done", "running")),
    "done": report("done", ("done",)),
    "fail": report("failed", ("done", "failed")),
    "cancelled": report("cancelled"),
}
ENDS = {"lose": Reason.NODE_FAILED, "end": Reason.COMPLETED, "out-of-memory": Reason.MEMORY}


async def step(runs: Runs, name: str, run: Run, first: Run) -> None:
    gateway, job = runs.gateway, runs.job(run)
    match name:
        case "run" if job is not None and job.state is JobState.QUEUED:
            gateway.centre.run(job)
        case name if name in SAID and job is not None and job.live:
            with contextlib.suppress(Refusal):
                await runs.say(run, SAID[name])
        case "old-report":
            with contextlib.suppress(Refusal):
                await runs.desk.report(run, report("done"), "", first.session if first.session != run.session else "x")
        case "cancel":
            await runs.desk.cancel(run, "ada")
        case "resume":
            with contextlib.suppress(Refusal):
                await runs.desk.resume(run)
        case name if name in ENDS and job is not None and job.live:
            gateway.centre.end(job, ENDS[name], 1)
        case "kill":
            await gateway.restart()
        case "silence":
            gateway.centre.unavailable = "the controller does not answer"
        case "answer":
            gateway.centre.unavailable = ""
        case "stop-session" if run.session is not None:
            await gateway.broker.ask_to_stop(await gateway.get_session(run.session), "ada")
        case _:
            await asyncio.sleep(0.05)


async def stays(runs: Runs, run: str) -> bool:
    """It is where it can stay: in a session that has not ended, or ended and, with that session, settled."""
    found = await runs.get(run)
    if found.state.live:
        if found.session is None or found.wanted:
            return False
        return (await runs.gateway.get_session(found.session)).live is True
    if found.session is None:
        return found.settled
    over = (await runs.gateway.get_session(found.session)).stage is Stage.ENDED
    return found.settled or not over


async def play(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Gateway(Path(folder)))
        await runs.begin()
        try:
            first = run = await runs.start()
            done = False
            for name in names:
                await step(runs, name, run, first)
                run = await runs.get(run.id)
                assert not done or run.state is RunState.DONE, f"done is done: {name} of {names}"
                done = run.state is RunState.DONE
                assert run.resumed <= 1 and 0 <= run.progress <= 1 and (run.ended is None) == run.state.live
            runs.gateway.centre.unavailable = ""
            await until(lambda: stays(runs, run.id), 20, f"stays after {names}")
            sessions = await runs.gateway.broker.sessions.listing(live=True)
            live = [record for record in sessions if record.live]
            assert {record.id for record in live} <= {(await runs.get(run.id)).session}, f"left over after {names}"
        finally:
            await runs.gateway.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=14))
def test_in_any_order_a_run_is_never_lost_or_doubled(names: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kinds._BUILT_IN, "app", APP)
        asyncio.run(play(names))
