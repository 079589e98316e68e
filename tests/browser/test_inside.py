"""Inside JupyterLab, in a short session of the real demo: time left, warning, "save all", follow-up, the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
#: Milliseconds for JupyterLab to start on a busy machine.
START = 180_000
SMALL = "centre=zhengzhou&cores=1&memory=1024"


def begin(page: Any, demo: Any, more: str) -> str:
    """Start a session from a link, as a person does; the address of its page."""
    page.goto(f"{demo.url}/services/perijove/start?{SMALL}&{more}")
    page.locator('button[value="start"]').click()
    page.wait_for_url("**/sessions/*")
    return str(page.url)


def dark(page: Any) -> None:
    """Have JupyterLab read that the person chose its dark theme; nothing is written into anybody's settings."""

    def answer(route: Any) -> None:
        got = route.fetch()
        found = got.json()
        for one in found.get("settings", [found]):
            if one.get("id") == "@jupyterlab/apputils-extension:themes":
                one |= {"raw": '{"theme": "JupyterLab Dark"}', "settings": {"theme": "JupyterLab Dark"}}
        route.fulfill(response=got, json=found)

    page.route(re.compile("/lab/api/settings"), lambda r: answer(r) if r.request.method == "GET" else r.continue_())


def test_a_short_session_warns_saves_leads_on_and_ends_well(demo: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(f"{demo.url}/hub/login")
    page = visitor.page
    demo.sign_in(page, "alice")
    session = begin(page, demo, "walltime=300")
    page.wait_for_url("**/user/alice/lab**", timeout=START)
    item = page.get_by_role("button", name="Zhengzhou (demo)")
    item.wait_for(timeout=START)
    assert "0:0" in item.inner_text()
    assert page.get_by_text("official Jupyter news").count() == 0
    page.get_by_title("Python 3 (ipykernel)").first.click()
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=START)
    page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
    page.keyboard.type("kept = 42")
    changed = page.locator(".lm-TabBar-tab.jp-mod-dirty")
    changed.first.wait_for()
    visitor.shot("inside-light")

    # The warning says it in a place that screen readers hear, and saves on request.
    warning = page.locator(".Toastify__toast", has_text="This session ends in")
    warning.wait_for(timeout=180_000)
    assert "This session ends in" in page.locator(".pj-Live").text_content()
    page.wait_for_function("document.title.startsWith('(0:0')")
    save = warning.get_by_role("button", name="Save all now")
    save.hover()
    visitor.shot("inside-warning-light")
    save.click()
    changed.first.wait_for(state="detached")

    # By keyboard: the details, and from there a session like this one, which opens the same notebook.
    item.focus()
    page.keyboard.press("Enter")
    page.locator(".pj-Facts").wait_for()
    visitor.shot("inside-details-light")
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Continue in a new session").last.click()
    following = opened.value
    following.wait_for_load_state()
    assert following.locator("#f-server").input_value() == "next"
    type(visitor)(following).shot("inside-follow-up")
    following.locator('button[value="start"]').click()
    following.wait_for_url(re.compile(r"/user/alice/next/lab/.*tree/Untitled\d*\.ipynb"), timeout=START)
    following.locator(".jp-Notebook").get_by_text("kept = 42").wait_for(timeout=START)

    page.bring_to_front()
    page.locator(".Toastify__toast", has_text="The time is up").wait_for(timeout=120_000)
    visitor.shot("inside-ending-light")
    page.goto(session)
    page.get_by_text("The time that was asked for is used up").first.wait_for(timeout=60_000)
    assert not visitor.foreign


def test_jupyterlab_opens_in_the_persons_language_and_every_theme_fits(demo: Any, visit: Callable[..., Any]) -> None:
    visitor = visit(f"{demo.url}/hub/login", lang="zh")
    page = visitor.page
    demo.sign_in(page, "bob")
    begin(page, demo, "walltime=3600")
    page.wait_for_url("**/user/bob/lab**", timeout=START)
    item = page.get_by_role("button", name="郑州中心")
    item.wait_for(timeout=START)
    page.get_by_role("menuitem", name="文件").first.wait_for()
    assert "郑州" in item.inner_text()
    dark(page)
    page.reload()
    page.locator('body[data-jp-theme-light="false"]').wait_for(state="attached", timeout=START)
    item.click()
    page.get_by_text("剩余时间").wait_for()
    page.get_by_role("button", name="立即全部保存").wait_for()
    visitor.shot("inside-zh-dark")
    page.keyboard.press("Escape")
    assert not visitor.foreign
