"""Each page in each state, language, colour and width: for people who see, hear, type, or hold a phone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
ROOT = "/services/perijove/"
NOW = datetime.now(UTC)
LONG = "x" * 300
#: The forecast of a session that waits.
FORECAST = {"low": 400, "likely": 1500, "high": 4200, "middle": [1000, 2400], "evidence": "history", "count": 84}
#: A session for each state that a page can show.
STATES: dict[str, dict[str, Any]] = {
    "checked": {"stage": "checked", "job_id": None, "reason": ""},
    "queued": {"centre": "tianjin", "ahead": 7, "forecast": FORECAST | {"days": 7, "expected": NOW.isoformat()}},
    "late": {"forecast": FORECAST | {"evidence": "none"}, "created": (NOW - timedelta(hours=5)).isoformat()},
    "unknown": {"unknown_since": (NOW - timedelta(minutes=9)).isoformat(), "raw_reason": LONG},
    "starting": {"stage": "starting", "node": "node-17", "server": "prod"},
    "ready": {"stage": "ready", "connected": True, "ends_by": (NOW + timedelta(hours=2)).isoformat()},
    "cut-off": {"stage": "ready", "connected": False, "ends_by": (NOW + timedelta(minutes=9)).isoformat()},
    "ending": {"stage": "ending"},
    "failed": {
        "stage": "ended",
        "outcome": "memory",
        "ended": NOW.isoformat(),
        "detail": "OUT_OF_MEMORY",
        "log_tail": "\n".join(
            ["loading the model", "slurmstepd: error: Detected 1 oom_kill event", LONG, "Killed"] * 9
        ),
    },
    "broken": {"stage": "ended", "outcome": "node-failed", "ended": NOW.isoformat(), "detail": "NODE_FAIL"},
    "stopped": {"stage": "ended", "outcome": "cancelled", "ended": NOW.isoformat()},
}
PAGES = {
    "home": "",
    "start": "start?centre=tianjin&cores=4&walltime=2h",
    "start-data": "start?cores=8&walltime=4h&data=era5&prefer=data",
    "start-faults": "start?cores=x&memory=lots&walltime=9000h",
    "start-too-much": "start?cores=900&walltime=90h",
    "start-instead": "start?cores=4&walltime=2h&instead=queued",
    "centres": "centres",
    "keys": "keys",
    "missing": "nothing-here",
    "session-other": "sessions/unknown?instead=queued",
    "waiting": "waiting/alice/never",
    "help": "help/start",
    "help-tutorial": "help/administrator",
    "help-trouble": "help/troubleshooting#reason-memory",
    "help-reference": "help/reference-api",
} | {f"session-{name}": f"sessions/{name}" for name in STATES}


@pytest.fixture
def filled(fake_gateway: Any) -> Iterator[Any]:
    """A federation, and a session in each state."""
    broker, before = fake_gateway.broker, fake_gateway.broker.centres
    broker.centres = fake_gateway.national()
    broker.sessions.clear()
    for name, values in STATES.items():
        broker.add(id=name, **{"centre": "guangzhou", "queue": "compute"} | values)
    broker.identities = [
        {"centre": "tianjin", "account": "al", "public_key": "ssh-ed25519 " + "A" * 68, "checked": None}
    ]
    broker.add_cluster(broker.sessions["ready"], 12, 8)
    lost = {"requested": 1, "queued": 0, "running": 3, "lost": 2}
    broker.add_cluster(broker.sessions["ready"], 3, name="a-cluster-with-a-long-name-300", counts=lost)
    broker.add_cluster(broker.sessions["starting"], 0, name="elsewhere", beside=False)
    yield fake_gateway
    broker.centres = before
    broker.sessions.clear()
    broker.clusters.clear()


#: Each page in each language with each colour, and on a phone and a desk: every pair of these, which is what can clash.
SIZES = [(320, "en", False), (320, "zh", True), (1280, "en", True), (1280, "zh", False)]


@pytest.mark.parametrize(("width", "lang", "dark"), SIZES)
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


def test_all_that_can_be_unfolded_is_accessible_and_fits(filled: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(filled.url + ROOT + "start?cores=40&walltime=30h&data=era5", width=320)
    while (folded := visitor.page.locator("details:not([open]) > summary")).count():
        folded.first.click()
    visitor.page.click("#preview")
    visitor.page.wait_for_selector("#script pre")
    assert not visitor.faults()
    visitor.shot("start-unfolded-en-light-320")


def test_the_empty_home_page_leads_to_the_start(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    fake_gateway.broker.sessions.clear()
    visitor = visit(fake_gateway.url + ROOT)
    assert not visitor.faults()
    visitor.shot("empty-en-light-1280")
    visitor.page.get_by_role("link", name="Start JupyterLab").click()
    assert visitor.page.url.endswith("/start")


def test_two_clicks_on_the_home_page_lead_to_a_running_notebook(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    """Signing in is the third."""
    fake_gateway.broker.sessions.clear()
    page = visit(fake_gateway.url + ROOT).page
    page.get_by_role("link", name="Start a session").click()
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/sessions/*")
    (row,) = fake_gateway.broker.sessions.values()
    row |= {"stage": "ready", "connected": True}
    page.wait_for_url("**/user/alice/")


def test_a_double_click_starts_one_session(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    fake_gateway.broker.sessions.clear()
    fake_gateway.broker.calls.clear()
    page = visit(fake_gateway.url + ROOT + "start").page
    page.get_by_role("button", name="Start", exact=True).dblclick()
    page.wait_for_url("**/sessions/*")
    assert fake_gateway.broker.calls.count(("POST", "/sessions")) == 1


def test_a_session_is_started_with_the_keyboard_alone(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    fake_gateway.broker.sessions.clear()
    page = visit(fake_gateway.url + ROOT + "start").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "pj-skip"
    page.keyboard.press("Enter")
    for _ in range(15):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "f-cores":
            break
    page.keyboard.press("Control+A")
    page.keyboard.type("4")
    page.wait_for_selector("#p-small--work[disabled]")
    for _ in range(15):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "place":
            break
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions/*")
    (row,) = fake_gateway.broker.sessions.values()
    assert row["centre"] == "tianjin"


def test_a_preset_and_what_matters_choose_without_a_page_load(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT + "start?cores=1").page
    page.evaluate("window.stays = true")
    page.get_by_role("link", name="Medium").click()
    page.wait_for_selector('a.pj-chip[aria-current]:has-text("Medium")')
    assert page.input_value("#f-cores") == "8"
    page.check('[name="prefer"][value="price"]')
    page.wait_for_selector("#p-wuxi--compute:checked")
    page.check('[name="prefer"][value="start"]')
    page.wait_for_selector("#p-jinan--compute:checked")
    page.wait_for_selector("text=Recommended: starts soonest")
    assert page.inner_text("#say").startswith("NSCC Jinan · compute — usually")
    page.check("#p-guangzhou--compute")
    assert page.inner_text("#say").startswith("NSCC Guangzhou")
    page.fill("#f-walltime", "3")
    page.wait_for_selector('#offers:has-text("8 cores, 48 GiB, 3 hours")')
    assert page.is_checked("#p-guangzhou--compute")
    assert page.evaluate("window.stays")


def test_the_smallest_change_is_one_click(fake_gateway: Any, visit: Callable[..., Any]) -> None:
    page = visit(fake_gateway.url + ROOT + "start?cores=4&walltime=2h").page
    page.evaluate("window.stays = true")
    page.get_by_role("link", name="Use 2 cores").click()
    page.wait_for_selector("#p-small--work:checked:not([disabled])")
    assert page.input_value("#f-cores") == "2"
    assert page.inner_text("#say").startswith("Small centre")
    assert page.evaluate("window.stays")


def test_another_centre_is_tried_without_losing_the_place_in_the_queue(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT + "sessions/queued").page
    page.get_by_role("link", name="Try another centre").click()
    page.get_by_text("You wait at NSCC Tianjin").wait_for()
    assert page.input_value("#f-cores") == "4"
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/sessions/*?instead=queued")
    assert filled.broker.sessions["queued"]["stage"] == "queued"
    list(filled.broker.sessions.values())[-1]["stage"] = "queued"
    page.get_by_role("button", name="Cancel the other one").click()
    page.wait_for_selector("#cancel-other", state="detached")
    page.wait_for_url("**/sessions/*?instead=queued")
    assert filled.broker.sessions["queued"]["stage"] == "ending"


def test_the_bar_of_the_time_left_goes_on_by_itself(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT).page
    page.clock.install()
    page.goto(filled.url + ROOT + "sessions/ready")
    width = "Number(document.querySelector('[data-left]').getAttribute('width'))"
    assert page.evaluate(width) > 185  # of 240, less what the tests before this one took
    page.clock.fast_forward("01:00:00")
    # Asked for by its text: what the page evaluates again and again, its own security policy refuses.
    expect(page.locator("[data-left]").first).to_have_attribute(
        "width", re.compile(r"^([6-9]\d|1[01]\d|12[0-4])(\.\d+)?$")
    )


def test_it_is_asked_for_notifications_by_a_button_alone(filled: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(filled.url + ROOT)
    page, broker = visitor.page, filled.broker
    page.add_init_script("""
        window.said = JSON.parse(sessionStorage.said ?? "[]");
        window.asked = 0;
        window.Notification = class {
            static permission = sessionStorage.permission ?? "default";
            static async requestPermission() {
                window.asked += 1;
                return (sessionStorage.permission = Notification.permission = "granted");
            }
            constructor(title, options) { sessionStorage.said = JSON.stringify([...window.said, options.body]); }
        };
    """)
    page.goto(filled.url + ROOT + "sessions/queued")
    button = page.get_by_role("button", name="Tell me when it runs")
    button.wait_for()
    assert page.evaluate("window.asked") == 0
    button.click()
    page.get_by_role("button", name="You will be told").wait_for()
    broker.sessions["queued"] |= {"stage": "ready", "connected": True}
    page.wait_for_url("**/user/alice/")
    assert page.evaluate("JSON.parse(sessionStorage.said)") == ["Your session is running. You can open it."]


def test_pages_work_without_any_script(filled: Any, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto(filled.url + ROOT + "start?cores=8&walltime=4h")
    page.get_by_role("link", name="Medium").click()
    page.fill("#f-walltime", "3")
    page.get_by_role("button", name="Check prices").click()
    assert page.get_by_text("8 cores, 48 GiB, 3 hours").first.is_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    assert "/sessions/" in page.url
    context.close()


def test_what_is_focused_stays_so_when_a_part_is_made_fresh(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT).page
    page.get_by_role("link", name="Load and waits").focus()
    filled.broker.sessions["starting"] |= {"stage": "ready", "connected": True}
    page.wait_for_selector("#open-starting")
    assert page.evaluate("document.activeElement.textContent") == "Load and waits"


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
