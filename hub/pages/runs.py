"""Runs of apps: the list, and the page of one run from its start to its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Json, Refused
from perijove.hub.pages.appsapi import AppsApi
from perijove.hub.pages.appviews import app_view
from perijove.hub.pages.appwords import LIVE, RUNS
from perijove.hub.pages.context import Site
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import Language, language_of
from perijove.hub.pages.news import fresh
from perijove.hub.pages.people import Person
from perijove.hub.pages.pictures import picture
from perijove.hub.pages.runviews import RunView, run_view
from perijove.hub.pages.views import text_in

#: Seconds for which one fragment request waits for news; well below any proxy's patience.
WAIT = 20
#: Runs that one page lists, and that the home page does.
MOST, LATEST = 100, 4


async def app_of(api: AppsApi, name: str) -> Json:
    """The app of a run; empty if the gateway has it no more."""
    try:
        return await api.app(name)
    except Refused as refused:
        if refused.status != 404:
            raise
        return {}


async def latest(site: Site, person: Person, language: Language, centres: Mapping[str, Json]) -> list[RunView]:
    """The newest runs, for the home page."""
    rows = await AppsApi(site.api(person)).runs(person.name, limit=LATEST)
    return [run_view(row, language, centres, lambda path: site.picture(person, path)) for row in rows[:LATEST]]


async def list_values(site: Site, request: Request, person: Person) -> dict[str, Any]:
    """What the list of runs shows."""
    api, language, asked = site.api(person), language_of(request), request.query_params
    centres = await api.centres()
    apps = {str(row["name"]): text_in(row.get("title"), language) for row in await AppsApi(api).apps()}
    app, state = asked.get("app", ""), asked.get("state", "")
    chosen = {
        k: v for k, v in {"app": app if app in apps else "", "state": state if state in RUNS else ""}.items() if v
    }
    rows = await AppsApi(api).runs(person.name, limit=MOST + 1, **chosen)
    runs = [run_view(row, language, centres, lambda path: site.picture(person, path)) for row in rows[:MOST]]
    values: dict[str, Any] = {"runs": runs, "more": len(rows) > MOST, "apps": apps, "states": RUNS}
    return values | {"chosen": chosen, "query": urlencode(chosen)}


async def run_values(site: Site, request: Request, person: Person, row: Json) -> dict[str, Any]:
    """What the page of a run shows."""
    api, language = site.api(person), language_of(request)
    app, centres = await app_of(AppsApi(api), str(row.get("app") or "")), await api.centres()
    view = run_view(row, language, centres, lambda path: site.picture(person, path), app)
    api_root = f"{site.config.prefix}/api/v1"
    return {
        "view": view,
        "mine": row.get("owner") == person.name,
        "files": f"{api_root}{view.path}",
        "shared": False,
        "token": "",
    }


def routes(router: APIRouter, site: Site) -> None:
    """Add /runs and what is below it."""
    _looks(router, site)
    _orders(router, site)


def _looks(router: APIRouter, site: Site) -> None:
    @router.get("/runs")
    async def listing(request: Request) -> Response:
        person = await site.person(request)
        return site.page(request, "runs.html", await list_values(site, request, person), person=person)

    @router.get("/runs/live")
    async def listing_live(request: Request) -> Response:
        person = await site.person(request)
        page = site.page(request, "parts/runs.html", await list_values(site, request, person), person=person)
        return fresh(page, request.query_params.get("seen"))

    @router.get("/runs/{run}")
    async def one(request: Request, run: str) -> Response:
        person = await site.person(request)
        row = await AppsApi(site.api(person)).run(run)
        return site.page(request, "run.html", await run_values(site, request, person, row), person=person)

    @router.get("/runs/{run}/live")
    async def live(request: Request, run: str) -> Response:
        person = await site.person(request)
        api, seen, after = (
            AppsApi(site.api(person)),
            request.query_params.get("seen"),
            request.query_params.get("after", ""),
        )
        waits = bool(seen) and after.isascii() and after.isdigit() and len(after) < 15
        row = await api.wait(run, int(after), WAIT) if waits else await api.run(run)
        values = await run_values(site, request, person, row)
        response = fresh(site.page(request, "parts/run.html", values, person=person), seen)
        response.headers["X-Last"] = str(values["view"].version)
        return response

    @router.get("/runs/{run}/files/{path:path}")
    async def file(request: Request, run: str, path: str) -> Response:
        api = AppsApi(site.api(await site.onlooker(request)))
        return await picture(path, lambda: api.file(run, path))

    @router.get("/runs/{run}/replay")
    async def replay(request: Request, run: str) -> Response:
        person = await site.person(request)
        row = await AppsApi(site.api(person)).run(run)
        values = await run_values(site, request, person, row)
        view = values["view"]
        app = app_view(view.app, view.language, view.centres)
        there = [place for place in app.ready if place.id != row.get("centre")]
        return site.page(request, "replay.html", values | {"places": there, "app": app}, person=person)


def _orders(router: APIRouter, site: Site) -> None:
    async def done(request: Request, run: str, what: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        api, there = AppsApi(site.api(person)), f"/runs/{quote(run, safe='')}"
        if what == "cancel":
            await api.cancel(run)
        elif what == "resume":
            await api.resume(run)
        elif what == "replay":
            there = f"/runs/{quote(str((await api.replay(run, form.get('centre', '')))['id']), safe='')}"
        elif what == "label":
            await api.label(run, form.get("label", "").strip()[:200])
        elif what == "delete" and (await api.run(run)).get("state") not in LIVE:
            await api.forget(run)
            there = "/runs"
        else:
            raise HTTPException(404 if what != "delete" else 409)
        return RedirectResponse(f"{site.config.prefix}{there}", status_code=303)

    @router.post("/runs/{run}/{what}")
    async def order(request: Request, run: str, what: str) -> Response:
        return await done(request, run, what)
