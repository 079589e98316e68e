"""The gallery, the page of an app, and the form that runs it."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from pages.fakeapps import app_json
from perijove.hub.pages.forecast import Forecast
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.inputs import fields_of, inputs_of
from perijove.hub.pages.languages import languages

READY: dict[str, Any] = {"state": "ready", "way": "cdo", "missing": [], "seen": None}
HOW = {"apt": "cdo", "module": "cdo/2.1", "pypi": "", "container": ""}
LACKS: dict[str, Any] = {"state": "missing", "way": None, "missing": [{"code": "cdo", "how": HOW}], "seen": None}
HOSTILE = "\"><script>alert(1)</script>'"


@pytest.fixture
def apps(federation: Any) -> Any:
    """The double's apps: climate is ready at three centres and lacks something at one."""
    found = federation.broker.apps
    found.places = {"climate": {"tianjin": READY, "guangzhou": READY, "jinan": READY, "wuxi": LACKS}}
    return found


def form(**changes: str) -> dict[str, str]:
    """The fields of the climate form as a browser sends them."""
    box = {"in.region.west": "-120", "in.region.south": "30", "in.region.east": "-80", "in.region.north": "50"}
    given = {"in.scenario": "A1B", "in.baseline.low": "1961", "in.baseline.high": "1990", "in.smooth": "11"}
    given |= {
        "in.trend": "1",
        "in.source": "data:scenarios",
        "in.source.path": "",
        "key": "k1",
        "place": "tianjin/debug",
    }
    return given | box | changes


def visible(text: str) -> set[str]:
    """The domains of the cards that a browser without a script shows."""
    cards = re.findall(r'<li class="pj-panel pj-app" data-domain="(\w+)"[^>]*?( hidden)?>', text)
    return {domain for domain, hidden in cards if not hidden}


async def test_the_gallery_says_what_it_answers_what_it_costs_and_where_it_runs(
    alice: httpx.AsyncClient, apps: Any
) -> None:
    text = (await alice.get("apps")).text
    assert "What happens to temperature in my region?" in text
    assert "Compares two futures of a climate model with a time in the past.</p>" in text
    assert "about 20 seconds · 0.01 to 0.09 credits" in text
    assert "ready at 3 centres" in text
    chinese = (await alice.get("apps", params={"lang": "zh"})).text
    assert "我所在地区的气温会怎样变化？" in chinese
    assert "在 3 个中心可用" in chinese


async def test_a_search_and_a_field_work_without_a_script(alice: httpx.AsyncClient, apps: Any) -> None:
    async def shown(**query: str) -> set[str]:
        return visible((await alice.get("apps", params=query)).text)

    assert await shown() == {"climate", "genomics"}
    assert await shown(q="WARMING anomaly") == {"climate"}
    assert await shown(q="变异") == {"genomics"}
    assert await shown(domain="genomics") == {"genomics"}
    assert await shown(domain="genomics", q="warming") == set()
    assert await shown(domain=HOSTILE) == {"climate", "genomics"}
    empty = (await alice.get("apps", params={"q": HOSTILE})).text
    assert "<script>alert" not in empty
    assert 'id="gallery-none">' in empty


async def test_a_gateway_without_apps_says_so(alice: httpx.AsyncClient, apps: Any) -> None:
    apps.names = []
    assert "There are no apps yet" in (await alice.get("apps")).text


async def test_operators_see_in_the_gallery_how_to_get_what_is_missing(federation: Any, apps: Any) -> None:
    words = "apt-get install cdo"
    assert words in (await federation.browser("operator").get("apps")).text
    assert words not in (await federation.browser("alice").get("apps")).text


async def test_an_app_opens_where_it_is_ready_and_starts_soonest(
    alice: httpx.AsyncClient, federation: Any, apps: Any
) -> None:
    text = (await alice.get("apps/climate")).text
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text))
    place = re.search(r'value="([^"]+)" checked data-say', text)
    assert place
    assert place[1].split("/")[0] in ("tianjin", "guangzhou", "jinan")
    answer = await alice.post("start", data=fields | {"place": place[1]})
    assert answer.status_code == 303
    (row,) = federation.broker.sessions.values()
    assert answer.headers["Location"].endswith(f"/sessions/{row['id']}")
    assert row["request"]["kind"] == "app"
    assert row["request"]["options"] == {"app": "climate"}
    assert row["server"] == "climate"
    assert "perijove-last" not in answer.headers.get("Set-Cookie", "")
    assert 'name="server" value="climate-2"' in (await alice.get("apps/climate")).text


async def test_a_preset_opens_the_app_with_its_inputs(alice: httpx.AsyncClient, federation: Any, apps: Any) -> None:
    text = (await alice.get("apps/climate")).text
    link = re.search(r'href="(/services/perijove/start\?[^"]*options.inputs[^"]*)"', text)
    assert link
    page = (await alice.get("http://gateway.test" + link[1].replace("&amp;", "&"))).text
    assert "Open “Climate scenarios”" in page
    assert "{&#34;scenario&#34;:&#34;E1&#34;}" in page
    assert "{" + '"scenario":"E1"}' in unquote(link[1]).replace("&amp;", "&")
    data = {"_xsrf": federation.xsrf(), "kind": "app", "options.app": "climate", "place": "tianjin/debug"}
    data |= {"options.inputs": '{"scenario":"E1"}', "server": "", "cores": "1"}
    assert (await alice.post("start", data=data)).status_code == 303
    (row,) = federation.broker.sessions.values()
    assert json.loads(row["request"]["options"]["inputs"]) == {"scenario": "E1"}


async def test_the_start_page_of_an_app_offers_no_centre_where_something_is_missing(
    alice: httpx.AsyncClient, apps: Any
) -> None:
    apps.places["climate"] |= {name: LACKS for name in ("tianjin", "guangzhou")}
    text = (await alice.get("start", params={"kind": "app", "options.app": "climate", "cores": "1"})).text
    fitting = re.findall(r'name="place" id="p-(\w+)--\w+" value="[^"]+"(?: checked)? data-say', text)
    assert fitting[0] == "jinan"
    assert "tianjin" not in fitting
    assert "Something that this app needs is not at this centre." in text


async def test_where_no_centre_can_run_it_the_page_says_what_is_missing(
    alice: httpx.AsyncClient, federation: Any, apps: Any
) -> None:
    apps.places = {"climate": {name: LACKS for name in federation.broker.centres}}
    text = (await alice.get("apps/climate")).text
    assert "No centre can run it at the moment." in text
    assert "module load cdo/2.1" in text
    assert "not ready at any centre" in (await alice.get("apps")).text


async def test_an_example_is_shown_with_the_words_of_its_pictures(alice: httpx.AsyncClient, apps: Any) -> None:
    text = (await alice.get("apps/climate")).text
    assert 'alt="A map: the north warms most."' in text
    assert "/services/perijove/apps/climate/example/maps/map%20of%20region.png" in text
    picture = await alice.get("apps/climate/example/line.png")
    assert picture.headers["Content-Type"] == "image/png"
    assert (await alice.get("apps/climate/example/report.json")).status_code == 404


async def test_a_picture_is_nothing_but_a_picture(alice: httpx.AsyncClient, apps: Any) -> None:
    answer = await alice.get("apps/climate/picture", headers={"Sec-Fetch-Mode": "no-cors"})
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]


async def test_the_form_runs_an_app_without_opening_it(alice: httpx.AsyncClient, federation: Any, apps: Any) -> None:
    text = (await alice.get("apps/climate/run")).text
    assert "about 20 seconds" in text
    assert 'name="in.smooth" value="11"' in text
    data = form(_xsrf=federation.xsrf(), label="  Mine ", action="run")
    answer = await alice.post("apps/climate/run", data=data)
    assert answer.status_code == 303
    again = await alice.post("apps/climate/run", data=data)
    assert again.headers["Location"] == answer.headers["Location"]
    (row,) = apps.runs.values()
    asked = apps.asked[0][1]
    assert row["inputs"]["region"] == [-120.0, 30.0, -80.0, 50.0]
    assert asked["request"] == {"centre": "tianjin", "queue": "debug"}
    assert (asked["label"], asked["language"], asked["key"]) == ("Mine", "en", "k1")


async def test_nothing_runs_without_the_pages_own_mark(alice: httpx.AsyncClient, apps: Any) -> None:
    assert (await alice.post("apps/climate/run", data=form(_xsrf="wrong"))).status_code == 403
    assert not apps.runs


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "must be at most 31"), ("zh", "不得大于 31")], ids=("English", "Chinese")
)
async def test_faults_stand_at_their_inputs_and_what_was_typed_stays(
    alice: httpx.AsyncClient, federation: Any, apps: Any, lang: str, words: str
) -> None:
    data = form(_xsrf=federation.xsrf(), **{"in.smooth": "99", "in.baseline.low": "soon"})
    answer = await alice.post(f"apps/climate/run?lang={lang}", data=data)
    assert answer.status_code == 400
    assert re.search(rf'data-error="smooth"><span>[^/]*</i> {words}', answer.text)
    assert 'value="soon"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert not apps.runs
    fragment = await alice.post("apps/climate/run/estimate", data=data)
    assert words in fragment.text if lang == "en" else fragment.status_code == 200


async def test_a_link_fills_in_the_form_and_a_broken_one_is_harmless(alice: httpx.AsyncClient, apps: Any) -> None:
    given = {"inputs": json.dumps({"smooth": 21, "scenario": HOSTILE})}
    text = (await alice.get("apps/climate/run", params=given)).text
    assert 'name="in.smooth" value="21"' in text
    assert "<script>alert" not in text
    for broken in ("{", "[1]", "null", "9" * 5000):
        assert 'value="11"' in (await alice.get("apps/climate/run", params={"inputs": broken})).text
    preset = (await alice.get("apps/climate/run", params={"preset": "mitigation"})).text
    assert 'value="E1" checked' in preset


def test_a_form_says_each_kind_of_input_and_leaves_out_what_is_not_asked_for() -> None:
    app = app_json("variants", {})
    given = {"in.reads.path": "data/my reads.fastq", "in.expert": "no", "in.quality": "5", "in.callers.freebayes": "1"}
    assert inputs_of(app, given) == {"reads": "data/my reads.fastq", "expert": "no", "callers": ["freebayes"]}
    assert inputs_of(app, given | {"in.expert": "yes"})["quality"] == 5
    assert inputs_of(app, {"in.reads": "", "in.expert": "no"})["reads"] == ""
    fields = {field.name: field for field in fields_of(app, {"callers": ["freebayes"]}, languages()["en"])}
    assert fields["quality"].condition == ("in.expert", "yes")
    assert [chosen for _value, _words, chosen in fields["callers"].choices] == [False, True]


async def test_a_session_is_called_after_its_app(alice: httpx.AsyncClient, federation: Any, apps: Any) -> None:
    row = federation.broker.add("alice", kind="app", server="climate", request={"options": {"app": "climate"}})
    for address in (f"sessions/{row['id']}", ""):
        text = (await alice.get(address)).text
        assert "Climate scenarios" in text
        assert "climate</small>" not in text
        assert "· climate<" not in text


async def test_an_app_that_is_open_is_gone_on_with(alice: httpx.AsyncClient, federation: Any, apps: Any) -> None:
    request = {"options": {"app": "climate"}}
    row = federation.broker.add("alice", stage="ready", kind="app", server="climate", request=request)
    federation.broker.add("bob", stage="ready", kind="app", server="climate", request=request)
    text = (await alice.get("apps/climate")).text
    assert text.index(f'id="go-on-{row["id"]}"') < text.index("Open one more")
    assert text.count("Go on there") == 1
    assert "You have it open" not in (await alice.get("apps/variants")).text
    row["stage"] = "ended"
    assert "You have it open" not in (await alice.get("apps/climate")).text


async def test_home_shows_the_apps_to_who_is_new(alice: httpx.AsyncClient, apps: Any) -> None:
    text = (await alice.get("")).text
    assert text.index("What happens to temperature in my region?") < text.index("You have no sessions yet")


@pytest.mark.parametrize(
    ("range_", "words"),
    [
        ({"evidence": "none", "likely": 20, "middle": [5, 60], "count": 0}, "usually at once"),
        ({"evidence": "both", "likely": 20, "middle": [5, 61], "count": 2}, "usually at once"),
        ({"evidence": "history", "likely": 20, "middle": [5, 60], "count": 40}, "usually within 30 min"),
        ({"evidence": "none", "likely": 3600, "middle": [300, 14400], "count": 0}, "perhaps within 30 min"),
    ],
)
def test_a_free_queue_starts_at_once_until_history_says_more(range_: dict[str, Any], words: str) -> None:
    language = languages()["en"]
    forecast = Forecast.parse({"low": 0, "high": 1800, "days": 7} | range_)
    assert forecast
    assert forecast.range_words(Formats(language)) == words
