"""SIGKILL of the broker, of the hub and of both at each step of a start, on real batch systems.

The broker here kills at the exact step (`harness.crashing`) and is otherwise that of production; the supervisor starts
again what died. Whatever the moment: one session, one job that ever was, and JupyterLab opens in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import pytest_asyncio
from harness import crashing
from harness.basics import eventually
from harness.centres import gateway_of, hurry_requeued, jobs, submissions
from harness.flow import Flow
from perijove.spawners.job import new_session_id
from perijove.testbed import Testbed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(200)]
#: The named points of a start (`Context.reach`), in order.
START = [
    "intent",  # before anything is written of the submission
    "before-submission",  # written, and nothing sent
    "after-submission",  # the job is there, and its answer is lost
    "submitted",
    "queued",
    "granted",  # the job runs, nothing is connected
    "tunnel-open",
    "server-started",
]
BROKER, HUB, BOTH = ("broker",), ("hub",), ("broker", "hub")
#: Where Grid Engine may differ from Slurm: the answer to a submission, finding a job by its name, jobs that run.
GRID_ENGINE = ["before-submission", "after-submission", "granted"]
ALL = [
    *(("alpha", point, victims) for point in START for victims in (BROKER, HUB, BOTH)),
    *(("gamma", point, victims) for point in GRID_ENGINE for victims in (BROKER, BOTH)),
]
#: Every step with the broker, which does the work; the others where they add something. The rest is for `make soak`.
TELLING = {
    *(("alpha", point, BROKER) for point in START),
    *(("alpha", point, HUB) for point in ("queued", "server-started")),
    *(("alpha", point, BOTH) for point in ("after-submission", "tunnel-open")),
    ("gamma", "after-submission", BROKER),
    ("gamma", "granted", BOTH),
}
CASES = [
    pytest.param(*case, id="-".join((*case[:2], "+".join(case[2]))), marks=[] if case in TELLING else pytest.mark.soak)
    for case in ALL
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(own_testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flow]:
    """A gateway whose broker can be armed."""
    state = tmp_path_factory.mktemp("kills") / "state"
    with crashing.crashes():
        async with gateway_of(own_testbed, state, {"alpha": "community", "gamma": "community"}) as flow:
            yield flow


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(site: Flow) -> httpx.AsyncClient:
    """alice's."""
    return await site.person("alice")


@pytest.fixture(scope="module", autouse=True)
def bystanders(own_testbed: Testbed) -> Iterator[None]:
    """Jobs that look like those of another gateway on the same account: nobody touches them, whatever is killed."""
    name = f"pj{new_session_id('zzz')}"
    script = "#!/bin/sh\nsleep 1800\n"
    words = {
        "alpha": ["sbatch", "--parsable", f"--job-name={name}", "--mem=50", "--output=/dev/null"],
        "gamma": ["qsub", "-terse", "-N", name, "-l", "memory=50M,h_rt=1800", "-o", "/dev/null", "-j", "y"],
    }
    ids = {}
    for centre, argv in words.items():
        done = own_testbed.exec(centre, "login", ["env", "-C", "/tmp", *argv], "community", stdin=script)
        done.check_returncode()
        ids[centre] = done.stdout.strip()
    yield
    for centre, job in ids.items():
        listed = jobs(own_testbed, {"centre": centre, "id": name.removeprefix("pj")})
        own_testbed.exec(centre, "login", ["scancel" if centre == "alpha" else "qdel", job], "community")
        assert listed == [job], f"the job of another gateway at {centre} was cancelled"


async def ask(site: Flow, server: str, centre: str) -> None:
    """Asks for a session, as the start page does; the answer may be lost with who gives it."""
    options = {"centre": centre, "cores": 1, "memory": "1G", "walltime": "20m"}
    with suppress(httpx.TransportError):
        await site.broker("POST", "/sessions", json={"owner": "alice", "server": server, "options": options})


async def killed(site: Flow, victims: tuple[str, ...], before: dict[str, int]) -> None:
    """Waits until the point was reached and all that died is up again."""

    async def again() -> bool:
        up = all(getattr(site.gateway, victim).restarts > before[victim] for victim in victims)
        return up and not crashing.armed(site.settings)

    await eventually(again, 90)
    await eventually(lambda: site.broker("GET", "/health/live"), 60)


def restarts(site: Flow) -> dict[str, int]:
    return {"broker": site.gateway.broker.restarts, "hub": site.gateway.hub.restarts}


async def one_of_all(site: Flow, own_testbed: Testbed, browser: httpx.AsyncClient, server: str) -> dict[str, Any]:
    """The session once JupyterLab opens in it: the only one there was, with the only job there was."""
    session = await site.reach("alice", server, "ready", 120)
    await site.usable(browser, "alice", server)
    assert [row["id"] for row in await site.sessions_of("alice", server)] == [session["id"]]
    assert jobs(own_testbed, session) == submissions(own_testbed, session) == [session["job_id"]]
    return session


@pytest.mark.parametrize(("centre", "point", "victims"), CASES)
async def test_killed_at_a_step_of_a_start(
    site: Flow, own_testbed: Testbed, browser: httpx.AsyncClient, centre: str, point: str, victims: tuple[str, ...]
) -> None:
    server = "-".join((centre[0], point, *victims))[:30]
    if point == "queued":
        for node in ("c1", "c2"):
            own_testbed.fault(centre, "drain", node)
    before = restarts(site)
    crashing.arm(site.settings, point, *victims)
    await ask(site, server, centre)
    await killed(site, victims, before)
    if point == "queued":
        waiting = await site.reach("alice", server, "queued")
        assert jobs(own_testbed, waiting) == [waiting["job_id"]]
        own_testbed.mend()
    session = await one_of_all(site, own_testbed, browser, server)
    await site.broker("DELETE", f"/sessions/{session['id']}")


@pytest.mark.parametrize("victims", [BROKER, BOTH], ids="+".join)
async def test_killed_before_a_requeued_job_gets_its_new_key(
    site: Flow, own_testbed: Testbed, browser: httpx.AsyncClient, victims: tuple[str, ...]
) -> None:
    server = "-".join(("again", *victims))
    await ask(site, server, "alpha")
    first = await site.reach("alice", server, "ready")
    before = restarts(site)
    crashing.arm(site.settings, "before-hand-over", *victims)
    own_testbed.fault("alpha", "requeue", first["job_id"])
    await killed(site, victims, before)
    await hurry_requeued(own_testbed, first["job_id"])

    async def anew() -> bool:
        session = await site.session("alice", server)
        return session["stage"] == "ready" and session["started"] != first["started"]

    await eventually(anew, 120)
    session = await one_of_all(site, own_testbed, browser, server)
    assert session["id"] == first["id"]
    await site.broker("DELETE", f"/sessions/{session['id']}")
