"""Clusters in the store, on SQLite and PostgreSQL: one of a name, workers once per key, changes of many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from broker.simulated import SimulatedCentre
from perijove.hub.broker import workerjobs
from perijove.hub.broker.clusterrecords import Batch, Cluster, WorkerState
from perijove.hub.broker.clusters import MOST, Asked, Closed, Clusters, KeyUsed, NameTaken, TooManyClusters
from perijove.hub.broker.database import Database
from perijove.hub.broker.events import Bulletin
from perijove.hub.broker.records import News, Record
from perijove.hub.broker.sessions import Sessions, utc_now
from perijove.hub.limits import ClusterLimits, OverLimit, Used
from perijove.spawners.job import JobState, JobStatus, Reason


@pytest_asyncio.fixture
async def clusters(url: str) -> AsyncIterator[Clusters]:
    database = Database(url)
    await database.migrate()
    yield Clusters(Sessions(database, Bulletin()))
    await database.close()


async def host(clusters: Clusters) -> str:
    sessions = Sessions(clusters.database, clusters.bulletin)
    draft = Record("", "ada", "", True, "lab", "alpha", "cpu", {}, 1, 1024, 0, 3600, 5, {}, utc_now())
    return (await sessions.open(draft, "abc", [News.of("checked")], 9))[0].id


def draft(session: str = "s", name: str = "", **changes: Any) -> Cluster:
    given = ("", "ada", name, session, "", True, "alpha", "cpu", 2, 1024, 0, 3600, 7, {"name": "a1"}, utc_now())
    return replace(Cluster(*given), **changes)


def asked(count: int = 3, key: str = "k", limits: ClusterLimits | None = None, most: int = 1000) -> Asked:
    return Asked(key, count, False, most, 7, {"core_hour": 3}, limits or ClusterLimits())


async def opened(clusters: Clusters, **changes: Any) -> Cluster:
    return (await clusters.open(draft(**changes), "abc"))[0]


async def queued(clusters: Clusters, count: int = 3) -> Batch:
    cluster = await opened(clusters, session=await host(clusters))
    (batch,) = await clusters.ask(cluster.id, asked(count), "abc")
    await clusters.change(batch.job.id, workerjobs.attempting(utc_now()))
    return await clusters.change(batch.job.id, workerjobs.submitted("77", SimulatedCentre().system, utc_now()))


async def test_a_name_is_taken_once_and_a_free_one_is_found(clusters: Clusters) -> None:
    many = await asyncio.gather(*(clusters.open(draft(name="one"), "abc") for _ in range(8)))
    assert len({cluster.id for cluster, _ in many}) == 1 and [new for _, new in many].count(True) == 1
    with pytest.raises(NameTaken):
        await opened(clusters, session="t", name="one")
    await opened(clusters, session="t", name="one", owner="bob")
    names = {cluster.name for cluster in await asyncio.gather(*(opened(clusters) for _ in range(4)))}
    assert names == {"dask-1", "dask-2", "dask-3", "dask-4"}
    await clusters.close(many[0][0].id, "ada")
    again = await opened(clusters, session="t", name="one")
    assert again.id != many[0][0].id
    latest = await clusters.by_name("ada", "one")
    assert latest is not None and latest.id == again.id


async def test_a_person_has_so_many_clusters_and_no_more(clusters: Clusters) -> None:
    for _ in range(MOST):
        await opened(clusters)
    with pytest.raises(TooManyClusters):
        await opened(clusters)
    await opened(clusters, owner="bob")


async def test_workers_are_written_down_once_per_key_and_in_parts(clusters: Clusters) -> None:
    cluster = await opened(clusters)
    both = await asyncio.gather(*(clusters.ask(cluster.id, asked(5, most=2), "abc") for _ in range(4)))
    (jobs,) = {tuple(batch.job.id for batch in batches) for batches in both}
    assert [batch.job.count for batch in both[0]] == [2, 2, 1] and len(jobs) == 3
    with pytest.raises(KeyUsed):
        await clusters.ask(cluster.id, asked(4), "abc")
    assert await clusters.used("ada", "alpha") == Used(5, 10, 35)
    with pytest.raises(OverLimit):
        await clusters.ask(cluster.id, asked(1, "k2", ClusterLimits(workers=5)), "abc")
    await clusters.close(cluster.id, "ada")
    assert await clusters.used("ada", "alpha") == Used()
    assert len(await clusters.ask(cluster.id, asked(5, most=2), "abc")) == 3, "what came of it is told later, too"
    with pytest.raises(Closed):
        await clusters.ask(cluster.id, asked(1, "k3"), "abc")


async def test_a_listing_changes_many_workers_at_once_and_tells_of_it(clusters: Clusters) -> None:
    batch = await queued(clusters)
    version = batch.cluster.version
    name, begun = "pj" + batch.job.id, utc_now() - timedelta(seconds=50)
    status = JobStatus("77", name, JobState.QUEUED, Reason.PRIORITY, "Priority", submitted=begun)
    runs = replace(status, state=JobState.RUNNING, reason=Reason.NONE, node="n1", started=begun)
    failed = replace(runs, state=JobState.ENDED, reason=Reason.MEMORY, ended=utc_now(), exit_code=9, core_seconds=100)
    news = clusters.bulletin.listen(batch.cluster.id)
    after = await clusters.change(batch.job.id, workerjobs.listed({1: status, 2: runs, 3: failed}, utc_now()))
    await asyncio.wait_for(news, 5)
    assert after.cluster.version == version + 1
    found = await clusters.job(batch.job.id)
    assert found is not None and found.workers == after.workers
    first, second, third = found.workers
    assert (first.state, first.reason, first.job_id) == (WorkerState.QUEUED, "priority", "77_1")
    assert second.started == begun and second.ends_by == begun + timedelta(hours=1) and second.node == "n1"
    assert (third.state, third.reason, third.exit_code, third.core_seconds) == (WorkerState.LOST, "memory", 9, 100)
    same = await clusters.change(batch.job.id, workerjobs.listed({1: status, 2: runs, 3: failed}, utc_now()))
    assert same.cluster.version == version + 1, "the same again is no news"
    events = await Sessions(clusters.database, clusters.bulletin).events(batch.cluster.session)
    lost = next(event for event in events if event["code"] == "worker-lost")
    assert lost["values"]["worker"] == third.name and lost["values"]["count"] == 1


async def test_many_that_are_lost_together_are_one_event(clusters: Clusters) -> None:
    batch = await queued(clusters, 40)
    after = await clusters.change(batch.job.id, workerjobs.gone(range(1, 41), utc_now()))
    assert after.job.ended and all(worker.state is WorkerState.LOST for worker in after.workers)
    events = await Sessions(clusters.database, clusters.bulletin).events(batch.cluster.session)
    (lost,) = [event for event in events if event["code"] == "worker-lost"]
    assert lost["values"]["count"] == 40 and lost["values"]["worker"].endswith(", ...")
    assert await clusters.going([batch.job.id, "nobody"]) == {batch.job.id: False}


async def test_an_estimate_that_hardly_moves_is_no_news(clusters: Clusters) -> None:
    batch = await queued(clusters, 1)
    soon = utc_now() + timedelta(minutes=5)
    for seconds, news in ((0, 1), (5, 0), (60, 1)):
        version = (await clusters.change(batch.job.id, lambda b: None)).cluster.version
        status = JobStatus("77", "n", JobState.QUEUED, expected=soon + timedelta(seconds=seconds))
        after = await clusters.change(batch.job.id, workerjobs.listed({1: status}, utc_now()))
        assert after.cluster.version == version + news


async def test_clusters_without_a_live_host_are_found(clusters: Clusters) -> None:
    session = await host(clusters)
    kept, lost = await opened(clusters, session=session), await opened(clusters, session="gone")
    assert [cluster.id for cluster in await clusters.orphans("alpha")] == [lost.id]
    assert {cluster.id for cluster in await clusters.unfinished("alpha")} == {kept.id, lost.id}
