"""Starting: typing and links only ask; one POST starts, and its faults stand at their fields."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from perijove.hub.pages.start import from_query


def started(world: Any) -> bool:
    return ("POST", "/sessions") in world.broker.calls


async def test_a_link_fills_the_form_and_starts_nothing(alice: httpx.AsyncClient, world: Any) -> None:
    query = "centre=tianjin&queue=work&cores=4&opt-memory=8G&walltime=2h"
    text = (await alice.get(f"start?{query}")).text
    assert 'id="f-cores" name="cores" value="4"' in text
    assert 'id="f-memory" name="memory" value="8"' in text
    assert 'id="f-walltime" name="walltime" value="2"' in text
    assert from_query([("walltime", "240"), ("memory", "1000")]) == {"walltime": "4m", "memory": "1000M"}
    assert 'value="tianjin/work" checked' in text
    assert "0.80 credits" in text
    assert not started(world)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "a\\b", "x" * 400, "work/图 1.ipynb"])
async def test_a_link_to_a_file_that_cannot_be_opened_starts_without_it(
    alice: httpx.AsyncClient, world: Any, path: str
) -> None:
    text = (await alice.get("start", params={"cores": "2", "open": path})).text
    good = path.endswith(".ipynb")
    assert ('<input type="hidden" name="open"' in text) == good
    assert "alert-danger" not in text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', text))
    answer = await alice.post("start", data=hidden | {"place": "tianjin/work", "action": "start"})
    assert answer.status_code == 303
    (row,) = world.broker.sessions.values()
    assert row["request"].get("open") == (path if good else None)


async def test_what_looks_like_a_button_and_is_a_link_says_that_it_is_one(alice: httpx.AsyncClient) -> None:
    text = (await alice.get("start", params={"cores": "4"})).text
    (link,) = re.findall(r"<a [^>]*data-place[^>]*>", text)
    assert "role=" not in link, "Space would have to press it"


async def test_a_drains_note_is_read_to_its_end(alice: httpx.AsyncClient, world: Any) -> None:
    note = "n" * 493 + "the end"
    fault = {"field": "centre", "code": "centre-drained", "message": "", "values": {"note": note, "centre": "x"}}
    world.broker.refusal = (409, {"error": "x", "message": "y", "faults": [fault]})
    answer = await alice.post("start", data={"_xsrf": world.xsrf(), "place": "tianjin/work", "cores": "1"})
    assert note in answer.text


async def test_no_get_ever_starts_anything(alice: httpx.AsyncClient, world: Any) -> None:
    for page in ("start?action=start&place=tianjin/work", "start/offers?place=tianjin/work", "sessions?place=x"):
        await alice.get(page)
    assert not started(world)
    assert not world.broker.sessions


async def test_a_form_with_its_token_starts_and_leads_to_the_session(alice: httpx.AsyncClient, world: Any) -> None:
    form = {"_xsrf": world.xsrf(), "action": "start", "place": "tianjin/work", "cores": "4", "walltime": "2"}
    answer = await alice.post("start", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"].endswith(f"/sessions/{next(iter(world.broker.sessions))}")


@pytest.mark.parametrize("token", [None, "", "wrong", "of-bob"])
@pytest.mark.parametrize("address", ["start", "start/offers", "sessions/x/stop", "keys/tianjin", "logout"])
async def test_a_form_without_its_own_token_does_nothing(
    alice: httpx.AsyncClient, world: Any, address: str, token: str | None
) -> None:
    world.broker.add(id="x")
    form = {"place": "tianjin/work", "cores": "1", "walltime": "1"}
    if token is not None:
        form["_xsrf"] = world.xsrf("bob") if token == "of-bob" else token
    before = list(world.broker.calls)
    answer = await alice.post(address, data=form)
    assert answer.status_code == 403
    assert world.broker.calls == before


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cores", "many", "whole number"),
        ("cores", "0", "At least 1"),
        ("cores", "-3", "whole number"),
        ("cores", "99", "At most 8 cores"),
        ("memory", "<b>", "amount of memory"),
        ("memory", "999", "At most 32 GiB"),
        ("walltime", "soon", "Please give a time"),
        ("walltime", "200", "At most"),
        ("gpus", "1", "At most 0 GPUs"),
    ],
)
async def test_a_fault_stands_at_its_field_and_the_form_keeps_its_values(
    alice: httpx.AsyncClient, world: Any, field: str, value: str, words: str
) -> None:
    form = {"_xsrf": world.xsrf(), "place": "tianjin/work", "cores": "2", "walltime": "3", "server": "prod"} | {
        field: value
    }
    answer = await alice.post("start", data=form)
    assert answer.status_code == 400
    error = answer.text.split(f'data-error="{field}">')[1].split("</div>")[0]
    assert words in error
    assert f'name="{field}" value="{value.replace("<", "&lt;").replace(">", "&gt;")}"' in answer.text
    assert 'name="server" value="prod"' in answer.text
    assert not world.broker.sessions


async def test_a_start_without_a_place_asks_for_one(alice: httpx.AsyncClient, world: Any) -> None:
    answer = await alice.post("start", data={"_xsrf": world.xsrf(), "cores": "1"})
    assert answer.status_code == 400
    assert "choose where it should run" in answer.text


async def test_an_unknown_centre_in_a_link_is_said_and_escaped(alice: httpx.AsyncClient) -> None:
    text = (await alice.get("start", params={"centre": "<i>x"})).text
    assert "There is no centre called “&lt;i&gt;x”" in text


async def test_a_queue_that_does_not_fit_says_why_and_cannot_be_chosen(alice: httpx.AsyncClient) -> None:
    text = (await alice.get("start", params={"cores": "4"})).text
    small = text.split('id="p-small--work"')[1].split("</ul>")[0]
    assert "disabled" in small
    assert "At most 2 cores" in small


async def test_offers_follow_what_is_typed(alice: httpx.AsyncClient, world: Any) -> None:
    headers = {"X-XSRFToken": world.xsrf(), "Sec-Fetch-Mode": "cors"}
    answer = await alice.post("start/offers", data={"cores": "x"}, headers=headers)
    assert '<template data-fault="cores"><span>' in answer.text
    answer = await alice.post("start/offers", data={"cores": "2", "walltime": "90m"}, headers=headers)
    assert "2 cores" in answer.text
    assert "1 hour 30 minutes" in answer.text


async def test_a_refusal_of_the_broker_is_words_and_not_an_error_page(alice: httpx.AsyncClient, world: Any) -> None:
    fault = {"field": "server", "code": "brand-new", "message": "no <b>more</b>", "values": {}}
    world.broker.refusal = (409, {"error": "x", "message": "y", "faults": [fault]})
    answer = await alice.post("start", data={"_xsrf": world.xsrf(), "place": "tianjin/work", "cores": "1"})
    assert answer.status_code == 400
    assert "no &lt;b&gt;more" in answer.text


@pytest.mark.parametrize("server", ["Prod", "a b", "-x", "x" * 31, "é"])
async def test_a_name_that_cannot_be_is_said_at_its_field(alice: httpx.AsyncClient, world: Any, server: str) -> None:
    answer = await alice.post("start", data={"_xsrf": world.xsrf(), "place": "tianjin/work", "server": server})
    assert "small letters, digits and hyphens, begins" in answer.text.split('data-error="server"')[1]
    assert not started(world)


@pytest.mark.parametrize(("server", "words"), [("", "without a name"), ("prod", "session of this name")])
async def test_a_start_never_passes_off_a_live_session_as_a_new_one(
    alice: httpx.AsyncClient, world: Any, server: str, words: str
) -> None:
    row = world.broker.add(server=server)
    form = {"_xsrf": world.xsrf(), "place": "tianjin/work", "server": server}
    assert words in (await alice.post("start", data=form)).text
    assert not started(world)
    row["stage"] = "ended"
    assert (await alice.post("start", data=form)).status_code == 303


async def test_a_form_of_a_megabyte_is_refused(alice: httpx.AsyncClient, world: Any) -> None:
    answer = await alice.post("start", data={"_xsrf": world.xsrf(), "server": "x" * 1_000_000})
    assert answer.status_code == 413


async def test_stop_asks_the_broker_and_goes_back(alice: httpx.AsyncClient, world: Any) -> None:
    row = world.broker.add()
    answer = await alice.post(f"sessions/{row['id']}/stop", data={"_xsrf": world.xsrf(), "back": "home"})
    assert answer.headers["location"] == "/services/perijove/"
    assert row["stage"] == "ending"
