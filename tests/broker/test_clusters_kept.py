"""What is kept of clusters and told of them: for a ledger, for operators, for the head; and for how long."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from broker.clusterworld import World
from broker.harness import Gateway
from broker.simulated import SimulatedCentre, centre
from perijove.hub.broker.connection import facts_of
from perijove.hub.broker.metrics import Metrics
from perijove.hub.broker.purge import Purge
from perijove.hub.broker.sessions import utc_now
from perijove.hub.broker.store import workers
from perijove.hub.broker.watching import watchers
from perijove.hub.limits import Retention
from perijove.spawners.facts import Facts
from perijove.spawners.job import Reason
from sqlalchemy import func, select


@pytest.fixture
def world(gateway: Gateway) -> World:
    return World(gateway)


async def test_what_a_ledger_needs_is_kept_of_each_worker(gateway: Gateway) -> None:
    queue = {"name": "cpu", "cores": 64, "memory": "256G", "price": {"core_hour": "0.25", "gpu_hour": 2}}
    gateway.simulated = {"alpha": SimulatedCentre(centre("alpha", queues=[queue]))}
    world = World(gateway)
    await world.begin(cores=4)
    await world.ask(1)
    await world.until("queued")
    gateway.centre.run(world.jobs()[0])
    await world.until("running")
    assert (await world.desk.view(await world.cluster()))["cost_per_hour"] == 1_000_000
    gateway.centre.end(world.jobs()[0], Reason.WALLTIME, 1)
    await world.until("lost")
    (batch,) = await world.desk.clusters.batches(world.id)
    (worker,) = batch.workers
    assert batch.job.price == 1_000_000
    assert batch.job.tariff == {"core_hour": 250_000, "gpu_hour": 2_000_000, "memory_hour": 0}
    assert worker.started and worker.ended and worker.core_seconds is not None and batch.cluster.cores == 4


async def test_operators_and_prometheus_are_told_how_many_there_are(gateway: Gateway, world: World) -> None:
    await world.begin()
    await world.ask(3)
    await world.until("queued", "queued", "queued")
    gateway.centre.run(world.jobs()[0])
    await world.until("running", "queued", "queued")
    (alpha,) = await watchers(gateway.broker)
    assert alpha["clusters"] == 1 and alpha["workers"] == {"running": 1, "queued": 2}
    text = (await Metrics(gateway.broker).text(""))[0].decode()
    assert 'perijove_clusters{centre="alpha"} 1.0' in text
    assert 'perijove_workers{centre="alpha",state="queued"} 2.0' in text
    assert 'perijove_workers{centre="alpha",state="requested"} 0.0' in text


async def test_a_cluster_that_ended_long_ago_is_removed_and_no_other(gateway: Gateway, world: World) -> None:
    cluster = await world.begin()
    await world.ask(2)
    await world.until("queued", "queued")
    kept = await world.desk.open(await gateway.get_session(cluster.session), "kept", {})
    await world.desk.close(cluster, "ada")
    over = await world.closed()
    database = gateway.broker.parts.database

    def later(days: int) -> datetime:
        return utc_now() + timedelta(days=days)

    for days, there in ((399, True), (401, False)):
        await Purge(database, partial(later, days), Retention()).run()
        assert (await world.desk.clusters.get(over.id) is not None) == there
    assert await world.desk.clusters.get(kept.id) is not None
    assert await database.read(lambda c: c.scalar(select(func.count()).select_from(workers))) == 0


async def test_the_host_session_is_told_what_its_head_needs(gateway: Gateway) -> None:
    paths = {"base": "/data/{account}/.pj", "scratch": "/scratch/{account}"}
    described = centre("alpha", paths=paths, ports={"first": 30000, "last": 30999})
    gateway.simulated = {"alpha": SimulatedCentre(described)}
    world = World(gateway)
    cluster = await world.begin()
    record = replace(await gateway.get_session(cluster.session), request={"options": {"cluster": '{"name": "x"}'}})
    facts = Facts.read(facts_of(record, described).environment())
    assert (facts.base, facts.scratch, facts.ports) == ("/data/gate/.pj", "/scratch/gate", "30000-30999")
    assert json.loads(facts.options) == {"cluster": '{"name": "x"}'}
