"""A gateway of the testbed's centres, and what their batch systems themselves say of a session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from perijove.hub.serve import running
from perijove.spawners.centre import Identity
from perijove.spawners.job import job_name
from perijove.testbed import Testbed
from perijove.testbed.state import default_directory

from harness.basics import eventually, settings_in
from harness.flow import Flow


@asynccontextmanager
async def gateway_of(
    testbed: Testbed, state: Path, identities: Mapping[str, Identity], **changes: Any
) -> AsyncIterator[Flow]:
    """The gateway of the centres named in `identities`; at the end its sessions are stopped, and are gone."""
    settings = settings_in(state, **changes)
    settings.directory("centres")
    for name, identity in identities.items():
        (settings.centres_dir / f"{name}.toml").write_text(testbed.centre_toml(name, identity), encoding="utf-8")
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(running(settings, settings.save()))
        flow = Flow(gateway, settings, stack)
        yield flow
        await all_ended(flow)


async def all_ended(flow: Flow) -> None:
    """Stops every session, and waits until all have ended."""
    live = (await flow.broker("GET", "/sessions", params={"live": "true"})).json()["sessions"]
    for session in live:
        await flow.broker("DELETE", f"/sessions/{session['id']}")

    async def ended() -> bool:
        rows = (await flow.broker("GET", "/sessions")).json()["sessions"]
        return all(row["stage"] == "ended" for row in rows)

    await eventually(ended, 90)


async def start(flow: Flow, server: str, centre: str, **options: Any) -> None:
    """Asks for a server as a program does: JupyterHub's own REST door."""
    wanted = {"centre": centre, "cores": 1, "memory": "1G", "walltime": "30m", **options}
    answer = await flow.hub("POST", f"/users/alice/servers/{server}", json=wanted)
    assert answer.status_code in (201, 202), answer.text


async def stop(flow: Flow, server: str) -> dict[str, Any]:
    """Stops it, and returns how it ended."""
    session = await flow.session("alice", server)
    await flow.broker("DELETE", f"/sessions/{session['id']}")
    return await flow.reach("alice", server, "ended", 60)


async def codes(flow: Flow, session: Mapping[str, Any]) -> list[str]:
    """What was told of a session, in order."""
    answer = await flow.broker("GET", f"/sessions/{session['id']}/events")
    return [event["code"] for event in answer.json()["events"]]


def jobs(testbed: Testbed, session: Mapping[str, Any]) -> list[str]:
    """The ids of the live jobs of a session, as the batch system lists them."""
    if testbed.centre(session["centre"]).plan.system == "gridengine":
        words = ["qstat", "-u", "*", "-j", job_name(session["id"])]
        return _fields(testbed, session["centre"], words, "job_number:")
    return _squeue(testbed, session)


def submissions(testbed: Testbed, session: Mapping[str, Any]) -> list[str]:
    """The ids of all jobs that a session ever had, also of those that are over, as the batch system knows them."""
    if testbed.centre(session["centre"]).plan.system == "gridengine":
        past = _fields(testbed, session["centre"], ["qacct", "-j", job_name(session["id"])], "jobnumber")
        return sorted({*jobs(testbed, session), *past})
    return _squeue(testbed, session, "-t", "all")


def _squeue(testbed: Testbed, session: Mapping[str, Any], *more: str) -> list[str]:
    plan = testbed.centre(session["centre"]).plan
    words = [plan.commands.get("squeue", "squeue"), "-h", f"--name={job_name(session['id'])}", "-o", "%i", *more]
    done = testbed.exec(plan.name, "ctl", words)
    done.check_returncode()
    return done.stdout.split()


def _fields(testbed: Testbed, centre: str, words: list[str], first: str) -> list[str]:
    """The second words of the lines that begin with `first`; Grid Engine's exit status says little."""
    lines = testbed.exec(centre, "login", words).stdout.splitlines()
    return [line.split()[1] for line in lines if line.split()[:1] == [first]]


async def no_job(testbed: Testbed, session: Mapping[str, Any]) -> None:
    """Waits until the batch system lists no job of the session any more."""

    async def gone() -> bool:
        return not jobs(testbed, session)

    await eventually(gone, 60)


async def hurry_requeued(testbed: Testbed, job_id: str) -> None:
    """Slurm lets a requeued job wait for two minutes, unless its operator says otherwise, as here at alpha.

    Said while the job is still leaving its node, it would be forgotten: it is said until the job runs.
    """

    async def runs() -> bool:
        testbed.exec("alpha", "ctl", ["scontrol", "update", f"JobId={job_id}", "StartTime=now"])
        return testbed.exec("alpha", "ctl", ["squeue", "-h", "-j", job_id, "-o", "%T"]).stdout.strip() == "RUNNING"

    await eventually(runs)


def own_directory(directory: Path) -> Path:
    """A state directory for one more testbed that shares the built environment with the usual one."""
    (directory / "software").symlink_to(default_directory() / "software")
    return directory
