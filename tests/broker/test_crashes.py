"""The gateway is killed at every step of a start, and of a stop: nothing is lost, nothing is doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
from broker.harness import Gateway, until
from perijove.spawners.session import Stage

#: Points at which the job has its node.
ON_NODE = ["granted", "tunnel-open", "server-started"]
START = ["intent", "before-submission", "after-submission", "submitted", "queued", *ON_NODE]
STOP = ["before-cancel", "ending"]


def check_invariants(gateway: Gateway) -> None:
    """One and two, at any moment after the gateway has caught up."""
    sessions = [job.session for job in gateway.centre.live()]
    assert len(sessions) == len(set(sessions)), "two live jobs of one session"


@pytest.mark.parametrize("hub_too", [False, True], ids=["broker", "broker and hub"])
@pytest.mark.parametrize("point", START)
async def test_killed_while_starting(gateway: Gateway, point: str, hub_too: bool) -> None:
    gateway.point = point
    await gateway.start()
    gateway.centre.auto = point in ON_NODE
    record = await gateway.open()
    await until(gateway.reached.is_set, what=point)
    if hub_too:
        gateway.hub.forget()
    await gateway.restart()
    await gateway.at(record.id, Stage.SUBMITTED, Stage.QUEUED, Stage.GRANTED, Stage.STARTING, Stage.READY)
    gateway.centre.auto = True
    if not hub_too and (await gateway.get_session(record.id)).stage is not Stage.READY:
        # The hub's spawner sees that the broker has lost the environment.
        await gateway.hub.spawn("ada", "")
    ready = await gateway.at(record.id, Stage.READY)
    check_invariants(gateway)
    assert len(gateway.centre.jobs) == 1 and not gateway.centre.cancelled
    assert ready.local_port == record.local_port
    # The token in the job is one of today's: the hub knows it.
    assert gateway.centre.live()[0].environment["JUPYTERHUB_API_TOKEN"] in gateway.hub.tokens


async def test_killed_while_the_answer_is_lost(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.lose_answers = 1
    gateway.centre.late_listing = True
    record = await gateway.open()
    await until(lambda: gateway.centre.jobs)
    await gateway.restart()
    gateway.centre.jobs["1"].hidden = False
    gateway.centre.auto = True
    await gateway.at(record.id, Stage.STARTING, Stage.READY)
    await gateway.hub.spawn("ada", "")
    await gateway.at(record.id, Stage.READY)
    assert len(gateway.centre.jobs) == 1


@pytest.mark.parametrize("point", STOP)
async def test_killed_while_stopping(gateway: Gateway, point: str) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    ready = await gateway.at(record.id, Stage.READY)
    gateway.point = point
    await gateway.broker.ask_to_stop(ready, "ada")
    await until(gateway.reached.is_set, what=point)
    await gateway.restart()
    ended = await gateway.at(record.id, Stage.ENDED)
    assert ended.outcome == "cancelled" and ended.asked_by == "ada"
    assert not gateway.centre.live()
    await until(lambda: not gateway.hub.tokens)


async def test_a_session_that_is_up_stays_up_and_keeps_its_address(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    before = await gateway.at(record.id, Stage.READY)
    job = gateway.centre.live()[0]
    await gateway.restart()
    await until(lambda: [t for t in gateway.centre.tunnels if t.up])
    (tunnel,) = gateway.centre.tunnels
    assert tunnel.local_port == before.local_port
    assert job.live and job.server == "running"
    assert (await gateway.get_session(record.id)).stage is Stage.READY
    assert not gateway.broker.needs_environment(await gateway.get_session(record.id))


async def test_a_server_that_was_started_already_is_given_no_new_token(gateway: Gateway) -> None:
    """The one that it has would die of it."""
    gateway.point = "server-started"
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    await until(gateway.reached.is_set)
    token = gateway.centre.live()[0].environment["JUPYTERHUB_API_TOKEN"]
    await gateway.restart()

    async def ready() -> bool:
        now = await gateway.get_session(record.id)
        assert not gateway.broker.needs_environment(now)
        return now.stage is Stage.READY

    await until(ready)
    assert gateway.centre.live()[0].environment["JUPYTERHUB_API_TOKEN"] == token


async def test_killed_while_a_requeued_job_gets_its_key(gateway: Gateway) -> None:
    await gateway.start()
    record = await gateway.open()
    await gateway.at(record.id, Stage.QUEUED)
    job = gateway.centre.live()[0]
    gateway.centre.run(job)
    await gateway.at(record.id, Stage.READY)
    gateway.point = "before-hand-over"
    gateway.centre.requeue(job)
    await until(gateway.reached.is_set)
    await gateway.restart()
    await until(lambda: "agent.json" in gateway.centre.folders[record.id])
    gateway.centre.run(job, "n3")
    await gateway.at(record.id, Stage.STARTING, Stage.READY)
    await gateway.hub.spawn("ada", "")
    assert (await gateway.at(record.id, Stage.READY)).node == "n3"


async def test_stopped_before_anything_was_submitted(gateway: Gateway) -> None:
    gateway.point = "intent"
    await gateway.start()
    record = await gateway.open()
    await until(gateway.reached.is_set)
    await gateway.broker.ask_to_stop(record, "ada")
    await gateway.restart()
    assert (await gateway.at(record.id, Stage.ENDED)).outcome == "cancelled"
    assert not gateway.centre.jobs


async def test_stopped_while_it_is_not_known_whether_a_job_came_of_it(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.lose_answers = 1
    gateway.centre.late_listing = True
    record = await gateway.open()
    await until(lambda: gateway.centre.jobs)
    await gateway.broker.ask_to_stop(record, "ada")
    gateway.centre.jobs["1"].hidden = False
    assert (await gateway.at(record.id, Stage.ENDED)).outcome == "cancelled"
    assert not gateway.centre.live()


async def test_a_second_broker_leaves_a_kept_centre_alone_until_the_lease_runs_out(
    gateway: Gateway, tmp_path: Path
) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    await gateway.at(record.id, Stage.READY)
    second = Gateway(tmp_path, gateway.centre)
    second.hub = gateway.hub
    await second.start()
    gateway.hub.broker = gateway.broker
    assert not second.broker.keepers["alpha"].held
    await gateway.kill()
    await until(lambda: second.broker.keepers["alpha"].held)
    await until(lambda: [t for t in gateway.centre.tunnels if t.up])
    await second.stop()
    await gateway.start()
    await until(lambda: gateway.broker.keepers["alpha"].held, 0.4, "an orderly end gives the lease back")
