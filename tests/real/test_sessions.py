"""The main job on real parts: a person works in JupyterLab on a compute node of real Slurm and Grid Engine centres.

Proxy, broker and hub are processes, as in `perijove serve`; the centres are those of the testbed; a person has a
browser's cookies. What breaks here is broken by faults of the testbed or by SIGKILL, and mended by each test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from harness.basics import eventually
from harness.centres import gateway_of, jobs, no_job
from harness.flow import Flow
from harness.kernel import Kernel
from perijove.spawners.centre import Identity
from perijove.testbed import Testbed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]
IDENTITIES: dict[str, Identity] = {"alpha": "community", "beta": "community", "gamma": "community"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flow]:
    """The gateway of the three centres of the testbed."""
    async with gateway_of(testbed, tmp_path_factory.mktemp("real") / "state", IDENTITIES) as flow:
        await flow.person("alice")  # the hub knows people who have signed in
        yield flow


@pytest.fixture(autouse=True)
def mended(testbed: Testbed) -> Iterator[None]:
    """Whatever a test broke is mended, so that the next one finds whole centres."""
    yield
    testbed.mend()


async def start(site: Flow, server: str, centre: str, **options: Any) -> None:
    """Asks for a server as a program does: JupyterHub's own REST door."""
    wanted = {"centre": centre, "cores": 1, "memory": "1G", "walltime": "30m", **options}
    answer = await site.hub("POST", f"/users/alice/servers/{server}", json=wanted)
    assert answer.status_code in (201, 202), answer.text


async def stop(site: Flow, server: str) -> dict[str, Any]:
    """Stops it, and returns how it ended."""
    session = await site.session("alice", server)
    await site.broker("DELETE", f"/sessions/{session['id']}")
    return await site.reach("alice", server, "ended", 60)


@pytest.mark.parametrize("centre", sorted(IDENTITIES))
async def test_a_person_computes_on_a_node_of_the_centre(site: Flow, testbed: Testbed, centre: str) -> None:
    await start(site, f"lab-{centre}", centre)
    session = await site.reach("alice", f"lab-{centre}", "ready")
    assert jobs(testbed, session) == [session["job_id"]]
    browser = await site.person("alice")
    await site.usable(browser, "alice", f"lab-{centre}")
    kernel = await Kernel.open(browser, f"/user/alice/lab-{centre}", site.stack)
    told = await kernel.run("import os, socket; print(socket.gethostname(), os.getuid())")
    host, uid = told.split()
    assert host.split(".")[0] == session["node"].split(".")[0]
    account = testbed.centre(centre).plan.account("community")
    assert int(uid) == account.uid
    ended = await stop(site, f"lab-{centre}")
    assert ended["outcome"] in ("stopped", "cancelled", "completed"), ended
    await no_job(testbed, ended)


@pytest.mark.parametrize("victims", ["hub", "broker", "both"])
async def test_a_queued_session_still_opens_after_a_kill(site: Flow, testbed: Testbed, victims: str) -> None:
    for node in ("c1", "c2"):
        testbed.fault("alpha", "drain", node)
    server = f"queued-{victims}"
    await start(site, server, "alpha")
    before = await site.reach("alice", server, "queued")
    site.kill(
        *{"hub": [site.gateway.hub], "broker": [site.gateway.broker]}.get(
            victims, [site.gateway.hub, site.gateway.broker]
        )
    )

    async def both_answer() -> bool:
        alive = [await site.hub("GET", "/"), await site.broker("GET", "/health/live")]
        return all(answer.status_code == 200 for answer in alive)

    await asyncio.sleep(0.5)
    await eventually(both_answer)
    testbed.mend()
    after = await site.reach("alice", server, "ready", 120)
    assert (after["id"], after["job_id"]) == (before["id"], before["job_id"])
    assert jobs(testbed, after) == [before["job_id"]]
    browser = await site.person("alice")
    await site.usable(browser, "alice", server, 120)
    await stop(site, server)


async def test_a_running_kernel_survives_the_death_of_hub_and_broker(site: Flow, testbed: Testbed) -> None:
    await start(site, "alive", "alpha")
    before = await site.reach("alice", "alive", "ready")
    browser = await site.person("alice")
    await site.usable(browser, "alice", "alive")
    kernel = await Kernel.open(browser, "/user/alice/alive", site.stack)
    await kernel.run("answer = 41")
    site.kill(site.gateway.hub)
    assert (await kernel.run("answer += 1; print(answer)")).strip() == "42"  # on the same open websocket

    async def hub_back() -> bool:
        return bool((await site.hub("GET", "/")).status_code == 200)

    await asyncio.sleep(0.5)
    await eventually(hub_back)
    site.kill(site.gateway.broker)
    await site.usable(browser, "alice", "alive", 60)
    after = await site.session("alice", "alive")
    assert (after["stage"], after["job_id"]) == ("ready", before["job_id"])
    kernels = (await browser.get("/user/alice/alive/api/kernels")).json()
    assert len(kernels) == 1
    assert jobs(testbed, after) == [before["job_id"]]
    await stop(site, "alive")


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
async def test_a_session_outlives_trouble_at_the_login_node(site: Flow, testbed: Testbed, fault: str) -> None:
    await start(site, fault, "alpha")
    before = await site.reach("alice", fault, "ready")
    browser = await site.person("alice")
    await site.usable(browser, "alice", fault)
    testbed.fault("alpha", fault)
    if fault != "login-drop":
        testbed.fault("alpha", "login-drop")
        await asyncio.sleep(5)
        assert (await site.session("alice", fault))["stage"] == "ready"
        testbed.mend()
    await site.usable(browser, "alice", fault, 90)
    after = await site.session("alice", fault)
    assert (after["stage"], after["job_id"]) == ("ready", before["job_id"])
    await stop(site, fault)


async def test_a_lost_node_ends_the_session_with_the_true_reason(site: Flow, testbed: Testbed) -> None:
    await start(site, "doomed", "beta")  # a site where lost jobs are not requeued
    session = await site.reach("alice", "doomed", "ready")
    testbed.fault("beta", "node-kill", session["node"])
    ended = await site.reach("alice", "doomed", "ended", 150)
    assert ended["outcome"] == "node-failed", ended


async def test_a_requeued_job_becomes_a_session_again(site: Flow, testbed: Testbed) -> None:
    await start(site, "again", "alpha")
    before = await site.reach("alice", "again", "ready")
    testbed.fault("alpha", "requeue", before["job_id"])

    async def back() -> Any:
        session = await site.session("alice", "again")
        return session if session["stage"] == "ready" and session["started"] != before["started"] else None

    after = await eventually(back, 240)
    assert after["job_id"] == before["job_id"]
    browser = await site.person("alice")
    await site.usable(browser, "alice", "again", 60)
    await stop(site, "again")


async def test_the_walltime_is_named_as_the_end(site: Flow) -> None:
    await start(site, "short", "alpha", walltime="1m")
    await site.reach("alice", "short", "ready")
    ended = await site.reach("alice", "short", "ended", 200)
    assert ended["outcome"] == "walltime", ended


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
