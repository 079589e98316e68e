"""Apps without root: a run in a job of its own, the app's page in a session, a gateway that is killed in between."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import pytest_asyncio
from doubles.tinyapp import HEAD, app_in
from harness.apps import SMALL, archive, ask, begin, done, numbers, page, run_of
from harness.basics import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def alice(flow: Any) -> None:
    """She has signed in: the hub starts servers for nobody else."""
    await flow.person("alice")


async def places(flow: Any, app: str) -> dict[str, str]:
    found = (await flow.broker("GET", f"/apps/{app}")).json()
    return {place["centre"]: place["state"] for place in found["places"]}


async def test_the_gateway_finds_out_by_itself_where_apps_can_run(flow: Any, eventually: Any) -> None:
    async def known() -> bool:
        return all([set((await places(flow, app)).values()) == {"ready"} for app in SMALL])

    await eventually(known, 120)


async def test_a_run_has_its_own_job_and_leaves_pictures_numbers_and_a_record(flow: Any) -> None:
    begun = await begin(flow, "climate", request={"centre": "zhengzhou"})
    assert begun["own_session"] and begun["centre"] == "zhengzhou"
    run = await done(flow, begun["id"])
    found = numbers(run)
    assert any("a1b" in name for name in found) and any("e1" in name for name in found), found
    kept = {one["file"] for one in run["kept"]}
    figures = [one["file"] for one in run["report"]["results"]["figures"]]
    assert figures and set(figures) <= kept
    picture = await flow.broker("GET", f"/runs/{run['id']}/files/{figures[0]}")
    assert picture.content.startswith(b"\x89PNG") and picture.headers["content-type"] == "image/png"
    files = await archive(flow, run["id"])
    crate = json.loads(next(data for name, data in files.items() if name.endswith("ro-crate-metadata.json")))
    assert any(one.get("@type") == "CreateAction" for one in crate["@graph"])
    assert any(name.endswith(".nc") for name in files)
    # Its job ends with it: nobody pays for a session that has nothing to do.

    async def over() -> bool:
        return bool((await flow.session("alice", run["server"]))["stage"] == "ended")

    await eventually(over, 60)


async def test_a_replay_elsewhere_says_whether_it_agrees_and_a_link_shows_the_run_alone(flow: Any) -> None:
    first = await done(flow, (await begin(flow, "variants", request={"centre": "wuxi"}))["id"])
    answer = await flow.broker("POST", f"/runs/{first['id']}/replay", json={"centre": "guangzhou"})
    assert answer.status_code == 201, answer.text
    again = await done(flow, answer.json()["id"])
    assert (again["centre"], again["relation"]) == ("guangzhou", "replay")
    assert again["agreement"]["verdict"] in ("same", "agrees"), again["agreement"]
    made = (await flow.broker("POST", f"/runs/{first['id']}/shares", json={"mode": "view", "days": 7})).json()
    async with httpx.AsyncClient(base_url=flow.settings.url, trust_env=False, timeout=60) as stranger:
        page = await stranger.get(made["url"])
        assert page.status_code == 200 and "alice" not in page.text
        assert (await stranger.get(made["url"].replace(made["token"], "x" * len(made["token"])))).status_code == 404
    bob = await flow.person("bob")
    assert (await bob.get(f"/services/perijove/runs/{first['id']}")).status_code == 404


WIDE = """
ASK = "import os; print(open(f'/proc/{os.getppid()}/cmdline').read())"


def steps(case):
    parts = [
        Step("one", Command([PY, "-c", ASK], stdout=f"{n}.txt"), part=str(n), makes=[f"{n}.txt"]) for n in range(4)
    ]
    return [*parts, Step("last", Call(finish), after=["one"], makes=["results/text.txt"])]


def finish(case):
    Path("results").mkdir(exist_ok=True)
    who = [case.file(f"{n}.txt").read_text() for n in range(4)]
    Path("results/text.txt").write_text("".join(who))
    on_workers = sum("multiprocessing.spawn" in one for one in who)  # of the worker's nanny
    return {"numbers": {"lines": on_workers}, "files": {"text": "text.txt"}, "reading": {"en": "Done.", "zh": "完成。"}}
"""


async def test_a_wide_run_of_an_operators_app_has_workers_of_its_own(flow: Any) -> None:
    folder = flow.settings.apps_folder
    app_in(folder, HEAD + WIDE, name="wide")
    manifest = folder / "wide/app.toml"
    needs = '[needs]\nworkers = "2"\nworker = {cores = 1, memory = "1G", walltime = "10m"}\nsmall = "0"'
    manifest.write_text(manifest.read_text().replace("[needs]", needs))

    async def published() -> bool:
        return bool((await flow.broker("GET", "/apps/wide")).status_code == 200)

    await eventually(published, 60)
    begun = await begin(flow, "wide", request={"centre": "zhengzhou"})
    run = await done(flow, begun["id"])
    (cluster,) = [
        one
        for one in (await flow.broker("GET", "/clusters", params={"owner": "alice"})).json()["clusters"]
        if one["session"] == run["session"]
    ]
    rows = (await flow.broker("GET", f"/clusters/{cluster['id']}/workers")).json()["workers"]
    assert len(rows) == 2 and numbers(run)["lines"] == 4, run["report"]["results"]
    assert run["cost"] > 0


async def test_a_run_in_an_apps_session_goes_on_while_broker_hub_and_proxy_are_killed(flow: Any) -> None:
    options: dict[str, Any] = {"centre": "zhengzhou", "kind": "app", "cores": 1, "memory": "2G", "walltime": "20m"}
    options |= {"options": {"app": "climate"}}
    answer = await flow.broker("POST", "/sessions", json={"owner": "alice", "server": "app", "options": options})
    assert answer.status_code == 201, answer.text
    await flow.reach("alice", "app", "ready")

    person = await page(flow, "app")
    session = await flow.session("alice", "app")
    begun = await ask(person, "app", "POST", "runs", {"inputs": SMALL["climate"], "key": "k"})
    run = begun["id"]

    async def running() -> bool:
        return bool((await run_of(flow, run))["state"] != "starting")

    await eventually(running, 60)
    flow.kill(flow.gateway.proxy, flow.gateway.broker, flow.gateway.hub)
    found = await done(flow, run)
    assert found["session"] == session["id"] and not found["own_session"]
    assert numbers(found)
    assert len(await flow.sessions_of("alice", "app")) == 1
    # The notebook server's own doors are closed: nothing of the app or of the person is to be read by them.
    for closed in ("api/contents/app.ipynb", "files/pipeline.py", "voila/files/pipeline.py", "lab", "api/terminals"):
        assert (await person.get(f"/user/alice/app/{closed}")).status_code in (403, 404), closed
