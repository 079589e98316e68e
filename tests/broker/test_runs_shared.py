"""Links to runs: they show one run, nothing of its owner, and end."""

from __future__ import annotations

from datetime import timedelta

from broker.harness import Gateway
from broker.runapi import RunApi, api, app_kind, runs
from broker.runworld import Runs

__all__ = ["api", "app_kind", "runs"]


async def test_a_link_shows_one_run_and_nothing_of_its_owner(gateway: Gateway, api: RunApi) -> None:
    run = await api.done(inputs={"reads": "data/secret project/my reads.fq"}, label="mine")
    other = await api.done()
    await api.ok("PUT", f"/runs/{run['id']}/files/f.png", content=b"x")
    link = await api.ok("POST", f"/runs/{run['id']}/shares", status=201, json={"mode": "view", "days": 7})
    assert link["url"].endswith(f"/services/perijove/shared/{link['token']}") and len(link["token"]) >= 43
    view = await api.ok("GET", f"/shared/{link['token']}", "")
    assert view["report"]["results"]["numbers"][0]["value"] == 3.0 and view["inputs"]["reads"] == "my reads.fq"
    text = (await api("GET", f"/shared/{link['token']}", "")).text
    for private in ("ada", "secret project", run["id"], str(run["session"]), "/home", "cost", "price"):
        assert private not in text, private
    assert (await api("GET", f"/shared/{link['token']}/files/f.png", "")).content == b"x"
    assert (await api("GET", f"/shared/{link['token']}/files/g.png", "")).status_code == 404
    assert view["centre_name"] == gateway.broker.parts.centres[view["centre"]].name.model_dump()
    assert view["titles"]["reads"] == {"en": "Reads", "zh": "读段"}
    for private in ("inputs.json", "log.txt", "ro-crate-metadata.json"):  # of these the owner's name and folders
        await api.ok("PUT", f"/runs/{run['id']}/files/{private}", content=b"ada: data/secret project")
        assert (await api("GET", f"/shared/{link['token']}/files/{private}", "")).status_code == 404, private
        assert private not in (await api("GET", f"/shared/{link['token']}", "")).text
    assert (await api("GET", f"/runs/{other['id']}", "")).status_code == 401
    listed = (await api.ok("GET", f"/runs/{run['id']}/shares"))["shares"]
    assert len(listed) == 1 and listed[0]["good"] and link["token"] not in str(listed)
    assert (await api("POST", f"/shared/{link['token']}/rerun", "t-bob", json={})).status_code == 403
    assert (await api("DELETE", f"/runs/{other['id']}/shares/{link['id']}")).status_code == 404
    await api.ok("DELETE", f"/runs/{run['id']}/shares/{link['id']}", status=204)
    await api.ok("DELETE", f"/runs/{run['id']}/shares/{link['id']}", status=204)
    for path in ("", "/files/f.png"):
        assert (await api("GET", f"/shared/{link['token']}{path}", "")).json()["error"] == "no-share"


async def test_a_link_ends_by_itself(runs: Runs, api: RunApi) -> None:
    run = await api.done()
    link = await api.ok("POST", f"/runs/{run['id']}/shares", status=201, json={"days": 1})
    clock = runs.desk.shares.clock
    runs.desk.shares.clock = lambda: clock() + timedelta(days=1, seconds=1)
    assert (await api("GET", f"/shared/{link['token']}", "")).status_code == 404
    for days in (0, -1, 366, "x"):
        assert (await api("POST", f"/runs/{run['id']}/shares", json={"days": days})).status_code == 400
    assert (await api("GET", "/shared/" + "a" * 500, "")).status_code == 404


async def test_whoever_is_signed_in_may_rerun_where_the_link_says_so(api: RunApi) -> None:
    run = await api.done(inputs={"count": 7, "reads": "my/reads.fq"})
    link = await api.ok("POST", f"/runs/{run['id']}/shares", status=201, json={"mode": "rerun"})
    assert (await api.ok("GET", f"/shared/{link['token']}", ""))["can"] == ["rerun"]
    assert (await api("POST", f"/shared/{link['token']}/rerun", "", json={})).status_code == 401
    again = await api.ok("POST", f"/shared/{link['token']}/rerun", "t-bob", 201, json={})
    assert (again["owner"], again["inputs"]) == ("bob", {"count": 7, "reads": None}) and again["relation"] == "rerun"
    assert (await api("GET", f"/runs/{run['id']}", "t-bob")).status_code == 404


async def test_a_forgotten_run_takes_its_links_along(api: RunApi) -> None:
    run = await api.done()
    link = await api.ok("POST", f"/runs/{run['id']}/shares", status=201, json={})
    await api.ok("DELETE", f"/runs/{run['id']}/record", status=204)
    assert (await api("GET", f"/shared/{link['token']}", "")).status_code == 404
