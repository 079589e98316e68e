"""The API of runs: whose is whose, what a session may say of one, and what comes of it once more."""

from __future__ import annotations

from typing import Any

import pytest
from broker.harness import until
from broker.runapi import RunApi, api, app_kind, runs
from broker.runworld import Runs, report, results
from perijove.hub.broker.runrecords import RunState

__all__ = ["api", "app_kind", "runs"]


@pytest.mark.parametrize(
    ("method", "path", "body", "ada", "bob", "root", "service"),
    [
        ("GET", "", None, 200, 404, 200, 200),
        ("GET", "/files/f.png", None, 200, 404, 403, 200),
        ("GET", "/download", None, 200, 404, 403, 200),
        ("GET", "/compare/ID", None, 200, 404, 200, 200),
        ("PATCH", "", {"label": "x"}, 200, 404, 403, 200),
        ("PUT", "/report", {"report": {"state": "running"}}, 200, 404, 403, 200),
        ("PUT", "/files/g.png", {}, 200, 404, 403, 200),
        ("POST", "/shares", {}, 201, 404, 403, 201),
        ("GET", "/shares", None, 200, 404, 403, 200),
        ("DELETE", "/shares/none", None, 404, 404, 403, 404),
        ("POST", "/rerun", {}, 201, 404, 403, 201),
        ("POST", "/replay", {"centre": "beta"}, 201, 404, 403, 201),
        ("POST", "/resume", {}, 409, 404, 403, 409),
        ("DELETE", "", None, 200, 404, 200, 200),
        ("DELETE", "/record", None, 204, 404, 403, 204),
    ],
)
async def test_who_may_do_what_with_a_run(
    api: RunApi, method: str, path: str, body: Any, ada: int, bob: int, root: int, service: int
) -> None:
    for who, status in (("t-bob", bob), ("t-root", root), ("", 401), ("t-ada", ada), ("service", service)):
        run = (await api.done())["id"]
        await api.ok("PUT", f"/runs/{run}/files/f.png", content=b"x")
        answer = await api(method, f"/runs/{run}{path.replace('ID', run)}", who, json=body)
        assert answer.status_code == status, (who, answer.text)


async def test_lists_are_ones_own_unless_one_operates(api: RunApi) -> None:
    mine, other = await api.done(), await api.done("t-bob")

    async def listed(who: str, **query: Any) -> set[str]:
        return {one["id"] for one in (await api.ok("GET", "/runs", who, params=query))["runs"]}

    assert await listed("t-ada") == {mine["id"]} and await listed("t-bob") == {other["id"]}
    assert await listed("t-root") == {mine["id"], other["id"]}
    assert await listed("t-root", owner="bob") == {other["id"]}
    assert await listed("t-ada", state="running") == set() and await listed("t-ada", app="sums") == {mine["id"]}
    assert (await api("GET", "/runs", "t-ada", params={"owner": "bob"})).status_code == 403
    [brief] = (await api.ok("GET", "/runs"))["runs"]
    assert "rows" not in brief["report"]["results"]["tables"][0] and brief["report"]["results"]["numbers"]


async def test_nobody_starts_runs_of_others(api: RunApi) -> None:
    body = {"app": "sums", "inputs": {}, "owner": "bob"}
    for who in ("t-ada", "t-root"):
        assert (await api("POST", "/runs", who, json=body)).status_code == 403
    assert (await api("POST", "/runs", "service", json={"app": "sums"})).status_code == 400
    assert (await api.started("service", owner="bob"))["owner"] == "bob"
    theirs = (await api.done("t-bob"))["id"]
    assert (await api("POST", "/runs", json={"app": "sums", "parent": theirs})).status_code == 404


async def test_news_of_a_run_can_be_waited_for(runs: Runs, api: RunApi) -> None:
    import asyncio

    run = await api.started()
    waiting = asyncio.create_task(api("GET", f"/runs/{run['id']}", params={"after": run["version"], "wait": 20}))
    await until(lambda: run["id"] in runs.gateway.broker.bulletin._waiting)
    await api.ok("PUT", f"/runs/{run['id']}/report", json={"report": report()})
    view = (await waiting).json()
    assert view["state"] == "running" and view["version"] > run["version"]
    assert (await api.ok("GET", f"/runs/{run['id']}", params={"after": 0, "wait": 20}))["version"] == view["version"]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"state": "starting"},
        {"state": "interrupted"},
        {"state": ["done"]},
        {"state": "running", "lone": "\ud800"},
    ],
)
async def test_what_is_no_report_is_refused(api: RunApi, said: Any) -> None:
    import json

    run = await api.started()
    content = json.dumps({"report": said})
    assert (await api("PUT", f"/runs/{run['id']}/report", content=content)).status_code == 400
    huge = content.replace("{}", '{"state": NaN}') if said == {} else '{"report": {"state": "running", "x": Infinity}}'
    assert (await api("PUT", f"/runs/{run['id']}/report", content=huge)).status_code == 400
    long = {"report": {"state": "running", "x": "y" * 600_000}}
    assert (await api("PUT", f"/runs/{run['id']}/report", json=long)).status_code == 413
    odd = {"state": "running", "progress": "x", "steps": 5, "results": [], "started": "never", "ended": 1e300}
    view = await api.ok("PUT", f"/runs/{run['id']}/report", json={"report": odd, "folder": "a\x00b"})
    assert view["state"] == "running" and view["progress"] == 0 and "\x00" not in view["folder"]
    await api.ok("GET", "/runs")


async def test_a_rerun_changes_what_is_to_be_changed(api: RunApi) -> None:
    run = await api.done(inputs={"count": 5}, label="mine")
    again = await api.ok("POST", f"/runs/{run['id']}/rerun", status=201, json={"inputs": {"count": 6}, "key": "k"})
    assert (again["inputs"]["count"], again["parent"], again["relation"]) == (6, run["id"], "rerun")
    assert again["label"] == "mine" and again["state"] == "starting"
    same = await api.ok("POST", f"/runs/{run['id']}/rerun", status=201, json={"inputs": {"count": 6}, "key": "k"})
    assert same["id"] == again["id"]
    wrong = await api("POST", f"/runs/{run['id']}/rerun", json={"inputs": {"count": 0}})
    assert wrong.status_code == 400 and wrong.json()["faults"][0]["field"] == "count"
    await api.ok("PUT", f"/runs/{again['id']}/report", json={"report": report("done", results=results(6.0))})
    both = await api.ok("GET", f"/runs/{run['id']}/compare/{again['id']}")
    assert both["inputs"][0] == {"name": "count", "title": {"en": "Count", "zh": "数量"}, "a": 5, "b": 6}
    assert (both["numbers"][0]["a"], both["numbers"][0]["b"], both["figures"][0]["a"]) == (3.0, 6.0, "f.png")
    assert both["agreement"]["verdict"] == "differs"


@pytest.mark.parametrize(
    ("value", "table", "verdict"), [(3.0, "a" * 64, "same"), (3.01, "a" * 64, "agrees"), (3.0, "b" * 64, "differs")]
)
async def test_a_replay_says_whether_it_came_to_the_same(api: RunApi, value: float, table: str, verdict: str) -> None:
    run = await api.done(request={"centre": "alpha"})
    replay = await api.ok("POST", f"/runs/{run['id']}/replay", status=201, json={"centre": "beta"})
    assert (replay["centre"], replay["relation"], replay["agreement"]) == ("beta", "replay", None)
    said = {"report": report("done", ("done",), results=results(value, table))}
    view = await api.ok("PUT", f"/runs/{replay['id']}/report", json=said)
    assert view["agreement"]["verdict"] == verdict
    number = view["agreement"]["rows"][0]
    assert (number["name"], number["here"], number["there"], number["agrees"]) == ("sum", value, 3.0, True)


async def test_the_run_that_an_operator_cancels_says_by_whom(runs: Runs, api: RunApi) -> None:
    run = await api.started()
    await api.ok("DELETE", f"/runs/{run['id']}", "t-root")
    assert (await runs.at(run["id"], RunState.CANCELLED)).asked_by == "root"


async def test_live_runs_are_counted_by_app_and_state(api: RunApi) -> None:
    await api.started()
    await api.done()
    text = (await api("GET", "/metrics", "t-root")).text
    assert 'perijove_runs{app="sums",state="starting"} 1.0' in text
    assert 'perijove_runs{app="sums",state="running"} 0.0' in text
