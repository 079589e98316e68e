"""Dask clusters on real batch systems: beside a notebook, at another centre, and what breaks while they compute.

What is computed is checked each time; where something of it cannot be saved, the error must say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_asyncio
from harness.basics import eventually
from harness.centres import start
from harness.flow import Flow
from harness.kernel import Kernel
from perijove.spawners.job import job_name
from perijove.testbed import Testbed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), pytest.mark.usefixtures("mended")]

#: What a notebook does: so many squares, each of which takes a while, added up. The answer is 332833500 for 1000.
SUM = """
import time
def square(number, seconds):
    time.sleep(seconds)
    return number * number
def total(client, count, seconds):
    return client.submit(sum, client.map(square, range(count), seconds=seconds, pure=False))
"""
RIGHT = sum(number * number for number in range(200))


@pytest_asyncio.fixture(loop_scope="module")
async def kernel(notebook: Kernel) -> Kernel:
    """A kernel of a notebook session at alpha, with what all tests here compute."""
    await notebook.run("from perijove.widgets import Cluster" + SUM)
    return notebook


async def view(site: Flow, name: str) -> dict[str, Any]:
    """The cluster as the broker sees it."""
    found = (await site.broker("GET", "/clusters", params={"owner": "alice"})).json()["clusters"]
    return next(row for row in found if row["name"] == name)


async def workers(site: Flow, name: str) -> list[dict[str, Any]]:
    """Its workers, as the batch system says."""
    cluster = (await view(site, name))["id"]
    rows: list[dict[str, Any]] = (await site.broker("GET", f"/clusters/{cluster}/workers")).json()["workers"]
    return rows


async def all_run(site: Flow, name: str, count: int, seconds: float = 90) -> list[dict[str, Any]]:
    """The workers once `count` of them run."""

    async def there() -> Any:
        running = [row for row in await workers(site, name) if row["state"] == "running"]
        return running if len(running) == count else None

    found: list[dict[str, Any]] = await eventually(there, seconds)
    return found


def listed(testbed: Testbed, centre: str, jobs: Sequence[str], *more: str) -> list[str]:
    """The lines that the batch system itself has of these worker jobs."""
    if testbed.centre(centre).plan.system == "gridengine":
        out = testbed.exec(centre, "login", ["qstat", "-u", "*"]).stdout
        return [line for line in out.splitlines() if any(job_name(job)[:10] in line for job in jobs)]
    names = ",".join(job_name(job) for job in jobs)
    words = [testbed.centre(centre).plan.commands.get("squeue", "squeue"), "-h", f"--name={names}", "-o", "%F %i %T"]
    return testbed.exec(centre, "ctl", [*words, *more]).stdout.splitlines()


async def gone(site: Flow, testbed: Testbed, name: str, jobs: Sequence[str], seconds: float = 90) -> None:
    """Waits until the cluster is over, and none of its jobs is listed."""
    cluster = await view(site, name)

    async def over() -> bool:
        return not (await view(site, name))["live"] and not listed(testbed, cluster["centre"], jobs)

    await eventually(over, seconds)


async def test_workers_come_with_one_submission_and_go_with_their_cluster(
    site: Flow, testbed: Testbed, kernel: Kernel
) -> None:
    await kernel.run("cluster = Cluster('beside', cores=1, memory='1G', walltime='20m'); client = cluster.get_client()")
    await kernel.run("cluster.scale(3); client.wait_for_workers(3, timeout=120)", 150)
    assert (await kernel.run("print(total(client, 200, 0.01).result())")).strip() == str(RIGHT)
    rows = await all_run(site, "beside", 3)
    jobs = sorted({row["job"] for row in rows})
    lines = listed(testbed, "alpha", jobs, "-r")
    assert len(lines) == 3 and len({line.split()[0] for line in lines}) == 1, lines
    cluster = await view(site, "beside")
    assert (cluster["beside"], cluster["centre"], cluster["counts"]["running"]) == (True, "alpha", 3)
    assert cluster["cost_per_hour"] == 3 * cluster["price"] > 0

    # Another account of the same node: neither the keys nor the scheduler, and no port that answers without a key.
    folder = f"/home/community/.perijove/{cluster['id']}"
    stranger = testbed.centre("alpha").plan.account("bob").name
    look = testbed.exec("alpha", "c1", ["cat", f"{folder}/client-key.pem"], user=stranger)
    assert look.returncode != 0 and "PRIVATE" not in look.stdout
    address = (await kernel.run("print(cluster.scheduler_address)")).strip().removeprefix("tls://")
    host, port = address.rsplit(":", 1)
    knock = (
        "import socket, ssl; c = ssl._create_unverified_context()\n"
        f"s = c.wrap_socket(socket.create_connection(('{host}', {port}), 5)); s.sendall(b'x' * 64); print(s.recv(64))"
    )
    refused = testbed.exec("alpha", "c1", ["/opt/perijove/env/bin/python", "-c", knock], user=stranger)
    assert refused.returncode != 0 and not refused.stdout and "ssl" in refused.stderr.lower(), refused

    await kernel.run("client.close(); cluster.close()")
    await gone(site, testbed, "beside", jobs)

    async def removed() -> bool:
        found = testbed.exec("alpha", "login", ["ls", "-a", "/home/community/.perijove"]).stdout
        return not any(folder in found for folder in (cluster["id"], *jobs))

    await eventually(removed, 120)


async def test_a_computation_at_another_centre_outlives_the_gateway_and_the_login_node(
    site: Flow, testbed: Testbed, kernel: Kernel
) -> None:
    made = "cluster = Cluster('far', centre='gamma', cores=1, memory='1G', walltime='20m', workers=2)"
    await kernel.run(f"{made}\nclient = cluster.get_client(); client.wait_for_workers(2, timeout=180)", 240)
    assert (await kernel.run("print(total(client, 200, 0.01).result())", 90)).strip() == str(RIGHT)
    jobs = sorted({row["job"] for row in await all_run(site, "far", 2)})
    assert len(jobs) == 1
    # No browser in between here: the kernel's own websocket goes through the gateway, too, and is lost with it.
    await kernel.run("later = total(client, 200, 0.2)")
    site.kill(site.gateway.proxy, site.gateway.broker, site.gateway.hub)

    async def back() -> bool:
        return (await site.hub("GET", "/")).status_code == 200

    await eventually(back, 90)
    browser = await site.person("alice")
    await site.usable(browser, "alice", "notebook", 90)
    again = await Kernel.attach(browser, "/user/alice/notebook", kernel.id, site.stack)
    await again.run("early = total(client, 200, 0.1)")
    testbed.fault("gamma", "login-refuse")
    testbed.fault("gamma", "login-drop")
    await asyncio.sleep(45)
    testbed.mend()
    assert (await again.run("print(later.result())", 120)).strip() == str(RIGHT)
    assert (await again.run("print(early.result())", 120)).strip() == str(RIGHT)
    assert {row["job"] for row in await all_run(site, "far", 2)} == set(jobs)  # nothing was submitted twice
    await again.run("client.close(); cluster.close()", 90)
    await gone(site, testbed, "far", jobs)


async def test_a_worker_whose_node_dies_costs_time_and_no_result(site: Flow, testbed: Testbed, kernel: Kernel) -> None:
    # A worker takes all eight cores of a node, so it is on another one than the notebook.
    await kernel.run("cluster = Cluster('robust', cores=8, memory='1G', workers=1); client = cluster.get_client()")
    await kernel.run("client.wait_for_workers(1, timeout=120); later = total(client, 200, 0.5)", 150)
    (row,) = await all_run(site, "robust", 1)
    testbed.fault("alpha", "node-kill", row["node"])

    async def lost() -> bool:
        return any(one["name"] == row["name"] and one["state"] == "lost" for one in await workers(site, "robust"))

    await eventually(lost, 120)
    testbed.mend()
    assert (await kernel.run("print(later.result())", 180)).strip() == str(RIGHT)
    events = (await site.broker("GET", f"/sessions/{(await view(site, 'robust'))['session']}/events")).json()["events"]
    assert "worker-lost" in [event["code"] for event in events]
    await kernel.run("client.close(); cluster.close()", 60)


async def test_workers_asked_for_while_the_controller_is_away_come_once_it_is_back(
    site: Flow, testbed: Testbed, kernel: Kernel
) -> None:
    await kernel.run("cluster = Cluster('patient', cores=1, memory='1G'); client = cluster.get_client()", 60)
    testbed.fault("alpha", "controller-pause")
    await kernel.run("cluster.scale(2)", 90)
    states = {row["state"] for row in await workers(site, "patient")}
    assert states == {"requested"}, states
    testbed.mend()
    await kernel.run("client.wait_for_workers(2, timeout=200)", 240)
    rows = await all_run(site, "patient", 2, 120)
    jobs = sorted({row["job"] for row in rows})
    assert len({line.split()[0] for line in listed(testbed, "alpha", jobs, "-r", "-t", "all")}) == len(jobs) == 1
    assert (await kernel.run("print(total(client, 200, 0.01).result())", 90)).strip() == str(RIGHT)
    await kernel.run("client.close(); cluster.close()", 60)


async def test_workers_whose_head_is_gone_leave_within_a_minute(site: Flow, testbed: Testbed) -> None:
    await start(site, "doomed", "alpha")
    session = await site.reach("alice", "doomed", "ready")
    browser = await site.person("alice")
    await site.usable(browser, "alice", "doomed")
    kernel = await Kernel.open(browser, "/user/alice/doomed", site.stack)
    await kernel.run(
        "from perijove.widgets import Cluster; cluster = Cluster('orphans', cores=8, memory='1G', workers=1)"
    )
    await kernel.run("cluster.get_client().wait_for_workers(1, timeout=120)", 150)
    (row,) = await all_run(site, "orphans", 1)
    assert row["node"] != session["node"]
    testbed.fault("alpha", "node-kill", session["node"])

    async def idle() -> bool:
        return not listed(testbed, "alpha", [row["job"]], "-t", "running")

    await eventually(idle, 75)
    testbed.mend()
    now = await site.session("alice", "doomed")
    await site.broker("DELETE", f"/sessions/{now['id']}")
    await site.reach("alice", "doomed", "ended", 90)
    await gone(site, testbed, "orphans", [row["job"]])


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_results_outlive_the_walltime_of_the_worker_that_has_them(
    site: Flow, testbed: Testbed, kernel: Kernel
) -> None:
    made = "cluster = Cluster('short', cores=1, memory='1G', walltime='3m', workers=1)"
    await kernel.run(f"{made}\nclient = cluster.get_client(); client.wait_for_workers(1, timeout=120)", 150)
    (first,) = await all_run(site, "short", 1)
    # Each run of a task leaves a line: what was moved is not computed again.
    await kernel.run(
        "def once(number):\n"
        "    import os, pathlib\n"
        "    with open(pathlib.Path.home() / 'runs', 'a') as file: file.write(f'{number}\\n')\n"
        "    return number * number\n"
        "open(__import__('pathlib').Path.home() / 'runs', 'w').close()\n"
        "kept = client.map(once, range(50)); client.gather(kept)"
    )

    async def over() -> bool:
        rows = {row["name"]: row for row in await workers(site, "short")}
        return first["name"] not in rows or rows[first["name"]]["state"] in ("ended", "lost")

    await eventually(over, 240)
    assert (await kernel.run("print(sum(client.gather(kept)))", 90)).strip() == str(sum(n * n for n in range(50)))
    assert (
        await kernel.run("print(len(open(__import__('pathlib').Path.home() / 'runs').readlines()))")
    ).strip() == "50"
    rows = {row["name"]: row for row in await workers(site, "short")}
    assert rows[first["name"]]["state"] == "ended", rows  # let go of in order, not killed at its limit
    await kernel.run("client.close(); cluster.close()", 60)
