"""Starting again: the same, with what was missing, or elsewhere; and what the start page remembers."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest
from perijove.spawners.request import Request

ENDED = {"stage": "ended", "ended": "2026-11-24T10:00:00+00:00"}


def links(text: str) -> list[tuple[str, str]]:
    """Every link to the start page: its query and its words."""
    found = re.findall(r'<a [^>]*href="[^"]*/start\?([^"]*)"[^>]*>(.*?)</a>', text, re.DOTALL)
    return [(html.unescape(query), re.sub(r"<[^>]*>", "", words).strip()) for query, words in found]


async def at(browser: httpx.AsyncClient, answer: httpx.Response) -> str:
    """The page to which `answer` leads."""
    page = await browser.get(f"http://gateway.test{answer.headers['location']}")
    assert page.status_code == 200
    return page.text


def hidden(text: str, after: str) -> dict[str, str]:
    """The hidden fields of the form that comes after `after`."""
    form = text.split(after)[1].split("<form")[1].split("</form>", maxsplit=1)[0]
    return dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form))


@pytest.mark.parametrize(
    ("values", "words", "query"),
    [
        ({"outcome": "memory"}, "Start with 32 GiB", {"memory": "32768M", "centre": "tianjin"}),
        ({"outcome": "memory", "memory": 24576}, "Start with 32 GiB", {"memory": "32768M"}),
        ({"outcome": "memory", "memory": 32768}, "Look for a place with 64 GiB", {"memory": "65536M"}),
        ({"outcome": "walltime"}, "Start with 4 hours", {"walltime": "14400s"}),
        ({"outcome": "walltime", "walltime": 86400}, "Look for a place with 2 days", {"walltime": "172800s"}),
        ({"outcome": "node-failed"}, "Start at another centre", {"instead": "s", "cores": "4"}),
        ({"outcome": "launch-failed"}, "Start at another centre", {"instead": "s"}),
    ],
)
async def test_a_failure_has_the_button_that_mends_it(
    alice: httpx.AsyncClient, world: Any, values: dict[str, Any], words: str, query: dict[str, str]
) -> None:
    world.broker.add(id="s", **(ENDED | values))
    text = (await alice.get("sessions/s")).text
    (found,) = [link for link, said in links(text) if said == words]
    asked = httpx.QueryParams(found)
    assert {key: asked[key] for key in query} == query
    assert ("centre" in asked) == ("elsewhere" not in words and "another" not in words and "Look" not in words)
    page = (await alice.get(f"start?{found}")).text
    assert 'id="f-cores" name="cores" value="4"' in page
    assert ("POST", "/sessions") not in world.broker.calls


@pytest.mark.parametrize("outcome", ["completed", "cancelled", "failed", "other", "no-such-way"])
async def test_an_end_that_no_change_mends_has_no_such_button(
    alice: httpx.AsyncClient, world: Any, outcome: str
) -> None:
    world.broker.add(id="s", **ENDED, outcome=outcome)
    text = (await alice.get("sessions/s")).text
    assert 'id="mend"' not in text
    assert "Start again" in text


async def test_start_again_starts_the_same_for_no_more_than_it_cost(alice: httpx.AsyncClient, world: Any) -> None:
    world.broker.add(id="s", server="prod", **ENDED, outcome="cancelled", request={"cores": "4", "walltime": "2h"})
    form = hidden((await alice.get("sessions/s")).text, '<div class="pj-actions')
    assert form["place"] == "tianjin/work"
    assert (form["cores"], form["walltime"], form["server"], form["most"]) == ("4", "2", "prod", "800000")
    answer = await alice.post("start", data=form)
    assert answer.status_code == 303, answer.text
    row = list(world.broker.sessions.values())[-1]
    assert (row["server"], row["stage"]) == ("prod", "checked")


async def test_start_again_asks_where_the_price_has_gone_up(alice: httpx.AsyncClient, world: Any) -> None:
    world.broker.add(id="s", **ENDED, outcome="cancelled", price=799_999)
    form = hidden((await alice.get("")).text, "Past sessions")
    answer = await alice.post("start", data=form)
    assert answer.status_code == 400
    assert "The price has changed" in answer.text
    assert 'value="tianjin/work" checked' in answer.text
    assert len(world.broker.sessions) == 1


async def test_what_was_asked_for_counts_and_not_what_came_of_it(alice: httpx.AsyncClient, world: Any) -> None:
    wish = {"cores": 2, "memory": 4096, "walltime": 5400, "project": "p1", "options": {"x": "y"}, "gpus": None}
    world.broker.add(id="s", **ENDED, outcome="completed", request=wish)
    query = next(link for link, words in links((await alice.get("sessions/s")).text) if words == "Change and start")
    page = (await alice.get(f"start?{query}")).text
    for field, value in (("cores", "2"), ("memory", "4"), ("walltime", "1.5"), ("project", "p1")):
        assert f'name="{field}" value="{value}"' in page
    assert "no such option" not in page


async def test_what_is_started_can_be_changed_and_started_with_its_time_and_its_data(
    alice: httpx.AsyncClient, world: Any
) -> None:
    datasets = [{"name": name, "title": None, "path": "/d", "bytes": None} for name in ("era5", "glass", "other")]
    world.broker.facts["tianjin"] = {"datasets": datasets}
    await start(alice, world, cores="2", walltime="", **{"data.era5": "1", "data.glass": "1"})
    (row,) = world.broker.sessions.values()
    # As the broker keeps it: without a time, since the queue's usual time was taken.
    row["request"] = Request.parse(row["request"]).model_dump(mode="json")
    assert row["request"]["walltime"] is None
    row |= ENDED | {"outcome": "cancelled", "walltime": 5400}
    text = (await alice.get(f"sessions/{row['id']}")).text
    query = next(link for link, words in links(text) if words == "Change and start")
    page = (await alice.get(f"start?{query}")).text
    assert 'id="f-walltime" name="walltime" value="1.5"' in page
    assert [name in page for name in ('id="d-era5" checked', 'id="d-glass" checked', 'id="d-other" checked')] == [
        True,
        True,
        False,
    ]
    again = hidden(text, '<div class="pj-actions')
    assert (again["walltime"], again["data.era5"]) == ("1.5", "1")


async def test_the_language_is_the_pages_and_no_links(alice: httpx.AsyncClient, world: Any) -> None:
    page = (await alice.get("start?cores=2&language=zh")).text
    assert 'name="language"' not in page
    await start(alice, world, cores="2", language="zh")
    (row,) = world.broker.sessions.values()
    assert row["request"]["language"] == "en"
    row |= ENDED | {"outcome": "cancelled"}
    text = (await alice.get(f"sessions/{row['id']}")).text
    assert "language=" not in "".join(query for query, _ in links(text))
    assert "language" not in hidden(text, '<div class="pj-actions')


async def test_another_centre_keeps_the_options_and_the_place_in_the_queue(
    alice: httpx.AsyncClient, federation: Any
) -> None:
    federation.broker.add(id="w", centre="jinan", queue="compute", cores=8, memory=16384, job_id="77")
    text = (await alice.get("sessions/w")).text
    query = next(link for link, words in links(text) if words == "Try another centre")
    page = (await alice.get(f"start?{query}")).text
    assert "You wait at NSCC Jinan" in page
    assert "the best place other than the one where you wait" in page
    assert 'value="jinan/compute" checked' not in page
    assert 'name="server" value="lab-2"' in page
    form = {"_xsrf": federation.xsrf(), "action": "start", "place": "guangzhou/compute", "cores": "8", "instead": "w"}
    answer = await alice.post("start", data=form | {"server": "lab-2"})
    assert answer.status_code == 303
    assert federation.broker.sessions["w"]["stage"] == "queued"


async def test_the_waiting_one_is_cancelled_by_a_button_once_the_new_one_is_submitted(
    alice: httpx.AsyncClient, federation: Any
) -> None:
    row = federation.broker.add(id="w", centre="jinan", queue="compute")
    form = {"_xsrf": federation.xsrf(), "action": "start", "place": "guangzhou/compute", "cores": "8", "instead": "w"}
    there = await alice.post("start", data=form | {"server": "lab-2"})
    new = list(federation.broker.sessions.values())[-1]
    assert there.headers["location"].endswith(f"/sessions/{new['id']}?instead=w")
    assert row["stage"] == "queued"
    assert "Cancel the other one" not in await at(alice, there), "nothing is submitted yet"
    new["stage"] = "submitted"
    page = await at(alice, there)
    assert f'data-live="/services/perijove/sessions/{new["id"]}/live?instead=w"' in page
    live = (await alice.get(f"sessions/{new['id']}/live?instead=w")).text
    for text in (page, live):
        assert "Cancel the other one (NSCC Jinan)" in text
    back = await alice.post("sessions/w/stop", data=hidden(page, "You wait at NSCC Jinan, too"))
    assert back.headers["location"] == there.headers["location"]
    assert (row["stage"], new["stage"]) == ("ending", "submitted")
    assert "Cancel the other one" not in await at(alice, there)


async def test_the_other_one_is_not_stopped_once_it_has_its_node(alice: httpx.AsyncClient, federation: Any) -> None:
    row = federation.broker.add(id="w", centre="jinan", queue="compute")
    federation.broker.add(id="n", server="lab-2", centre="guangzhou", queue="compute")
    form = hidden((await alice.get("sessions/n?instead=w")).text, "You wait at NSCC Jinan, too")
    for stage in ("granted", "starting", "ready"):
        row["stage"] = stage
        page = await at(alice, await alice.post("sessions/w/stop", data=form))
        assert row["stage"] == stage
        assert "was not cancelled" in page
        assert "Cancel the other one" not in page
        assert "You wait at" not in (await alice.get("start?cores=1&instead=w")).text


@pytest.mark.parametrize(
    "state",
    [
        {"stage": "queued"},
        {"stage": "ready", "connected": True},
        ENDED | {"outcome": "memory"},
        ENDED | {"outcome": "cancelled"},
    ],
    ids=lambda state: state.get("outcome", state["stage"]),
)
async def test_an_operator_starts_nothing_from_somebody_elses_page(world: Any, state: dict[str, Any]) -> None:
    world.broker.add(id="s", **state)
    own, operators = [(await world.browser(who).get("sessions/s")).text for who in ("alice", "operator")]
    assert links(own)
    assert not links(operators)
    assert 'action="/services/perijove/start"' not in operators
    assert "You wait at" not in (await world.browser("operator").get("start?cores=1&instead=s")).text


@pytest.mark.parametrize("instead", ["b", "n", "none", "<b>", "x" * 100, "../w"])
async def test_a_session_page_offers_to_cancel_no_session_but_ones_own_other_one(
    alice: httpx.AsyncClient, world: Any, instead: str
) -> None:
    world.broker.add(id="b", owner="bob")
    world.broker.add(id="n")
    answer = await alice.get("sessions/n", params={"instead": instead})
    assert answer.status_code == 200
    assert "pj-note" not in answer.text


async def test_a_link_instead_of_a_session_of_somebody_else_says_nothing_of_it(
    alice: httpx.AsyncClient, world: Any
) -> None:
    world.broker.add(id="b", owner="bob")
    for session in ("b", "none", "<b>"):
        answer = await alice.get("start", params={"cores": "1", "instead": session})
        assert answer.status_code == 200
        assert "You wait at" not in answer.text


async def start(browser: httpx.AsyncClient, world: Any, **form: str) -> httpx.Response:
    return await browser.post("start", data={"_xsrf": world.xsrf(), "place": "tianjin/work"} | form)


async def test_the_last_choice_is_there_next_time_and_its_place_is_marked(alice: httpx.AsyncClient, world: Any) -> None:
    world.broker.facts["tianjin"] = {"datasets": [{"name": "era5", "title": None, "path": "/d", "bytes": None}]}
    await start(alice, world, cores="3", walltime="5", memory="9", prefer="price", **{"data.era5": "1"})
    page = (await alice.get("start")).text
    for field, value in (("cores", "3"), ("walltime", "5"), ("memory", "9")):
        assert f'name="{field}" value="{value}"' in page
    assert 'value="price" checked' in page
    assert 'id="d-era5" checked' in page
    assert "last time" in page
    assert 'name="cores" value="6"' in (await alice.get("start?cores=6")).text


async def test_the_last_choice_is_nobody_elses_and_cannot_be_forged(alice: httpx.AsyncClient, world: Any) -> None:
    await start(alice, world, cores="3")
    kept = next(cookie for cookie in alice.cookies.jar if cookie.name == "perijove-last")
    bob = world.browser("bob")
    bob.cookies.set("perijove-last", kept.value or "")
    assert 'name="cores" value="1"' in (await bob.get("start")).text
    other = world.browser("alice")
    other.cookies.set("perijove-last", (kept.value or "") + "x")
    assert 'name="cores" value="1"' in (await other.get("start")).text


async def test_a_second_press_of_the_button_leads_to_the_first_ones_session(
    alice: httpx.AsyncClient, world: Any
) -> None:
    first = await start(alice, world, cores="2")
    second = await start(alice, world, cores="2")
    assert second.headers["location"] == first.headers["location"]
    assert len(world.broker.sessions) == 1


@pytest.mark.parametrize(
    "changed", [{"cores": "3"}, {"walltime": "5"}, {"project": "p2"}, {"place": "tianjin/"}, {"place": "small/work"}]
)
async def test_another_request_is_no_second_press(
    alice: httpx.AsyncClient, world: Any, changed: dict[str, str]
) -> None:
    await start(alice, world, cores="2")
    answer = await start(alice, world, **({"cores": "2"} | changed))
    assert answer.status_code == 400
    assert "You already have a session without a name" in answer.text
    assert len(world.broker.sessions) == 1


async def test_the_second_press_is_known_by_what_the_broker_keeps_of_the_first(
    alice: httpx.AsyncClient, world: Any
) -> None:
    first = await start(alice, world, cores="2", memory="4", walltime="90m")
    (row,) = world.broker.sessions.values()
    row["request"] = Request.parse(row["request"]).model_dump(mode="json")
    second = await start(alice, world, cores="2", memory="4096M", walltime="1.5")
    assert second.headers["location"] == first.headers["location"]


async def test_the_script_is_the_real_one_and_is_text(alice: httpx.AsyncClient, world: Any) -> None:
    headers = {"X-XSRFToken": world.xsrf(), "Sec-Fetch-Mode": "cors"}
    form = {"place": "tianjin/work", "cores": "4", "walltime": "2"}
    answer = await alice.post("start/preview", data=form, headers=headers)
    assert "#SBATCH --cpus-per-task=4" in answer.text
    assert "sbatch --parsable" in answer.text
    page = await alice.post("start", data=form | {"_xsrf": world.xsrf(), "action": "check"})
    assert "#SBATCH --time=120" in page.text
    assert ("POST", "/sessions") not in world.broker.calls


@pytest.mark.parametrize(
    ("form", "words"),
    [({"cores": "4"}, "choose where it should run"), ({"place": "tianjin/work", "cores": "99"}, "At most 8 cores")],
)
async def test_a_script_that_cannot_be_says_why(
    alice: httpx.AsyncClient, world: Any, form: dict[str, str], words: str
) -> None:
    answer = await alice.post("start/preview", data=form, headers={"X-XSRFToken": world.xsrf()})
    assert answer.status_code == 200
    assert words in answer.text
