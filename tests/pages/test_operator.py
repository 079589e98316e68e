"""The operator's pages: what they show and order, and that they are nobody else's."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from perijove.hub.pages.languages import languages
from perijove.hub.pages.operatorviews import WatcherView
from perijove.hub.pages.operatorwords import PROBLEMS
from perijove.spawners.batch import BatchProblem
from perijove.spawners.link import LinkProblem

HOSTILE = "<script>alert(1)</script>\" onload='x'"
PAGES = ("operator", "operator/sessions", "operator/centres/tianjin")


@pytest.fixture
def operator(world: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.browser("operator")
    return client


def form(world: Any, **fields: str) -> dict[str, str]:
    return {"_xsrf": world.xsrf("operator"), **fields}


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("page", PAGES)
async def test_an_operator_sees_them_in_both_languages(
    operator: httpx.AsyncClient, world: Any, page: str, lang: str
) -> None:
    world.broker.add("bob")
    answer = await operator.get(page, params={"lang": lang})
    assert answer.status_code == 200
    assert ("天津超算中心" if lang == "zh" else "Tianjin Supercomputer") in answer.text
    assert ("运维" if lang == "zh" else "Operations") in answer.text


async def test_nobody_else_does(alice: httpx.AsyncClient, world: Any) -> None:
    for page in (*PAGES, *(f"{page}/live" for page in PAGES)):
        answer = await alice.get(page)
        assert answer.status_code == 403
        assert "Tianjin" not in answer.text
    for what in ("drain", "notice"):
        fields = {"_xsrf": world.xsrf(), "en": "x", "zh": "x", "do": "set"}
        assert (await alice.post(f"operator/centres/tianjin/{what}", data=fields)).status_code == 403
    assert not world.broker.orders.get("tianjin")
    assert 'href="/services/perijove/operator"' not in (await alice.get("")).text


async def test_an_operator_has_the_way_there_on_every_page(operator: httpx.AsyncClient) -> None:
    assert 'href="/services/perijove/operator"' in (await operator.get("")).text


async def test_a_centre_is_drained_with_a_note_and_opened_again(
    operator: httpx.AsyncClient, alice: httpx.AsyncClient, world: Any
) -> None:
    where = "operator/centres/tianjin/drain"
    assert (await operator.post(where, data={"note": "x"})).status_code == 403, "without the XSRF token"
    answer = await operator.post(where, data=form(world, do="drain", note=HOSTILE))
    assert answer.status_code == 303
    assert world.broker.orders["tianjin"]["drained"]["note"] == HOSTILE
    for page in ("operator", "operator/centres/tianjin", "operator/centres/tianjin/live"):
        text = (await operator.get(page)).text
        assert "Takes no new sessions." in text
        assert "alert(1)" in text
        assert "<script>alert" not in text
    assert (await operator.post(where, data=form(world, do="undrain"))).status_code == 303
    assert world.broker.orders["tianjin"]["drained"] is None


async def test_a_notice_is_looked_at_before_it_is_set(operator: httpx.AsyncClient, world: Any) -> None:
    where, text = "operator/centres/tianjin/notice", {"en": "Monday\nearly", "zh": "周一", "level": "warning"}
    preview = await operator.post(where, data=form(world, do="preview", **text))
    assert preview.status_code == 200
    assert preview.text.count("pj-note pj-is-wait") == 2
    assert '<div lang="zh-CN">' in preview.text
    assert not world.broker.orders.get("tianjin")
    assert (await operator.post(where, data=form(world, do="set", **text))).status_code == 303
    assert world.broker.orders["tianjin"]["notice"]["text"] == {"en": "Monday\nearly", "zh": "周一"}
    shown = (await operator.get("operator/centres/tianjin")).text
    assert "周一</textarea>" in shown
    assert 'value="warning" checked' in shown
    assert (await operator.post(where, data=form(world, do="remove", **text))).status_code == 303
    assert world.broker.orders["tianjin"]["notice"] is None


async def test_a_notice_in_one_language_is_asked_back_for_with_what_was_typed(
    operator: httpx.AsyncClient, world: Any
) -> None:
    fields = form(world, do="set", en="Monday", zh=" ", level="info")
    answer = await operator.post("operator/centres/tianjin/notice", data=fields)
    assert answer.status_code == 400
    assert "Monday</textarea>" in answer.text
    assert answer.text.count("Please fill this in.") == 1
    assert 'aria-describedby="e-zh"' in answer.text
    assert not world.broker.orders.get("tianjin")


async def test_a_notice_is_read_where_people_choose(alice: httpx.AsyncClient, world: Any) -> None:
    world.broker.orders["tianjin"] = {
        "notice": {"text": {"en": HOSTILE, "zh": "周一"}, "level": "info", "by": "o", "since": "2026-11-24T10:00:00Z"},
        "drained": {"by": "o", "since": "2026-11-24T10:00:00Z", "note": "cooling"},
    }
    text = (await alice.get("centres", params={"lang": "en"})).text
    assert "alert(1)" in text
    assert "<script>alert" not in text
    assert "cooling" in text
    assert "周一" in (await alice.get("centres", params={"lang": "zh"})).text


async def test_everybodys_sessions_are_filtered_and_one_is_stopped(operator: httpx.AsyncClient, world: Any) -> None:
    one = world.broker.add("alice", stage="ready", server="mine")
    world.broker.add("bob", centre="small")
    world.broker.add("carol", stage="ended", outcome="completed", ended="2026-11-24T10:00:00Z")
    for query, seen in (
        ("", {"alice", "bob"}),
        ("owner=bob", {"bob"}),
        ("centre=tianjin", {"alice"}),
        ("stage=ended", {"carol"}),
        ("stage=nonsense", {"alice", "bob"}),
    ):
        text = (await operator.get(f"operator/sessions/live?{query}")).text
        assert {name for name in ("alice", "bob", "carol") if f">{name}" in text} == seen, query
    fields = form(world, stage="ready", more="x")
    answer = await operator.post(f"operator/sessions/{one['id']}/stop", data=fields)
    assert answer.headers["location"] == "/services/perijove/operator/sessions?stage=ready"
    assert world.broker.sessions[one["id"]]["stage"] == "ending"


async def test_a_list_that_is_too_long_says_so(operator: httpx.AsyncClient, world: Any) -> None:
    for number in range(201):
        world.broker.add("alice", server=f"s{number}")
    text = (await operator.get("operator/sessions/live")).text
    assert "The newest 200 sessions" in text
    assert text.count("pj-op-session") == 200


async def test_a_centre_in_trouble_comes_first_with_cause_and_cure(operator: httpx.AsyncClient, world: Any) -> None:
    world.broker.watchers["small"] = {
        "answering": False,
        "problem": "login",
        "detail": HOSTILE,
        "failures": 7,
        "unknown_since": "2026-11-24T14:02:00+00:00",
        "sessions": {"queued": 3},
    }
    first = await operator.get("operator/live")
    assert first.text.index("Small centre") < first.text.index("Tianjin")
    assert "does not accept the gateway's key" in first.text
    assert "authorized_keys" in first.text
    assert "failed 7 times in a row, since <time" in first.text
    assert "3 Queued" in first.text
    assert "<script>alert" not in first.text
    world.broker.watchers["small"] = {"answering": None, "as_of": None}
    assert "Nobody has a session there" in (await operator.get("operator/live")).text
    world.broker.watchers["small"] = {"answering": None, "lease": "elsewhere"}
    assert "Another process" in (await operator.get("operator/live")).text


@pytest.mark.parametrize("problem", [*LinkProblem, *(f"batch-{problem}" for problem in BatchProblem)], ids=str)
def test_every_problem_of_a_centre_has_words(problem: str) -> None:
    assert str(problem) in PROBLEMS
    view = WatcherView({"answering": False, "problem": str(problem)}, languages()["zh"])
    assert view.problem is not None and view.language.gettext(view.problem.sentence) != view.problem.sentence


async def test_what_is_not_there_is_not_found(operator: httpx.AsyncClient, world: Any) -> None:
    assert (await operator.get("operator/centres/nowhere")).status_code == 404
    assert (await operator.post("operator/centres/nowhere/drain", data=form(world, do="drain"))).status_code == 404
    big = form(world, note="x" * 70_000)
    assert (await operator.post("operator/centres/tianjin/drain", data=big)).status_code == 413


async def test_an_older_launcher_is_shown_with_the_command_that_installs_it(world: Any) -> None:
    operator: httpx.AsyncClient = world.browser("operator")
    first = next(iter(world.broker.centres))
    assert "launcher.py" not in (await operator.get(f"operator/centres/{first}")).text
    world.broker.watchers[first] = {"launcher": {"version": 2, "wanted": 3, "path": "/opt/<l>"}}
    text = (await operator.get(f"operator/centres/{first}")).text
    assert "Launcher 2 is installed, this gateway wants 3." in text
    assert "install -o root -g root -m 755 launcher.py /opt/&lt;l&gt;" in text
