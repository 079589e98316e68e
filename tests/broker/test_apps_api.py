"""The API of apps: what an app says of itself, where it can run, and what a run of it would take."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from broker.harness import Gateway
from broker.runapi import RunApi, api, app_kind, runs

__all__ = ["api", "app_kind", "runs"]


async def test_an_app_says_what_it_is_and_where_it_can_run(gateway: Gateway, api: RunApi) -> None:
    [app] = [one for one in (await api.ok("GET", "/apps"))["apps"] if one["name"] == "sums"]
    assert app == await api.ok("GET", "/apps/sums")
    assert [one["name"] for one in app["inputs"]] == ["count", "reads"] and app["inputs"][0]["default"] == 3
    assert app["title"] == {"en": "Sums", "zh": "求和"} and app["outputs"][0]["kind"] == "number"
    assert app["schema"]["en"]["properties"]["count"]["minimum"] == 1 and app["codes"][0]["import"] == "json"
    assert {(one["centre"], one["state"]) for one in app["places"]} == {("alpha", "unknown"), ("beta", "unknown")}
    # 3 minutes on 2 cores at one credit an hour each.
    assert app["usual"] == {"seconds": 180.0, "price_low": 100_000, "price_high": 100_000}
    assert app["example"]["report"]["state"] == "done"
    assert (await api("GET", "/apps/none")).json()["error"] == "no-app"
    assert (await api("GET", "/apps", "")).status_code == 401


async def test_pictures_need_no_login_and_run_nothing_in_a_browser(api: RunApi) -> None:
    app = await api.ok("GET", "/apps/sums")
    answer = await api.client.get(app["picture"])
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await api("GET", "/apps/sums/example/one.png", "")).content == b"\x89PNG"
    for hostile in ("..%2fapp.toml", "%2e%2e/app.toml", "no.png", "a%00b", "/etc/passwd"):
        assert (await api("GET", f"/apps/sums/example/{hostile}", "")).status_code == 404, hostile


async def test_a_bundle_is_the_apps_folder_and_fetched_once(api: RunApi) -> None:
    answer = await api("GET", "/apps/sums/bundle")
    tag = answer.headers["etag"]
    assert tag == f'"{(await api.ok("GET", "/apps/sums"))["digest"]}"'
    assert "app.toml" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    headers = {"Authorization": "token t-ada", "If-None-Match": tag}
    again = await api.client.get("/services/perijove/api/v1/apps/sums/bundle", headers=headers)
    assert again.status_code == 304 and not again.content
    assert (await api("GET", "/apps/sums/bundle", "")).status_code == 401


async def test_places_are_told_by_those_who_are_there(gateway: Gateway, api: RunApi) -> None:
    found = {"way": "python", "codes": {"python": "3"}, "missing": [], "data": {}}
    assert (await api("PUT", "/apps/sums/places/beta", json=found)).status_code == 403
    assert (await api("PUT", "/apps/sums/places/nowhere", "t-root", json=found)).status_code == 404
    assert (await api("PUT", "/apps/sums/places/beta", "t-root", json={"way": "magic"})).status_code == 400
    await gateway.open("ada", centre="alpha")
    lacking = {"way": None, "missing": [{"code": "python", "how": {"apt": "python3"}}]}
    told = await api.ok("PUT", "/apps/sums/places/alpha", "t-root", json=lacking)
    assert told["state"] == "missing" and told["missing"][0]["how"] == {"apt": "python3"}
    await api.ok("PUT", "/apps/sums/places/beta", "t-root", json=found)
    places = {one["centre"]: one["state"] for one in (await api.ok("GET", "/apps/sums"))["places"]}
    assert places == {"alpha": "missing", "beta": "ready"}
    estimate = await api.ok("POST", "/apps/sums/estimate", json={"inputs": {"count": 10}})
    assert estimate["recommended"] == {"centre": "beta", "queue": "cpu"}
    assert {offer["centre"]: offer["ready"] for offer in estimate["offers"]} == {"alpha": False, "beta": True}
    assert (await api.started())["centre"] == "beta", "a run goes where the app is ready"


async def states(api: RunApi, token: str) -> dict[str, str]:
    return {one["centre"]: one["state"] for one in (await api.ok("GET", "/apps/sums", token))["places"]}


async def test_what_a_persons_session_found_counts_for_that_person_alone(gateway: Gateway, api: RunApi) -> None:
    ready: dict[str, Any] = {"way": "python", "missing": []}
    broken: dict[str, Any] = {"way": None, "missing": [{"code": "python", "how": {"apt": "python3"}}]}
    await api.ok("PUT", "/apps/sums/places/alpha", "t-root", json=ready)
    await gateway.open("ada", centre="alpha")
    await api.ok("PUT", "/apps/sums/places/alpha", "t-ada", json=broken)
    assert await states(api, "t-ada") == {"alpha": "missing", "beta": "unknown"}
    for others in ("t-bob", "t-root"):
        assert await states(api, others) == {"alpha": "ready", "beta": "unknown"}
        estimate = await api.ok("POST", "/apps/sums/estimate", others, json={"inputs": {}})
        assert estimate["recommended"]["centre"] == "alpha"
    estimate = await api.ok("POST", "/apps/sums/estimate", "t-ada", json={"inputs": {}})
    assert estimate["recommended"]["centre"] == "beta", "not where it is broken for ada"
    assert (await api.started("t-bob"))["centre"] == "alpha"
    await api.ok("PUT", "/apps/sums/places/alpha", "t-root", json=ready)
    assert (await states(api, "t-ada"))["alpha"] == "ready", "an operator's newer word counts for everybody"


async def test_an_estimate_says_what_it_takes_or_every_fault(api: RunApi) -> None:
    said = await api.ok("POST", "/apps/sums/estimate", json={"inputs": {"count": 10}, "request": {"cores": 4}})
    assert (
        said["faults"] == [] and said["needs"]["seconds"] == 600 and said["needs"]["cores"] == 4 and not said["small"]
    )
    assert said["offers"][0]["cost"] == round(4_000_000 * 600 / 3600)
    wrong = await api.ok("POST", "/apps/sums/estimate", json={"inputs": {"count": 1000, "colour": "red"}})
    assert {fault["field"] for fault in wrong["faults"]} == {"count", "colour"} and wrong["needs"] is None
    assert (await api("POST", "/runs", json={"app": "sums", "inputs": {"count": 0}})).json()["faults"][0][
        "field"
    ] == "count"
