"""Signing in with the hub, and who counts as signed in."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from perijove.hub.pages.cookies import Signer
from perijove.hub.pages.people import COOKIE, STALE, HubAway


def query_of(address: str) -> dict[str, str]:
    return {key: value[0] for key, value in parse_qs(urlsplit(address).query).items()}


async def begin(browser: httpx.AsyncClient, wanted: str) -> dict[str, str]:
    """Open a page, follow to the sign-in; gives what the hub is asked."""
    page = await browser.get(wanted)
    assert page.status_code == 302
    sign_in = await browser.get(page.headers["location"].removeprefix("/services/perijove/"))
    assert urlsplit(sign_in.headers["location"]).path == "/hub/api/oauth2/authorize"
    return query_of(sign_in.headers["location"])


async def test_a_page_leads_through_the_hub_and_back_to_itself(world: Any) -> None:
    browser = world.browser(None)
    asked = await begin(browser, "start?cores=4")
    assert asked["client_id"] == "service-perijove"
    assert asked["code_challenge_method"] == "S256"
    back = await browser.get("oauth_callback", params={"state": asked["state"], "code": "good-code"})
    assert back.headers["location"] == "/services/perijove/start?cores=4"
    cookie = back.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/services/perijove/" in cookie
    assert (await browser.get("start?cores=4")).status_code == 200


@pytest.mark.parametrize("change", [{"state": "other"}, {"code": "bad"}, {"code": ""}])
async def test_a_callback_that_we_did_not_ask_for_signs_nobody_in(world: Any, change: dict[str, str]) -> None:
    browser = world.browser(None)
    asked = await begin(browser, "")
    answer = await browser.get("oauth_callback", params={"state": asked["state"], "code": "good-code"} | change)
    assert answer.status_code == 400
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize(
    "wanted", ["https://evil.test/", "//evil.test/", "/hub/admin", "/services/perijove/\\x", "javascript:alert(1)"]
)
async def test_signing_in_leads_to_our_own_pages_only(world: Any, wanted: str) -> None:
    browser = world.browser(None)
    sign_in = await browser.get("login", params={"next": wanted})
    state = query_of(sign_in.headers["location"])["state"]
    back = await browser.get("oauth_callback", params={"state": state, "code": "good-code"})
    assert back.headers["location"] == "/services/perijove/"


async def test_a_forged_or_swapped_cookie_is_nobody(world: Any) -> None:
    signer: Signer = world.site.signer
    for content in (
        "x",
        Signer(b"other").sign(COOKIE, {"token": "token-of-alice"}),
        signer.sign("another-cookie", {"token": "token-of-alice"}),
        Signer(signer.secret, clock=lambda: 0.0).sign(COOKIE, {"token": "token-of-alice"}),
        signer.sign(COOKIE, {"token": "revoked"}),
    ):
        browser = world.browser(None)
        browser.cookies.set(COOKIE, content)
        assert (await browser.get("")).status_code == 302


async def test_a_script_of_another_page_gets_nothing_with_our_cookie(world: Any, alice: httpx.AsyncClient) -> None:
    """Notebook servers share our origin; their scripts cannot know the XSRF token."""
    assert (await alice.get("", headers={"Sec-Fetch-Mode": "cors"})).status_code == 401
    own = {"Sec-Fetch-Mode": "cors", "X-XSRFToken": world.xsrf()}
    assert (await alice.get("live", headers=own)).status_code == 200


async def test_signing_out_drops_the_cookie_and_goes_on_to_the_hub(world: Any, alice: httpx.AsyncClient) -> None:
    answer = await alice.post("logout", data={"_xsrf": world.xsrf()})
    assert answer.headers["location"] == "/hub/logout"
    assert f'{COOKIE}=""' in answer.headers["set-cookie"]
    assert "Max-Age=0; Path=/services/perijove/" in answer.headers["set-cookie"]


async def test_a_hub_that_restarts_does_not_sign_anybody_out(world: Any) -> None:
    people, now = world.site.people, 1000.0
    people.clock = lambda: now
    assert (await people.of_token("token-of-alice")).name == "alice"

    def away(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    people.http = lambda: httpx.AsyncClient(transport=httpx.MockTransport(away))
    now += 60
    assert (await people.of_token("token-of-alice")).name == "alice"
    with pytest.raises(HubAway):
        await people.of_token("token-of-bob")
    now += STALE
    with pytest.raises(HubAway):
        await people.of_token("token-of-alice")


async def test_a_person_in_a_log_shows_no_token(world: Any) -> None:
    assert "token-of-alice" not in repr(await world.site.people.of_token("token-of-alice"))
