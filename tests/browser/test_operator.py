"""The operator's pages in a real browser: every language, colour and width, and what they do while they are open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from perijove.hub.pages.cookies import Signer
from perijove.hub.pages.people import COOKIE

pytestmark = pytest.mark.browser
ROOT = "/services/perijove/"
NOW = datetime.now(UTC)
LONG = "x" * 300
PAGES = {
    "operator": "operator",
    "operator-sessions": "operator/sessions",
    "operator-centre": "operator/centres/tianjin",
    "operator-silent": "operator/centres/small",
    "centres-notice": "centres",
}


@pytest.fixture
def troubled(fake_gateway: Any) -> Any:
    """A gateway with a drained centre, one that does not answer, and sessions of several people."""
    broker = fake_gateway.broker
    broker.sessions.clear()
    broker.add("alice", server="prod", stage="ready", connected=True, ends_by=(NOW + timedelta(hours=2)).isoformat())
    broker.add("bob-with-a-rather-long-name@example.org", centre="small", unknown_since=NOW.isoformat(), job_id=LONG)
    broker.add("carol", stage="starting", node="node-17", gpus=4)
    broker.orders = {
        "tianjin": {
            "drained": {"by": "operator", "since": NOW.isoformat(), "note": "The cooling is being repaired."},
            "notice": {
                "text": {"en": "New login nodes on Monday.\nKeys stay.", "zh": "周一更换登录节点。\n密钥不变。"},
                "level": "warning",
                "by": "operator",
                "since": NOW.isoformat(),
            },
        }
    }
    broker.watchers = {
        "tianjin": {"sessions": {"ready": 1, "starting": 1}, "tunnels": {"up": 2, "down": 0}},
        "small": {
            "answering": False,
            "problem": "unreachable",
            "detail": f"unreachable: connect to login.example.org port 22: Connection timed out {LONG}",
            "failures": 12,
            "unknown_since": (NOW - timedelta(minutes=9)).isoformat(),
            "sessions": {"queued": 1},
        },
    }
    yield fake_gateway
    broker.orders, broker.watchers = {}, {}
    broker.sessions.clear()


@pytest.fixture
def operate(troubled: Any, visit: Callable[..., Any]) -> Callable[..., Any]:
    """Opens a browser in which the operator is signed in."""

    def begin(address: str, **look: Any) -> Any:
        visitor = visit(f"{troubled.url}/favicon.ico", **look)
        cookie = Signer(b"s" * 32).sign(COOKIE, {"token": "token-of-operator"})
        visitor.page.context.add_cookies([{"name": COOKIE, "value": cookie, "url": troubled.url}])
        visitor.page.goto(troubled.url + ROOT + address)
        return visitor

    return begin


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_page_is_accessible_and_fits(
    troubled: Any, operate: Callable[..., Any], lang: str, dark: bool, width: int
) -> None:
    visitor = operate("operator", width=width, dark=dark, lang=lang)
    faults: dict[str, list[str]] = {}
    for name, address in PAGES.items():
        visitor.page.goto(troubled.url + ROOT + address)
        visitor.page.wait_for_load_state("load")
        faults[name] = visitor.faults()
        visitor.shot(f"{name}-{lang}-{'dark' if dark else 'light'}-{width}")
    assert not {name: found for name, found in faults.items() if found}


def test_a_centre_that_answers_again_is_said_without_a_reload(troubled: Any, operate: Callable[..., Any]) -> None:
    page = operate("operator").page
    assert page.locator("text=Does not answer").count() == 1
    troubled.broker.watchers.pop("small")
    page.wait_for_selector("text=Does not answer", state="detached")
    assert "No centre is known to be away." in page.inner_text("#announcer")


def test_sessions_are_filtered_and_stay_so_while_they_change(troubled: Any, operate: Callable[..., Any]) -> None:
    page = operate("operator/sessions").page
    assert page.locator(".pj-op-session").count() == 3
    page.select_option("#f-centre", "tianjin")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/operator/sessions?centre=tianjin*")
    assert page.locator(".pj-op-session").count() == 2
    troubled.broker.add("dave", stage="queued")
    page.wait_for_selector("text=dave")
    assert page.locator(".pj-op-session").count() == 3
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", answer)
    with page.expect_navigation():
        page.locator(".pj-op-session", has_text="dave").get_by_role("button").click()
    assert page.url.endswith("?centre=tianjin")
    assert "dave" in asked[0]
    assert [row["stage"] for row in troubled.broker.sessions.values() if row["owner"] == "dave"] == ["ending"]


def test_a_centre_is_drained_and_told_of_with_the_keyboard_alone(troubled: Any, operate: Callable[..., Any]) -> None:
    visitor = operate("operator/centres/small")
    page = visitor.page
    page.focus("#f-note")
    page.keyboard.type("Power is off")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Take new sessions again")
    assert troubled.broker.orders["small"]["drained"]["note"] == "Power is off"
    page.focus("#f-en")
    page.keyboard.type("Back at noon")
    page.keyboard.press("Tab")
    page.keyboard.type("Zhongwu")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview")
    assert page.locator("#preview .pj-is-wait").all_inner_texts()[0].endswith("Back at noon")
    assert not visitor.faults()
    visitor.shot("operator-preview-en-light-1280")
    page.get_by_role("button", name="Set the notice").click()
    page.wait_for_selector("text=Remove the notice")
    assert troubled.broker.orders["small"]["notice"]["level"] == "warning"


def test_whoever_is_no_operator_is_told_so(troubled: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(troubled.url + ROOT + "operator")
    assert "403" in visitor.page.inner_text("main")
    assert visitor.page.get_by_role("link", name="Operations").count() == 0
    assert not visitor.faults()
