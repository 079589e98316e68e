"""The API of money: who sees and does what, what the JSON says, tables that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from broker.harness import Gateway, until
from broker.test_api import Api
from broker.test_ledger import CREDIT, HOUR, priced, ran_for
from perijove.hub.ledger import books
from perijove.hub.ledger.records import Holding, Subject
from perijove.spawners.session import Stage
from sqlalchemy import Connection

OPTIONS = {"centre": "alpha", "cores": 2, "memory": "1G", "walltime": "1h"}


@pytest_asyncio.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    priced(gateway)
    broker = await gateway.start()
    gateway.centre.auto = True
    await until(lambda: all(keeper.held for keeper in broker.keepers.values()))
    one = Api(gateway)
    yield one
    await one.client.aclose()


async def ok(api: Api, method: str, path: str, who: str = "t-ada", **more: Any) -> Any:
    answer = await api(method, path, who, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def sea(api: Api, amount: int = 10 * CREDIT) -> dict[str, Any]:
    """A project that ada manages, with a grant."""
    await ok(api, "POST", "/projects", "t-root", json={"slug": "sea", "title": "The sea", "manager": "ada"})
    body = {"amount": amount, "note": "for the autumn"}
    given: dict[str, Any] = await ok(api, "POST", "/budgets/project:sea/grants", "t-root", json=body)
    return given


async def used(gateway: Gateway, api: Api, who: str = "t-ada", **options: Any) -> None:
    """A session of two cores runs for an hour."""
    view = await ok(api, "POST", "/sessions", who, json={"server": "x", "options": OPTIONS | options})
    record = await gateway.at(view["id"], Stage.READY)
    await ran_for(gateway, record, HOUR)


async def test_a_new_person_has_their_starting_grant_when_they_first_look(api: Api) -> None:
    answer = await ok(api, "GET", "/budgets")
    (mine,) = answer["budgets"]
    assert (mine["key"], mine["role"], mine["available"], mine["burn"]) == ("person:ada", "manager", 1000 * CREDIT, 0)
    assert answer["enforce"] is True
    detail = await ok(api, "GET", "/budgets/person:ada")
    (grant,) = detail["grants"]
    assert (grant["amount"], grant["left"], grant["ends"], grant["note"]) == (
        1000 * CREDIT,
        1000 * CREDIT,
        None,
        "starting grant",
    )


async def test_a_session_says_what_it_costs_and_what_burns(gateway: Gateway, api: Api) -> None:
    view = await ok(api, "POST", "/sessions", json={"options": OPTIONS})
    money = {"budget": "person:ada", "held": 2 * CREDIT, "spent": 0, "hourly": 2 * CREDIT, "state": "open"}
    assert view["money"] == money
    await gateway.at(view["id"], Stage.READY)
    (mine,) = (await ok(api, "GET", "/budgets"))["budgets"]
    assert (mine["burn"], mine["held"], mine["available"]) == (2 * CREDIT, 2 * CREDIT, 998 * CREDIT)
    (listed,) = (await ok(api, "GET", "/sessions"))["sessions"]
    assert listed["money"]["held"] == 2 * CREDIT


async def test_what_cannot_be_paid_is_refused_with_the_number_missing_and_whom_to_ask(api: Api) -> None:
    await sea(api, CREDIT)
    answer = await api("POST", "/sessions", json={"options": OPTIONS | {"budget": "project:sea"}})
    body = answer.json()
    assert (answer.status_code, body["error"]) == (409, "balance")
    values = {"budget": "project:sea", "needed": 2 * CREDIT, "available": CREDIT, "missing": CREDIT, "who": ["ada"]}
    assert body["values"] == values and body["faults"][0]["values"] == values
    assert body["faults"][0]["field"] == "budget"
    bad = await api("POST", "/sessions", json={"options": OPTIONS | {"budget": "project:../x"}})
    assert bad.json()["faults"][0]["field"] == "budget"


async def test_who_manages_a_project_says_who_spends_it_and_how_much(gateway: Gateway, api: Api) -> None:
    await sea(api)
    assert (await api("GET", "/budgets/project:sea", "t-bob")).status_code == 404
    joined = await ok(api, "POST", "/projects/sea/members", json={"person": "bob", "limit": 3 * CREDIT})
    assert [member["person"] for member in joined["members"]] == ["ada", "bob"]
    keys = [budget["key"] for budget in (await ok(api, "GET", "/budgets", "t-bob"))["budgets"]]
    assert keys == ["person:bob", "project:sea"]
    assert (await api("POST", "/projects/sea/members", "t-bob", json={"person": "eve"})).status_code == 403
    await used(gateway, api, "t-bob", budget="project:sea")
    detail = await ok(api, "GET", "/budgets/project:sea", "t-bob")
    assert [(one["person"], one["spent"]) for one in detail["members"]] == [("bob", 2 * CREDIT)]
    refused = await api("POST", "/sessions", "t-bob", json={"options": OPTIONS | {"budget": "project:sea"}})
    assert refused.json()["error"] == "budget-limit"
    await ok(api, "PUT", "/projects/sea/limits", json={"person": "bob", "limit": None})
    await ok(api, "PUT", "/projects/sea/limits", json={"centre": "alpha", "limit": CREDIT})
    refused = await api("POST", "/sessions", "t-bob", json={"options": OPTIONS | {"budget": "project:sea"}})
    assert (refused.json()["error"], refused.json()["values"]["centre"]) == ("budget-limit", "alpha")
    await ok(api, "DELETE", "/projects/sea/members/bob")
    refused = await api("POST", "/sessions", "t-bob", json={"options": OPTIONS | {"budget": "project:sea"}})
    assert refused.json()["error"] == "not-member"
    last = await api("DELETE", "/projects/sea/members/ada")
    assert last.json()["error"] == "last-manager"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/projects", {"slug": "moon"}),
        ("DELETE", "/projects/sea", None),
        ("POST", "/budgets/project:sea/grants", {"amount": 5}),
        ("DELETE", "/budgets/project:sea/grants/1", None),
        ("GET", "/owed", None),
        ("GET", "/demand", None),
        ("GET", "/holds", None),
        ("POST", "/holds/session/x/decision", {"charge": 0}),
        ("GET", "/budgets?everybody=true", None),
        ("GET", "/budgets?owner=bob", None),
        ("GET", "/usage?owner=bob", None),
    ],
)
async def test_only_operators_may(api: Api, method: str, path: str, body: Any) -> None:
    await sea(api)
    assert (await api(method, path, "t-ada", json=body)).status_code == 403


async def test_grants_are_given_once_and_taken_back(api: Api) -> None:
    await sea(api)
    body = {"amount": CREDIT, "key": "autumn"}
    first = await ok(api, "POST", "/budgets/person:bob/grants", "t-root", json=body)
    again = await ok(api, "POST", "/budgets/person:bob/grants", "t-root", json=body)
    assert first["id"] == again["id"]
    (bob,) = (await ok(api, "GET", "/budgets", "t-bob"))["budgets"]
    assert bob["available"] == 1001 * CREDIT
    assert (await api("DELETE", f"/budgets/project:sea/grants/{first['id']}", "t-root")).status_code == 404
    back = await ok(api, "DELETE", f"/budgets/person:bob/grants/{first['id']}", "t-root")
    assert back["left"] == CREDIT and back["budget"]["available"] == 1000 * CREDIT
    wrong = {"amount": CREDIT, "ends": "2020-01-01T00:00:00Z"}
    assert (await api("POST", "/budgets/person:bob/grants", "t-root", json=wrong)).status_code == 400
    assert (await api("POST", "/budgets/project:none/grants", "t-root", json=body)).json()["error"] == "no-budget"
    assert (await api("POST", "/projects", "t-root", json={"slug": "sea"})).json()["error"] == "project-exists"
    everybody = (await ok(api, "GET", "/budgets?everybody=true", "t-root"))["budgets"]
    assert [one["key"] for one in everybody] == ["person:bob", "project:sea"]


async def test_entries_use_and_what_is_owed_say_the_same(gateway: Gateway, api: Api) -> None:
    await sea(api)
    await ok(api, "POST", "/projects/sea/members", json={"person": "bob"})
    await used(gateway, api, "t-bob", budget="project:sea")
    entries = (await ok(api, "GET", "/budgets/project:sea/entries"))["entries"]
    assert [entry["kind"] for entry in entries] == ["settle", "hold", "grant"]
    assert entries[0]["charged"] == 2 * CREDIT and entries[0]["job_id"] and entries[0]["core_seconds"] == 7200
    page = await ok(api, "GET", "/budgets/project:sea/entries?limit=1")
    rest = await ok(api, "GET", f"/budgets/project:sea/entries?cursor={page['cursor']}")
    assert [entry["id"] for entry in page["entries"] + rest["entries"]] == [entry["id"] for entry in entries]
    theirs = (await ok(api, "GET", "/budgets/project:sea/entries", "t-bob"))["entries"]
    assert [entry["kind"] for entry in theirs] == ["settle", "hold"]
    assert (await api("GET", "/budgets/person:ada/entries", "t-bob")).status_code == 404
    (use,) = (await ok(api, "GET", "/usage?by=queue&budget=project:sea"))["usage"]
    assert use == {
        "key": "alpha/cpu",
        "charged": 2 * CREDIT,
        "absorbed": 0,
        "core_hours": 2.0,
        "gpu_hours": 0.0,
        "jobs": 1,
    }
    assert (await ok(api, "GET", "/usage"))["usage"] == []
    (mine,) = (await ok(api, "GET", "/usage?by=budget", "t-bob"))["usage"]
    assert mine["key"] == "project:sea"
    (owed,) = (await ok(api, "GET", "/owed", "t-root"))["owed"]
    assert owed == {"centre": "alpha", "charged": 2 * CREDIT, "absorbed": 0, "owed": 2 * CREDIT, "jobs": 1}


async def test_tables_are_for_spreadsheets_and_hold_no_formula(gateway: Gateway, api: Api) -> None:
    note = '=HYPERLINK("http://x","y")'
    await ok(api, "POST", "/budgets/person:ada/grants", "t-root", json={"amount": CREDIT, "note": note})
    answer = await api("GET", "/budgets/person:ada/entries?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0]["note"] == "'" + note and rows[0]["moved"] == "1"
    for path in ("/usage?format=csv", "/usage?by=queue&format=csv"):
        assert (await api("GET", path)).text.lstrip("\ufeff").startswith("key,")
    assert (await api("GET", "/owed?format=csv", "t-root")).text.lstrip("\ufeff").startswith("centre,")


async def test_demand_has_use_waits_and_refusals(gateway: Gateway, api: Api) -> None:
    await used(gateway, api)
    await api("POST", "/sessions", json={"server": "y", "options": OPTIONS | {"cores": 999, "queue": "cpu"}})
    (row,) = (await ok(api, "GET", "/demand", "t-root"))["demand"]
    assert (row["centre"], row["queue"], row["jobs"], row["income"]) == ("alpha", "cpu", 1, 2 * CREDIT)
    assert row["waits"]["count"] == 1 and row["refused"] == {"too-much": 1} and row["running"] == 0


async def test_an_operator_decides_what_nobody_knows(gateway: Gateway, api: Api) -> None:
    gateway.centre.has_history = False
    view = await ok(api, "POST", "/sessions", json={"options": OPTIONS})
    await gateway.at(view["id"], Stage.READY)
    path = f"/holds/session/{view['id']}/decision"
    assert (await api("POST", path, "t-root", json={"charge": 0})).json()["error"] == "not-undecided"
    for tunnel in list(gateway.centre.tunnels):
        await tunnel.close()
    gateway.centre.jobs.clear()
    await gateway.at(view["id"], Stage.ENDED)
    (hold,) = (await ok(api, "GET", "/holds", "t-root"))["holds"]
    assert (hold["subject"], hold["person"], hold["open"], hold["state"]) == (
        view["id"],
        "ada",
        2 * CREDIT,
        "undecided",
    )
    assert (await api("POST", path, "t-root", json={"charge": 3 * CREDIT})).status_code == 409
    decided = await ok(api, "POST", path, "t-root", json={"charge": CREDIT, "note": "the node's log"})
    assert (decided["state"], decided["charged"]) == ("settled", CREDIT)
    assert (await ok(api, "GET", "/holds", "t-root"))["holds"] == []
    assert (await api("POST", "/holds/session/none/decision", "t-root", json={"charge": 0})).status_code == 404


async def test_an_operator_corrects_what_was_settled(gateway: Gateway, api: Api) -> None:
    view = await ok(api, "POST", "/sessions", json={"options": OPTIONS})
    await ran_for(gateway, await gateway.at(view["id"], Stage.READY), HOUR)
    path = f"/holds/session/{view['id']}/decision"
    for charge in (CREDIT // 2, CREDIT // 2, 0, 3 * CREDIT):
        told = await ok(api, "POST", path, "t-root", json={"charge": charge, "note": "the centre erred"})
        assert (told["state"], told["charged"]) == ("settled", charge)
    (mine,) = (await ok(api, "GET", "/budgets"))["budgets"]
    assert (mine["available"], mine["spent"], mine["held"]) == (997 * CREDIT, 3 * CREDIT, 0)
    entries = (await ok(api, "GET", "/budgets/person:ada/entries"))["entries"]
    made = [(one["by"], one["note"], one["charged"]) for one in entries if one["kind"] == "adjust"]
    assert [charged for *_, charged in made] == [3 * CREDIT, -CREDIT // 2, CREDIT // 2 - 2 * CREDIT]
    assert {one[:2] for one in made} == {("root", "the centre erred")}
    assert (await api("POST", path, json={"charge": 0})).status_code == 403
    assert await gateway.broker.parts.database.read(books.check) == []


async def test_a_decision_on_workers_says_what_they_cost_in_all(gateway: Gateway, api: Api) -> None:
    broker = gateway.broker
    await ok(api, "GET", "/budgets")
    about, now = Subject("workers", "w" * 13), broker.parts.clock()

    def work(c: Connection) -> None:
        books.hold(c, about, Holding("person:ada", "ada", "alpha", "cpu", CREDIT, 4 * CREDIT, None, count=2), now)
        books.settle(c, about, "1", CREDIT, now, evidence={})
        books.undecide(c, about, now, "it vanished")

    await broker.parts.database.write(work)
    path = f"/holds/workers/{about.id}/decision"
    assert (await api("POST", path, "t-root", json={"charge": CREDIT // 2})).status_code == 409
    for _ in range(2):
        told = await ok(api, "POST", path, "t-root", json={"charge": 3 * CREDIT})
        assert (told["state"], told["charged"], told["open"]) == ("settled", 3 * CREDIT, 0)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/budgets/person:ada/entries?cursor={2**63}", None),
        ("GET", "/budgets/person:ada/entries?cursor=-1", None),
        ("GET", "/usage?since=0001-01-01T00:00:00%2B14:00", None),
        ("GET", "/owed?until=9999-12-31T23:59:59-12:00", None),
        ("GET", "/demand?until=0001-01-01T00:00:00Z", None),
        ("POST", "/reconciliations/alpha?day=0001-01-01", {}),
        ("POST", "/reconciliations/alpha?day=9999-12-31", {}),
        ("POST", "/projects", {"slug": "ice", "title": "a\0b"}),
        ("POST", "/projects", {"slug": "ice", "manager": "a\0b"}),
        ("POST", "/projects/sea/members", {"person": "a\x01"}),
        ("PUT", "/projects/sea/limits", {"limit": 1, "person": "a\0", "centre": "alpha"}),
        ("POST", "/budgets/project:sea/grants", {"amount": 1, "note": "\0"}),
        ("POST", "/budgets/project:sea/grants", {"amount": 1, "ends": "9999-12-31T23:59:59-12:00"}),
        ("POST", "/holds/session/none/decision", {"charge": 0, "note": "\x1b[31m"}),
    ],
)
async def test_what_nothing_can_be_done_with_is_a_bad_request(api: Api, method: str, path: str, body: Any) -> None:
    await sea(api)
    answer = await api(method, path, "t-root", **({} if body is None else {"json": body}))
    assert answer.status_code == 400, answer.text


async def test_a_limit_is_at_a_centre_that_is_described(api: Api) -> None:
    await sea(api)
    answer = await api("PUT", "/projects/sea/limits", "t-root", json={"limit": 1, "centre": "nowhere"})
    assert (answer.status_code, answer.json()["error"]) == (404, "no-centre")
    await ok(api, "PUT", "/projects/sea/limits", "t-root", json={"limit": 1, "centre": "alpha"})
