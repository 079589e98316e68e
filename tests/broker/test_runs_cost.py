"""What runs cost: a session of their own whole, their share of another, and their workers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from broker.harness import Gateway, until
from broker.runapi import RunApi, api, app_kind, runs
from broker.runworld import Runs, report
from perijove.spawners.job import Reason
from perijove.spawners.session import Stage

__all__ = ["api", "app_kind", "runs"]


async def test_a_run_costs_what_its_session_does(gateway: Gateway, runs: Runs, api: RunApi) -> None:
    run = await api.started(request={"centre": "alpha", "walltime": "2h"})
    assert run["price"] == 2_000_000 and run["cost"] == 0 and run["most"] == 4_000_000
    await runs.up(run["id"])
    from perijove.hub.broker.records import Change

    hour = gateway.broker.parts.clock() - timedelta(hours=1)
    await gateway.broker.sessions.change(run["session"], lambda record: Change({"started": hour}))
    job = runs.job(await runs.get(run["id"]))
    assert job is not None
    job.started = hour
    cost = (await api.ok("GET", f"/runs/{run['id']}"))["cost"]
    assert 2_000_000 <= cost < 2_020_000
    await api.ok("PUT", f"/runs/{run['id']}/report", json={"report": report("done")})
    found = await runs.get(run["id"])
    await runs.ends(found, Reason.COMPLETED)

    async def settled() -> bool:
        return (await runs.get(run["id"])).settled

    await until(settled)
    assert 2_000_000 <= (await api.ok("GET", f"/runs/{run['id']}"))["cost"] < 2_050_000
    for _ in range(3):
        assert (await runs.get(run["id"])).spent == (await api.ok("GET", f"/runs/{run['id']}"))["cost"]
    money = (await api.ok("GET", f"/sessions/{run['session']}"))["money"]
    assert (money["spent"], money["state"]) == ((await runs.get(run["id"])).spent, "settled")


async def test_a_run_in_another_session_carries_its_share(gateway: Gateway, runs: Runs, api: RunApi) -> None:
    gateway.centre.auto = True
    host = await gateway.at((await gateway.open(cores=4)).id, Stage.READY)
    run = await api.started(session=host.id)
    assert run["price"] == 2_000_000 and run["most"] is None, "2 of the session's 4 cores"
    now = gateway.broker.parts.clock().timestamp()
    await runs.desk.runs.change(run["id"], lambda r: {"created": r.created - timedelta(hours=3)})
    said = {"report": report("done", started=now - 7200, ended=now - 3600)}
    view = await api.ok("PUT", f"/runs/{run['id']}/report", json=said)
    assert view["cost"] == pytest.approx(2_000_000, abs=1000)


async def test_the_workers_of_its_session_are_its_cost_while_it_was_there(gateway: Gateway, runs: Runs) -> None:
    from perijove.hub.broker.clusterdesk import ClusterDesk
    from perijove.hub.broker.clusterrecords import BatchChange, WorkerState

    made = await runs.up((await runs.start(request={"centre": "alpha"})).id)
    desk, host = ClusterDesk(gateway.broker), await gateway.get_session(str(made.session))
    cluster = await desk.open(host, "", {"cores": 1, "memory": "1G"})
    [batch] = await desk.ask(cluster, "k", 2, False)
    now = gateway.broker.parts.clock()
    times = {1: (now - timedelta(hours=3), now - timedelta(hours=1)), 2: (now - timedelta(hours=1), None)}
    told = {task: {"state": WorkerState.RUNNING, "started": a, "ended": b} for task, (a, b) in times.items()}
    await desk.clusters.change(batch.job.id, lambda _: BatchChange(workers=told))
    # Of the first worker's two hours one was before, and of the second's one hour half an hour after.
    span = (now - timedelta(hours=2), now - timedelta(minutes=30))
    assert await runs.desk.runs.workers_cost(host.id, *span) == 1_500_000
    assert await runs.desk.runs.workers_cost("none", *span) == 0
