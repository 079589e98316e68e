"""From a request to a session that answers, and to its end, on a simulated centre."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from broker.harness import Gateway, until
from perijove.spawners.facts import Facts
from perijove.spawners.job import JobState, Reason
from perijove.spawners.link import Account
from perijove.spawners.session import Stage
from perijove.spawners.watcher import Failure, Query


async def test_a_session_comes_up_and_is_stopped(gateway: Gateway) -> None:
    await gateway.start()
    record = await gateway.open()
    await gateway.at(record.id, Stage.QUEUED)
    (job,) = gateway.centre.live()
    assert job.name == f"pj{record.id}"
    gateway.centre.run(job)
    ready = await gateway.at(record.id, Stage.READY)
    assert ready.connected and ready.node == "n1" and ready.local_port
    assert job.environment["JUPYTERHUB_API_URL"] == "http://127.0.0.1:{api_port}/hub/api"
    assert job.environment["JUPYTERHUB_SERVICE_URL"] == "http://127.0.0.1:8888/user/ada/"
    assert gateway.hub.tokens
    await gateway.broker.ask_to_stop(ready, "ada")
    ended = await gateway.at(record.id, Stage.ENDED)
    assert ended.outcome == "cancelled" and ended.live is None and ended.local_port is None
    assert not gateway.centre.live()
    await until(lambda: not gateway.hub.tokens)
    await until(lambda: record.id in gateway.centre.forgotten)
    await until(lambda: not gateway.broker.keepers["alpha"].works)
    codes = await gateway.codes(record.id)
    expected = "checked submitting submitted queued granted starting ready stop-asked cancelling ended"
    assert [code for code in codes if code in expected.split()] == expected.split()


async def test_what_the_batch_system_says_of_an_end_is_kept(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    await gateway.at(record.id, Stage.READY)
    gateway.centre.end(gateway.centre.live()[0], Reason.WALLTIME, 1)
    ended = await gateway.at(record.id, Stage.ENDED)
    assert (ended.outcome, ended.exit_code, ended.log_tail) == ("walltime", 1, "the last line")
    await until(lambda: not gateway.hub.tokens)
    assert not gateway.centre.cancelled


@pytest.mark.parametrize(("minutes", "outcome"), [(58, "walltime"), (30, "completed")])
async def test_a_session_that_ends_well_as_its_time_runs_out_has_run_out_of_time(
    gateway: Gateway, minutes: int, outcome: str
) -> None:
    await gateway.start()
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.QUEUED)
    (job,) = gateway.centre.live()
    job.started = datetime.now(UTC) - timedelta(minutes=minutes)
    gateway.centre.run(job)
    await gateway.at(record.id, Stage.READY)
    gateway.centre.end(job, Reason.COMPLETED, 0)
    assert (await gateway.at(record.id, Stage.ENDED)).outcome == outcome


async def test_a_job_forgotten_at_once_as_its_time_ran_out_has_run_out_of_time(gateway: Gateway) -> None:
    gateway.centre.has_history = False
    await gateway.start()
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.QUEUED)
    (job,) = gateway.centre.live()
    job.started = datetime.now(UTC) - timedelta(minutes=58)
    gateway.centre.run(job)
    await gateway.at(record.id, Stage.READY)
    gateway.centre.end(job)
    ended = await gateway.at(record.id, Stage.ENDED)
    assert (ended.outcome, ended.detail) == ("walltime", "")


async def test_a_session_stopped_in_its_last_minutes_was_stopped(gateway: Gateway) -> None:
    await gateway.start()
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.QUEUED)
    (job,) = gateway.centre.live()
    job.started = datetime.now(UTC) - timedelta(minutes=58)
    gateway.centre.run(job)
    await gateway.broker.ask_to_stop(await gateway.at(record.id, Stage.READY), "ada")
    gateway.centre.end(job, Reason.COMPLETED, 0)
    assert (await gateway.at(record.id, Stage.ENDED)).outcome == "cancelled"


async def test_a_centre_that_answers_anybody_answers(gateway: Gateway) -> None:
    keeper = (await gateway.start()).keepers["alpha"]
    await gateway.open()
    await until(lambda: keeper.memory.as_of)
    stranger = Account("left")
    keeper.unknown[stranger] = Failure(Query(stranger), datetime.now(UTC), 3, "away")
    await until(lambda: not keeper.unknown)


async def test_no_environment_is_asked_for_while_a_server_is_being_started_with_one(gateway: Gateway) -> None:
    gateway.point = "server-started"
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    await gateway.reached.wait()
    now = await gateway.get_session(record.id)
    await gateway.broker.hand_over(now, {}, ())  # a hub that has just come back withdraws what it gave
    assert not gateway.broker.needs_environment(now)


async def test_a_server_is_told_where_it_is_and_what_to_open_first(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open(open="papers/图 1.ipynb", language="zh", server="next", data=["era5", "glass"])
    ready = await gateway.at(record.id, Stage.READY)
    environment = gateway.centre.live()[0].environment
    facts = Facts.read(environment)
    assert (facts.session, facts.centre, facts.server, facts.language) == (record.id, "alpha", "next", "zh")
    assert ready.ends_by
    assert facts.ends_by == ready.ends_by.timestamp()
    again = {"centre": "alpha", "kind": "lab", "cores": "1", "memory": "1024", "data": "era5,glass"}
    assert not record.request["walltime"], "the queue's usual time was taken"
    assert dict(parse_qsl(facts.again)) == again | {"walltime": f"{record.walltime}s"}
    assert environment["JUPYTERHUB_DEFAULT_URL"] == "/lab/tree/papers/%E5%9B%BE%201.ipynb"


async def test_a_refusal_ends_the_session_with_the_batch_systems_words(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.refuse = "invalid qos <b>"
    record = await gateway.open()
    ended = await gateway.at(record.id, Stage.ENDED)
    assert ended.outcome == "launch-failed" and ended.detail == "invalid qos <b>"
    assert gateway.centre.calls["submit"] == 1


async def test_a_batch_system_that_does_not_answer_is_asked_again(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.unavailable = "slurmctld does not answer"
    record = await gateway.open()
    await until(lambda: gateway.centre.calls["submit"] >= 1)
    await until(lambda: _detail(gateway, record.id))
    gateway.centre.unavailable = ""
    await gateway.at(record.id, Stage.QUEUED)
    assert len(gateway.centre.jobs) == 1


async def _detail(gateway: Gateway, session: str) -> bool:
    return "slurmctld" in (await gateway.get_session(session)).detail


async def test_a_lost_answer_is_looked_for_and_not_repeated(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.lose_answers = 1
    record = await gateway.open()
    await gateway.at(record.id, Stage.SUBMITTED, Stage.QUEUED)
    assert len(gateway.centre.jobs) == 1
    gateway.centre.run(gateway.centre.live()[0])
    await gateway.at(record.id, Stage.READY)


async def test_a_job_that_is_listed_late_and_repeated_is_one_in_the_end(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.lose_answers = 1
    gateway.centre.late_listing = True
    record = await gateway.open()
    await until(lambda: len(gateway.centre.jobs) == 2)
    for job in gateway.centre.jobs.values():
        job.hidden = False
    await until(lambda: len(gateway.centre.live()) == 1)
    gateway.centre.run(gateway.centre.live()[0])
    await gateway.at(record.id, Stage.READY)


async def test_a_silent_centre_makes_sessions_unknown_and_ends_none(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    await gateway.at(record.id, Stage.READY)
    gateway.centre.unavailable = "down"
    await until(lambda: _unknown(gateway, record.id))
    assert (await gateway.get_session(record.id)).stage is Stage.READY
    gateway.centre.unavailable = ""
    await until(lambda: _known(gateway, record.id))
    assert not gateway.centre.cancelled
    assert {"centre-silent", "centre-back"} <= set(await gateway.codes(record.id))


async def _unknown(gateway: Gateway, session: str) -> bool:
    return (await gateway.get_session(session)).unknown_since is not None


async def _known(gateway: Gateway, session: str) -> bool:
    return (await gateway.get_session(session)).unknown_since is None


async def test_a_job_that_nobody_knows_any_more_ends_after_a_while(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    await gateway.at(record.id, Stage.READY)
    job = gateway.centre.live()[0]
    gateway.centre.has_history = False
    gateway.centre.end(job)
    ended = await gateway.at(record.id, Stage.ENDED)
    assert ended.outcome == "other" and "does not know" in ended.detail


async def test_a_listing_that_lacks_a_job_whose_agent_answers_ends_nothing(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    await gateway.at(record.id, Stage.READY)
    gateway.centre.live()[0].hidden = True
    before = gateway.centre.calls["status"]
    await until(lambda: gateway.centre.calls["status"] > before + 20)
    assert (await gateway.get_session(record.id)).stage is Stage.READY


async def test_a_requeued_job_gets_a_fresh_key_and_comes_up_again(gateway: Gateway) -> None:
    await gateway.start()
    record = await gateway.open()
    await gateway.at(record.id, Stage.QUEUED)
    job = gateway.centre.live()[0]
    gateway.centre.run(job)
    first = await gateway.at(record.id, Stage.READY)
    gateway.centre.requeue(job)
    await gateway.at(record.id, Stage.QUEUED)
    gateway.centre.run(job, "n2")
    again = await gateway.at(record.id, Stage.READY)
    assert (
        again.node == "n2"
        and again.host_key.split("\n")[0] != first.host_key.split("\n")[0]
        and again.local_port == first.local_port
    )
    assert not gateway.centre.cancelled


async def test_a_job_that_moved_between_two_looks_gets_a_fresh_key(gateway: Gateway) -> None:
    await gateway.start()
    record = await gateway.open()
    await gateway.at(record.id, Stage.QUEUED)
    job = gateway.centre.live()[0]
    gateway.centre.run(job)
    await gateway.at(record.id, Stage.READY)
    gateway.centre.requeue(job)
    job.state, job.node = JobState.RUNNING, "n7"  # its agent waits for a key
    await until(lambda: job.server == "running")
    assert (await gateway.at(record.id, Stage.READY)).node == "n7"


async def test_a_cancel_that_fails_is_made_again_and_seen(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    ready = await gateway.at(record.id, Stage.READY)
    gateway.centre.cancel_fails = 2
    await gateway.broker.ask_to_stop(ready, "ada")
    await gateway.at(record.id, Stage.ENDED)
    assert "cancel-failed" in await gateway.codes(record.id)
    assert set(gateway.centre.cancelled) == {"1"}


async def test_a_stray_job_with_our_mark_is_cancelled_and_no_other(gateway: Gateway) -> None:
    await gateway.start()
    record = await gateway.open()
    await gateway.at(record.id, Stage.QUEUED)
    (ours,) = gateway.centre.live()
    tag = gateway.broker.tag
    names = {f"pj{tag}aaaaaaaaaa": True, "pjzz2bbbbbbbbbb": False, "analysis": False}
    for number, name in enumerate(names, 100):
        gateway.centre.jobs[str(number)] = type(ours)(str(number), name, name, "gate", ours.submitted)
    await until(lambda: gateway.centre.cancelled == ["100"])
    before = gateway.centre.calls["status"]
    await until(lambda: gateway.centre.calls["status"] > before + 5)
    assert gateway.centre.cancelled == ["100"] and ours.live


async def test_an_agent_that_never_answers_is_given_up_by_policy(gateway: Gateway) -> None:
    await gateway.start()
    record = await gateway.open()
    await gateway.at(record.id, Stage.QUEUED)
    job = gateway.centre.live()[0]
    job.answers = False
    gateway.centre.run(job)
    ended = await gateway.at(record.id, Stage.ENDED)
    assert ended.outcome == "launch-failed" and "agent" in ended.detail
    assert "agent-silent" in await gateway.codes(record.id)


async def test_a_lost_connection_is_told_and_comes_back(gateway: Gateway) -> None:
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open()
    await gateway.at(record.id, Stage.READY)
    (tunnel,) = gateway.centre.tunnels
    tunnel.lose()
    await until(lambda: _connected(gateway, record.id, False))
    await tunnel.open()
    await until(lambda: _connected(gateway, record.id, True))
    assert {"connection-lost", "connection-back"} <= set(await gateway.codes(record.id))


async def _connected(gateway: Gateway, session: str, wanted: bool) -> bool:
    return (await gateway.get_session(session)).connected is wanted


async def test_a_session_whose_local_port_a_stranger_took_gets_another(gateway: Gateway) -> None:
    await gateway.start()
    record = await gateway.open()
    await gateway.at(record.id, Stage.QUEUED)
    gateway.centre.taken[record.local_port or 0] = object()  # type: ignore[assignment]
    gateway.centre.run(gateway.centre.live()[0])
    up = await gateway.at(record.id, Stage.READY)
    assert up.local_port not in (None, record.local_port)


async def test_one_hanging_centre_does_not_delay_another(tmp_path, gateway: Gateway) -> None:  # type: ignore[no-untyped-def]
    from broker.simulated import SimulatedCentre, centre

    slow, quick = SimulatedCentre(centre("slow")), SimulatedCentre(centre("quick"))
    slow.delay, quick.auto = 60.0, True
    both = Gateway(tmp_path, slow, quick)
    await both.start()
    stuck = await both.open("ada", "a", centre="slow")
    record = await both.open("ada", "b", centre="quick")
    await both.at(record.id, Stage.READY, seconds=3)
    assert (await both.get_session(stuck.id)).stage is Stage.CHECKED
    await both.stop()
