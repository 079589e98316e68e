"""The pages of money: what a person reads, who sees and changes what, and what a start does to a budget."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from pages import fakemoney
from perijove.hub.pages import charts
from perijove.hub.pages.api import Refused
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.languages import languages
from perijove.hub.pages.moneyforms import credits_of
from perijove.hub.pages.moneyviews import BudgetView, spending
from perijove.hub.pages.operatormoneyviews import Period, price_view

CREDIT = 1_000_000
HOSTILE = "<script>alert(1)</script>\" onload='x'"


def words(text: str) -> str:
    """A page as a person reads it, without its marks."""
    plain = re.sub(r"<(?:script|template)[^>]*>.*?</(?:script|template)>|<[^>]*>", " ", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", plain)


@pytest.fixture
def books(world: Any) -> Any:
    """Books with a month of spending, a project, and something to decide."""
    fakemoney.busy(world.broker.money, datetime.now(UTC), ["tianjin", "small", "third"])
    return world.broker.money


def view(**values: Any) -> BudgetView:
    row = {"key": "person:alice", "available": 812_400_000, "held": 40_000_000, "spent": 0, "burn": 0} | values
    return BudgetView(row, Formats(languages()["en"]), "alice")


def test_a_balance_is_understood_at_one_look() -> None:
    assert view().has == "You have 812.40 credits."
    assert view().on_hold.startswith("Another 40.00 are on hold for what runs or waits now")
    assert view(held=0).on_hold == ""
    assert view(available=-5).has == "You have 0.00 credits."


@pytest.mark.parametrize(
    ("burn", "says"),
    [
        (0, ""),
        (1_600_000, "about 3 weeks"),
        (60_000_000, "about 14 hours"),
        (10**9, "less than an hour"),
        (9, "a year"),
    ],
)
def test_how_long_it_lasts_counts_what_is_on_hold_too(burn: int, says: str) -> None:
    assert says in view(burn=burn).lasts
    assert bool(says) == bool(view(burn=burn).lasts)


def test_what_pays_says_what_is_missing_and_who_helps() -> None:
    lean = view(key="project:waves", title="Waves", available=400_000, who=["carol", "alice"])
    assert lean.missing(2_560_000) == 2_160_000
    assert lean.pays(2_560_000) == (
        "2.16 credits are missing: it can cost 2.56, and 0.40 can be spent. Ask carol for more."
    )
    assert lean.pays(400_000).startswith("Holds at most 0.40 of 0.40 credits of “Waves”")
    assert view(available=0, who=[]).pays(1).endswith("Ask the operators of this gateway for more.")


def test_a_gateway_that_only_counts_says_nothing_of_missing_money() -> None:
    assert view(available=0, enforce=False).missing(5) == 0


def test_spending_is_piled_up_by_centre_and_the_rest_stands_together() -> None:
    today, fmt = date(2026, 11, 24), Formats(languages()["en"])
    rows = [{"day": "2026-11-24", "centre": f"c{n}", "charged": (9 - n) * CREDIT} for n in range(6)]
    rows += [
        {"day": "2026-11-23", "centre": "c5", "charged": CREDIT},
        {"day": "2026-09-01", "centre": "c9", "charged": 1},
    ]
    plot = spending(rows, {}, fmt, today)
    assert plot
    assert [name for name, _ in plot.series] == ["c0", "c1", "c2", "c3", "other centres"]
    assert plot.total == sum((9 - n) * CREDIT for n in range(6)) + CREDIT
    assert [len(blocks) for blocks in plot.columns[-2:]] == [1, 5]
    assert plot.columns[-1][-1].y == 0, "the dearest day fills the height"
    assert [row[0] for row in plot.rows] == ["24 Nov 2026", "23 Nov 2026"]
    assert spending([], {}, fmt, today) is None


def test_a_column_is_as_high_as_its_parts() -> None:
    (column, empty) = charts.stacks([(1.0, 3.0), (0.0, 0.0)], 100, 80)
    assert [(block.y, block.height, block.series) for block in column] == [(60, 20, 0), (0, 60, 1)]
    assert empty == []
    assert charts.shares((1, 1, 2), 100) == [(0, 25), (25, 25), (50, 50)]
    assert charts.shares((0, 0), 100) == [(0, 0), (0, 0)]


async def test_the_page_of_ones_own_budget(alice: httpx.AsyncClient, world: Any, books: Any) -> None:
    world.broker.add(stage="ready", money={"budget": "person:alice", "held": 9, "spent": 812_345, "hourly": 400_000})
    text = words((await alice.get("budget")).text)
    for part in ("You have 812.40 credits.", "0.81 credits so far", "Session at Small centre", "lasts about 3 weeks"):
        assert part in text, part
    assert "Credits granted by operator" in text
    assert "Put on hold" not in text
    everything = words((await alice.get("budget", params={"all": "1"})).text)
    assert "Put on hold for a session at" in everything
    assert "Came back from" in everything


async def test_a_statement_is_filtered_paged_and_taken_away_as_a_table(alice: httpx.AsyncClient, books: Any) -> None:
    first = (await alice.get("budget")).text
    older = re.search(r'href="/services/perijove(/budget\?cursor=[^"#]*)', first)
    assert older
    second = (await alice.get(older[1].lstrip("/"))).text
    jobs = [set(re.findall(r"job (\d+)", page)) for page in (first, second)]
    assert jobs[0]
    assert not jobs[0] & jobs[1]
    none = await alice.get("budget", params={"until": "2020-01-01"})
    assert "No line is like that." in none.text
    assert (await alice.get("budget", params={"since": "yesterday", "until": "9999-12-31"})).status_code == 200
    table = await alice.get("budget/entries.csv", params={"budget": "person:alice", "since": "2020-01-01"})
    assert table.headers["content-type"].startswith("text/csv")
    assert table.headers["content-disposition"] == 'attachment; filename="person-alice.csv"'
    assert table.text.startswith("time,kind")


async def test_a_new_person_reads_what_will_stand_there(alice: httpx.AsyncClient) -> None:
    text = words((await alice.get("budget")).text)
    assert "No line yet." in text
    assert "Nothing was spent in this time." in text


@pytest.mark.parametrize(
    "page", ["budget/projects/rice", "budget/people/alice", "budget/entries.csv?budget=person:alice"]
)
async def test_a_stranger_sees_nobodys_budget(world: Any, books: Any, page: str) -> None:
    books.budgets["project:rice"]["members"] = books.budgets["project:rice"]["members"][:1]
    assert (await world.browser("bob").get(page)).status_code == 403


@pytest.mark.parametrize("page", ["budget/projects/none", "budget/others/x", "budget/projects/x/y"])
async def test_there_is_nothing_elsewhere(alice: httpx.AsyncClient, page: str) -> None:
    assert (await alice.get(page)).status_code == 404


async def test_a_manager_says_who_may_spend_and_a_member_does_not(
    world: Any, alice: httpx.AsyncClient, books: Any
) -> None:
    where, rice = "budget/projects/rice/members", books.budgets["project:rice"]
    form = {"_xsrf": world.xsrf(), "do": "add", "person": "dave", "role": "member", "limit": "12.5"}
    assert (await alice.post(where, data=form | {"_xsrf": "x"})).status_code == 403
    assert (await alice.post(where, data=form)).status_code == 303
    assert rice["members"][-1]["limit"] == 12_500_000
    assert "dave" in (await alice.get("budget/projects/rice")).text
    for wrong, says in (({"person": " "}, "fill this in"), ({"limit": "lots"}, "12.50"), ({"person": "a b"}, "signs")):
        answer = await alice.post(where, data=form | wrong)
        assert answer.status_code == 400
        assert says in answer.text
        assert 'aria-invalid="true"' in answer.text
    assert (
        await alice.post(where, data=form | {"do": "limit", "person": "", "centre": "small", "limit": "7"})
    ).is_redirect
    assert {"person": "", "centre": "small", "limit": 7 * CREDIT} in rice["limits"]
    assert (await alice.post(where, data=form | {"do": "remove"})).is_redirect
    assert rice["members"][-1]["left"]
    bob = world.browser("bob")
    page = (await bob.get("budget/projects/rice")).text
    assert "Add somebody" not in page
    assert "You yourself may spend at most 50.00 credits of it; 12.34 are spent or on hold." in words(page)
    assert (await bob.post(where, data=form | {"_xsrf": world.xsrf("bob")})).status_code == 403


async def test_the_start_page_says_what_pays_and_what_is_missing(
    alice: httpx.AsyncClient, world: Any, books: Any
) -> None:
    query = {"cores": "4", "walltime": "2h", "place": "tianjin/work"}
    text = (await alice.get("start", params=query)).text
    assert "Holds at most 0.80 of your 812.40 credits" in words(text)
    assert '<option value="project:rice">Rice genomes 2026 (4,310.00 credits)' in text
    lean = (await alice.get("start", params=query | {"budget": "project:waves"})).text
    assert '<option value="project:waves" selected>' in lean
    assert "0.40 credits are missing: it can cost 0.80, and 0.40 can be spent. Ask carol for more." in words(lean)
    assert "data-lacks" in lean
    assert 'type="hidden" name="budget"' not in lean
    strange = words((await alice.get("start", params=query | {"budget": "project:others"})).text)
    assert "You are no member of project:others" in strange
    answer = await alice.post(
        "start", data=query | {"_xsrf": world.xsrf(), "budget": "project:rice", "action": "start"}
    )
    assert answer.status_code == 303
    (row,) = world.broker.sessions.values()
    assert row["request"]["budget"] == "project:rice"


async def test_whoever_has_one_budget_is_not_asked_what_pays(alice: httpx.AsyncClient) -> None:
    text = (await alice.get("start", params={"cores": "4", "place": "tianjin/work"})).text
    assert 'name="budget"' not in text
    assert "of your 812.40 credits" in words(text)


@pytest.mark.parametrize("status", [403, 409])
async def test_a_start_that_the_books_refuse_says_it_in_words(
    alice: httpx.AsyncClient, world: Any, status: int
) -> None:
    values = {"missing": 2_160_000, "needed": 2_560_000, "available": 400_000, "who": [], "budget": "project:x"}
    code, says = {
        409: (
            "balance",
            "This may cost up to 2.56 credits, and there are 0.40 credits in project:x: 2.16 credits are missing.",
        ),
        403: ("not-member", "You are no member of project:x"),
    }[status]
    fault = {"field": "budget", "code": code, "message": "", "values": values}
    world.broker.refusal = (status, {"error": code, "message": "y", "faults": [fault]})
    answer = await alice.post("start", data={"_xsrf": world.xsrf(), "place": "tianjin/work", "cores": "1"})
    assert answer.status_code == 400
    assert says in words(answer.text)


async def test_home_has_the_balance_and_the_running_meter(alice: httpx.AsyncClient, world: Any, books: Any) -> None:
    money = {"budget": "person:alice", "held": 9, "spent": 812_345, "hourly": 400_000}
    row = world.broker.add(stage="ready", connected=True, money=money)
    text = words((await alice.get("")).text)
    assert "812.40 credits" in text
    assert "0.81 credits so far" in text
    seen = (await alice.get("live")).headers["x-mark"]
    row["money"] = money | {"spent": 823_000}
    assert "0.82 credits so far" in words((await alice.get("live", params={"seen": seen})).text)
    assert "0.82 credits" in words((await alice.get(f"sessions/{row['id']}")).text)


async def test_a_broker_without_books_changes_nothing(alice: httpx.AsyncClient, world: Any) -> None:
    world.broker.money.absent = True
    world.broker.add(money=None)
    for page in ("", "start?cores=1", f"sessions/{next(iter(world.broker.sessions))}"):
        answer = await alice.get(page)
        assert answer.status_code == 200
        assert "Paid by" not in answer.text


# --- operators ------------------------------------------------------------------------------------------


@pytest.fixture
def operator(world: Any, books: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.browser("operator")
    return client


async def test_operators_see_what_needs_a_decision_and_what_is_owed(operator: httpx.AsyncClient) -> None:
    text = words((await operator.get("operator/money")).text)
    for part in ("2 ends need your decision", "8,123.46 credits", "3 differences", "Could not be compared"):
        assert part in text, part
    assert "Unknown to the centre" in text
    chinese = (await operator.get("operator/money", params={"lang": "zh", "month": "2026-02"})).text
    assert "2026年2月" in chinese
    assert "天津超算中心" in chinese


async def test_nobody_else_does(alice: httpx.AsyncClient, world: Any, books: Any) -> None:
    assert (await alice.get("operator/money")).status_code == 403
    assert (await alice.get("operator/money/owed.csv")).status_code == 403
    for what in ("decide", "grants", "projects", "reconcile", "withdraw"):
        form = {"_xsrf": world.xsrf(), "charge": "1", "kind": "session", "subject": "lost1", "centre": "tianjin"}
        form |= {"budget": "person:alice", "amount": "9", "slug": "x", "manager": "alice", "grant": "1"}
        assert (await alice.post(f"operator/money/{what}", data=form)).status_code == 403
    assert not books.orders


async def test_an_operator_decides_grants_compares_and_takes_back(
    operator: httpx.AsyncClient, world: Any, books: Any
) -> None:
    async def send(what: str, **fields: str) -> httpx.Response:
        return await operator.post(f"operator/money/{what}", data={"_xsrf": world.xsrf("operator"), **fields})

    assert (await send("decide", kind="session", subject="lost1", charge="1.25", note="by mail")).is_redirect
    grant = {
        "budget": "project:rice",
        "amount": "1,000",
        "key": "k" * 32,
        "starts": "2027-01-01",
        "ends": "2027-07-01",
        "note": HOSTILE,
    }
    assert (await send("grants", **grant)).is_redirect
    assert (
        (await send("projects", slug="ice", title="Ice", manager="carol")).headers["location"].endswith("/projects/ice")
    )
    assert (await send("reconcile", centre="tianjin")).is_redirect
    assert (await send("withdraw", budget="project:rice", grant="3")).headers["location"].endswith("/projects/rice")
    assert books.orders == [
        ("POST", "/holds/session/lost1/decision", {"charge": 1_250_000, "note": "by mail"}),
        (
            "POST",
            "/budgets/project:rice/grants",
            {"amount": 1000 * CREDIT, "note": HOSTILE.strip(), "key": "k" * 32}
            | {"starts": "2027-01-01T00:00:00+00:00", "ends": "2027-07-01T00:00:00+00:00"},
        ),
        ("POST", "/projects", {"slug": "ice", "title": "Ice", "manager": "carol"}),
        ("POST", "/reconciliations/tianjin", None),
        ("DELETE", "/budgets/project:rice/grants/3", None),
    ]


async def test_what_is_wrong_stands_at_its_field_with_what_was_typed(
    operator: httpx.AsyncClient, world: Any, books: Any
) -> None:
    for what, fields in (
        ("grants", {"budget": "person:x", "amount": "-3", "note": HOSTILE}),
        ("grants", {"budget": "person:x", "amount": "1,5", "note": HOSTILE}),
        ("grants", {"budget": "person:x", "amount": "3", "ends": "soon", "note": HOSTILE}),
        ("projects", {"slug": "", "title": HOSTILE}),
        ("decide", {"kind": "session", "subject": "lost1", "charge": "", "note": HOSTILE}),
    ):
        answer = await operator.post(f"operator/money/{what}", data={"_xsrf": world.xsrf("operator"), **fields})
        assert answer.status_code == 400
        assert answer.text.count('aria-invalid="true"') == 1, what
        assert "&lt;script&gt;alert(1)" in answer.text
        assert "<script>alert" not in answer.text
    assert not books.orders


async def test_a_hostile_note_stays_text(alice: httpx.AsyncClient, books: Any) -> None:
    books.entries["person:alice"][0] |= {"kind": "grant", "note": HOSTILE, "by": HOSTILE}
    books.budgets["person:alice"]["grants"][0]["note"] = HOSTILE
    text = (await alice.get("budget")).text
    assert "alert(1)" in text
    assert "<script>alert" not in text


def test_the_price_that_holds_is_told_from_those_that_come() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    rows = [
        {"centre": "a", "queue": "q", "valid_from": (now + timedelta(days=days)).isoformat(), "core_hour": days}
        for days in (-90, 30, -10)
    ]
    (price,) = price_view(rows, {}, Formats(languages()["en"]), now)
    assert price.now
    assert price.now["core_hour"] == -10
    assert [row["core_hour"] for row in price.others] == [30, -90]


def test_a_month_is_from_its_first_day_until_the_next_ones() -> None:
    period = Period.of("2026-02", date(2026, 11, 24), Formats(languages()["en"]))
    assert period.query == {"since": "2026-02-01T00:00:00+00:00", "until": "2026-03-01T00:00:00+00:00"}
    assert period.words == "February 2026"
    assert Period.of("1999-01", date(2026, 1, 31), Formats(languages()["en"])).value == "2026-01"


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1,000", 1000), ("1，000", 1000), ("12,345,678.5", 12_345_678.5), ("1.5", 1.5), ("1000", 1000)],
)
def test_commas_stand_between_groups_of_three(text: str, amount: float) -> None:
    assert credits_of({"amount": text}, "amount") == amount * CREDIT


@pytest.mark.parametrize("text", ["1,5", "1,50", "1,0000", "1000,000", ",5", "1,", "1.000,5", "1,000,5"])
def test_a_comma_for_a_point_is_no_amount(text: str) -> None:
    with pytest.raises(Refused) as refused:
        credits_of({"amount": text}, "amount")
    assert refused.value.faults[0]["code"] == "wrong-credits"


async def test_each_form_of_a_grant_has_a_key_of_its_own(operator: httpx.AsyncClient) -> None:
    pages = [(await operator.get("operator/money")).text for _ in range(2)]
    keys = {found for page in pages for found in re.findall(r'name="key" value="([0-9a-f]{32})"', page)}
    assert len(keys) == 2
