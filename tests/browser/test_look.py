"""Each page in each state, language, colour and width: for people who see, hear, type, or hold a phone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.browser
ROOT = "/services/perijove/"
NOW = datetime.now(UTC)
LONG = "x" * 300
#: A session for each state that a page can show.
STATES: dict[str, dict[str, Any]] = {
    "queued": {},
    "unknown": {"unknown_since": (NOW - timedelta(minutes=9)).isoformat(), "raw_reason": LONG},
    "starting": {"stage": "starting", "node": "node-17", "server": "prod"},
    "ready": {"stage": "ready", "connected": True, "ends_by": (NOW + timedelta(hours=2)).isoformat()},
    "failed": {
        "stage": "ended",
        "outcome": "memory",
        "ended": NOW.isoformat(),
        "detail": "OUT_OF_MEMORY",
        "log_tail": "\n".join(
            ["loading the model", "slurmstepd: error: Detected 1 oom_kill event", LONG, "Killed"] * 9
        ),
    },
    "stopped": {"stage": "ended", "outcome": "cancelled", "ended": NOW.isoformat()},
}
PAGES = {
    "home": "",
    "start": "start?centre=tianjin&cores=4&walltime=2h",
    "start-faults": "start?cores=x&memory=lots&walltime=9000h",
    "centres": "centres",
    "keys": "keys",
    "missing": "nothing-here",
    "waiting": "waiting/alice/never",
} | {f"session-{name}": f"sessions/{name}" for name in STATES}


@pytest.fixture
def filled(fake_gateway: Any) -> Any:
    fake_gateway.broker.sessions.clear()
    for name, values in STATES.items():
        fake_gateway.broker.add(id=name, **values)
    fake_gateway.broker.identities = [
        {"centre": "tianjin", "account": "al", "public_key": "ssh-ed25519 " + "A" * 68, "checked": None}
    ]
    return fake_gateway


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_page_is_accessible_and_fits(
    filled: Any, visit: Callable[..., Any], lang: str, dark: bool, width: int
) -> None:
    visitor = visit(filled.url + ROOT, width=width, dark=dark, lang=lang)
    faults: dict[str, list[str]] = {}
    for name, address in PAGES.items():
        visitor.page.goto(filled.url + ROOT + address)
        visitor.page.wait_for_load_state("load")
        faults[name] = visitor.faults()
        visitor.shot(f"{name}-{lang}-{'dark' if dark else 'light'}-{width}")
    assert not {name: found for name, found in faults.items() if found}


def test_the_empty_home_page_leads_to_the_start(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    fake_gateway.broker.sessions.clear()
    visitor = visit(fake_gateway.url + ROOT)
    assert not visitor.faults()
    visitor.shot("empty-en-light-1280")
    visitor.page.get_by_role("link", name="Start your first session").click()
    assert visitor.page.url.endswith("/start")


def test_a_session_is_started_with_the_keyboard_alone(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    fake_gateway.broker.sessions.clear()
    page = visit(fake_gateway.url + ROOT + "start").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "pj-skip"
    page.keyboard.press("Enter")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "f-cores":
            break
    page.keyboard.press("Control+A")
    page.keyboard.type("4")
    page.wait_for_selector("#p-small--work[disabled]")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "place":
            break
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions/*")
    (row,) = fake_gateway.broker.sessions.values()
    assert row["centre"] == "tianjin"


def test_a_waiting_page_says_each_change_and_opens_the_session(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    fake_gateway.broker.sessions.clear()
    row = fake_gateway.broker.add(id="moves", server="prod")
    page = visit(fake_gateway.url + ROOT + "sessions/moves").page
    assert page.title().startswith("Queued")
    row["stage"] = "starting"
    page.wait_for_selector('[data-stage="starting"]')
    assert page.title().startswith("Starting")
    assert "Starting" in page.inner_text("#announcer")
    row |= {"stage": "ready", "connected": True}
    page.wait_for_url("**/user/alice/prod/")


def test_prices_follow_the_typing_and_faults_stand_at_their_fields(
    fake_gateway: Any, visit: Callable[..., Any]
) -> None:
    page = visit(fake_gateway.url + ROOT + "start").page
    page.fill("#f-cores", "8")
    page.wait_for_selector("text=0.80 credits")
    page.fill("#f-cores", "eight")
    page.wait_for_selector('#f-cores[aria-invalid="true"]')
    assert "whole number" in page.inner_text('[data-error="cores"]')
    page.fill("#f-cores", "2")
    page.wait_for_selector("#f-cores:not([aria-invalid])")


def test_a_hostile_log_runs_nothing(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    fake_gateway.broker.add(
        id="evil", stage="ended", outcome="other", detail=hostile, log_tail=hostile, node=hostile, ended=NOW.isoformat()
    )
    visitor = visit(fake_gateway.url + ROOT + "sessions/evil")
    visitor.page.wait_for_timeout(300)
    assert "owned" not in visitor.page.title()
    assert visitor.page.locator("main img, main script").count() == 0


def test_dark_can_be_chosen_and_stays(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    page = visit(fake_gateway.url + ROOT).page
    page.click("#theme-toggle")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    assert page.get_attribute("#theme-toggle", "aria-pressed") == "true"
