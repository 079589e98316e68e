"""The panel of a cluster in a real JupyterLab, over a cluster that is none."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from harness.lab import jupyterlab, notebook
from playwright.sync_api import TimeoutError as Late
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

SHOTS = Path(__file__).parent.parent.parent / "screenshots"
#: Milliseconds for JupyterLab to start on a busy machine.
START = 120_000
MAKE = """\
from doubles.panel_cluster import PanelCluster
from perijove.widgets.panel import panel
cluster = PanelCluster(*["running"] * 12, *["queued"] * 5, *["requested"] * 2, "lost")
cluster.rows[11] |= {"connected": False, "memory_used": None}
cluster.rows[19] |= {"reason": "node-failed", "raw_reason": "NODE_FAIL", "node": "cn20"}
news = {"worker": "abcdefghijklm-20", "reason": "node-failed"}
cluster.more["said"] = [{"code": "worker-lost", "values": news, "at": ""}]
shown = panel(cluster)
cluster.some_minutes(shown)
shown"""
#: Computes until the panel has read a few more states, and changes one meanwhile.
BUSY = """\
import time
begin = cluster.asked
cluster.rows[12] |= {"state": "running", "connected": True}
while cluster.asked < begin + 5:
    time.sleep(0.05)
print("computed", cluster.calls)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """JupyterLab for a person of a language: `lab("zh")`."""
    running: dict[str, str] = {}
    with ExitStack() as stack:

        def address(language: str) -> str:
            if language not in running:
                home = tmp_path_factory.mktemp(f"home-{language}")
                for name in ("light", "dark", "keys", "asks"):
                    (home / f"{name}.ipynb").write_text(notebook(MAKE, BUSY))
                running[language] = stack.enter_context(jupyterlab(home, language))
            return running[language]

        yield address


def dark(page: Any) -> None:
    """Have JupyterLab read that the person chose its dark theme."""

    def answer(route: Any) -> None:
        got = route.fetch()
        found = got.json()
        for one in found.get("settings", [found]):
            if one.get("id") == "@jupyterlab/apputils-extension:themes":
                one |= {"raw": '{"theme": "JupyterLab Dark"}', "settings": {"theme": "JupyterLab Dark"}}
        route.fulfill(response=got, json=found)

    page.route(re.compile("/lab/api/settings"), lambda r: answer(r) if r.request.method == "GET" else r.continue_())


def opened(visitor: Any, address: str, name: str) -> Any:
    """The notebook `name`, which has a kernel of its own, with its first cell run; gives the panel."""
    page = visitor.page
    page.set_default_timeout(START)  # a busy machine is no fault of the panel's
    if name == "dark":
        dark(page)
    page.goto(f"{address}/doc/tree/{name}.ipynb?reset")
    page.locator(".jp-Notebook .jp-Cell .cm-content").first.click(timeout=START)
    page.locator('.jp-NotebookPanel-toolbar [data-status="idle"]').first.wait_for(timeout=START)
    panel = page.locator(".pjc").first
    for patience in (20_000, 20_000, START):
        # JupyterLab forgets a cell that is run while it still restores its kernel, though it says "idle".
        page.keyboard.press("Shift+Enter")
        with contextlib.suppress(Late):
            panel.wait_for(timeout=patience)
            break
        page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
    panel.locator("a.pjc-Button").wait_for()
    return panel


def faults(visitor: Any) -> list[str]:
    """What axe says of the panel, what came from elsewhere, and what broke a script."""
    found = [f"from elsewhere: {url}" for url in visitor.foreign] + visitor.errors
    for violation in Axe().run(visitor.page, context=".pjc").response["violations"]:
        found.append(f"{violation['id']}: {[node['target'] for node in violation['nodes'][:3]]}")
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_looks_and_reads_well_at_a_desk_and_on_a_phone(
    lab: Callable[[str], str], visit: Callable[..., Any], language: str, theme: str
) -> None:
    address = lab(language)
    visitor = visit(f"{address}/api", lang=language)
    panel = opened(visitor, address, theme)
    panel.locator("summary").click()
    for width in (1280, 320):
        visitor.page.set_viewport_size({"width": width, "height": 1400})
        panel.scroll_into_view_if_needed()
        assert panel.evaluate("root => root.scrollWidth - root.clientWidth") == 0
        panel.screenshot(path=str(SHOTS / f"panel-{language}-{theme}-{width}.png"))
        assert not faults(visitor)
    assert panel.evaluate("root => root.hasAttribute('data-dark')") is (theme == "dark")
    words = {
        "en": ["other jobs first", "1 lost, 12 of 20 run", "8.80 credits an hour", "0.81 credits", "the node failed"]
    }
    words["zh"] = ["其他作业优先", "丢失 1 个，运行 12/20 个", "每小时 8.80 点", "节点故障"]
    for text in words[language]:
        assert text in panel.inner_text()
    label = panel.locator(".pjc-Plot").get_attribute("aria-label")
    assert ("at most 15 ran" if language == "en" else "最多同时运行 15 个") in label


def test_it_is_used_by_keyboard_while_a_cell_computes(lab: Callable[[str], str], visit: Callable[..., Any]) -> None:
    visitor = visit(f"{lab('en')}/api")
    page, panel = visitor.page, opened(visitor, lab("en"), "keys")
    page.locator(".jp-Notebook .jp-Cell .cm-content").nth(1).click()
    page.keyboard.press("Control+Enter")
    page.locator('.jp-NotebookPanel-toolbar [data-status="busy"]').first.wait_for()
    panel.get_by_label("Workers, by a slider").press("ArrowRight")
    expect(panel.get_by_label("Workers", exact=True)).to_have_value("21")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("24")
    assert "19.20 credits an hour" in panel.inner_text()
    page.keyboard.press("Enter")
    # The kernel hears nothing while it computes, and the panel says so; what is seen goes on.
    panel.get_by_text("The notebook is computing").wait_for()
    panel.get_by_text("1 lost, 13 of 20 run", exact=True).wait_for()
    page.get_by_text("computed []").wait_for()
    expect(panel.get_by_text("The notebook is computing")).to_be_hidden()
    panel.get_by_text("Workers: 24").wait_for()


def test_it_asks_before_a_dear_size_and_before_it_stops(lab: Callable[[str], str], visit: Callable[..., Any]) -> None:
    visitor = visit(f"{lab('en')}/api")
    page, panel = visitor.page, opened(visitor, lab("en"), "asks")
    box = panel.get_by_label("Workers", exact=True)
    box.fill("201")
    box.press("Enter")
    panel.get_by_text("At most 200 workers at this centre; you have 20.").wait_for()
    box.fill("100")
    box.press("Enter")
    agree = panel.get_by_role("button", name="Yes, 80.00 credits an hour")
    agree.wait_for()
    # What is focused is the answer that changes nothing; Escape gives it, and leads back.
    assert page.evaluate("document.activeElement.textContent") == "No"
    page.keyboard.press("Escape")
    agree.wait_for(state="detached")
    assert page.evaluate("document.activeElement.type") == "number"
    assert not panel.get_by_text("Workers: 100").is_visible()
    box.press("Enter")
    agree.click()
    panel.get_by_text("Workers: 100").wait_for()

    panel.get_by_label("As many as needed").check()
    panel.get_by_label("At least", exact=True).fill("9")
    panel.get_by_label("At most", exact=True).fill("3")
    panel.get_by_role("button", name="Apply").click()
    panel.get_by_text("must not be less than").wait_for()
    panel.get_by_label("At most", exact=True).fill("12")
    panel.get_by_role("button", name="Apply").click()
    panel.get_by_text("must not be less than").wait_for(state="hidden")

    panel.locator("summary").click()
    panel.get_by_role("button", name="Log abcdefghijklm-3", exact=True).click()
    panel.get_by_text("<b>not bold</b>").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Log of abcdefghijklm-3"
    panel.get_by_role("button", name="Close").click()

    panel.get_by_role("button", name="Stop").click()
    assert not faults(visitor)
    panel.get_by_role("button", name="Yes, stop it").click()
    panel.get_by_text("This cluster has ended.").wait_for()
    assert panel.locator("form").is_hidden()
