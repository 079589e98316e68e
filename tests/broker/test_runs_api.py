"""The API of apps, runs and shares: whose is whose, in words, bounded, and safe for a browser."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from broker.harness import Gateway, until
from broker.runworld import Runs, app_kind, report, results
from broker.simulated import SimulatedCentre
from broker.simulated import centre as described
from broker.test_api import Api
from perijove.hub.broker.files import Facts, FileTrouble, Place
from perijove.hub.broker.runfiles import MOST_FILE
from perijove.hub.broker.runrecords import RunState
from perijove.spawners.job import Reason
from perijove.spawners.link import Account
from perijove.spawners.session import Stage

__all__ = ["app_kind"]
PRICED = [{"name": "cpu", "cores": 64, "memory": "256G", "max_time": "2d", "price": {"core_hour": "1"}}]


@pytest_asyncio.fixture
async def runs(gateway: Gateway) -> Runs:
    gateway.simulated = {name: SimulatedCentre(described(name, queues=PRICED)) for name in ("alpha", "beta")}
    world = Runs(gateway)
    await world.begin()
    return world


@pytest_asyncio.fixture
async def api(gateway: Gateway, runs: Runs) -> AsyncIterator[Api]:
    one = Api(gateway)
    yield one
    await one.client.aclose()


async def ok(api: Api, method: str, path: str, who: str = "t-ada", status: int = 200, **more: Any) -> Any:
    answer = await api(method, path, who, **more)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def started(api: Api, who: str = "t-ada", **body: Any) -> dict[str, Any]:
    view: dict[str, Any] = await ok(api, "POST", "/runs", who, 201, json={"app": "sums", "inputs": {}, **body})
    return view


async def done(api: Api, who: str = "t-ada", value: float = 3.0, table: str = "a" * 64, **body: Any) -> dict[str, Any]:
    """A run that its session reported as done."""
    run = await started(api, who, **body)
    said = {"report": report("done", ("done",), results=results(value, table)), "folder": "/home/ada/runs/x"}
    view: dict[str, Any] = await ok(api, "PUT", f"/runs/{run['id']}/report", who, json=said)
    return view


async def test_an_app_says_what_it_is_and_where_it_can_run(gateway: Gateway, api: Api) -> None:
    [app] = [one for one in (await ok(api, "GET", "/apps"))["apps"] if one["name"] == "sums"]
    assert app == await ok(api, "GET", "/apps/sums")
    assert [one["name"] for one in app["inputs"]] == ["count", "reads"] and app["inputs"][0]["default"] == 3
    assert app["title"] == {"en": "Sums", "zh": "求和"} and app["outputs"][0]["kind"] == "number"
    assert app["schema"]["en"]["properties"]["count"]["minimum"] == 1 and app["codes"][0]["import"] == "json"
    assert {(one["centre"], one["state"]) for one in app["places"]} == {("alpha", "unknown"), ("beta", "unknown")}
    # 3 minutes on 2 cores at one credit an hour each.
    assert app["usual"] == {"seconds": 180.0, "price_low": 100_000, "price_high": 100_000}
    assert app["example"]["report"]["state"] == "done"
    assert (await api("GET", "/apps/none")).json()["error"] == "no-app"
    assert (await api("GET", "/apps", "")).status_code == 401


async def test_pictures_need_no_login_and_run_nothing_in_a_browser(api: Api) -> None:
    app = await ok(api, "GET", "/apps/sums")
    answer = await api.client.get(app["picture"])
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await api("GET", "/apps/sums/example/one.png", "")).content == b"\x89PNG"
    for hostile in ("..%2fapp.toml", "%2e%2e/app.toml", "no.png", "a%00b", "/etc/passwd"):
        assert (await api("GET", f"/apps/sums/example/{hostile}", "")).status_code == 404, hostile


async def test_a_bundle_is_the_apps_folder_and_fetched_once(api: Api) -> None:
    answer = await api("GET", "/apps/sums/bundle")
    tag = answer.headers["etag"]
    assert tag == f'"{(await ok(api, "GET", "/apps/sums"))["digest"]}"'
    assert "app.toml" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    headers = {"Authorization": "token t-ada", "If-None-Match": tag}
    again = await api.client.get("/services/perijove/api/v1/apps/sums/bundle", headers=headers)
    assert again.status_code == 304 and not again.content
    assert (await api("GET", "/apps/sums/bundle", "")).status_code == 401


async def test_places_are_told_by_those_who_are_there(gateway: Gateway, api: Api) -> None:
    found = {"way": "python", "codes": {"python": "3"}, "missing": [], "data": {}}
    assert (await api("PUT", "/apps/sums/places/beta", json=found)).status_code == 403
    assert (await api("PUT", "/apps/sums/places/nowhere", "t-root", json=found)).status_code == 404
    assert (await api("PUT", "/apps/sums/places/beta", "t-root", json={"way": "magic"})).status_code == 400
    await gateway.open("ada", centre="alpha")
    lacking = {"way": None, "missing": [{"code": "python", "how": {"apt": "python3"}}]}
    told = await ok(api, "PUT", "/apps/sums/places/alpha", json=lacking)
    assert told["state"] == "missing" and told["missing"][0]["how"] == {"apt": "python3"}
    await ok(api, "PUT", "/apps/sums/places/beta", "t-root", json=found)
    places = {one["centre"]: one["state"] for one in (await ok(api, "GET", "/apps/sums"))["places"]}
    assert places == {"alpha": "missing", "beta": "ready"}
    estimate = await ok(api, "POST", "/apps/sums/estimate", json={"inputs": {"count": 10}})
    assert estimate["recommended"] == {"centre": "beta", "queue": "cpu"}
    assert {offer["centre"]: offer["ready"] for offer in estimate["offers"]} == {"alpha": False, "beta": True}
    assert (await started(api))["centre"] == "beta", "a run goes where the app is ready"


async def test_an_estimate_says_what_it_takes_or_every_fault(api: Api) -> None:
    said = await ok(api, "POST", "/apps/sums/estimate", json={"inputs": {"count": 10}, "request": {"cores": 4}})
    assert (
        said["faults"] == [] and said["needs"]["seconds"] == 600 and said["needs"]["cores"] == 4 and not said["small"]
    )
    assert said["offers"][0]["cost"] == round(4_000_000 * 600 / 3600)
    wrong = await ok(api, "POST", "/apps/sums/estimate", json={"inputs": {"count": 1000, "colour": "red"}})
    assert {fault["field"] for fault in wrong["faults"]} == {"count", "colour"} and wrong["needs"] is None
    assert (await api("POST", "/runs", json={"app": "sums", "inputs": {"count": 0}})).json()["faults"][0][
        "field"
    ] == "count"


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
    api: Api, method: str, path: str, body: Any, ada: int, bob: int, root: int, service: int
) -> None:
    for who, status in (("t-bob", bob), ("t-root", root), ("", 401), ("t-ada", ada), ("service", service)):
        run = (await done(api))["id"]
        await ok(api, "PUT", f"/runs/{run}/files/f.png", content=b"x")
        answer = await api(method, f"/runs/{run}{path.replace('ID', run)}", who, json=body)
        assert answer.status_code == status, (who, answer.text)


async def test_lists_are_ones_own_unless_one_operates(api: Api) -> None:
    mine, other = await done(api), await done(api, "t-bob")

    async def listed(who: str, **query: Any) -> set[str]:
        return {one["id"] for one in (await ok(api, "GET", "/runs", who, params=query))["runs"]}

    assert await listed("t-ada") == {mine["id"]} and await listed("t-bob") == {other["id"]}
    assert await listed("t-root") == {mine["id"], other["id"]}
    assert await listed("t-root", owner="bob") == {other["id"]}
    assert await listed("t-ada", state="running") == set() and await listed("t-ada", app="sums") == {mine["id"]}
    assert (await api("GET", "/runs", "t-ada", params={"owner": "bob"})).status_code == 403
    [brief] = (await ok(api, "GET", "/runs"))["runs"]
    assert "rows" not in brief["report"]["results"]["tables"][0] and brief["report"]["results"]["numbers"]


async def test_nobody_starts_runs_of_others(api: Api) -> None:
    body = {"app": "sums", "inputs": {}, "owner": "bob"}
    for who in ("t-ada", "t-root"):
        assert (await api("POST", "/runs", who, json=body)).status_code == 403
    assert (await api("POST", "/runs", "service", json={"app": "sums"})).status_code == 400
    assert (await started(api, "service", owner="bob"))["owner"] == "bob"
    theirs = (await done(api, "t-bob"))["id"]
    assert (await api("POST", "/runs", json={"app": "sums", "parent": theirs})).status_code == 404


async def test_news_of_a_run_can_be_waited_for(runs: Runs, api: Api) -> None:
    import asyncio

    run = await started(api)
    waiting = asyncio.create_task(api("GET", f"/runs/{run['id']}", params={"after": run["version"], "wait": 20}))
    await until(lambda: run["id"] in runs.gateway.broker.bulletin._waiting)
    await ok(api, "PUT", f"/runs/{run['id']}/report", json={"report": report()})
    view = (await waiting).json()
    assert view["state"] == "running" and view["version"] > run["version"]
    assert (await ok(api, "GET", f"/runs/{run['id']}", params={"after": 0, "wait": 20}))["version"] == view["version"]


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
async def test_what_is_no_report_is_refused(api: Api, said: Any) -> None:
    import json

    run = await started(api)
    content = json.dumps({"report": said})
    assert (await api("PUT", f"/runs/{run['id']}/report", content=content)).status_code == 400
    huge = content.replace("{}", '{"state": NaN}') if said == {} else '{"report": {"state": "running", "x": Infinity}}'
    assert (await api("PUT", f"/runs/{run['id']}/report", content=huge)).status_code == 400
    long = {"report": {"state": "running", "x": "y" * 600_000}}
    assert (await api("PUT", f"/runs/{run['id']}/report", json=long)).status_code == 413
    odd = {"state": "running", "progress": "x", "steps": 5, "results": [], "started": "never", "ended": 1e300}
    view = await ok(api, "PUT", f"/runs/{run['id']}/report", json={"report": odd, "folder": "a\x00b"})
    assert view["state"] == "running" and view["progress"] == 0 and "\x00" not in view["folder"]
    await ok(api, "GET", "/runs")


HOSTILE = [
    "..%2f..%2fx",
    "%2e%2e/x",
    "a//b",
    "a%5cb",
    "a%00b",
    "a%0ab",
    "%2e/x",
    "x" * 301,
    "a/%2e%2e/b",
    "%2fetc/passwd",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_file_name_is_no_file(api: Api, name: str) -> None:
    run = (await done(api))["id"]
    assert (await api("PUT", f"/runs/{run}/files/{name}", content=b"x")).status_code in (400, 404, 405)
    assert (await api("GET", f"/runs/{run}/files/{name}")).status_code in (404, 405)


@pytest.mark.parametrize(
    ("name", "media", "shown"),
    [
        ("a b'$(x).png", "image/png", "inline"),
        ("图.svg", "image/svg+xml", "inline"),
        ("page.html", "application/octet-stream", "attachment"),
        ("x.xhtml", "application/octet-stream", "attachment"),
        ("t.CSV", "text/csv; charset=utf-8", "inline"),
        ("noending", "application/octet-stream", "attachment"),
    ],
)
async def test_a_kept_file_is_typed_by_its_name_and_sandboxed(api: Api, name: str, media: str, shown: str) -> None:
    run = (await done(api))["id"]
    html = {"Content-Type": "text/html", "Authorization": "token t-ada"}
    where = f"/services/perijove/api/v1/runs/{run}/files/figures/{name}"
    assert (await api.client.put(where, content=b"<script>", headers=html)).status_code == 200
    answer = await api.client.get(where, headers=html)
    assert answer.content == b"<script>" and answer.headers["content-type"] == media
    assert answer.headers["content-disposition"].startswith(shown) and '"' in answer.headers["content-disposition"]
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await ok(api, "GET", f"/runs/{run}"))["kept"][0]["bytes"] == 8


async def test_files_are_bounded_and_the_oldest_runs_give_way(runs: Runs, api: Api) -> None:
    first, second = (await done(api))["id"], (await done(api))["id"]
    big = b"x" * MOST_FILE
    assert (await api("PUT", f"/runs/{first}/files/a", content=big + b"x")).status_code == 413
    await ok(api, "PUT", f"/runs/{first}/files/a", content=big)
    assert (await api("PUT", f"/runs/{first}/report", content=big)).status_code == 413, "only files may be large"
    runs.desk.files.most = 2 * MOST_FILE
    await ok(api, "PUT", f"/runs/{second}/files/a", content=big)
    await ok(api, "PUT", f"/runs/{second}/files/a", content=big)
    assert len((await ok(api, "GET", f"/runs/{first}"))["kept"]) == 1, "the same file again takes no more room"
    await ok(api, "PUT", f"/runs/{second}/files/b", content=b"x")
    assert (await ok(api, "GET", f"/runs/{first}"))["kept"] == []
    assert [one["file"] for one in (await ok(api, "GET", f"/runs/{second}"))["kept"]] == ["a", "b"]


async def test_all_that_is_kept_is_downloaded_as_one_archive(runs: Runs, api: Api) -> None:
    run = (await done(api))["id"]
    content = {"f.png": b"\x89PNG", "tables/t.csv": b"a,b\n" * 200_000}
    runs.gateway.broker.files = AtCentre({})  # type: ignore[assignment]
    for name, data in content.items():
        await ok(api, "PUT", f"/runs/{run}/files/{name}", content=data)
    answer = await api("GET", f"/runs/{run}/download")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    found = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    assert found.pop("not-included.txt").startswith(b"t.csv: "), "its report names a file that cannot be had"
    assert found == content
    assert archive.testzip() is None and answer.headers["content-disposition"].startswith("attachment")


class AtCentre:
    """Files of a person at a centre, read whole."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    async def place(self, owner: str, centre: str, *, ours: bool) -> Place:
        assert owner == "ada" and ours
        return Place(described(centre), Account())

    async def look(self, place: Place, path: str) -> Facts:
        self.asked.append(path)
        if path not in self.files:
            raise FileTrouble("no-file", "there is no such file", 404)
        return Facts(len(self.files[path]), 0.0)

    async def stream(self, place: Place, path: str, facts: Facts) -> AsyncIterator[bytes]:
        for byte in self.files[path]:
            yield bytes([byte])


async def test_what_is_not_kept_comes_from_the_runs_own_folder(runs: Runs, api: Api) -> None:
    run = (await done(api, request={"centre": "alpha"}))["id"]
    base = described("alpha").paths.base
    files = AtCentre({f"{base}/runs/{run}/results/t.csv": b"a,b", f"{base}/runs/{run}/results/other": b"x"})
    runs.gateway.broker.files = files  # type: ignore[assignment]
    assert (await api("GET", f"/runs/{run}/files/t.csv")).content == b"a,b"
    assert (await api("GET", f"/runs/{run}/files/f.png")).json()["error"] == "no-file"
    asked = list(files.asked)
    for name in ("other", "../../x", "..%2f..%2fx"):
        assert (await api("GET", f"/runs/{run}/files/{name}")).status_code == 404
    assert files.asked == asked, "only what its report names is asked for"
    said = {"report": report("done"), "folder": "/home/bob/.perijove/runs/his"}
    await ok(api, "PUT", f"/runs/{run}/report", json=said)
    archive = zipfile.ZipFile(io.BytesIO((await api("GET", f"/runs/{run}/download")).content))
    assert archive.read(f"sums-{run}/t.csv") == b"a,b"
    assert all(path.startswith(f"{base}/runs/{run}/") for path in files.asked), "wherever it is said to be"


async def test_a_rerun_changes_what_is_to_be_changed(api: Api) -> None:
    run = await done(api, inputs={"count": 5}, label="mine")
    again = await ok(api, "POST", f"/runs/{run['id']}/rerun", status=201, json={"inputs": {"count": 6}, "key": "k"})
    assert (again["inputs"]["count"], again["parent"], again["relation"]) == (6, run["id"], "rerun")
    assert again["label"] == "mine" and again["state"] == "starting"
    same = await ok(api, "POST", f"/runs/{run['id']}/rerun", status=201, json={"inputs": {"count": 6}, "key": "k"})
    assert same["id"] == again["id"]
    wrong = await api("POST", f"/runs/{run['id']}/rerun", json={"inputs": {"count": 0}})
    assert wrong.status_code == 400 and wrong.json()["faults"][0]["field"] == "count"
    await ok(api, "PUT", f"/runs/{again['id']}/report", json={"report": report("done", results=results(6.0))})
    both = await ok(api, "GET", f"/runs/{run['id']}/compare/{again['id']}")
    assert both["inputs"][0] == {"name": "count", "title": {"en": "Count", "zh": "数量"}, "a": 5, "b": 6}
    assert (both["numbers"][0]["a"], both["numbers"][0]["b"], both["figures"][0]["a"]) == (3.0, 6.0, "f.png")
    assert both["agreement"]["verdict"] == "differs"


@pytest.mark.parametrize(
    ("value", "table", "verdict"), [(3.0, "a" * 64, "same"), (3.01, "a" * 64, "agrees"), (3.0, "b" * 64, "differs")]
)
async def test_a_replay_says_whether_it_came_to_the_same(api: Api, value: float, table: str, verdict: str) -> None:
    run = await done(api, request={"centre": "alpha"})
    replay = await ok(api, "POST", f"/runs/{run['id']}/replay", status=201, json={"centre": "beta"})
    assert (replay["centre"], replay["relation"], replay["agreement"]) == ("beta", "replay", None)
    said = {"report": report("done", ("done",), results=results(value, table))}
    view = await ok(api, "PUT", f"/runs/{replay['id']}/report", json=said)
    assert view["agreement"]["verdict"] == verdict
    number = view["agreement"]["rows"][0]
    assert (number["name"], number["here"], number["there"], number["agrees"]) == ("sum", value, 3.0, True)


async def test_a_run_costs_what_its_session_does(gateway: Gateway, runs: Runs, api: Api) -> None:
    run = await started(api, request={"centre": "alpha", "walltime": "2h"})
    assert run["price"] == 2_000_000 and run["cost"] == 0 and run["most"] == 4_000_000
    await runs.up(run["id"])
    from perijove.hub.broker.records import Change

    hour = gateway.broker.parts.clock() - timedelta(hours=1)
    await gateway.broker.sessions.change(run["session"], lambda record: Change({"started": hour}))
    job = runs.job(await runs.get(run["id"]))
    assert job is not None
    job.started = hour
    cost = (await ok(api, "GET", f"/runs/{run['id']}"))["cost"]
    assert 2_000_000 <= cost < 2_020_000
    await ok(api, "PUT", f"/runs/{run['id']}/report", json={"report": report("done")})
    found = await runs.get(run["id"])
    await runs.ends(found, Reason.COMPLETED)

    async def settled() -> bool:
        return (await runs.get(run["id"])).settled

    await until(settled)
    assert 2_000_000 <= (await ok(api, "GET", f"/runs/{run['id']}"))["cost"] < 2_050_000
    for _ in range(3):
        assert (await runs.get(run["id"])).spent == (await ok(api, "GET", f"/runs/{run['id']}"))["cost"]
    money = (await ok(api, "GET", f"/sessions/{run['session']}"))["money"]
    assert (money["spent"], money["state"]) == ((await runs.get(run["id"])).spent, "settled")


async def test_a_run_in_another_session_carries_its_share(gateway: Gateway, runs: Runs, api: Api) -> None:
    gateway.centre.auto = True
    host = await gateway.at((await gateway.open(cores=4)).id, Stage.READY)
    run = await started(api, session=host.id)
    assert run["price"] == 2_000_000 and run["most"] is None, "2 of the session's 4 cores"
    now = gateway.broker.parts.clock().timestamp()
    await runs.desk.runs.change(run["id"], lambda r: {"created": r.created - timedelta(hours=3)})
    said = {"report": report("done", started=now - 7200, ended=now - 3600)}
    view = await ok(api, "PUT", f"/runs/{run['id']}/report", json=said)
    assert view["cost"] == pytest.approx(2_000_000, abs=1000)


async def test_a_link_shows_one_run_and_nothing_of_its_owner(api: Api) -> None:
    run = await done(api, inputs={"reads": "data/secret project/my reads.fq"}, label="mine")
    other = await done(api)
    await ok(api, "PUT", f"/runs/{run['id']}/files/f.png", content=b"x")
    link = await ok(api, "POST", f"/runs/{run['id']}/shares", status=201, json={"mode": "view", "days": 7})
    assert link["url"].endswith(f"/services/perijove/shared/{link['token']}") and len(link["token"]) >= 43
    view = await ok(api, "GET", f"/shared/{link['token']}", "")
    assert view["report"]["results"]["numbers"][0]["value"] == 3.0 and view["inputs"]["reads"] == "my reads.fq"
    text = (await api("GET", f"/shared/{link['token']}", "")).text
    for private in ("ada", "secret project", run["id"], str(run["session"]), "/home", "cost", "price"):
        assert private not in text, private
    assert (await api("GET", f"/shared/{link['token']}/files/f.png", "")).content == b"x"
    assert (await api("GET", f"/shared/{link['token']}/files/g.png", "")).status_code == 404
    assert view["titles"]["reads"] == {"en": "Reads", "zh": "读段"}
    for private in ("inputs.json", "log.txt", "ro-crate-metadata.json"):  # of these the owner's name and folders
        await ok(api, "PUT", f"/runs/{run['id']}/files/{private}", content=b"ada: data/secret project")
        assert (await api("GET", f"/shared/{link['token']}/files/{private}", "")).status_code == 404, private
        assert private not in (await api("GET", f"/shared/{link['token']}", "")).text
    assert (await api("GET", f"/runs/{other['id']}", "")).status_code == 401
    listed = (await ok(api, "GET", f"/runs/{run['id']}/shares"))["shares"]
    assert len(listed) == 1 and listed[0]["good"] and link["token"] not in str(listed)
    assert (await api("POST", f"/shared/{link['token']}/rerun", "t-bob", json={})).status_code == 403
    assert (await api("DELETE", f"/runs/{other['id']}/shares/{link['id']}")).status_code == 404
    await ok(api, "DELETE", f"/runs/{run['id']}/shares/{link['id']}", status=204)
    await ok(api, "DELETE", f"/runs/{run['id']}/shares/{link['id']}", status=204)
    for path in ("", "/files/f.png"):
        assert (await api("GET", f"/shared/{link['token']}{path}", "")).json()["error"] == "no-share"


async def test_a_link_ends_by_itself(runs: Runs, api: Api) -> None:
    run = await done(api)
    link = await ok(api, "POST", f"/runs/{run['id']}/shares", status=201, json={"days": 1})
    clock = runs.desk.shares.clock
    runs.desk.shares.clock = lambda: clock() + timedelta(days=1, seconds=1)
    assert (await api("GET", f"/shared/{link['token']}", "")).status_code == 404
    for days in (0, -1, 366, "x"):
        assert (await api("POST", f"/runs/{run['id']}/shares", json={"days": days})).status_code == 400
    assert (await api("GET", "/shared/" + "a" * 500, "")).status_code == 404


async def test_whoever_is_signed_in_may_rerun_where_the_link_says_so(api: Api) -> None:
    run = await done(api, inputs={"count": 7, "reads": "my/reads.fq"})
    link = await ok(api, "POST", f"/runs/{run['id']}/shares", status=201, json={"mode": "rerun"})
    assert (await ok(api, "GET", f"/shared/{link['token']}", ""))["can"] == ["rerun"]
    assert (await api("POST", f"/shared/{link['token']}/rerun", "", json={})).status_code == 401
    again = await ok(api, "POST", f"/shared/{link['token']}/rerun", "t-bob", 201, json={})
    assert (again["owner"], again["inputs"]) == ("bob", {"count": 7, "reads": None}) and again["relation"] == "rerun"
    assert (await api("GET", f"/runs/{run['id']}", "t-bob")).status_code == 404


async def test_a_forgotten_run_takes_its_links_along(api: Api) -> None:
    run = await done(api)
    link = await ok(api, "POST", f"/runs/{run['id']}/shares", status=201, json={})
    await ok(api, "DELETE", f"/runs/{run['id']}/record", status=204)
    assert (await api("GET", f"/shared/{link['token']}", "")).status_code == 404


async def test_the_run_that_an_operator_cancels_says_by_whom(runs: Runs, api: Api) -> None:
    run = await started(api)
    await ok(api, "DELETE", f"/runs/{run['id']}", "t-root")
    assert (await runs.at(run["id"], RunState.CANCELLED)).asked_by == "root"


async def test_the_workers_of_its_session_are_its_cost_while_it_was_there(gateway: Gateway, runs: Runs) -> None:
    from perijove.hub.broker.clusterdesk import ClusterDesk
    from perijove.hub.broker.clusterrecords import BatchChange, WorkerState

    made = await runs.up((await runs.start(request={"centre": "alpha"})).id)
    desk, host = ClusterDesk(gateway.broker), await gateway.get_session(str(made.session))
    cluster = await desk.open(host, "", {"cores": 1, "memory": "1G"})
    [batch] = await desk.ask(cluster, "k", 2, False)
    now = gateway.broker.parts.clock()
    times = {1: (now - timedelta(hours=3), now - timedelta(hours=1)), 2: (now - timedelta(hours=1), None)}
    told = {task: {"state": WorkerState.RUNNING, "started": a, "ended": b} for task, (a, b) in times.items()}
    await desk.clusters.change(batch.job.id, lambda _: BatchChange(workers=told))
    # Of the first worker's two hours one was before, and of the second's one hour half an hour after.
    span = (now - timedelta(hours=2), now - timedelta(minutes=30))
    assert await runs.desk.runs.workers_cost(host.id, *span) == 1_500_000
    assert await runs.desk.runs.workers_cost("none", *span) == 0


async def test_live_runs_are_counted_by_app_and_state(api: Api) -> None:
    await started(api)
    await done(api)
    text = (await api("GET", "/metrics", "t-root")).text
    assert 'perijove_runs{app="sums",state="starting"} 1.0' in text
    assert 'perijove_runs{app="sums",state="running"} 0.0' in text
