"""The pages of money in a real browser: every language, colour and width, and what they do while they are open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from perijove.hub.pages.cookies import Signer
from perijove.hub.pages.people import COOKIE

pytestmark = pytest.mark.browser
ROOT = "/services/perijove/"
NOW = datetime.now(UTC)
CENTRES = ["tianjin", "guangzhou", "kunshan", "chengdu", "jinan", "wuxi"]
MINE = {
    "budget": "budget",
    "budget-holds": "budget?all=1&since=2020-01-01",
    "budget-none": "budget?until=2020-01-01",
    "budget-project": "budget/projects/rice",
    "budget-lean": "budget/projects/waves",
    "budget-closed": "budget/projects/old",
    "budget-home": "",
    "budget-start": "start?cores=8&walltime=4h",
    "budget-lacks": "start?cores=8&walltime=4h&budget=project:waves",
    "budget-stranger": "start?cores=8&walltime=4h&budget=project:nobodys",
    "budget-session": "sessions/ready",
    "budget-over": "sessions/over",
}


@pytest.fixture
def rich(fake_gateway: Any) -> Iterator[Any]:
    """A federation, somebody with a project and a month of spending, and what of it runs."""
    broker, before = fake_gateway.broker, fake_gateway.broker.centres
    broker.centres = fake_gateway.national()
    broker.sessions.clear()
    soon = {"centre": "guangzhou", "queue": "compute", "stage": "ready", "connected": True}
    soon["ends_by"] = (NOW + timedelta(hours=2)).isoformat()
    paid = {"held": 2_400_000, "spent": 812_345, "hourly": 400_000}
    ready = broker.add(id="ready", **soon, money=paid | {"budget": "person:alice"})
    broker.add(id="project", server="rice", **soon, money=paid | {"budget": "project:rice"})
    over = {"stage": "ended", "outcome": "cancelled", "ended": NOW.isoformat(), "job_id": "48112"}
    broker.add(id="over", **over, money=paid | {"budget": "project:rice", "held": 0, "spent": 5_120_000})
    broker.add_cluster(ready, 12, 8, money=paid | {"budget": "person:alice", "hourly": 9_600_000})
    fake = broker.money
    fake.__init__()
    fake_gateway.busy(fake, NOW, CENTRES)
    yield fake_gateway
    broker.centres = before
    broker.sessions.clear()
    broker.clusters.clear()
    fake.__init__()


@pytest.fixture
def operate(rich: Any, visit: Callable[..., Any]) -> Callable[..., Any]:
    """Opens a browser in which the operator is signed in."""

    def begin(address: str, **look: Any) -> Any:
        visitor = visit(f"{rich.url}/favicon.ico", **look)
        cookie = Signer(b"s" * 32).sign(COOKIE, {"token": "token-of-operator"})
        visitor.page.context.add_cookies([{"name": COOKIE, "value": cookie, "url": rich.url}])
        visitor.page.goto(rich.url + ROOT + address)
        return visitor

    return begin


#: Each language with each colour, on a phone and a desk: every pair of these, which is what can clash.
SIZES = [(320, "en", False), (320, "zh", True), (1280, "en", True), (1280, "zh", False)]


@pytest.mark.parametrize(("width", "lang", "dark"), SIZES)
def test_every_page_of_money_is_accessible_and_fits(
    rich: Any, visit: Callable[..., Any], lang: str, dark: bool, width: int
) -> None:
    visitor = visit(rich.url + ROOT, width=width, dark=dark, lang=lang)
    faults: dict[str, list[str]] = {}
    for name, address in MINE.items():
        visitor.page.goto(rich.url + ROOT + address)
        visitor.page.wait_for_load_state("load")
        faults[name] = visitor.faults()
        visitor.shot(f"{name}-{lang}-{'dark' if dark else 'light'}-{width}")
    assert not {name: found for name, found in faults.items() if found}


@pytest.mark.parametrize(("width", "lang", "dark"), SIZES)
def test_the_operators_page_of_money_is_accessible_and_fits(
    rich: Any, operate: Callable[..., Any], lang: str, dark: bool, width: int
) -> None:
    visitor = operate("operator/money", width=width, dark=dark, lang=lang)
    while (folded := visitor.page.locator("details:not([open]) > summary")).count():
        folded.first.click()
    faults = visitor.faults()
    visitor.shot(f"operator-money-{lang}-{'dark' if dark else 'light'}-{width}")
    rich.broker.money.__init__()
    visitor.page.reload()
    faults += visitor.faults()
    visitor.shot(f"operator-money-empty-{lang}-{'dark' if dark else 'light'}-{width}")
    assert not faults


def test_a_budget_is_chosen_and_what_is_missing_is_said_before_the_start(rich: Any, visit: Callable[..., Any]) -> None:
    page = visit(rich.url + ROOT + "start?cores=8&walltime=4h").page
    assert page.inner_text("#pay").startswith("Holds at most 2.56 of your 812.40 credits")
    page.select_option("#f-budget", "project:waves")
    page.wait_for_selector("#pay.pj-ink-bad")
    assert page.inner_text("#pay").endswith("Ask carol for more.")
    page.select_option("#f-budget", "project:rice")
    page.wait_for_selector('#pay.pj-quiet:has-text("“Rice genomes 2026”")')
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/sessions/*")
    assert list(rich.broker.sessions.values())[-1]["request"]["budget"] == "project:rice"


def test_the_balance_goes_on_by_itself(rich: Any, visit: Callable[..., Any]) -> None:
    page = visit(rich.url + ROOT + "budget").page
    rich.broker.money.budgets["person:alice"] |= {"available": 5_000_000, "held": 9_000_000}
    page.wait_for_selector("text=You have 5.00 credits.")
    assert page.inner_text("#announcer") == "You have 5.00 credits."
    assert page.inner_text("#held") == "9.00"


def test_a_member_is_added_limited_and_removed_with_the_keyboard_alone(rich: Any, visit: Callable[..., Any]) -> None:
    page = visit(rich.url + ROOT + "budget/projects/rice").page
    page.focus("#f-person")
    page.keyboard.type("dave")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("12.5")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    members = rich.broker.money.budgets["project:rice"]["members"]
    assert (members[-1]["person"], members[-1]["role"], members[-1]["limit"]) == ("dave", "member", 12_500_000)
    page.locator("#members summary", has_text="dave").focus()
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
    assert "dave" in page.evaluate("document.activeElement.textContent")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert members[-1]["left"]
    assert page.locator("#members", has_text="dave").count() == 0


def test_an_operator_decides_what_nobody_knows(rich: Any, operate: Callable[..., Any]) -> None:
    visitor = operate("operator/money")
    page = visitor.page
    first = page.locator("#undecided li").first
    first.get_by_role("button", name="Settle it").click()
    page.wait_for_selector('#undecided [aria-invalid="true"]')
    assert not visitor.faults()
    page.fill("#d-1", "1.25")
    page.keyboard.press("Enter")
    page.wait_for_url("**/operator/money#undecided")
    assert rich.broker.money.orders == [("POST", "/holds/session/lost1/decision", {"charge": 1_250_000, "note": ""})]
