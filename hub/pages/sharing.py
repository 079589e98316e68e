"""Links to a run: its owner makes and revokes them; whoever has one sees that run, without what is its owner's alone.

A link's page says nothing to search engines, is kept by no cache and by no `Referer` header; the token in its address
is all that it needs, so its pictures need no mark of a login either.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Json, Refused
from perijove.hub.pages.appsapi import AppsApi
from perijove.hub.pages.appwords import DAYS, MODES
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import moment
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.people import HubAway, Person
from perijove.hub.pages.pictures import picture
from perijove.hub.pages.runs import app_of, run_values
from perijove.hub.pages.runviews import run_view


def _private(response: Response) -> Response:
    """A page that leaves no trace: the address is a secret."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Cache-Control"] = "no-store"
    return response


async def _page(
    site: Site, request: Request, person: Person, run: str, made: Json | None, wrong: bool = False
) -> Response:
    api = AppsApi(site.api(person))
    values = await run_values(site, request, person, await api.run(run))
    links = [
        {**row, "until": moment(row.get("expires")), "since": moment(row.get("created"))}
        for row in await api.shares(run)
        if row.get("good", True) and not row.get("revoked")
    ]
    url = ""
    if made:
        # The broker knows the gateway's own address; a proxy in front of it does not pass it on.
        here = f"{str(request.base_url).rstrip('/')}{site.config.prefix}/shared/{quote(str(made['token']), safe='')}"
        url = str(made.get("url") or "") if str(made.get("url") or "").startswith("http") else here
    values |= {"links": links, "url": url, "modes": MODES, "days": DAYS, "wrong": wrong}
    address = f"{site.config.prefix}{values['view'].path}/share"
    return site.page(request, "share.html", values, person=person, status=400 if wrong else 200, address=address)


def routes(router: APIRouter, site: Site) -> None:
    """Add /runs/{run}/share and /shared/{token}."""

    @router.get("/runs/{run}/share")
    async def share(request: Request, run: str) -> Response:
        return await _page(site, request, await site.person(request), run, None)

    @router.post("/runs/{run}/share/new")
    async def make(request: Request, run: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        mode, days = form.get("mode", ""), form.get("days", "")
        if mode not in MODES or days not in {str(one) for one in DAYS}:
            return await _page(site, request, person, run, None, wrong=True)
        return await _page(site, request, person, run, await AppsApi(site.api(person)).share(run, mode, int(days)))

    @router.post("/runs/{run}/share/{link}/end")
    async def end(request: Request, run: str, link: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        await AppsApi(site.api(person)).unshare(run, link)
        return RedirectResponse(f"{site.config.prefix}/runs/{quote(run, safe='')}/share", status_code=303)

    @router.get("/shared/{token}")
    async def shared(request: Request, token: str) -> Response:
        try:
            person = await site.people.of_request(request)
        except HubAway:
            person = None
        path, language = f"/shared/{quote(token, safe='')}", language_of(request)
        try:
            row = await AppsApi(site.api(None)).shared(token)
        except Refused as refused:
            if refused.status >= 500:
                raise
            return _private(site.page(request, "sharedgone.html", {}, person=person, status=404))
        # What only people with an account may ask for: all centres, and the app's words for its inputs.
        api = site.api(person)
        centres = await api.centres() if person else {str(row.get("centre")): {"name": row.get("centre_name")}}
        app = await app_of(AppsApi(api), str(row.get("app") or "")) if person else {}
        view = run_view(row, language, centres, lambda address: site.picture(None, address), app, path)
        values: dict[str, Any] = {"view": view, "mine": False, "shared": True, "token": token}
        values |= {"files": f"{site.config.prefix}/api/v1{path}", "again": _again(row)}
        return _private(site.page(request, "shared.html", values, person=person))

    @router.get("/shared/{token}/files/{path:path}")
    async def file(request: Request, token: str, path: str) -> Response:
        api = AppsApi(site.api(None))
        try:
            return _private(await picture(path, lambda: api.shared_file(token, path)))
        except Refused as refused:
            raise HTTPException(502 if refused.status >= 500 else 404) from refused


def _again(row: Json) -> str:
    """Where one runs it oneself, if the link allows it."""
    if row.get("mode") != "rerun":
        return ""
    inputs = json.dumps(row.get("inputs") or {}, ensure_ascii=False, separators=(",", ":"))
    return f"/apps/{quote(str(row.get('app') or ''), safe='')}/run?{urlencode({'inputs': inputs})}"
