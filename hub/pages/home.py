"""Home: a person's sessions and latest runs; and the list of centres."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.appsapi import AppsApi
from perijove.hub.pages.appviews import app_view
from perijove.hub.pages.board import board, short_names
from perijove.hub.pages.clusters import clusters_of
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.moneyapi import MoneyApi
from perijove.hub.pages.moneyviews import BudgetView
from perijove.hub.pages.news import fresh
from perijove.hub.pages.people import Person
from perijove.hub.pages.presets import presets
from perijove.hub.pages.runs import latest
from perijove.hub.pages.views import PENDING, session_view

#: Ended sessions and apps that the home page lists.
ENDED, APPS = 20, 3


async def session_lists(site: Site, request: Request, person: Person) -> dict[str, Any]:
    """What the home page shows."""
    api, language = site.api(person), language_of(request)
    centres = await api.centres()
    apps, rows = await AppsApi(api).apps(), await api.sessions(person.name)
    views = [session_view(row, language, centres, site.config.base_url, apps) for row in rows]
    ended = [view for view in views if not view.live]
    urls = {str(view.data.get("id")): view.url for view in views}
    clusters = await clusters_of(api, person.name, urls, language)
    shown: dict[str, Any] = {"live": [view for view in views if view.live], "clusters": clusters}
    shown |= {"ended": ended[:ENDED], "more": len(ended) > ENDED}
    shown["apps"] = [app_view(row, language, centres) for row in apps[:APPS]]
    budgets = [BudgetView(row, Formats(language), person.name) for row in await MoneyApi(api).budgets()]
    shown["budgets"] = [one for one in budgets if not one.closed]
    shown["runs"] = await latest(site, person, language, centres)
    return shown | {"centres": short_names(board(centres, Formats(language))), "presets": presets(centres.values())}


def routes(router: APIRouter, site: Site) -> None:
    """Add /, /live, /centres and POST /sessions/{id}/stop."""

    @router.get("/")
    async def home(request: Request) -> Response:
        person = await site.person(request)
        return site.page(request, "home.html", await session_lists(site, request, person), person=person)

    @router.get("/live")
    async def home_live(request: Request) -> Response:
        person = await site.person(request)
        lists = await session_lists(site, request, person)
        return fresh(site.page(request, "parts/sessions.html", lists, person=person), request.query_params.get("seen"))

    @router.get("/centres")
    async def centres(request: Request) -> Response:
        person = await site.person(request)
        centres = await site.api(person).centres()
        return site.page(
            request, "centres.html", {"centres": board(centres, Formats(language_of(request)))}, person=person
        )

    @router.post("/sessions/{session}/stop")
    async def stop(request: Request, session: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        api, back = site.api(person), form.get("back", "session")
        # Whoever takes a request out of its queue does not mean a session that runs by now.
        if form.get("only") != "pending" or (await api.session(session)).get("stage") in PENDING:
            await api.stop(session)
        here = quote(session, safe="")
        there = {"home": "/", "session": f"/sessions/{here}"}
        # Any other word is the session that was started in place of this one.
        back = there.get(back) or f"/sessions/{quote(back[:64], safe='')}?instead={here}"
        return RedirectResponse(f"{site.config.prefix}{back}", status_code=303)
