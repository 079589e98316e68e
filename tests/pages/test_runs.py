"""The list of runs, a run from its start to its results, two side by side, and links to one."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from pages import fakeapps
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.languages import languages
from perijove.hub.pages.runfigures import figure
from perijove.hub.pages.runform import where_from
from perijove.spawners.described import Text

HOST = "http://gateway.test"
HOSTILE = "\"><script>alert(1)</script>'"
PICTURE = re.compile(r'src="(/services/perijove/runs/[^"]+line\.png[^"]*)"')


@pytest.fixture
def apps(world: Any) -> Any:
    """The double's runs."""
    found = world.broker.apps
    found.places = {"climate": {"small": {"state": "ready", "way": "cdo", "missing": [], "seen": None}}}
    return found


async def test_home_shows_the_latest_runs_with_their_pictures(alice: httpx.AsyncClient, apps: Any) -> None:
    for n in range(6):
        apps.add(id=f"run-{n}", created=f"2026-01-0{n + 1}T00:00:00+00:00")
    text = (await alice.get("")).text
    assert [name for name in re.findall(r'id="run-(run-\d)"', text)] == ["run-5", "run-4", "run-3", "run-2"]
    assert len(PICTURE.findall(text)) == 4
    assert 'alt="A line that rises slowly until 1980 and fast afterwards."' in text


async def test_runs_are_listed_by_app_and_state_and_never_those_of_others(alice: httpx.AsyncClient, apps: Any) -> None:
    apps.add(id="mine")
    apps.add(id="broke", state="failed")
    apps.add("bob", id="theirs")

    async def listed(**query: str) -> set[str]:
        return set(re.findall(r'id="run-(\w+)"', (await alice.get("runs", params=query)).text))

    assert await listed() == {"mine", "broke"}
    assert await listed(state="failed") == {"broke"}
    assert await listed(app="variants") == set()
    assert await listed(state=HOSTILE, app=HOSTILE) == {"mine", "broke"}
    assert "No run is like that." in (await alice.get("runs", params={"app": "variants"})).text
    assert (await alice.get("runs/theirs")).status_code == 404


async def test_a_person_without_runs_is_told_how_to_get_one(alice: httpx.AsyncClient, apps: Any) -> None:
    assert "You have no runs yet" in (await alice.get("runs")).text
    assert "Latest runs" not in (await alice.get("")).text


async def test_results_come_first_as_pictures_and_all_of_them_is_there(alice: httpx.AsyncClient, apps: Any) -> None:
    apps.add(id="done", cost=12_300)
    text = (await alice.get("runs/done")).text
    order = [
        "line.png",
        "In this model and scenario",
        "Warming by 2094",
        "Table: Year by year",
        "sha256",
        "How to cite",
    ]
    assert sorted(order, key=text.index) == order
    assert "4.831" in text
    assert "<td>1860</td>" in text
    assert 'href="/services/perijove/api/v1/runs/done/download"' in text
    assert 'href="/services/perijove/api/v1/runs/done/files/ro-crate-metadata.json"' in text
    assert "Balanced growth (A1B)" in text
    assert "0.01 credits" in text
    assert "data-done" in text
    assert "单一模式的预估" in (await alice.get("runs/done", params={"lang": "zh"})).text


async def test_a_picture_needs_the_pages_mark_or_a_person_who_opens_it(
    alice: httpx.AsyncClient, world: Any, apps: Any
) -> None:
    apps.add(id="done")
    found = PICTURE.search((await alice.get("runs/done")).text)
    assert found
    address, by_image = HOST + found[1], {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    answer = await alice.get(address, headers=by_image)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    bare, _, mark = address.partition("?")
    assert (await alice.get(bare)).status_code == 200
    assert (await alice.get(bare, headers=by_image)).status_code == 401
    other = bare.replace("line.png", "other.png")
    assert (await alice.get(f"{other}?{mark}", headers=by_image)).status_code == 401
    assert (await world.browser("bob").get(address, headers=by_image)).status_code == 401
    assert (await world.browser("bob").get(bare)).status_code == 404
    assert (await world.browser(None).get(address, headers=by_image)).status_code == 401
    assert (await alice.get("runs/done/files/page.html")).status_code == 404


async def test_the_mark_of_a_name_with_spaces_holds(alice: httpx.AsyncClient, apps: Any) -> None:
    apps.add(id="done")
    found = re.search(r'src="([^"]+map%20of%20region\.png[^"]*)"', (await alice.get("runs/done")).text)
    assert found
    assert (await alice.get(HOST + found[1], headers={"Sec-Fetch-Mode": "no-cors"})).status_code == 200


async def test_a_live_run_says_how_far_it_is_and_is_cancelled(alice: httpx.AsyncClient, world: Any, apps: Any) -> None:
    steps = fakeapps.steps(("done", 1.0), ("running", 0.4), ("waiting", 0.0))
    row = apps.add(
        id="moving", state="running", report=fakeapps.report(state="running", results=None, left=95.0, steps=steps)
    )
    text = (await alice.get("runs/moving")).text
    assert "40 %" in text
    assert "about 2 min left" in text
    assert "2 of 2 parts · 3.4 s · 210 MiB" in text
    assert 'data-live="/services/perijove/runs/moving/live" data-every="1" data-last="1"' in text
    fragment = await alice.get("runs/moving/live")
    assert (
        await alice.get("runs/moving/live", params={"seen": fragment.headers["X-Mark"], "after": "1"})
    ).status_code == 204
    row |= {"version": 2, "progress": 0.6}
    fresh = await alice.get("runs/moving/live", params={"seen": fragment.headers["X-Mark"], "after": "1"})
    assert fresh.headers["X-Last"] == "2"
    assert "60 %" in fresh.text
    assert (await alice.post("runs/moving/cancel", data={"_xsrf": "no"})).status_code == 403
    assert (await alice.post("runs/moving/delete", data={"_xsrf": world.xsrf()})).status_code == 409
    assert (await alice.post("runs/moving/cancel", data={"_xsrf": world.xsrf()})).status_code == 303
    assert row["state"] == "cancelled"


async def test_a_starting_run_leads_to_the_session_that_it_waits_for(alice: httpx.AsyncClient, apps: Any) -> None:
    apps.add(id="soon", state="starting", stage="queued", session="abc", started=None, report=None)
    text = (await alice.get("runs/soon")).text
    assert "The job waits in the queue of the centre." in text
    assert 'href="/services/perijove/sessions/abc"' in text


async def test_a_failure_is_said_in_words_with_its_command_folded(alice: httpx.AsyncClient, apps: Any) -> None:
    failure = fakeapps.FAILURE | {"lines": [HOSTILE, "x" * 1000]}
    apps.add(id="broke", state="failed", report=fakeapps.report(state="failed", results=None, failure=failure))
    text = (await alice.get("runs/broke")).text
    assert "CDO could not subtract the two files: their grids differ." in text
    assert "Take a file whose grid is the scenario&#39;s." in text
    assert "In the step “Anomaly against the baseline”." in text
    assert "cdo -sub &#39;a file.nc&#39; mean.nc out.nc" in text
    assert '<details id="words" class="mb-3">' in text
    assert "<script>alert" not in text
    assert "x" * 500 not in text
    assert "网格不同" in (await alice.get("runs/broke", params={"lang": "zh"})).text


async def test_a_run_that_no_session_could_be_opened_for_says_why(alice: httpx.AsyncClient, apps: Any) -> None:
    fault = {"field": "centre", "code": "centre-closed", "message": "", "values": {"centre": "x"}}
    apps.add(id="broke", state="failed", report=None, problem=[fault], started=None)
    text = (await alice.get("runs/broke")).text
    assert "No session could be opened for it." in text
    assert "This centre takes no new sessions at the moment." in text


async def test_files_on_their_way_are_seen_and_what_stops_them_is_said(alice: httpx.AsyncClient, apps: Any) -> None:
    coming = {"input": "reads", "state": "running", "total": 4 << 20, "moved": 1 << 20, "to": "from-x/a.fq"}
    coming["from"] = {"centre": "elsewhere", "path": f"data/{HOSTILE}a.fq"}
    apps.add(id="comes", state="starting", stage="files", staging=[coming], report=None, started=None)
    text = (await alice.get("runs/comes")).text
    assert "nothing costs yet" in text and "a.fq" in text and "1 MiB / 4 MiB" in text and 'value="25"' in text
    assert HOSTILE not in text
    values = {"file": "a.fq", "from": "x", "to": "y", "reason": ""}
    fault = {"field": "reads", "code": "file-home-full", "message": "no room", "values": values}
    apps.add(id="full", state="failed", stage=None, report=None, problem=[fault], started=None)
    text = (await alice.get("runs/full")).text
    assert "Nothing was charged." in text and "There is no room for “a.fq” at y" in text
    text = (await alice.get("runs/full", headers={"Accept-Language": "zh-CN"})).text
    assert "未产生任何费用" in text and "y 没有空间存放“a.fq”" in text


async def test_a_person_with_too_many_sessions_is_not_told_of_values(alice: httpx.AsyncClient, apps: Any) -> None:
    fault = {"field": "", "code": "too-many-sessions", "message": "", "values": {}}
    apps.add(id="many", state="failed", report=None, problem=[fault], started=None)
    assert "as many sessions as one person may have" in (await alice.get("runs/many")).text


async def test_a_shared_run_has_the_titles_of_its_inputs(world: Any, apps: Any) -> None:
    apps.add(id="done", inputs={"smooth": 21}, titles={"smooth": {"en": "Years of the mean", "zh": "平均年数"}})
    apps.shares = {"t": {"id": "s", "run": "done", "mode": "view", "good": True, "revoked": None}}
    text = (await world.browser(None).get("shared/t")).text
    assert "Years of the mean" in text
    assert "NSCC Tianjin" in text, "whoever is not signed in reads the centre's name, too"


async def test_an_interrupted_run_goes_on(alice: httpx.AsyncClient, world: Any, apps: Any) -> None:
    row = apps.add(id="cut", state="interrupted")
    assert "Go on" in (await alice.get("runs/cut")).text
    assert (await alice.post("runs/cut/resume", data={"_xsrf": world.xsrf()})).status_code == 303
    assert row["state"] == "running"


async def test_a_run_is_run_again_with_one_value_changed(alice: httpx.AsyncClient, world: Any, apps: Any) -> None:
    apps.add(id="done", label="Mine", inputs=fakeapps.INPUTS | {"smooth": 21})
    assert "/services/perijove/apps/climate/run?parent=done" in (await alice.get("runs/done")).text
    text = (await alice.get("apps/climate/run", params={"parent": "done"})).text
    assert 'name="in.smooth" value="21"' in text
    assert 'name="parent" value="done"' in text
    fields = dict(re.findall(r'name="(in\.[\w.]+|key|parent|_xsrf|label)" value="([^"]*)"', text))
    data = fields | {"in.smooth": "31", "in.scenario": "A1B", "in.source": "data:scenarios", "place": "small/work"}
    answer = await alice.post("apps/climate/run", data=data)
    assert answer.status_code == 303
    made = list(apps.runs.values())[-1]
    assert (made["parent"], made["relation"], made["inputs"]["smooth"]) == ("done", "rerun", 31)


async def test_a_run_says_where_ones_own_files_lie(alice: httpx.AsyncClient, world: Any, apps: Any) -> None:
    apps.names = ["climate", "variants"]
    text = (await alice.get("apps/variants/run")).text
    assert '<label class="form-label" for="f-files-at">Where your own files lie</label>' in text
    offered = re.findall(r'<option value="(\w*)"( selected)?>([^<]*)</option>', text.partition('id="f-files-at"')[2])
    assert offered[0] == ("", "", "At the centre where the run will be")
    assert ("small", "", "Small centre") in offered and not any(chosen for _, chosen, _ in offered)
    inputs = {"in.reads.path": "my reads.fastq", "place": "small/work", "files_at": "tianjin", "key": "k1"}
    inputs |= {"in.expert": "no", "in.callers.bcftools": "1"}
    assert (await alice.post("apps/variants/run", data=inputs | {"_xsrf": world.xsrf()})).status_code == 303
    what, body = apps.asked[-1]
    assert (what, body["files_at"], body["request"]["centre"]) == ("begin", "tianjin", "small")
    plain = inputs | {"files_at": "", "key": "k2", "_xsrf": world.xsrf()}
    assert (await alice.post("apps/variants/run", data=plain)).status_code == 303
    assert "files_at" not in apps.asked[-1][1], "what is at the run's centre is not said"


async def test_only_centres_with_an_account_of_ones_own_hold_own_files(
    alice: httpx.AsyncClient, world: Any, apps: Any
) -> None:
    async def offered() -> set[str]:
        text = (await alice.get("apps/variants/run")).text.partition('id="f-files-at"')[2].partition("</select>")[0]
        return set(re.findall(r'<option value="(\w+)"', text))

    everywhere = await offered()
    world.broker.facts["small"] = {"identity": "community"}
    assert await offered() == everywhere - {"small"}
    world.broker.facts["small"] = {"identity": "key"}
    assert await offered() == everywhere - {"small"}
    world.broker.identities = [{"centre": "small", "account": "a", "checked": "2026-01-01T00:00:00+00:00"}]
    assert await offered() == everywhere


async def test_a_run_again_knows_where_its_files_lie(alice: httpx.AsyncClient, apps: Any) -> None:
    other = {"app": "variants", "inputs": {"reads": "a.fastq"}, "centre": "small"}
    apps.add(id="before", **other)
    lost = {"state": "failed", "from": {"centre": "tianjin", "path": "a.fastq"}}
    apps.add(id="stuck", **other | {"centre": "tianjin"}, staging=[lost | {"from": {"centre": "small"}}])
    for run in ("before", "stuck"):
        text = (await alice.get("apps/variants/run", params={"parent": run})).text
        assert '<option value="small" selected>' in text, run


async def test_why_a_file_was_not_brought_names_centres_as_people_do(alice: httpx.AsyncClient, apps: Any) -> None:
    values = {"file": "a.nc", "from": "small", "to": "nowhere", "reason": "gone"}
    fault = {"field": "source", "code": "file-no-file", "message": "", "values": values}
    apps.add(id="lost", state="failed", problem=[fault])
    assert "no longer at Small centre:" in (await alice.get("runs/lost")).text


async def test_a_replay_asks_for_a_centre_where_the_app_is_ready(
    alice: httpx.AsyncClient, world: Any, apps: Any
) -> None:
    apps.add(id="done")
    text = (await alice.get("runs/done/replay")).text
    assert re.findall(r'name="centre" id="[^"]+" value="(\w+)"', text) == ["small"]
    answer = await alice.post("runs/done/replay", data={"_xsrf": world.xsrf(), "centre": "small"})
    made = list(apps.runs.values())[-1]
    assert answer.headers["Location"].endswith(f"/runs/{made['id']}")
    assert apps.asked[-1] == ("replay", {"centre": "small"})
    apps.places = {}
    assert "The app is ready at no other centre" in (await alice.get("runs/done/replay")).text


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("same", "The results are the same"), ("agrees", "The results agree"), ("differs", "The results differ")],
)
async def test_a_replay_says_whether_it_agrees(alice: httpx.AsyncClient, apps: Any, verdict: str, words: str) -> None:
    row = {
        "name": "w",
        "title": "Warming",
        "kind": "number",
        "here": 4.8312,
        "there": 4.9,
        "agrees": verdict != "differs",
    }
    found = {"verdict": verdict, "rows": [row | {"tolerance": {"relative": 1e-6, "absolute": 0.0}}]}
    apps.add(id="again", parent="done", relation="replay", agreement=found)
    text = (await alice.get("runs/again")).text
    assert words in text
    assert "± 0.0001 %" in text
    assert "4.8312" in text


async def test_two_runs_stand_side_by_side_with_what_differs_first(alice: httpx.AsyncClient, apps: Any) -> None:
    apps.add(id="one")
    apps.add(id="two", inputs=fakeapps.INPUTS | {"scenario": "E1"}, report=fakeapps.report(seed=-30))
    text = (await alice.get("runs/one/compare/two")).text
    assert text.index("Strong mitigation (E1)") < text.index("Inputs that are the same") < text.index("1961 – 1990")
    assert "−0.3" in text
    assert len(PICTURE.findall(text)) > 1
    chooser = (await alice.get("runs/one/compare")).text
    assert 'value="two"' in chooser
    assert (await alice.get("runs/one/compare", params={"with": "two"})).headers["Location"].endswith("one/compare/two")


async def test_a_run_gets_a_name_and_is_deleted_for_good(alice: httpx.AsyncClient, world: Any, apps: Any) -> None:
    apps.add(id="done")
    await alice.post("runs/done/label", data={"_xsrf": world.xsrf(), "label": f" {HOSTILE} "})
    text = (await alice.get("runs/done")).text
    assert "<script>alert" not in text
    assert "alert(1)" in text
    answer = await alice.post("runs/done/delete", data={"_xsrf": world.xsrf()})
    assert answer.headers["Location"] == "/services/perijove/runs"
    assert not apps.runs


async def test_a_link_is_shown_once_and_can_be_ended(alice: httpx.AsyncClient, world: Any, apps: Any) -> None:
    apps.add(id="done")
    data = {"_xsrf": world.xsrf(), "mode": "view", "days": "7"}
    assert (await alice.post("runs/done/share/new", data=data | {"days": "7000"})).status_code == 400
    made = await alice.post("runs/done/share/new", data=data)
    link = re.search(r'value="(http://gateway\.test/services/perijove/shared/token-0)"', made.text)
    assert link
    text = (await alice.get("runs/done/share")).text
    assert "token-0" not in text
    assert "open until" in text
    nobody = world.browser(None)
    assert (await nobody.get(link[1])).status_code == 200
    await alice.post("runs/done/share/s0/end", data={"_xsrf": world.xsrf()})
    gone = await nobody.get(link[1])
    assert gone.status_code == 404
    assert "This link is not open" in gone.text


async def test_whoever_has_a_link_sees_that_run_and_nothing_of_its_owner(world: Any, apps: Any) -> None:
    apps.add(id="done", folder="secret/folder")
    apps.shares = {"t": {"id": "s", "run": "done", "mode": "view", "good": True, "revoked": None}}
    nobody = world.browser(None)
    answer = await nobody.get("shared/t")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "noindex" in answer.headers["X-Robots-Tag"]
    text = answer.text
    assert "4.831" in text
    assert "/api/v1/shared/t/files/years.csv" in text
    for secret in ("secret/folder", "alice", "_xsrf", "/runs/done", "Delete", "Replay"):
        assert secret not in text, secret
    picture = re.search(r'src="([^"]+line\.png)"', text)
    assert picture
    shown = await nobody.get(HOST + picture[1], headers={"Sec-Fetch-Mode": "no-cors"})
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert (await nobody.get("shared/other/files/line.png")).status_code == 404
    assert "Run it yourself" not in text


async def test_a_link_that_allows_it_leads_to_the_form_with_its_inputs(world: Any, apps: Any) -> None:
    apps.add(id="done", inputs=fakeapps.INPUTS | {"smooth": 21})
    apps.shares = {"t": {"id": "s", "run": "done", "mode": "rerun", "good": True, "revoked": None}}
    again = re.search(r'id="again" href="([^"]+)"', (await world.browser(None).get("shared/t")).text)
    assert again
    address = HOST + again[1].replace("&amp;", "&")
    assert (await world.browser(None).get(address)).headers["Location"].startswith("/services/perijove/login?next=")
    assert 'name="in.smooth" value="21"' in (await world.browser("bob").get(address)).text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (4.8312, "4.831"),
        (1860, "1860"),
        (1234567, "1,234,567"),
        (0.000512, "5.12 × 10⁻⁴"),
        (-3.0e9, "-3 × 10⁹"),
        (0.0, "0"),
        (123.456, "123.5"),
        (float("nan"), "–"),
        (None, "–"),
        ("text", "text"),
        (True, "True"),
    ],
)
def test_results_are_written_with_the_digits_that_matter(value: Any, words: str) -> None:
    assert figure(Formats(languages()["en"]), value) == words


async def test_a_run_names_its_centre_and_queue_as_people_do(
    alice: httpx.AsyncClient, apps: Any, federation: Any
) -> None:
    apps.add(id="done", centre="tianjin", queue="compute")
    queue = next(one for one in federation.broker.centres["tianjin"].queues if one.name == "compute")
    titled = queue.model_copy(update={"title": Text(en="Whole nodes", zh="整节点")})
    centre = federation.broker.centres["tianjin"]
    federation.broker.centres["tianjin"] = centre.model_copy(update={"queues": (titled,)})
    text = (await alice.get("runs/done")).text
    assert "<dt>Queue</dt><dd>Whole nodes</dd>" in text and "<dt>Centre</dt><dd>NSCC Tianjin</dd>" in text
    assert "整节点" in (await alice.get("runs/done?lang=zh")).text


def test_where_ones_files_lie_is_one_centre_or_left_to_the_gateway() -> None:
    def row(centre: str, state: str) -> dict[str, Any]:
        return {"from": {"centre": centre}, "state": state}

    assert where_from({"centre": "a"}) == "a"
    assert where_from({"centre": "a", "staging": [row("b", "done")]}) == "a"
    assert where_from({"centre": "a", "staging": [row("b", "failed"), row("b", "moving")]}) == "b"
    assert where_from({"centre": "a", "staging": [row("b", "failed"), row("c", "failed")]}) == ""
    assert where_from({"centre": "a", "staging": [row("b", "done"), row("b", "failed")]}) == ""
