"""The main job on real parts: a person works in JupyterLab on a compute node of real Slurm and Grid Engine centres.

Proxy, broker and hub are processes, as in `perijove serve`; the centres are those of the testbed; a person has a
browser's cookies. What breaks at the centres is in test_survival.py, kills at each step of a start in test_kills.py.
"""

from __future__ import annotations

import asyncio

import pytest
from harness.basics import eventually
from harness.centres import jobs, no_job, start, stop
from harness.flow import Flow
from harness.kernel import Kernel
from perijove.testbed import Testbed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), pytest.mark.usefixtures("mended")]


@pytest.mark.parametrize("centre", ["alpha", "beta", "gamma"])
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


async def test_the_walltime_is_named_as_the_end(site: Flow) -> None:
    await start(site, "short", "alpha", walltime="1m")
    await site.reach("alice", "short", "ready")
    ended = await site.reach("alice", "short", "ended", 200)
    assert ended["outcome"] == "walltime", ended
