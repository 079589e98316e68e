"""The help pages: everybody can read them, in their language, and every link in them leads somewhere."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from perijove.hub import docs
from perijove.hub.docs import trouble
from perijove.hub.docs.voice import Voice
from perijove.hub.pages import help as help_pages

ROOT = "/services/perijove"
_QUOTE = "'"


@pytest.mark.parametrize("lang", docs.LANGUAGES)
@pytest.mark.parametrize("name", docs.PAGES)
async def test_every_page_opens_in_both_languages_before_anybody_signs_in(world: Any, name: str, lang: str) -> None:
    address = "help" if name == "index" else f"help/{name}"
    answer = await world.browser(None).get(address, params={"lang": lang})
    assert answer.status_code == 200
    title = docs.source(name, lang).split("\n", 1)[0].removeprefix("# ")
    assert f"<title>{title.replace(_QUOTE, '&#39;')} ·" in answer.text
    assert bool(re.search(r"[\u4e00-\u9fff]", title)) == (lang == "zh")


async def test_help_stays_when_the_hub_is_away(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from perijove.hub.pages.people import HubAway

    async def away(*_: object) -> None:
        raise HubAway

    monkeypatch.setattr(type(world.site.people), "of_request", away)
    assert (await world.browser("alice").get("help/troubleshooting")).status_code == 200


@pytest.mark.parametrize("lang", docs.LANGUAGES)
async def test_every_link_of_the_help_leads_to_a_page_and_a_place_in_it(world: Any, lang: str) -> None:
    browser, seen = world.browser(None), 0
    for name in docs.PAGES:
        page = help_pages.render(name, lang, ROOT)
        for target in re.findall(r'(?:href|src)="([^"]+)"', page.html):
            parts = urlsplit(target)
            assert not parts.netloc, f"{name}: {target} leads out"
            path = parts.path or f"{ROOT}/help/{name}"
            answer = await browser.get(f"http://gateway.test{path}?{parts.query or f'lang={lang}'}")
            assert answer.status_code == 200, f"{name}: {target}"
            assert not parts.fragment or f'id="{unquote(parts.fragment)}"' in answer.text, f"{name}: {target}"
            seen += 1
    assert seen > 20


@pytest.mark.parametrize("lang", docs.LANGUAGES)
def test_every_code_has_its_anchor(lang: str) -> None:
    html = help_pages.render("troubleshooting", lang, ROOT).html
    for group, codes in trouble.groups(Voice(lang)).items():
        for code in codes:
            assert html.count(f'id="{trouble.anchor(group, code)}"') == 1, (group, code)


def test_every_id_of_a_page_is_there_once() -> None:
    for lang in docs.LANGUAGES:
        for name in docs.PAGES:
            ids = re.findall(r' id="([^"]+)"', help_pages.render(name, lang, ROOT).html)
            assert ids
            assert len(ids) == len(set(ids)), f"{lang}/{name}"


def test_nothing_in_a_page_becomes_markup_that_markdown_does_not_make(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# T\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) <b>bold</b>\n\n`<i>`"
    monkeypatch.setattr(docs, "source", lambda name, language: text)
    html = help_pages.render.__wrapped__("start", "en", ROOT).html
    assert "<script" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "href" not in html


def test_tables_and_code_scroll_in_themselves_and_nothing_has_a_style() -> None:
    for lang in docs.LANGUAGES:
        for name in docs.PAGES:
            html = help_pages.render(name, lang, ROOT).html
            frames = html.count('<div class="pj-scroll" tabindex="0">')
            assert frames == html.count("<table") + html.count("<pre>")
            assert "style=" not in html


async def test_an_unknown_page_of_the_help_is_not_found(world: Any) -> None:
    for name in ("nothing", "..%2fsettings", "start.md"):
        assert (await world.browser(None).get(f"help/{name}")).status_code == 404


async def test_every_page_and_every_error_leads_to_the_help(alice: httpx.AsyncClient) -> None:
    assert f'href="{ROOT}/help"' in (await alice.get("")).text
    assert f'href="{ROOT}/help/troubleshooting#page-not-found"' in (await alice.get("nothing")).text


@pytest.mark.parametrize(
    ("values", "anchor"),
    [
        ({"stage": "queued", "reason": "limit-person"}, "reason-limit-person"),
        ({"stage": "queued", "reason": "nobody knows it"}, "reason-other"),
        ({"stage": "ended", "outcome": "memory", "ended": "2026-11-24T10:00:00Z"}, "reason-memory"),
        ({"stage": "ended", "outcome": None, "ended": "2026-11-24T10:00:00Z"}, "reason-other"),
    ],
)
async def test_a_session_leads_to_what_helps(
    alice: httpx.AsyncClient, world: Any, values: dict[str, Any], anchor: str
) -> None:
    row = world.broker.add(**values)
    assert f'href="{ROOT}/help/troubleshooting#{anchor}"' in (await alice.get(f"sessions/{row['id']}")).text


@pytest.mark.parametrize("lang", docs.LANGUAGES)
async def test_the_links_of_the_tutorial_fill_the_form(alice: httpx.AsyncClient, lang: str) -> None:
    links = re.findall(r"https://gateway\.example\.org/services/perijove/(start\?\S+)", docs.source("researcher", lang))
    assert links
    for link in links:
        text = (await alice.get(link)).text
        assert 'name="cores" value="4"' in text
        assert 'name="memory" value="8"' in text
        assert 'name="walltime" value="2"' in text
