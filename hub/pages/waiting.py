"""The page of one session, from the request to its end."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Api, Json, Refused
from perijove.hub.pages.appsapi import AppsApi
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.moneyviews import BudgetView
from perijove.hub.pages.news import fresh
from perijove.hub.pages.people import Person
from perijove.hub.pages.views import app_of, queue_title, session_view

#: Seconds for which one fragment request waits for news; well below any proxy's patience.
WAIT = 20
#: Stages in which the page waits for events; later ones change seldom, and the page asks every few seconds.
MOVING = frozenset({"checked", "submitted", "queued", "granted", "starting", "ending"})


async def session_values(site: Site, request: Request, person: Person, row: Json, last: int = 0) -> dict[str, Any]:
    """What the page of a session shows."""
    language = language_of(request)
    centres = await site.api(person).centres()
    apps = await AppsApi(site.api(person)).apps() if app_of(row) else []
    view = session_view(row, language, centres, site.config.base_url, apps)
    queue = queue_title(centres.get(str(row.get("centre"))), str(row.get("queue") or ""), language)
    other = await _other(site.api(person), person, row, request.query_params.get("instead", ""))
    instead = session_view(other, language, centres, site.config.base_url) if other else None
    mine = row.get("owner") == person.name
    paid = str((view.money or {}).get("budget") or "")
    payer = BudgetView({"key": paid}, Formats(language), person.name) if paid else None
    shown = {"view": view, "queue": queue, "last": last, "instead": instead, "mine": mine}
    return shown | {"payer": payer}


async def _other(api: Api, person: Person, row: Json, instead: str) -> Json | None:
    """The person's live session in whose place `row` was started, as the address of the page says."""
    if row.get("owner") != person.name or row.get("stage") in ("ending", "ended") or instead == row.get("id"):
        return None
    other = await api.session_of(person.name, instead)
    return other if other and other.get("stage") not in ("ending", "ended") else None


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 15 else 0


def routes(router: APIRouter, site: Site) -> None:
    """Add /sessions/{id}, its /live, and /waiting/{owner}/{server}."""

    @router.get("/sessions/{session}")
    async def one(request: Request, session: str) -> Response:
        person = await site.person(request)
        row = await site.api(person).session(session)
        values = await session_values(site, request, person, row) | {"onward": "open" in request.query_params}
        return site.page(request, "session.html", values, person=person)

    @router.get("/sessions/{session}/live")
    async def live(request: Request, session: str) -> Response:
        person = await site.person(request)
        api, seen = site.api(person), request.query_params.get("seen")
        last = _number(request.query_params.get("after"))
        row = await api.session(session)
        if seen and row.get("stage") in MOVING:
            last = await api.wait(session, last, WAIT)
            row = await api.session(session)
        values = await session_values(site, request, person, row, last)
        response = fresh(site.page(request, "parts/session.html", values, person=person), seen)
        response.headers["X-Last"] = str(last)
        return response

    @router.get("/waiting/{owner}")
    @router.get("/waiting/{owner}/")
    @router.get("/waiting/{owner}/{server}")
    async def waiting(request: Request, owner: str, server: str = "") -> Response:
        person = await site.person(request)
        try:
            row = await site.api(person).session_by_name(owner, server)
        except Refused as refused:
            if refused.status != 404:
                raise
            return site.page(request, "waiting.html", {"owner": owner, "server": server}, person=person)
        # "?open": whoever was on the way to the session goes on to it, even if it is ready before this page.
        there = f"{site.config.prefix}/sessions/{quote(str(row['id']), safe='')}?open"
        return RedirectResponse(there, status_code=302)
