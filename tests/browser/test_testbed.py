"""The way through the browser to a node of a real centre: Slurm and Grid Engine behind SSH, as the testbed has them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.basics import settings_in
from harness.browsing import START, run_a_cell, serving, sign_in
from perijove.hub.settings import Settings
from perijove.testbed import Testbed, install

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
CENTRES = ("alpha", "gamma")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A gateway of the testbed's centres."""
    if os.environ.get("PERIJOVE_REAL") != "1" and (install.why_not() or install.missing()):
        pytest.skip("no real batch systems here (make test-real installs them)")
    testbed = Testbed()
    testbed.up()
    made = settings_in(tmp_path_factory.mktemp("testbed") / "state")
    made.directory("centres")
    for name in CENTRES:
        (made.centres_dir / f"{name}.toml").write_text(testbed.centre_toml(name, "community"), encoding="utf-8")
    with serving(made):
        yield made


@pytest.mark.parametrize("centre", CENTRES)
def test_a_person_computes_on_a_node_of_a_real_centre(
    settings: Settings, visit: Callable[..., Any], centre: str
) -> None:
    visitor = visit(f"{settings.url}/hub/login")
    page = visitor.page
    sign_in(page, settings)
    page.goto(f"{settings.url}/services/perijove/start?centre={centre}&server={centre}&cores=1&memory=1G&walltime=20m")
    visitor.shot(f"testbed-{centre}-start")
    assert not visitor.faults()
    page.locator('button[value="start"]').click()
    page.wait_for_url("**/sessions/*")
    session = page.url
    page.wait_for_url(f"**/user/alice/{centre}/lab**", timeout=START)
    # JupyterLab's layout is kept in the home directory, and the centre's people may have been here before.
    page.goto(f"{settings.url}/user/alice/{centre}/lab?reset")
    node = run_a_cell(page, "import os; print(os.uname().nodename)")
    assert node.endswith(("c1", "c2")), node
    page.get_by_role("button", name=centre.capitalize()).or_(page.get_by_text("0:1")).first.wait_for()
    visitor.shot(f"testbed-{centre}-lab")
    page.goto(session)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("The session was stopped").or_(page.get_by_text("The session ended normally")).first.wait_for(
        timeout=60_000
    )
