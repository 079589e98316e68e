"""A domain for each person: what runs in one's session can use neither the gateway nor anybody else's sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.basics import settings_in
from harness.browsing import START, run_a_cell, serving, sign_in, start_by_keyboard
from perijove.hub import demo
from perijove.hub.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]
DOMAIN = "perijove.test"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A gateway with the demo's centres and people, at a domain of its own."""
    made = settings_in(tmp_path_factory.mktemp("domains") / "state")
    address = f"http://{DOMAIN}:{made.proxy_port}"
    made = made.model_copy(update={"public_url": address, "subdomain_host": address})
    demo.prepare(made.state_dir)
    try:
        with serving(made):
            yield made
    finally:
        demo.clean_up(made.state_dir)


def test_a_session_is_at_its_persons_own_domain_and_reaches_no_other(
    settings: Settings, visit: Callable[..., Any]
) -> None:
    page = visit(f"{settings.url}/hub/login").page
    sign_in(page, settings)
    start_by_keyboard(page)
    page.wait_for_url(f"http://alice.{DOMAIN}:{settings.proxy_port}/user/alice/lab**", timeout=START)
    assert run_a_cell(page, "print(6 * 7)") == "42"
    # A script of the session, with the person's cookies, at the gateway's own pages and API:
    reach = """async (address) => {
      try { return (await fetch(address, { credentials: "include" })).status; } catch (error) { return error.name; }
    }"""
    for path in ("/hub/api/user", "/services/perijove/", "/services/perijove/api/v1/sessions"):
        assert page.evaluate(reach, f"{settings.url}{path}") == "TypeError"
    # At a session's own domain nothing but that person's sessions is served.
    page.goto(f"http://bob.{DOMAIN}:{settings.proxy_port}/user/alice/lab")
    assert page.get_by_title("Python 3 (ipykernel)").count() == 0
