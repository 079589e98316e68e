"""An app's page in real Voila, in Chromium: the tiny app from its form to its pictures, over a double of the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from doubles.run_broker import TINY, RunBroker, run_broker
from harness.app_session import AppServer, app_server
from perijove.spawners.apps.manifest import load
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE = 120_000


class Stage:
    """A session for a language, and its broker."""

    def __init__(self, server: AppServer, broker: RunBroker) -> None:
        self.server, self.broker = server, broker
        self.page = f"{server.address}voila/render/app.ipynb"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stage]]:
    """`stage("zh")`; one session for each language, with that many kernels."""
    made: dict[tuple[str, int], Stage] = {}
    with ExitStack() as stack:

        def get(language: str = "en", kernels: int = 4) -> Stage:
            if (language, kernels) not in made:
                broker = stack.enter_context(run_broker(load(TINY)))
                home = tmp_path_factory.mktemp(f"home-{language}-{kernels}")
                (home / "work").mkdir()
                (home / "work/a b.csv").write_text("0.4\n")
                facts = broker.facts(language=language)
                option = f"--Perijove.app_kernels={kernels}"
                server = stack.enter_context(app_server(home, facts, option, token=""))
                made[language, kernels] = Stage(server, broker)
            return made[language, kernels]

        yield get


def opened(visit: Callable[..., Any], stage: Stage, **how: Any) -> Any:
    visitor = visit(stage.page, **how)
    visitor.page.set_default_timeout(PATIENCE)
    visitor.page.locator(".pja-Form button[type=submit]").wait_for()
    return visitor


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_novice_fills_the_form_runs_and_sees_pictures(
    stage: Callable[..., Stage], visit: Callable[..., Any], language: str, dark: bool
) -> None:
    visitor = opened(visit, stage(language), lang=language, dark=dark)
    page = visitor.page
    words = {
        "en": ("How does a colony grow?", "Rate of growth (1/a)", "Run", "must be at most", "On average the colony"),
        "zh": ("菌落如何增长？", "增长率 (1/a)", "运行", "不得大于", "菌落平均占据"),
    }[language]
    expect(page.get_by_role("heading", level=1)).to_have_text(words[0])
    assert page.title() == words[0]
    assert page.evaluate("document.documentElement.lang") == ("en" if language == "en" else "zh-CN")
    box = page.get_by_label(words[1], exact=True)
    box.fill("9")
    page.get_by_text(words[3]).first.wait_for()
    page.get_by_role("button", name=words[2], exact=True).click()
    expect(box).to_be_focused()  # what is wrong is shown, and nothing ran
    box.fill("2.5")
    page.get_by_text(words[3]).first.wait_for(state="detached")
    page.get_by_role("button", name=words[2], exact=True).click()
    page.get_by_text(words[4]).first.wait_for()
    picture = page.locator(".pja-Result img").first
    assert "60 %" in str(picture.get_attribute("alt"))
    assert picture.evaluate("image => image.complete && image.naturalWidth") == 480
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 1000})
        visitor.shot(f"app-{language}-{'dark' if dark else 'light'}-{width}")
        assert not visitor.faults()
    surface = page.locator(".pja-Panel").first.evaluate("panel => getComputedStyle(panel).backgroundColor")
    assert surface == ("rgb(25, 31, 39)" if dark else "rgb(255, 255, 255)")


def test_every_control_is_named_and_each_slider_has_its_number_box(
    stage: Callable[..., Stage], visit: Callable[..., Any]
) -> None:
    page = opened(visit, stage()).page
    page.get_by_text("More settings").click()
    for slider in page.locator("input[type=range]").all():
        name = str(slider.get_attribute("aria-label"))
        assert name.endswith("by a slider")
        pair = slider.locator("xpath=..").locator("input[type=text]")
        slider.press("ArrowRight")
        assert float(pair.input_value()) == float(slider.input_value()), name
    unnamed = """() => [...document.querySelectorAll('#app :is(input, select, button)')]
        .filter(one => !one.labels?.length && !one.ariaLabel && !one.textContent.trim()).map(one => one.outerHTML)"""
    assert page.evaluate(unnamed) == []
    page.get_by_label("A file of mine").check()
    page.get_by_role("button", name="Choose a file").click()
    page.get_by_role("button", name="work/").click()
    page.get_by_role("button", name="a b.csv").click()
    assert page.get_by_label("Path below your home at this centre").input_value() == "work/a b.csv"
    page.get_by_role("button", name="A colony that swings").click()
    assert page.get_by_label("Rate of growth (1/a)", exact=True).input_value() == "3.3"


def test_a_run_goes_on_without_its_page_and_is_shown_to_who_comes_back(
    stage: Callable[..., Stage], visit: Callable[..., Any]
) -> None:
    here = stage()
    page = opened(visit, here).page
    page.get_by_text("More settings").click()
    page.get_by_label("Step by step").check()
    page.get_by_label("Years", exact=True).fill("4000")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Follow the colony: year").first.wait_for()
    page.close()
    page = opened(visit, here).page
    page.get_by_text("Follow the colony: year").first.wait_for()
    # The session does not answer for a while: the page says so, and goes on by itself.
    page.context.set_offline(True)
    page.get_by_text("The session does not answer.").wait_for()
    page.context.set_offline(False)
    page.get_by_text("The session does not answer.").wait_for(state="hidden")
    page.get_by_role("button", name="Stop this run").click()
    expect(page.get_by_role("button", name="No", exact=True)).to_be_focused()
    page.get_by_role("button", name="Yes, stop it").click()
    page.locator(".pja-State").get_by_text("Stopped").wait_for()
    page.get_by_role("button", name="Go on with this run").click()
    page.get_by_text("Follow the colony: year").first.wait_for()
    expect(page.get_by_role("button", name="Go on with this run")).to_be_hidden()
    page.get_by_role("button", name="Stop this run").click()
    page.get_by_role("button", name="Yes, stop it").click()
    page.locator(".pja-State").get_by_text("Stopped").wait_for()
    expect(page.get_by_role("button", name="Go on with this run")).to_be_visible()
    page.get_by_role("button", name="Change a value and run again").click()
    assert page.get_by_label("Years", exact=True).input_value() == "4000"


def test_who_comes_when_all_kernels_are_taken_waits_in_a_queue_and_is_let_in(
    stage: Callable[..., Stage], visit: Callable[..., Any]
) -> None:
    here = stage("en", 1)
    first = opened(visit, here).page
    second = visit(here.page)
    second.page.get_by_text("One person is before you.").wait_for()
    assert not second.faults()
    second.shot("app-queue")
    # A page that is left gives its kernel back.
    first.close()
    second.page.locator(".pja-Form button[type=submit]").wait_for(timeout=PATIENCE)
