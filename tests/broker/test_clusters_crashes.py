"""The gateway is killed at every step of a request for workers, and of their end: nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
from broker.clusterworld import World
from broker.harness import Gateway, until
from perijove.spawners.job import JobState

START = ["workers-intent", "workers-before-submission", "workers-after-submission", "workers-submitted"]
STOP = ["workers-before-cancel", "cluster-ending"]


@pytest.fixture
def world(gateway: Gateway) -> World:
    return World(gateway)


@pytest.mark.parametrize("point", START)
async def test_killed_while_workers_are_submitted(gateway: Gateway, world: World, point: str) -> None:
    await world.begin()
    gateway.point = point
    names = await world.ask(3)
    await until(gateway.reached.is_set, what=point)
    await gateway.restart()
    workers = await world.until("queued", "queued", "queued")
    assert list(workers) == names == await world.ask(3)
    assert len(world.jobs()) == 3 and len(gateway.centre.submissions) == 2 and not gateway.centre.cancelled


@pytest.mark.parametrize("point", START)
async def test_closed_while_it_is_down_in_the_middle_of_a_submission(
    gateway: Gateway, world: World, point: str
) -> None:
    await world.begin()
    gateway.point = point
    await world.ask(2)
    await until(gateway.reached.is_set, what=point)
    await world.desk.clusters.close(world.id, "ada")
    await gateway.restart()
    await world.closed()
    assert not [job for job in world.jobs() if job.live]
    assert len(gateway.centre.submissions) <= 2


async def test_killed_while_the_answer_is_lost_and_the_listing_is_late(gateway: Gateway, world: World) -> None:
    await world.begin()
    gateway.centre.lose_answers, gateway.centre.late_listing = 1, True
    await world.ask(2)
    await until(world.jobs)
    await gateway.restart()
    for job in world.jobs():
        job.hidden = False
    await world.until("queued", "queued")
    assert len(world.jobs()) == 2


@pytest.mark.parametrize("point", STOP)
async def test_killed_while_workers_are_cancelled(gateway: Gateway, world: World, point: str) -> None:
    await world.begin()
    await world.ask(2)
    await world.until("queued", "queued")
    gateway.point = point
    await world.desk.close(await world.cluster(), "ada")
    await until(gateway.reached.is_set, what=point)
    await gateway.restart()
    over = await world.closed()
    assert over.closed_by == "ada" and not [job for job in world.jobs() if job.live]


async def test_running_workers_outlive_the_gateway(gateway: Gateway, world: World) -> None:
    await world.begin()
    await world.ask(2)
    await world.until("queued", "queued")
    for job in world.jobs():
        gateway.centre.run(job)
    await world.until("running", "running")
    await gateway.kill()
    gateway.centre.end(world.jobs()[0])
    await gateway.start()
    await world.until("ended", "running")
    assert world.jobs()[1].state is JobState.RUNNING and not gateway.centre.cancelled


async def test_what_a_broker_without_the_lease_writes_is_done_by_the_one_that_has_it(
    gateway: Gateway, world: World, tmp_path: Path
) -> None:
    await world.begin()
    second = Gateway(tmp_path, gateway.centre)
    second.hub = gateway.hub
    await second.start()
    gateway.hub.broker = gateway.broker
    try:
        other = World(second)
        other.id = world.id
        names = await other.ask(2)
        workers = await other.until("queued", "queued")
        assert list(workers) == names and len(gateway.centre.submissions) == 2
        assert not second.broker.keepers["alpha"].clusters.works
        await other.desk.let_go(await other.cluster(), names[:1])
        await other.until("ended", "queued")
        await gateway.stop()
        gateway.centre.run(world.jobs()[1])
        await other.until("ended", "running")
    finally:
        await second.stop()
        await gateway.start()
