"""Apps on real batch systems: the real codes in jobs of their own, an operator's app, a node lost in mid-run."""

from __future__ import annotations

import asyncio

import pytest
from doubles.tinyapp import HEAD, app_in
from harness.apps import archive, begin, done, numbers, run_of
from harness.basics import eventually
from harness.flow import Flow
from perijove.testbed import Testbed

SLOW = """
def steps(case):
    return [
        Step("one", Command([PY, "-c", "print(1)"], stdout="one.txt"), makes=["one.txt"]),
        Step("last", Call(finish), after=["one"], makes=["results/text.txt"]),
    ]


def finish(case):
    time.sleep(20)
    Path("results").mkdir(exist_ok=True)
    Path("results/text.txt").write_text("done")
    return {"files": {"text": "text.txt"}, "reading": {"en": "It is done.", "zh": "已完成。"}}
"""
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]


async def test_cdo_runs_under_slurm_and_the_replay_under_grid_engine_agrees(site: Flow) -> None:
    first = await done(site, (await begin(site, "climate", request={"centre": "alpha"}))["id"])
    assert first["report"]["way"] == "cdo" and first["report"]["node"].startswith("alpha-c")
    answer = await site.broker("POST", f"/runs/{first['id']}/replay", json={"centre": "gamma"})
    assert answer.status_code == 201, answer.text
    second = await done(site, answer.json()["id"])
    assert second["report"]["node"].startswith("gamma-c")
    assert second["agreement"]["verdict"] in ("same", "agrees"), second["agreement"]
    assert numbers(first).keys() == numbers(second).keys()
    assert second["cost"] is not None and 0 <= second["cost"] <= second["most"]


async def test_the_tools_find_the_variants_of_the_real_reads(site: Flow) -> None:
    run = await done(site, (await begin(site, "variants", request={"centre": "alpha"}))["id"])
    assert run["report"]["way"] == "tools"
    assert numbers(run)["variants"] == 77
    files = await archive(site, run["id"])
    assert any(name.endswith(".vcf.gz") for name in files) and any(name.endswith(".bam") for name in files)


@pytest.mark.soak  # the batch system takes a minute to be sure that the node is gone
async def test_a_node_that_is_lost_in_mid_run_is_no_end_of_it(site: Flow, testbed: Testbed, mended: None) -> None:
    app_in(site.settings.apps_folder, HEAD + SLOW, name="slow")  # an operator's: no centre has it

    async def published() -> bool:
        return (await site.broker("GET", "/apps/slow")).status_code == 200

    await eventually(published, 60)
    begun = await begin(site, "slow", request={"centre": "alpha"})

    async def at_second() -> str | None:
        run = await run_of(site, begun["id"])
        assert run["state"] in ("starting", "running"), run
        report = run["report"] or {}
        states = {step["name"]: step["state"] for step in report.get("steps", ())}
        return report["node"] if (states.get("one"), states.get("last")) == ("done", "running") else None

    node = await eventually(at_second, 120)
    await asyncio.to_thread(testbed.fault, "alpha", "node-kill", node)
    run = await done(site, begun["id"], 300)
    assert run["resumed"] == 1 and len(await sessions(site, begun["id"])) == 2
    assert {step["name"]: step["state"] for step in run["report"]["steps"]} == {"one": "kept", "last": "done"}


async def sessions(site: Flow, run: str) -> list[str]:
    """The sessions that there were for a run."""
    rows = (await site.broker("GET", "/sessions", params={"owner": "alice"})).json()["sessions"]
    return [row["id"] for row in rows if row["request"].get("options", {}).get("run") == run]
