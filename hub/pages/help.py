"""Help: the user documentation (`perijove.hub.docs`) as pages, in the person's language; nobody need be signed in.

Markdown becomes HTML here, with raw HTML switched off. Headings get the ids that code hosts give them, so that one link
works in both places; and a code in a heading is an anchor of its own (`help/troubleshooting#reason-resources`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from markdown_it import MarkdownIt
from markdown_it.token import Token
from perijove.hub import docs
from perijove.hub.pages.context import Site
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.people import HubAway

_PAGE = re.compile(r"(?:\.\./(?P<lang>[a-z]{2})/)?(?P<name>[a-z-]+)\.md(?P<anchor>#.*)?")
#: A code in a heading.
_CODE = re.compile(r"[a-z]+(-[a-z]+)+")
_IMAGE = re.compile(r"\.\./images/(?P<name>[a-z0-9-]+\.png)")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the documentation. `sections`: the id and the words of each heading of the second level."""

    title: str
    html: str
    sections: tuple[tuple[str, str], ...]


@cache
def render(name: str, language: str, root: str) -> Page:
    """A page as HTML; `root` is the path below which the pages lie.

    Raises:
        LookupError: there is no such page.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(docs.source(name, language))
    title, sections = "", []
    taken: dict[str, int] = {}
    for token, inner in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and inner is not None:
            words = _plain(inner)
            slug = _slug(words, taken)
            token.attrSet("id", slug)
            if token.tag == "h1":
                title = words
            elif token.tag == "h2":
                sections.append((slug, words))
            for child in inner.children or ():
                if child.type == "code_inline" and _CODE.fullmatch(child.content) and child.content != slug:
                    child.attrSet("id", child.content)
        elif token.type == "table_open":
            token.attrSet("class", "table table-sm")
        elif token.type == "inline":
            for child in token.children or ():
                _lead(child, root)
    html = str(markdown.renderer.render(_framed(tokens), markdown.options, {}))
    return Page(title, html, tuple(sections))


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline")).strip()


def _slug(words: str, taken: dict[str, int]) -> str:
    """The id that a code host makes of a heading."""
    slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
    count = taken[slug] = taken.get(slug, -1) + 1
    return f"{slug}-{count}" if count else slug


def _lead(token: Token, root: str) -> None:
    """Let a link to another page, and a picture, lead to where they are here."""
    if token.type == "link_open" and (page := _PAGE.fullmatch(str(token.attrGet("href")))):
        name = "" if page["name"] == "index" else f"/{page['name']}"
        language = f"?lang={page['lang']}" if page["lang"] else ""
        token.attrSet("href", f"{root}/help{name}{language}{page['anchor'] or ''}")
    elif token.type == "image" and (picture := _IMAGE.fullmatch(str(token.attrGet("src")))):
        token.attrSet("src", f"{root}/help-images/{picture['name']}")


def _framed(tokens: Sequence[Token]) -> list[Token]:
    """Tables and code in a frame that scrolls by itself, by keyboard, too: a page never scrolls sideways."""
    framed: list[Token] = []
    for token in tokens:
        if token.type in ("table_open", "fence", "code_block"):
            frame = Token("frame_open", "div", 1, attrs={"class": "pj-scroll", "tabindex": "0"}, block=True)
            framed.append(frame)
        framed.append(token)
        if token.type in ("table_close", "fence", "code_block"):
            framed.append(Token("frame_close", "div", -1, block=True))
    return framed


def routes(router: APIRouter, site: Site) -> None:
    """Add /help and /help/{name}."""

    @router.get("/help")
    @router.get("/help/{name}")
    async def help_(request: Request, name: str = "index") -> Response:
        language, root = language_of(request).code, site.config.prefix
        try:
            page = render(name, language, root)
        except LookupError:
            raise HTTPException(404) from None
        try:
            person = await site.people.of_request(request)
        except HubAway:
            person = None  # help is most wanted when something does not work
        contents = [
            (
                f"{root}/help{'' if other == 'index' else f'/{other}'}",
                render(other, language, root).title,
                other == name,
            )
            for other in docs.PAGES
        ]
        return site.page(request, "help.html", {"page": page, "contents": contents, "name": name}, person=person)
