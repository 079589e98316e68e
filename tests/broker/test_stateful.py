"""Anything may happen in any order, crashes too: each session ends up with one job or none; nothing is left over."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from broker.harness import Gateway, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from perijove.spawners.job import JobState, Reason
from perijove.spawners.session import Stage

STEPS = (
    *("open", "stop", "run", "end", "requeue", "kill", "hub-kill", "lose-answer", "late", "visible"),
    *("silence", "answer", "cancel-fails", "tunnel-drops", "pause"),
)
SETTLED = (Stage.QUEUED, Stage.READY, Stage.ENDED)


async def step(gateway: Gateway, name: str) -> None:  # noqa: PLR0912 - one branch per thing that may happen
    centre = gateway.centre
    live = await gateway.broker.sessions.listing(live=True)
    jobs = [job for job in centre.live() if not job.hidden]
    match name:
        case "open":
            await gateway.open("ada", f"s{len(live)}")
        case "stop" if live:
            await gateway.broker.ask_to_stop(live[0], "ada")
        case "run" if jobs and jobs[0].state is JobState.QUEUED:
            centre.run(jobs[0])
        case "end" if jobs:
            centre.end(jobs[-1], Reason.WALLTIME, 1)
        case "requeue" if jobs and jobs[0].state is JobState.RUNNING:
            centre.requeue(jobs[0])
        case "kill":
            await gateway.restart()
        case "hub-kill":
            gateway.hub.forget()
        case "lose-answer":
            centre.lose_answers += 1
        case "late":
            centre.late_listing = True
        case "visible":
            await visible(gateway)
        case "silence":
            centre.unavailable = "the controller does not answer"
        case "answer":
            centre.unavailable = ""
        case "cancel-fails":
            centre.cancel_fails += 1
        case "tunnel-drops" if centre.tunnels:
            centre.tunnels[0].lose()
        case _:
            await asyncio.sleep(0.05)


async def visible(gateway: Gateway) -> None:
    gateway.centre.late_listing = False
    for job in gateway.centre.jobs.values():
        job.hidden = False


async def settled(gateway: Gateway) -> bool:
    """Every session is where it can stay, and every live job belongs to exactly one of them."""
    records = await gateway.broker.sessions.listing(limit=1000)
    if any(record.stage not in SETTLED for record in records):
        return False
    wanting = {record.id for record in records if record.stage is not Stage.ENDED}
    jobs = [job.session for job in gateway.centre.live()]
    return len(jobs) == len(set(jobs)) and set(jobs) == wanting


async def play(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder))
        await gateway.start()
        try:
            for name in names:
                await step(gateway, name)
            gateway.centre.unavailable, gateway.centre.cancel_fails, gateway.centre.lose_answers = "", 0, 0
            await visible(gateway)
            await until(lambda: settled(gateway), 20, f"settled after {names}")
            asked = {r.id for r in await gateway.broker.sessions.listing(limit=1000) if r.asked_by}
            repeated = {
                s for s in (job.session for job in gateway.centre.jobs.values()) if len(gateway.centre.of(s)) > 1
            }
            for job_id in gateway.centre.cancelled:
                assert gateway.centre.jobs[job_id].session in asked | repeated, "cancelled unasked"
        finally:
            await gateway.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=14).map(lambda names: ["open", *names]))
def test_in_any_order_nothing_is_lost_doubled_or_left_over(names: list[str]) -> None:
    asyncio.run(play(names))
