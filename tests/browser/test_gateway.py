"""The whole gateway in a browser: hub, proxy, broker and an embedded centre, as `perijove demo` starts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness.browsing import START, run_a_cell, start_by_keyboard

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_person_signs_in_starts_waits_computes_and_stops(demo: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(f"{demo.url}/hub/login")
    page = visitor.page
    demo.sign_in(page)
    visitor.shot("real-home")
    start_by_keyboard(page)
    session = page.url
    assert "Perijove" in page.title()
    visitor.shot("real-waiting")
    assert not visitor.faults()
    page.wait_for_url("**/user/alice/lab**", timeout=START)
    assert run_a_cell(page, "print(6 * 7)") == "42"
    visitor.shot("real-jupyterlab")
    page.goto(session)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("The session was stopped").or_(page.get_by_text("The session ended normally")).first.wait_for(
        timeout=60_000
    )
    visitor.shot("real-stopped")
    page.goto(f"{demo.url}/services/perijove/")
    assert page.get_by_text("Nothing is running or queued").is_visible()


def test_a_novice_opens_an_app_runs_it_and_finds_its_pictures_again(demo: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(f"{demo.url}/hub/login")
    page = visitor.page
    demo.sign_in(page)
    page.goto(f"{demo.url}/services/perijove/apps")
    page.get_by_role("link", name="Which variants are in these reads?").click()
    visitor.shot("real-app")
    page.get_by_role("button", name="Open", exact=True).click()
    page.wait_for_url("**/voila/render/**", timeout=START)
    page.locator(".pja-Form button[type=submit]").wait_for(timeout=START)
    visitor.shot("real-app-form")
    assert not visitor.faults()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator(".pja-Result img").first.wait_for(timeout=START)
    visitor.shot("real-app-results")
    assert not visitor.faults()
    page.goto(f"{demo.url}/services/perijove/runs")
    page.get_by_role("link", name="Variant finder").first.click()
    page.get_by_role("heading", level=1).wait_for()
    picture = page.locator("main figure img").first
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 300
    visitor.shot("real-run")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_sign_in_page_is_accessible_and_in_the_persons_language(
    demo: Any, visit: Callable[..., Any], lang: str, width: int
) -> None:
    visitor = visit(f"{demo.url}/hub/login", lang=lang, width=width)
    visitor.page.get_by_text("密码：" if lang == "zh" else "Password:").wait_for()
    visitor.shot(f"login-{lang}-{width}")
    assert not visitor.faults()


def test_signing_out_ends_at_the_hub_and_the_pages_know_it(demo: Any, visit: Callable[..., Any]) -> None:
    page = visit(f"{demo.url}/hub/login").page
    demo.sign_in(page, "bob")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/hub/log*")
    page.goto(f"{demo.url}/services/perijove/")
    page.wait_for_url("**/hub/login**")
