"""Dask workers in the ledger: held as they are asked for, settled one by one, charged once."""

from __future__ import annotations

import pytest
from broker.clusterworld import World
from broker.harness import Gateway, until
from broker.ledgerworld import (
    CREDIT,
    HOUR,
    balance,
    count,
    hold_of,
    income,
    out_of_touch,
    priced,
    read,
    sound,
    workers_holds,
)
from perijove.hub.broker.errors import Refusal
from perijove.hub.ledger.records import Hold
from perijove.hub.ledger.tables import holds
from perijove.spawners.centre import Price
from perijove.spawners.job import Reason


@pytest.mark.parametrize("silent", [True, False], ids=["after a long silence", "at once"])
async def test_workers_that_nobody_wants_any_more_are_charged_until_they_were_seen(
    gateway: Gateway, silent: bool
) -> None:
    priced(gateway)
    gateway.centre.has_history = False
    world = World(gateway)
    await world.begin(cores=2, walltime="1h")
    await world.ask(1)
    await until(lambda: len(world.jobs()) == 1)
    (batch,) = await world.desk.clusters.batches(world.id)
    (job,) = world.jobs()
    gateway.centre.run(job)
    await world.until("running")
    gateway.centre.cancel_fails = 1000
    await world.desk.close(await world.cluster(), "ada")
    if silent:
        await out_of_touch(gateway)
    else:
        del gateway.centre.jobs[job.id]
    await world.until("ended")
    held = await hold_of(gateway, batch.job.id, "workers")
    assert (held.state, held.charged > 0) == (("undecided", False) if silent else ("settled", True))
    await sound(gateway)


async def test_workers_of_an_array_are_settled_one_by_one_by_what_pays_for_their_head(gateway: Gateway) -> None:
    priced(gateway)
    world = World(gateway)
    await world.begin(cores=2, walltime="1h")
    await world.ask(3)
    await until(lambda: len(world.jobs()) == 3)
    (batch,) = await world.desk.clusters.batches(world.id)
    held = await hold_of(gateway, batch.job.id, "workers")
    assert (held.amount, held.count, held.hourly, held.budget) == (6 * CREDIT, 3, 2 * CREDIT, "person:ada")
    first, second, third = world.jobs()
    for job in (first, second, third):
        gateway.centre.run(job)
    await world.until("running", "running", "running")
    gateway.centre.end(first, Reason.COMPLETED)
    assert first.ended is not None
    first.started = first.ended - HOUR / 2
    await world.until("ended", "running", "running")
    held = await hold_of(gateway, batch.job.id, "workers")
    assert (held.charged, held.open, held.done, held.state) == (CREDIT, 4 * CREDIT, 1, "open")
    view = await world.desk.view(await world.cluster())
    assert view["money"]["hourly"] == 4 * CREDIT and CREDIT <= view["money"]["spent"] < CREDIT + 10_000
    for job in (second, third):
        gateway.centre.end(job, Reason.COMPLETED)
        assert job.ended is not None
        job.started = job.ended - HOUR / 4
    await world.until("ended", "ended", "ended")
    held = await hold_of(gateway, batch.job.id, "workers")
    assert (held.charged, held.open, held.state) == (2 * CREDIT, 0, "settled")
    await sound(gateway)


@pytest.mark.parametrize(
    "point", ["workers-intent", "workers-before-submission", "workers-after-submission", "workers-submitted"]
)
async def test_killed_while_workers_are_submitted_they_are_held_and_charged_once(gateway: Gateway, point: str) -> None:
    priced(gateway)
    world = World(gateway)
    await world.begin(cores=1, walltime="1h")
    gateway.point = point
    await world.ask(2)
    await until(gateway.reached.is_set, what=point)
    await gateway.restart()
    await world.until("queued", "queued")
    await world.ask(2)
    assert await count(gateway, holds) == 2 and (await balance(gateway)).held == CREDIT + 2 * CREDIT
    for job in world.jobs():
        gateway.centre.run(job)
    await world.until("running", "running")
    gateway.point = "workers-before-cancel"
    gateway.reached.clear()
    await world.desk.close(await world.cluster(), "ada")
    await until(gateway.reached.is_set, what="workers-before-cancel")
    await gateway.restart()
    await world.closed()
    (batch,) = await read(gateway, lambda c: [Hold.of(row) for row in c.execute(workers_holds())])
    assert (batch.state, batch.done) == ("settled", 2) and batch.charged == await income(gateway)
    await sound(gateway)


async def test_workers_for_which_there_is_not_the_money_are_refused_and_none_is_asked_for(gateway: Gateway) -> None:
    priced(gateway, starting_grant="50")
    world = World(gateway)
    await world.begin(cores=2, walltime="1h")
    with pytest.raises(Refusal) as caught:
        await world.ask(100)
    assert caught.value.code == "balance"
    assert await world.desk.clusters.batches(world.id) == [] and not world.jobs()
    assert (await world.ask(1)) and await count(gateway, holds) == 2
    await sound(gateway)


async def test_what_no_books_can_hold_is_refused_in_words_for_a_session_and_for_workers(gateway: Gateway) -> None:
    priced(gateway, enforce=False)
    world = World(gateway)
    (queue,) = gateway.centre.described.queues
    dear = queue.model_copy(update={"price": Price(core_hour=100_000_000)})
    gateway.centre.described = gateway.centre.described.model_copy(update={"queues": (dear,)})
    await world.begin(cores=1, walltime="1h")
    with pytest.raises(Refusal) as caught:
        await world.ask(20)
    assert (caught.value.code, caught.value.status) == ("too-dear", 400)
    assert await world.desk.clusters.batches(world.id) == []
    with pytest.raises(Refusal) as caught:
        await gateway.open(server="b", cores=64, walltime="1h")
    assert caught.value.code == "too-dear"
    assert await count(gateway, holds) == 1
