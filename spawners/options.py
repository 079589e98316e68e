"""The hub's doors to a session: form, query and REST options all go through `Request.parse`.

Errors are HTTP 400 with every field in words. A query string never starts anything: it leads to the start page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import urlencode

from perijove.spawners.progress import HubRefusal
from perijove.spawners.request import BadRequest, Request
from perijove.spawners.visible import visible

#: Paths of a Jupyter server: a named server of such a name would take them from the person's default server.
RESERVED = frozenset(
    re.findall(
        r"\S+",
        "api consoles custom doc edit files hub kernelspecs lab login logout lsp metrics nbconvert nbextensions "
        "notebooks proxy server services static terminals tree user view voila",
    )
)
#: Fields that forms carry for the hub itself.
_HUB_FIELDS = ("_xsrf", "next", "display_name")


def refusal(message: str, reason: str, status: int = 400) -> HubRefusal:
    """The exception with which the hub's pages and REST API show `message`."""
    return HubRefusal(visible(message, 2000), reason, status=status)


def checked(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Options of any door as plain JSON, checked.

    Raises:
        HubRefusal: 400, with every fault.
    """
    try:
        request = Request.parse({key: value for key, value in raw.items() if key not in _HUB_FIELDS})
    except BadRequest as bad:
        raise refusal(str(bad), "bad-request") from None
    return request.model_dump(mode="json", exclude_none=True)


def for_start(raw: object) -> dict[str, Any]:
    """The options that the hub hands to a start: those of a request, or the id of a session that the broker made.

    Raises:
        HubRefusal: 400, with every fault.
    """
    if not isinstance(raw, Mapping) or not raw:
        raise refusal("nothing was asked for: choose a centre and resources on the start page", "no-options")
    if set(raw) == {"session"}:
        session = raw["session"]
        if not isinstance(session, str) or not session.isascii() or not 1 <= len(session) <= 64:
            raise refusal("session: is not the id of a session", "bad-request")
        return {"session": session}
    return checked(raw)


def check_server_name(name: str) -> None:
    """Refuses the name of a server that would stand in the way of another address.

    Raises:
        HubRefusal: 400.
    """
    if name in RESERVED:
        raise refusal(f"server name: {name!r} is the name of a page of every server; choose another", "bad-name")


class ToStartPage(HubRefusal):
    """Sends the browser to the start page, filled in with what the link asked for."""

    def __init__(self, page: str, query: Mapping[str, Any]) -> None:
        fields = [
            (str(key)[:100], str(value)[:500])
            for key, values in list(query.items())[:50]
            for value in (values if isinstance(values, list) else [values])[:1]
        ]
        address = f"{page}?{urlencode(fields)}" if fields else page
        html = f'<p>A link does not start a session: <a href="{escape(address)}">look at it and start it</a>.</p>'
        super().__init__("a link does not start a session", "ask-first", html=html, status=303)
        #: The hub's spawn page sets the headers of an HTTPError that the options raise.
        self.headers = {"Location": address}


def form(spawner: Any) -> str:
    """The fragment in the hub's spawn page: the way to the start page, which asks before it spends."""
    page = f"{spawner.start_page}?{urlencode({'server': spawner.name})}" if spawner.name else spawner.start_page
    return f'<p id="perijove-start"><a class="btn btn-primary" href="{escape(page)}">Choose a centre</a></p>'
