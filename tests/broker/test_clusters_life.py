"""The life of a cluster's workers: submitted once, told truthfully, cancelled together."""

from __future__ import annotations

import pytest
from broker.clusterworld import World
from broker.harness import Gateway, until
from broker.simulated import SimulatedCentre, centre
from perijove.spawners.job import Reason
from perijove.spawners.link import LinkError, LinkProblem


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


async def test_a_gateway_that_starts_while_the_centre_is_silent_does_not_say_that_it_answers(
    gateway: Gateway, world: World
) -> None:
    await world.begin()
    await world.ask(1)
    await world.until("queued")
    gateway.centre.unavailable = "the controller does not answer"
    await world.until("unknown")
    before = await world.cluster()
    await gateway.restart()
    asked = gateway.centre.calls["status"]
    await until(lambda: gateway.centre.calls["status"] > asked + 4)
    assert await world.states() == ["unknown"] and (await world.cluster()).version == before.version
    gateway.centre.unavailable = ""
    await world.until("queued")
