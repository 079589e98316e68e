"""Apps and runs in a browser: each page in each state, language, colour and width, and the parts that live."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pages import fakeapps
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
ROOT = "/services/perijove/"
READY: dict[str, Any] = {"state": "ready", "way": "cdo", "missing": [], "seen": None}
HOW = {"apt": "cdo", "module": "cdo/2.1", "pypi": "", "container": ""}
LACKS: dict[str, Any] = {"state": "missing", "way": None, "missing": [{"code": "cdo", "how": HOW}], "seen": None}
LONG = "x" * 300
PAGES = {
    "home-runs": "",
    "apps": "apps",
    "apps-none": "apps?q=zebra",
    "app": "apps/climate",
    "app-nowhere": "apps/variants",
    "runform": "apps/climate/run",
    "runform-variants": "apps/variants/run",
    "rerun": "apps/climate/run?parent=changed",
    "start-app": "start?kind=app&options.app=climate&cores=1&walltime=1h",
    "runs": "runs",
    "runs-none": "runs?state=starting&app=variants",
    "replay": "runs/done/replay",
    "share": "runs/done/share",
    "compare": "runs/done/compare/changed",
    "comparewith": "runs/done/compare",
    "shared": "shared/token",
    "shared-gone": "shared/no-such",
    "help-apps": "help/apps",
    "help-runs": "help/runs",
}
RUNS = (
    "done",
    "changed",
    "differs",
    "failed",
    "interrupted",
    "cancelled",
    "running",
    "silent",
    "starting",
    "bringing",
    "unbrought",
)


@pytest.fixture
def filled(fake_gateway: Any) -> Iterator[Any]:
    """A federation with two apps, and a run in each state."""
    broker, before = fake_gateway.broker, fake_gateway.broker.centres
    broker.centres = fake_gateway.national()
    apps = broker.apps
    apps.places = {"climate": {"tianjin": READY, "guangzhou": READY, "wuxi": LACKS}, "variants": {"tianjin": LACKS}}
    row = {"name": "w", "title": "Warming", "kind": "number", "here": 4.83, "there": 4.9, "agrees": False}
    found = {"verdict": "differs", "rows": [row | {"tolerance": {"relative": 1e-6, "absolute": 0.0}}] * 3}
    moving = fakeapps.steps(("done", 1.0), ("running", 0.4), ("waiting", 0.0))
    broken = fakeapps.FAILURE | {"lines": [LONG, "Killed"] * 9, "command": ["cdo", LONG]}
    apps.add(id="done")
    apps.add(
        id="changed", label=LONG[:200], parent="done", relation="rerun", inputs=fakeapps.INPUTS | {"scenario": "E1"}
    )
    apps.add(id="differs", centre="wuxi", parent="done", relation="replay", agreement=found)
    apps.add(id="failed", state="failed", report=fakeapps.report(state="failed", results=None, failure=broken))
    apps.add(id="interrupted", state="interrupted", report=fakeapps.report(results=None, steps=moving))
    apps.add(id="cancelled", state="cancelled")
    coming = {"input": "own", "state": "running", "total": 3 << 30, "moved": 1 << 30, "to": "from-wuxi/x.nc"}
    coming["from"] = {"centre": "wuxi", "path": f"data/{LONG}.nc"}
    apps.add(id="bringing", state="starting", stage="files", staging=[coming, coming], report=None, started=None)
    full = {"file": f"{LONG}.nc", "from": "wuxi", "to": "tianjin", "reason": ""}
    problem = [{"field": "own", "code": "file-home-full", "message": "", "values": full}]
    apps.add(id="unbrought", state="failed", problem=problem, report=None, started=None)
    apps.add(id="running", state="running", report=fakeapps.report(results=None, left=95.0, steps=moving))
    apps.add(id="silent", state="running", unknown_since="2026-01-01T00:00:00+00:00")
    apps.add(id="starting", state="starting", stage="queued", session="abc", started=None)
    until = {"created": "2026-01-01T00:00:00+00:00", "expires": "2099-01-01T00:00:00+00:00"}
    apps.shares["token"] = {"id": "s", "run": "done", "mode": "rerun", "good": True, "revoked": None} | until
    yield fake_gateway
    broker.centres = before
    broker.sessions.clear()
    for table in (apps.places, apps.runs, apps.shares, apps.asked):
        table.clear()


#: Each page in each language with each colour, and on a phone and a desk.
SIZES = [
    pytest.param(320, "en", False, marks=pytest.mark.soak),
    (320, "zh", True),
    (1280, "en", False),
    pytest.param(1280, "en", True, marks=pytest.mark.soak),
    pytest.param(1280, "zh", False, marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("width", "lang", "dark"), SIZES)
def test_every_page_of_apps_and_runs_is_accessible_and_fits(
    filled: Any, visit: Callable[..., Any], lang: str, dark: bool, width: int
) -> None:
    visitor = visit(filled.url + ROOT, width=width, dark=dark, lang=lang)
    faults: dict[str, list[str]] = {}
    for name, address in {**PAGES, **{f"run-{run}": f"runs/{run}" for run in RUNS}}.items():
        visitor.page.goto(filled.url + ROOT + address)
        visitor.page.wait_for_load_state("load")
        while (folded := visitor.page.locator("main details:not([open]) > summary")).count():
            folded.first.click()
        faults[name] = visitor.faults()
        broken = "[...document.images].filter((image) => image.complete && !image.naturalWidth).map((i) => i.src)"
        faults[name] += [f"no picture: {src}" for src in visitor.page.evaluate(broken)]
        visitor.shot(f"{name}-{lang}-{'dark' if dark else 'light'}-{width}")
    assert not {name: found for name, found in faults.items() if found}


def test_the_gallery_follows_the_typing_and_the_address_with_it(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT + "apps").page
    cards = page.locator(".pj-app:visible")
    expect(cards).to_have_count(2)
    page.get_by_role("searchbox").fill("reads")
    expect(cards).to_have_count(1)
    expect(page.locator("#announcer")).to_have_text("1 app")
    assert page.url.endswith("?q=reads")
    page.get_by_role("searchbox").fill("zebra")
    expect(page.get_by_role("heading", name="No app fits that")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Genomics").check()
    expect(cards).to_have_count(1)
    page.reload()
    expect(cards).to_have_count(1)


def test_an_app_is_opened_with_the_keyboard_alone(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT + "apps").page
    page.get_by_role("searchbox").focus()
    for _ in range(9):
        page.keyboard.press("Tab")
        if "region" in page.evaluate("document.activeElement.textContent"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/apps/climate")
    page.locator("#open").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions/*")
    (row,) = filled.broker.sessions.values()
    assert row["request"]["options"] == {"app": "climate"}


def test_another_centre_is_said_beside_the_button(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT + "apps/climate").page
    page.click("#other-places > summary")
    page.check("#p-guangzhou--compute")
    expect(page.locator("[data-says]")).to_contain_text("NSCC Guangzhou")
    page.click("#open")
    page.wait_for_url("**/sessions/*")
    assert [row["centre"] for row in filled.broker.sessions.values()] == ["guangzhou"]


def test_a_form_says_faults_and_costs_while_one_types_and_shows_what_counts(
    filled: Any, visit: Callable[..., Any]
) -> None:
    visitor = visit(filled.url + ROOT + "apps/climate/run")
    page = visitor.page
    page.fill("#i-smooth", "99")
    page.wait_for_selector('#i-smooth[aria-invalid="true"]')
    assert "must be at most 31" in page.inner_text('[data-error="smooth"]')
    page.fill("#i-smooth", "5")
    page.wait_for_selector("#i-smooth:not([aria-invalid])")
    page.goto(filled.url + ROOT + "apps/variants/run")
    expect(page.locator("#i-quality")).to_be_hidden()
    page.get_by_label("Everything").check()
    expect(page.locator("#i-quality")).to_be_visible()
    assert not visitor.errors


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_where_own_files_lie_is_chosen_with_the_keyboard_once_there_is_one(
    filled: Any, visit: Callable[..., Any], lang: str
) -> None:
    visitor = visit(f"{filled.url}{ROOT}apps/variants/run?lang={lang}", lang=lang)
    page, label = visitor.page, {"en": "Where your own files lie", "zh": "您自己的文件在哪里"}[lang]
    where = page.get_by_label(label)
    expect(where).to_be_hidden()
    page.fill("#i-reads-path", "reads/sample 1.fastq.gz")
    expect(where).to_be_visible()
    where.focus()
    page.keyboard.press("ArrowDown")
    assert where.input_value() in filled.broker.centres
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 900})
        assert not visitor.faults()
        visitor.shot(f"files-at-{lang}-{width}")
    page.fill("#i-reads-path", "")
    expect(where).to_be_hidden()
    assert not visitor.errors


def test_a_live_page_follows_the_run_to_its_pictures(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT + "runs/running").page
    row = filled.broker.apps.runs["running"]
    row |= {"progress": 0.7, "version": 2}
    expect(page.locator(".pj-big").first).to_have_text("70 %")
    expect(page).to_have_title(re.compile("70 %"))
    row |= {"state": "done", "report": fakeapps.report(), "version": 3, "can": ["rerun", "replay", "share", "delete"]}
    page.wait_for_selector('[data-state="done"]')
    assert "The run is done." in page.inner_text("#announcer")
    for image in page.locator("figure img").all():
        expect(image).to_have_js_property("naturalWidth", 480)
    assert page.locator("figure img").count() == 2


def test_what_is_unfolded_stays_so_when_a_part_is_made_fresh(filled: Any, visit: Callable[..., Any]) -> None:
    row = filled.broker.apps.runs["running"]
    page = visit(filled.url + ROOT + "runs/running").page
    row |= {"version": 2, "state": "failed", "report": fakeapps.report(results=None, failure=fakeapps.FAILURE)}
    page.wait_for_selector('[data-state="failed"]')
    expect(page.locator("#words pre").first).to_be_hidden()
    page.click("#words > summary")
    expect(page.locator("#words pre").first).to_be_visible()


def test_a_link_is_made_and_copied(filled: Any, visit: Callable[..., Any]) -> None:
    page = visit(filled.url + ROOT + "runs/done/share").page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Make a link").click()
    page.get_by_role("button", name="Copy").wait_for()
    page.wait_for_load_state("load")  # the script that copies comes with it
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.input_value("#link")
    assert page.evaluate("navigator.clipboard.readText()") == link
    other = visit(link).page
    expect(other.locator("figure img")).to_have_count(2)


def test_runs_are_looked_at_and_cancelled_without_any_script(filled: Any, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto(filled.url + ROOT + "apps")
    page.fill("#q", "temperature")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".pj-app:visible")).to_have_count(1)
    page.goto(filled.url + ROOT + "apps/climate/run")
    page.fill("#i-smooth", "99")
    page.get_by_role("button", name="Check prices").click()
    expect(page.get_by_text("must be at most 31")).to_be_visible()
    page.fill("#i-smooth", "5")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("Starting", exact=True)).to_be_visible()
    page.get_by_role("link", name="Look again").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()
    context.close()
