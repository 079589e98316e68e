"""A cluster ends with all that belongs to it, whoever ended it; nothing is left over at the centre."""

from __future__ import annotations

from dataclasses import replace

import pytest
from broker.clusterworld import World
from broker.harness import Gateway, until
from perijove.hub.broker.records import Change
from perijove.spawners.job import Reason, job_name
from perijove.spawners.link import LinkError, LinkProblem
from perijove.spawners.session import Stage


@pytest.fixture
def world(gateway: Gateway) -> World:
    return World(gateway)


async def test_a_closed_cluster_ends_with_its_workers_and_folders(gateway: Gateway, world: World) -> None:
    await world.begin()
    names = await world.ask(2)
    await world.until("queued", "queued")
    closing = await world.desk.close(await world.cluster(), "ada")
    assert not closing.live and (await world.desk.close(closing, "eve")).closed_by == "ada"
    over = await world.closed()
    assert over.outcome == "completed" and over.ended and over.closed_by == "ada"
    assert not [job for job in world.jobs() if job.live]
    # The array as a whole; it is asked for again until its end is seen.
    assert len(set(gateway.centre.cancelled)) == 1
    assert {world.id, names[0].partition("-")[0]} <= set(gateway.centre.forgotten)
    assert (await gateway.get_session(over.session)).stage is Stage.READY, "the session beside it goes on"
    await until(lambda: not gateway.broker.keepers["alpha"].clusters.works)


@pytest.mark.parametrize("how", ["asked", "by itself"])
async def test_the_end_of_the_host_session_ends_the_cluster(gateway: Gateway, world: World, how: str) -> None:
    cluster = await world.begin()
    names = await world.ask(2)
    await world.until("queued", "queued")
    if how == "asked":
        await gateway.broker.ask_to_stop(await gateway.get_session(cluster.session), "ada")
    else:
        gateway.centre.end(gateway.centre.of(cluster.session)[0], Reason.WALLTIME, 1)
    over = await world.closed()
    assert over.closed_by == "the end of its session"
    assert not gateway.centre.live() and {world.id, names[0].partition("-")[0]} <= set(gateway.centre.forgotten)
    assert "cluster-closed" in await world.codes() and "worker-lost" not in await world.codes()


async def test_workers_that_were_never_submitted_are_not_once_the_cluster_is_closed(
    gateway: Gateway, world: World
) -> None:
    await world.begin()

    def away(request: object) -> None:
        raise LinkError(LinkProblem.UNREACHABLE, "no route to the login node")

    gateway.centre.fail = away
    await world.ask(2)

    async def tried() -> bool:
        return all("no route" in worker["detail"] for worker in (await world.view()).values())

    await until(tried)
    await world.desk.close(await world.cluster(), "ada")
    workers = await world.until("ended", "ended")
    assert all(worker["reason"] == "cancelled" for worker in workers.values())
    gateway.centre.fail = lambda request: None
    await world.closed()
    assert len(gateway.centre.submissions) == 1


async def test_a_stray_array_is_cancelled_whoever_it_once_belonged_to(gateway: Gateway, world: World) -> None:
    await world.begin()
    await world.ask(2)
    await world.until("queued", "queued")
    await world.desk.close(await world.cluster(), "ada")
    await world.closed()
    cancelled = len(gateway.centre.cancelled)
    gone = world.jobs()[0].session
    for session in (gone, f"{gateway.broker.tag}aaaaaaaaaa"):
        submit = ["sim", "submit", session, job_name(session), "2"]
        request = {"verb": "submit", "session": session, "files": {}, "argv": submit}
        await gateway.centre.launch(request, "gate")
    gateway.broker.keepers["alpha"].watcher.hurry()
    await until(lambda: not [job for job in world.jobs() if job.live], what="strays are cancelled")
    assert set(gateway.centre.cancelled[cancelled:]) == {job.array for job in world.jobs()[2:]}


async def test_a_second_array_of_the_same_workers_is_cancelled_and_the_known_one_stays(
    gateway: Gateway, world: World
) -> None:
    await world.begin()
    await world.ask(2)
    await world.until("queued", "queued")
    first = world.jobs()[0]
    submit = ["sim", "submit", first.session, first.name, "2"]
    await gateway.centre.launch({"verb": "submit", "session": first.session, "files": {}, "argv": submit}, "gate")
    gateway.broker.keepers["alpha"].watcher.hurry()
    await until(lambda: gateway.centre.cancelled)
    assert [job.array for job in world.jobs() if job.live] == [first.array] * 2
    assert await world.states() == ["queued", "queued"]


async def test_a_session_that_is_there_for_the_head_alone_ends_with_its_cluster(gateway: Gateway, world: World) -> None:
    cluster = await world.begin()
    await world.desk.close(cluster, "ada")
    apart = await world.desk.open(replace(await gateway.get_session(cluster.session), kind="dask"), "apart", {})
    assert not apart.beside
    world.id = apart.id
    await world.ask(1)
    await world.until("queued")
    # As if the broker had been killed between the two: only the cluster is marked.
    await world.desk.clusters.close(apart.id, "ada")
    ended = await gateway.at(cluster.session, Stage.ENDED)
    assert ended.asked_by == "ada" and ended.outcome == "cancelled"
    await world.closed()
    assert not gateway.centre.live()


@pytest.mark.parametrize("kind", ["lab", "dask"])
async def test_a_requeued_host_has_no_head_any_more_so_its_workers_are_let_go(
    gateway: Gateway, world: World, kind: str
) -> None:
    cluster = await world.begin(kind)
    await world.ask(2)
    await world.until("queued", "queued")
    host = await gateway.get_session(cluster.session)
    await gateway.broker.sessions.change_all([host.id], lambda record: Change({"stage": Stage.QUEUED}))
    await gateway.broker.keepers["alpha"].clusters.scan()
    workers = await world.view()
    assert not any(worker["wanted"] for worker in workers.values())
    now = await world.cluster()
    # Beside other work the person makes a new one; a session of the head's own starts its cluster again.
    assert (now.live, now.closed_by) == ((None, "the requeue of its session") if kind == "lab" else (True, None))


async def test_no_job_is_taken_for_a_stray_because_there_are_many(gateway: Gateway, world: World) -> None:
    await world.begin()
    names = await world.ask(1)
    job = names[0].partition("-")[0]
    many = [f"{gateway.broker.tag}{number:010d}" for number in range(1500)]
    assert await world.desk.clusters.going([*many, job]) == {job: True}
    host = (await world.cluster()).session
    assert host in await gateway.broker.sessions.stages([*many, host])
