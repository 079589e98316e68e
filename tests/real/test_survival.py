"""What breaks at a centre: a session survives it or ends with the true reason, and other centres do not notice.

Each fault is real (`perijove.testbed.faults`) and mended after its test.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import websockets
from harness.basics import eventually
from harness.centres import codes, hurry_requeued, jobs, no_job, start, stop, submissions
from harness.flow import Flow
from harness.kernel import Kernel
from perijove.testbed import Testbed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), pytest.mark.usefixtures("mended")]


async def test_a_batch_controller_that_is_away_ends_nothing(site: Flow, testbed: Testbed) -> None:
    await start(site, "patient", "alpha")
    before = await site.reach("alice", "patient", "ready")
    testbed.fault("alpha", "controller-pause")

    async def unknown() -> bool:
        return bool((await site.session("alice", "patient"))["unknown_since"])

    await eventually(unknown, 120)
    await start(site, "elsewhere", "beta")  # other centres do not notice
    await site.reach("alice", "elsewhere", "ready", 60)
    testbed.mend()

    async def known() -> bool:
        session = await site.session("alice", "patient")
        return session["stage"] == "ready" and not session["unknown_since"]

    await eventually(known, 60)
    assert (await site.session("alice", "patient"))["job_id"] == before["job_id"]
    await stop(site, "patient")
    await stop(site, "elsewhere")


@pytest.mark.parametrize("fault", ["login-drop", "login-refuse", "login-hang"])
async def test_a_cell_goes_on_through_trouble_at_the_login_node(site: Flow, testbed: Testbed, fault: str) -> None:
    await start(site, fault, "alpha")
    before = await site.reach("alice", fault, "ready")
    browser = await site.person("alice")
    await site.usable(browser, "alice", fault)
    address = f"/user/alice/{fault}"
    kernel = await Kernel.open(browser, address, site.stack)
    cell = await kernel.begin("import time; time.sleep(12); answer = 42")
    testbed.fault("alpha", fault)
    if fault != "login-drop":
        testbed.fault("alpha", "login-drop")
        await asyncio.sleep(5)
        assert (await site.session("alice", fault))["stage"] == "ready"
        testbed.mend()
    with pytest.raises(websockets.ConnectionClosed):
        await kernel.finish(cell)
    await site.usable(browser, "alice", fault, 90)
    after = await site.session("alice", fault)
    assert (after["stage"], after["job_id"]) == ("ready", before["job_id"])
    again = await Kernel.attach(browser, address, kernel.id, site.stack)
    assert (await again.run("print(answer)")).strip() == "42"  # it waits for the cell, which was never interrupted
    await stop(site, fault)


async def test_a_lost_node_ends_the_session_with_the_true_reason(site: Flow, testbed: Testbed) -> None:
    await start(site, "doomed", "beta")  # a site where lost jobs are not requeued
    session = await site.reach("alice", "doomed", "ready")
    testbed.fault("beta", "node-kill", session["node"])
    ended = await site.reach("alice", "doomed", "ended", 150)
    assert ended["outcome"] == "node-failed", ended


async def test_a_job_that_is_requeued_to_another_node_becomes_a_session_again(site: Flow, testbed: Testbed) -> None:
    await start(site, "again", "alpha")
    before = await site.reach("alice", "again", "ready")
    testbed.fault("alpha", "drain", before["node"])
    testbed.fault("alpha", "requeue", before["job_id"])

    async def left() -> bool:
        return (await site.session("alice", "again"))["stage"] == "queued"

    await eventually(left)
    await hurry_requeued(testbed, before["job_id"])

    async def back() -> Any:
        session = await site.session("alice", "again")
        return session if session["stage"] == "ready" and session["node"] != before["node"] else None

    after = await eventually(back, 120)
    assert submissions(testbed, after) == [before["job_id"]] == [after["job_id"]]
    browser = await site.person("alice")
    await site.usable(browser, "alice", "again", 60)
    await stop(site, "again")


async def test_a_full_home_is_named_and_nobody_waits_for_nothing(site: Flow, testbed: Testbed) -> None:
    testbed.fault("alpha", "home-full", "community")
    answer = await site.hub("POST", "/users/alice/servers/full", json={"centre": "alpha"})
    assert answer.status_code == 202 or (answer.status_code == 400 and "home-full" in answer.text), answer.text
    ended = await site.reach("alice", "full", "ended", 120)
    assert "full" in (ended["detail"] + ended["outcome"]).lower(), ended
    testbed.mend()
    await start(site, "full", "alpha")
    await site.reach("alice", "full", "ready")
    await stop(site, "full")


async def test_a_stop_that_cannot_reach_the_centre_is_carried_out_later(site: Flow, testbed: Testbed) -> None:
    await start(site, "stubborn", "gamma")
    session = await site.reach("alice", "stubborn", "ready")
    testbed.fault("gamma", "login-refuse")
    testbed.fault("gamma", "login-drop")
    await site.broker("DELETE", f"/sessions/{session['id']}")
    await asyncio.sleep(3)
    assert (await site.session("alice", "stubborn"))["stage"] == "ending"
    testbed.mend()
    await site.reach("alice", "stubborn", "ended", 90)
    await no_job(testbed, session)


async def test_a_cancellation_that_fails_is_made_again_until_the_job_is_gone(site: Flow, testbed: Testbed) -> None:
    """The job waits in the queue, so nothing but the batch system can end it."""
    for node in ("c1", "c2"):
        testbed.fault("alpha", "drain", node)
    await start(site, "unwanted", "alpha")
    session = await site.reach("alice", "unwanted", "queued")
    testbed.fault("alpha", "controller-pause")
    await site.broker("DELETE", f"/sessions/{session['id']}")

    async def failed() -> bool:
        return "cancel-failed" in await codes(site, session)

    await eventually(failed, 60)
    assert (await site.session("alice", "unwanted"))["stage"] == "ending"
    testbed.mend()
    ended = await site.reach("alice", "unwanted", "ended", 120)
    assert ended["outcome"] == "cancelled", ended
    await no_job(testbed, session)


@pytest.mark.parametrize("centre", ["alpha", pytest.param("gamma", marks=pytest.mark.soak)])
async def test_a_submission_that_a_controller_answers_too_late_comes_to_one_job(
    site: Flow, testbed: Testbed, centre: str
) -> None:
    """The controller stops with the request in hand: the command gives up, and what came of it shows only later."""
    server = f"late-{centre}"
    await start(site, server, "beta")  # the hub and the broker are warm, and another centre has a session
    bystander = await site.reach("alice", server, "ready")
    testbed.fault(centre, "controller-pause")
    await start(site, f"{server}-1", centre)
    session = await site.session("alice", f"{server}-1")

    async def in_doubt() -> bool:
        return "answer-lost" in await codes(site, session)

    await eventually(in_doubt, 90)
    testbed.mend()
    ready = await site.reach("alice", f"{server}-1", "ready", 240)
    assert ready["id"] == session["id"]
    assert jobs(testbed, ready) == submissions(testbed, ready) == [ready["job_id"]]
    assert (await site.session("alice", server))["job_id"] == bystander["job_id"]
    await stop(site, f"{server}-1")
    await stop(site, server)
