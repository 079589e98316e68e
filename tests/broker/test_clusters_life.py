"""The life of a cluster's workers: submitted once, told truthfully, cancelled together, and nothing left over."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from broker.clusterworld import World
from broker.harness import Gateway, until
from broker.simulated import SimulatedCentre, centre
from perijove.hub.broker.connection import facts_of
from perijove.hub.broker.metrics import Metrics
from perijove.hub.broker.purge import Purge
from perijove.hub.broker.sessions import utc_now
from perijove.hub.broker.store import workers
from perijove.hub.broker.watching import watchers
from perijove.hub.limits import Retention
from perijove.spawners.facts import Facts
from perijove.spawners.job import Reason, job_name
from perijove.spawners.link import LinkError, LinkProblem
from perijove.spawners.session import Stage
from sqlalchemy import func, select


@pytest.fixture
def world(gateway: Gateway) -> World:
    return World(gateway)


async def test_many_workers_are_one_submission_and_each_is_told_of_by_itself(gateway: Gateway, world: World) -> None:
    cluster = await world.begin(cores=2)
    names = await world.ask(3)
    workers = await world.until("queued", "queued", "queued")
    assert list(workers) == names and gateway.centre.submissions[1:] == [names[0].partition("-")[0]]
    await until(lambda: gateway.centre.calls["status"] > 5)
    gateway.centre.run(world.jobs()[1], "n4")
    workers = await world.until("queued", "running", "queued")
    assert workers[names[0]]["reason"] == "priority" and workers[names[1]]["node"] == "n4"
    assert workers[names[1]]["job_id"] == world.jobs()[1].id
    gateway.centre.run(world.jobs()[2])
    gateway.centre.end(world.jobs()[1], Reason.NODE_FAILED, 1)
    gateway.centre.end(world.jobs()[0], Reason.COMPLETED)
    workers = await world.until("ended", "lost", "running")
    assert workers[names[1]]["reason"] == "node-failed" and workers[names[1]]["exit_code"] == 1
    codes = await world.codes()
    wanted = ["cluster-opened", "workers-asked", "workers-queued", "workers-started", "worker-lost"]
    assert [code for code in dict.fromkeys(codes) if code in wanted] == wanted
    assert cluster.cores == 2 and not gateway.centre.cancelled


@pytest.mark.parametrize(("most", "submissions"), [(2, 3), (1, 5)])
async def test_an_arrays_limit_at_the_centre_makes_several_and_1_makes_plain_jobs(
    gateway: Gateway, world: World, most: int, submissions: int
) -> None:
    described = centre("alpha", scheduler={"system": "slurm", "max_array": most})
    gateway.simulated = {"alpha": SimulatedCentre(described)}
    await world.begin()
    names = await world.ask(5)
    await world.until(*["queued"] * 5)
    made = gateway.centre.submissions[1:]
    assert len(made) == submissions == len(set(made))
    jobs = [job for job in gateway.centre.jobs.values() if job.session in made]
    assert len(jobs) == 5 and all((job.task is None) == (most == 1) for job in jobs)
    gateway.centre.run(jobs[-1])
    await world.until(*["queued"] * 4, "running")
    await world.desk.let_go(await world.cluster(), names[:1])
    await world.until("ended", *["queued"] * 3, "running")
    assert gateway.centre.cancelled == [jobs[0].id]


async def test_workers_are_cancelled_with_one_command_however_many_arrays_they_are_in(
    gateway: Gateway, world: World
) -> None:
    await world.begin()
    first, second = await world.ask(3, "a"), await world.ask(2, "b")
    await world.until(*["queued"] * 5)
    cancels = gateway.centre.calls["cancel"]
    await world.desk.let_go(await world.cluster(), [first[1], *second])
    workers = await world.until("queued", "ended", "queued", "ended", "ended")
    wanted = [world.jobs()[1].id, world.jobs()[3].array]  # a whole array goes by its own name
    commands = gateway.centre.calls["cancel"] - cancels  # repeated until a listing says that they are gone
    assert gateway.centre.cancelled == wanted * commands
    assert workers[first[1]]["reason"] == "cancelled" and not workers[first[1]]["wanted"]
    assert "worker-lost" not in await world.codes(), "who was asked to end is not lost"


async def test_a_cancellation_that_fails_is_made_again_and_said(gateway: Gateway, world: World) -> None:
    await world.begin()
    names = await world.ask(1)
    await world.until("queued")
    gateway.centre.cancel_fails = 2
    await world.desk.let_go(await world.cluster(), names)

    async def said() -> bool:
        return "not cancelled yet" in (await world.view())[names[0]]["detail"]

    await until(said)
    await world.until("ended")
    assert not gateway.centre.cancel_fails


async def test_a_refused_submission_loses_its_workers_with_the_reason_and_is_not_repeated(
    gateway: Gateway, world: World
) -> None:
    await world.begin()
    gateway.centre.refuse = "sbatch: error: invalid account"
    names = await world.ask(2)
    workers = await world.until("lost", "lost")
    assert all(worker["reason"] == "launch-failed" for worker in workers.values())
    assert "invalid account" in workers[names[0]]["detail"]
    assert gateway.centre.submissions[1:] == []
    assert (await world.desk.view(await world.cluster()))["counts"]["lost"] == 2


async def test_a_lost_answer_makes_no_second_array(gateway: Gateway, world: World) -> None:
    await world.begin()
    gateway.centre.lose_answers = 1
    names = await world.ask(3)
    await world.until("queued", "queued", "queued")
    assert len(gateway.centre.submissions) == 2 and len(world.jobs()) == 3
    assert [worker["job_id"] for worker in (await world.view()).values()] == [job.id for job in world.jobs()]
    assert await world.ask(3) == names


async def test_a_login_node_that_is_away_is_tried_again(gateway: Gateway, world: World) -> None:
    await world.begin()
    tries = 0

    def away(request: object) -> None:
        nonlocal tries
        if isinstance(request, dict) and request["verb"] == "submit" and tries < 2:
            tries += 1
            raise LinkError(LinkProblem.UNREACHABLE, "no route to the login node")

    gateway.centre.fail = away
    await world.ask(2)
    await world.until("queued", "queued")
    assert tries == 2 and len(gateway.centre.submissions) == 2


async def test_a_silent_centre_makes_workers_unknown_and_loses_none(gateway: Gateway, world: World) -> None:
    await world.begin()
    names = await world.ask(2)
    await world.until("queued", "queued")
    gateway.centre.run(world.jobs()[0])
    await world.until("running", "queued")
    gateway.centre.unavailable = "the controller does not answer"
    workers = await world.until("unknown", "unknown")
    assert [workers[name]["before"] for name in names] == ["running", "queued"]
    counts = (await world.desk.view(await world.cluster()))["counts"]
    assert counts == {"requested": 0, "queued": 1, "running": 1, "lost": 0}
    gateway.centre.unavailable = ""
    await world.until("running", "queued")
    assert not gateway.centre.cancelled and "worker-lost" not in await world.codes()


async def test_a_requeued_worker_waits_again_and_runs_anew(gateway: Gateway, world: World) -> None:
    await world.begin()
    (name,) = await world.ask(1)
    await world.until("queued")
    gateway.centre.run(world.jobs()[0], "n1")
    before = (await world.until("running"))[name]
    gateway.centre.requeue(world.jobs()[0])
    assert (await world.until("queued"))[name]["started"] is None
    gateway.centre.run(world.jobs()[0], "n2")
    after = (await world.until("running"))[name]
    assert after["node"] == "n2" and after["started"] > before["started"]


async def test_workers_that_the_batch_system_has_forgotten_are_lost_after_a_while(
    gateway: Gateway, world: World
) -> None:
    gateway.centre.has_history = False
    await world.begin()
    names = await world.ask(2)
    await world.until("queued", "queued")
    gateway.centre.run(world.jobs()[0])
    await world.until("running", "queued")
    gateway.centre.end(world.jobs()[0])
    workers = await world.until("lost", "queued")
    assert "does not know the job any more" in workers[names[0]]["detail"]


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


async def test_a_closed_cluster_ends_with_its_workers_and_folders(gateway: Gateway, world: World) -> None:
    await world.begin()
    names = await world.ask(2)
    await world.until("queued", "queued")
    closing = await world.desk.close(await world.cluster(), "ada")
    assert not closing.live and (await world.desk.close(closing, "eve")).closed_by == "ada"
    over = await world.closed()
    assert over.outcome == "completed" and over.ended and over.closed_by == "ada"
    assert not [job for job in world.jobs() if job.live] and len(gateway.centre.cancelled) == 1
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
    paths = {"base": "/work/{account}/.pj", "scratch": "/scratch/{account}"}
    described = centre("alpha", paths=paths, ports={"first": 30000, "last": 30999})
    gateway.simulated = {"alpha": SimulatedCentre(described)}
    world = World(gateway)
    cluster = await world.begin()
    record = replace(await gateway.get_session(cluster.session), request={"options": {"cluster": '{"name": "x"}'}})
    facts = Facts.read(facts_of(record, described).environment())
    assert (facts.base, facts.scratch, facts.ports) == ("/work/gate/.pj", "/scratch/gate", "30000-30999")
    assert json.loads(facts.options) == {"cluster": '{"name": "x"}'}
