"""Anything may happen to workers in any order, crashes too: each has one job or none, and nothing is left over."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

import pytest
from broker.clusterworld import World
from broker.harness import Gateway, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from perijove.hub.broker.clusters import Closed
from perijove.spawners.job import JobState, Reason

STEPS = (
    *("ask", "let-go", "run", "end", "requeue", "kill", "lose-answer", "late", "visible"),
    *("silence", "answer", "cancel-fails", "close", "stop-host", "pause"),
)


async def step(world: World, name: str) -> None:  # noqa: PLR0912 - one branch per thing that may happen
    gateway, centre = world.gateway, world.gateway.centre
    jobs = [job for job in world.jobs() if job.live and not job.hidden]
    cluster = await world.cluster()
    match name:
        case "ask":
            with contextlib.suppress(Closed):
                await world.ask(2, f"k{len(await world.view())}")
        case "let-go":
            await world.desk.let_go(cluster, list(await world.view())[:1])
        case "run" if jobs and jobs[0].state is JobState.QUEUED:
            centre.run(jobs[0])
        case "end" if jobs:
            centre.end(jobs[-1], Reason.NODE_FAILED, 1)
        case "requeue" if jobs and jobs[0].state is JobState.RUNNING:
            centre.requeue(jobs[0])
        case "kill":
            await gateway.restart()
        case "lose-answer":
            centre.lose_answers += 1
        case "late":
            centre.late_listing = True
        case "visible":
            visible(gateway)
        case "silence":
            centre.unavailable = "the controller does not answer"
        case "answer":
            centre.unavailable = ""
        case "cancel-fails":
            centre.cancel_fails += 1
        case "close":
            await world.desk.close(cluster, "ada")
        case "stop-host":
            await gateway.broker.ask_to_stop(await gateway.get_session(cluster.session), "ada")
        case _:
            await asyncio.sleep(0.05)


def visible(gateway: Gateway) -> None:
    gateway.centre.late_listing = False
    for job in gateway.centre.jobs.values():
        job.hidden = False


async def settled(world: World) -> bool:
    """Every worker is where it can stay, and every live task belongs to exactly one that is wanted."""
    cluster = await world.cluster()
    if not cluster.live and not cluster.forgotten:
        return False
    batches = await world.desk.clusters.batches(world.id)
    going = [worker for batch in batches for worker in batch.going]
    if any(not worker.wanted or worker.job_id is None for worker in going):
        return False
    live = [(job.session, job.task, job.id) for job in world.jobs() if job.live]
    return sorted(live) == sorted((worker.job, worker.task, worker.job_id) for worker in going)


async def play(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Gateway(Path(folder)))
        gateway = world.gateway
        await world.begin()
        try:
            for name in names:
                await step(world, name)
            gateway.centre.unavailable, gateway.centre.cancel_fails, gateway.centre.lose_answers = "", 0, 0
            visible(gateway)
            await until(lambda: settled(world), 20, f"settled after {names}")
            unasked = "close" not in names and "stop-host" not in names and "let-go" not in names
            doubled = len({job.array for job in world.jobs()}) > len({job.session for job in world.jobs()})
            if unasked and not doubled:
                assert not gateway.centre.cancelled, "cancelled unasked"
        finally:
            await gateway.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=14).map(lambda names: ["ask", *names]))
def test_in_any_order_no_worker_is_lost_doubled_or_left_over(names: list[str]) -> None:
    asyncio.run(play(names))
