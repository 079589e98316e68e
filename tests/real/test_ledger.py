"""Money on real batch systems: a session costs what Slurm and Grid Engine say of its job, and nothing differs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from harness.basics import eventually
from harness.centres import no_job, start, stop
from harness.flow import Flow
from perijove.testbed import Testbed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400), pytest.mark.usefixtures("mended")]
#: What submits a job by hand, under the shared account, with a name that is given; it prints the number.
SUBMIT = {"alpha": "sbatch --parsable -J {name}", "gamma": "qsub -terse -N {name}"}


async def asked(site: Flow, method: str, path: str) -> Any:
    answer = await site.broker(method, path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def reconcile(site: Flow, centre: str) -> dict[str, Any]:
    day = datetime.now(UTC).date().isoformat()
    report: dict[str, Any] = await asked(site, "POST", f"/reconciliations/{centre}?day={day}")
    return report


@pytest.mark.parametrize("centre", ["alpha", "gamma"])
async def test_a_session_is_held_settled_and_reconciled(site: Flow, testbed: Testbed, centre: str) -> None:
    before = await money(site)
    await start(site, f"paid-{centre}", centre, walltime="30m")
    session = await site.reach("alice", f"paid-{centre}", "ready")
    most = session["money"]["held"]
    assert most > 0, "half an hour of a core costs something"
    during = await money(site)
    assert (during["held"], during["available"]) == (before["held"] + most, before["available"] - most)

    ended = await stop(site, f"paid-{centre}")
    await no_job(testbed, ended)
    (entry,) = await entries(site, ended["id"])
    evidence = entry["evidence"]
    seconds = (datetime.fromisoformat(evidence["ended"]) - datetime.fromisoformat(evidence["started"])).total_seconds()
    after = await money(site)
    assert abs(seconds - told_seconds(testbed, ended)) <= 1, "what is charged is what the batch system says"
    assert 0 < entry["charged"] < most and entry["core_seconds"] == round(seconds) * session["cores"]
    assert after["spent"] == before["spent"] + entry["charged"]
    assert (after["held"], after["available"]) == (before["held"], before["available"] - entry["charged"])

    report = await reconcile(site, centre)
    accounting = testbed.exec(centre, "login", ["qacct" if centre == "gamma" else "sacct"], "community")
    state = "sound" if accounting.returncode == 0 else "partial"  # Slurm without slurmdbd has none, and says so
    assert (report["differences"], report["state"]) == ([], state), report
    assert report["jobs_ours"] >= 1 and report["jobs_theirs"] >= 1


@pytest.mark.parametrize("centre", ["alpha", "gamma"])
async def test_a_job_with_our_mark_that_the_store_lacks_is_reported(site: Flow, testbed: Testbed, centre: str) -> None:
    """Somebody submitted it by hand, or a store was lost: the centre will bill it, and nobody knows of it here."""
    await start(site, f"known-{centre}", centre)
    known = await site.reach("alice", f"known-{centre}", "ready")
    await stop(site, f"known-{centre}")
    name = "pj" + known["id"][:3] + "zzzzzzzzzz"
    words = SUBMIT[centre].format(name=name)
    done = testbed.exec(centre, "login", ["sh", "-c", f"cd; printf '#!/bin/sh\\nsleep 3\\n' | {words}"], "community")
    assert done.returncode == 0, done.stderr
    job_id = done.stdout.strip()

    async def reported() -> Any:
        report = await reconcile(site, centre)
        return next((one for one in report["differences"] if one["kind"] == "not-ours"), None)

    found = await eventually(reported, 60)
    assert (found["job_id"], found["ours"], found["subject"]) == (job_id, None, name[2:])
    assert found["theirs"] >= 1 and found["decided"] is None and name in found["detail"]


async def money(site: Flow) -> dict[str, int]:
    """What alice has, has on hold and has spent, in micro-credits. The first session brings the starting grant."""
    answer = await site.broker("GET", "/budgets/person:alice")
    found = answer.json() if answer.status_code == 200 else {}
    had = {"available": 1000 * 10**6, "held": 0, "spent": 0}
    return {key: found.get(key, value) for key, value in had.items()}


def told_seconds(testbed: Testbed, session: dict[str, Any]) -> int:
    """How long the batch system says that a session's job ran."""
    if testbed.centre(session["centre"]).plan.system == "gridengine":
        told = testbed.exec("gamma", "login", ["qacct", "-j", session["job_id"]]).stdout
        return int(re.findall(r"ru_wallclock\s+(\d+)s", told)[0])
    told = testbed.exec("alpha", "login", ["scontrol", "show", "job", session["job_id"]]).stdout
    hours, minutes, seconds = map(int, re.findall(r"RunTime=(\d+):(\d+):(\d+)", told)[0])
    return hours * 3600 + minutes * 60 + seconds


async def entries(site: Flow, session: str) -> list[dict[str, Any]]:
    """The charges of a session."""
    found = (await asked(site, "GET", "/budgets/person:alice/entries?limit=1000"))["entries"]
    return [one for one in found if one["subject"] == session and one["kind"] == "settle"]
