"""The operator's pages: how the centres are watched, everybody's sessions, drains and notices.

They have no rule of their own about who an operator is: the API refuses whoever is none, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Refused
from perijove.hub.pages.clusters import counted
from perijove.hub.pages.context import Site
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.news import fresh
from perijove.hub.pages.operatorviews import WatcherView, level_look
from perijove.hub.pages.operatorwords import LEVELS
from perijove.hub.pages.people import Person
from perijove.hub.pages.views import session_view
from perijove.hub.pages.words import STAGES

#: Sessions that one page lists.
MOST = 200
_FILTERS = ("centre", "stage", "owner")


async def centre_values(site: Site, request: Request, person: Person) -> dict[str, Any]:
    """What the page of centres shows: those that need somebody first."""
    language = language_of(request)
    api = site.api(person)
    clusters = counted(await api.all_clusters())
    views = [WatcherView(row, language, clusters.get(str(row.get("id")), (0, 0))) for row in await api.watchers()]
    return {"watchers": sorted(views, key=lambda view: not view.silent), "level_look": level_look}


async def one_centre(site: Site, request: Request, person: Person, centre: str) -> WatcherView:
    """One of them.

    Raises:
        HTTPException: 404, there is no such centre.
    """
    values = await centre_values(site, request, person)
    for view in values["watchers"]:
        if view.id == centre:
            return view  # type: ignore[no-any-return]
    raise HTTPException(404)


def filters(given: Mapping[str, str]) -> dict[str, str]:
    """The filters of `given` that can be meant."""
    found = {key: given.get(key, "").strip()[:255] for key in _FILTERS}
    return {key: value for key, value in found.items() if value and (key != "stage" or value in STAGES)}


async def session_values(site: Site, request: Request, person: Person) -> dict[str, Any]:
    """What the page of everybody's sessions shows: those that have not ended, unless another stage is asked for."""
    api, language, chosen = site.api(person), language_of(request), filters(request.query_params)
    wanted: dict[str, Any] = {**chosen, "limit": MOST + 1} | ({} if "stage" in chosen else {"live": True})
    rows, centres = await api.everybody(wanted), await api.centres()
    views = [session_view(row, language, centres, site.config.base_url) for row in rows[:MOST]]
    names = {view.id: view.name for view in (await centre_values(site, request, person))["watchers"]}
    return {
        "sessions": views,
        "more": len(rows) > MOST,
        "chosen": chosen,
        "query": urlencode(chosen),
        "names": names,
        "stages": STAGES,
        "most": MOST,
    }


async def shown(site: Site, request: Request, person: Person, centre: str, status: int = 200, **more: Any) -> Response:
    """The page of one centre; its forms are filled in with what holds, unless `more` says otherwise."""
    view = await one_centre(site, request, person, centre)
    notice = view.notice or {"text": {}, "level": "info"}
    form = {"note": "", "en": notice["text"].get("en", ""), "zh": notice["text"].get("zh", "")}
    values = {"view": view, "form": form | {"level": notice["level"]}, "faults": {}, "preview": False}
    values |= {"levels": LEVELS, "level_look": level_look}
    address = f"{site.config.prefix}/operator/centres/{view.id}"
    return site.page(request, "operatorcentre.html", values | more, person=person, status=status, address=address)


def routes(router: APIRouter, site: Site) -> None:
    """Add /operator and what is below it."""
    _looks(router, site)
    _orders(router, site)


def _looks(router: APIRouter, site: Site) -> None:
    @router.get("/operator")
    async def centres(request: Request) -> Response:
        person = await site.person(request)
        return site.page(request, "operator.html", await centre_values(site, request, person), person=person)

    @router.get("/operator/live")
    async def centres_live(request: Request) -> Response:
        person = await site.person(request)
        values = await centre_values(site, request, person)
        page = site.page(request, "parts/operatorcentres.html", values, person=person)
        return fresh(page, request.query_params.get("seen"))

    @router.get("/operator/sessions")
    async def sessions(request: Request) -> Response:
        person = await site.person(request)
        return site.page(request, "operatorsessions.html", await session_values(site, request, person), person=person)

    @router.get("/operator/sessions/live")
    async def sessions_live(request: Request) -> Response:
        person = await site.person(request)
        values = await session_values(site, request, person)
        page = site.page(request, "parts/operatorsessions.html", values, person=person)
        return fresh(page, request.query_params.get("seen"))

    @router.get("/operator/centres/{centre}")
    async def centre(request: Request, centre: str) -> Response:
        return await shown(site, request, await site.person(request), centre)

    @router.get("/operator/centres/{centre}/live")
    async def centre_live(request: Request, centre: str) -> Response:
        person = await site.person(request)
        values = {"view": await one_centre(site, request, person, centre), "level_look": level_look}
        page = site.page(request, "parts/operatorcentre.html", values, person=person)
        return fresh(page, request.query_params.get("seen"))


def _orders(router: APIRouter, site: Site) -> None:
    root = f"{site.config.prefix}/operator"

    @router.post("/operator/sessions/{session}/stop")
    async def stop(request: Request, session: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        await site.api(person).stop(session)
        return RedirectResponse(f"{root}/sessions?{urlencode(filters(form))}".rstrip("?"), status_code=303)

    @router.post("/operator/centres/{centre}/drain")
    async def drain(request: Request, centre: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        api = site.api(person)
        if form.get("do") == "undrain":
            await api.undrain(centre)
        else:
            await api.drain(centre, form.get("note", ""))
        return RedirectResponse(f"{root}/centres/{centre}", status_code=303)

    @router.post("/operator/centres/{centre}/notice")
    async def notice(request: Request, centre: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        given = {key: form.get(key, "").strip() for key in ("en", "zh")}
        given |= {"level": form.get("level", "info"), "note": ""}
        if form.get("do") == "remove":
            await site.api(person).unnotify(centre)
            return RedirectResponse(f"{root}/centres/{centre}", status_code=303)
        faults = {key: [{"field": key, "code": "missing"}] for key in ("en", "zh") if not given[key]}
        if not faults and form.get("do") != "preview":
            try:
                await site.api(person).notify(centre, given["en"], given["zh"], given["level"])
            except Refused as refused:
                if refused.status != 400:
                    raise
                faults = {str(fault.get("field")): [fault] for fault in refused.faults}
            else:
                return RedirectResponse(f"{root}/centres/{centre}", status_code=303)
        status = 400 if faults else 200
        return await shown(site, request, person, centre, status, form=given, faults=faults, preview=not faults)
