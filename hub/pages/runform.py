"""A form for an app's inputs, without opening the app: what it takes and costs, where, and a button that runs it.

It is also how a run is run again with a value changed: it comes filled in with that run's inputs, and says whose it is.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Api, Json, Refused
from perijove.hub.pages.apps import preset_inputs
from perijove.hub.pages.appsapi import AppsApi
from perijove.hub.pages.appviews import app_view, only_where
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.inputs import fields_of, inputs_of
from perijove.hub.pages.languages import Language, language_of
from perijove.hub.pages.offers import offers_view
from perijove.hub.pages.people import Person
from perijove.hub.pages.start import refused_by_rule
from perijove.hub.pages.views import centre_name, named

#: Characters of inputs in a link.
LONGEST = 4000


def linked(text: str) -> Mapping[str, Any]:
    """The inputs that a link carries as JSON; none if it cannot be read."""
    try:
        found = json.loads(text[:LONGEST]) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def estimated(api: AppsApi, app: Json, inputs: Mapping[str, Any]) -> tuple[Json, list[Json]]:
    """What these inputs take, and what is wrong with them."""
    try:
        answer = await api.estimate(str(app["name"]), inputs)
    except Refused as refused:
        return {}, refused_by_rule(refused)
    return answer, list(answer.get("faults") or ())


async def own_places(api: Api, app: Json, centres: Mapping[str, Json], language: Language) -> list[tuple[str, str]]:
    """Id and name of the centres where the person's own files may lie; none for an app that reads no file.

    The same as at the broker: an account of one's own. (Where everybody shares one no file is anybody's own.) Whether
    there is one behind `sudo` only the broker knows.
    """
    if not any(one.get("type") == "file" for one in app.get("inputs") or ()):
        return []
    mine = {str(row.get("centre")) for row in await api.identities() if row.get("checked")}
    there = [name for name, row in centres.items() if row.get("identity") in ("self", "sudo") or name in mine]
    found = [(name, centre_name(name, centres, language)) for name in there]
    return sorted(found, key=lambda one: one[1])


def where_from(run: Json) -> str:
    """The centre where the files of a run's inputs lie: where it was, unless they did not get there.

    "" where they lie at several: the gateway knows of each file where, and a single answer would override that.
    """
    here = str(run.get("centre") or "")
    rows = run.get("staging") or ()
    places = {
        here if row.get("state") == "done" else str((row.get("from") or {}).get("centre") or here) for row in rows
    }
    return places.pop() if len(places) == 1 else "" if places else here


async def form_values(
    site: Site,
    request: Request,
    person: Person,
    app: Json,
    inputs: Mapping[str, Any],
    form: Mapping[str, str],
    faults: list[Json],
) -> dict[str, Any]:
    """What the page and its fragment show for `inputs`, with `faults` of an attempt to run."""
    api, language = site.api(person), language_of(request)
    centres, fmt = await api.centres(), Formats(language)
    answer, wrong = await estimated(AppsApi(api), app, inputs)
    names = {str(one["name"]) for one in app.get("inputs") or ()}
    faults = [named(fault, centres, language) for fault in faults or wrong]
    offers = offers_view(only_where(answer, app), centres, form, fmt) if answer.get("offers") else None
    return {
        "view": app_view(app, language, centres),
        "fields": fields_of(app, inputs, language, faults),
        "faults": [fault for fault in faults if fault.get("field") not in names],
        "needs": answer.get("needs") or {},
        "offers": offers,
        "own_places": await own_places(api, app, centres, language),
        "files_at": form.get("files_at", ""),
        "label": form.get("label", ""),
        "parent": form.get("parent", ""),
        "key": form.get("key") or secrets.token_urlsafe(12),
    }


def routes(router: APIRouter, site: Site) -> None:
    """Add GET and POST /apps/{name}/run, and its /estimate."""

    @router.get("/apps/{name}/run")
    async def show(request: Request, name: str) -> Response:
        person = await site.person(request)
        api, asked = AppsApi(site.api(person)), request.query_params
        app, parent = await api.app(name), asked.get("parent", "")[:64]
        inputs = preset_inputs(app, asked.get("preset", "")) or linked(asked.get("inputs", ""))
        form: dict[str, str] = {}
        if parent:
            run = await api.run(parent)
            inputs = run.get("inputs") or {}
            form = {
                "parent": parent,
                "label": str(run.get("label") or ""),
                "files_at": where_from(run),
                "place": f"{run.get('centre') or ''}/{run.get('queue') or ''}",
            }
        values = await form_values(site, request, person, app, inputs, form, [])
        return site.page(request, "runform.html", values, person=person)

    async def posted(request: Request, name: str) -> tuple[Person, Json, dict[str, str]]:
        form = await read_form(request)
        person = await site.writer(request, form)
        return person, await AppsApi(site.api(person)).app(name), form

    @router.post("/apps/{name}/run/estimate")
    async def estimate(request: Request, name: str) -> Response:
        person, app, form = await posted(request, name)
        values = await form_values(site, request, person, app, inputs_of(app, form), form, [])
        return site.page(request, "parts/estimate.html", values, person=person)

    @router.post("/apps/{name}/run")
    async def begin(request: Request, name: str) -> Response:
        person, app, form = await posted(request, name)
        inputs, faults = inputs_of(app, form), list[Json]()
        if form.get("action") != "check":
            centre, _, queue = form.get("place", "").partition("/")
            body: dict[str, Any] = {"app": name, "inputs": inputs, "language": language_of(request).code}
            body |= {"key": form.get("key", "")[:64], "label": form.get("label", "").strip()[:200]}
            body["request"] = {key: value for key, value in (("centre", centre), ("queue", queue)) if value}
            if form.get("files_at"):
                body["files_at"] = form["files_at"][:64]
            if form.get("parent"):
                body |= {"parent": form["parent"][:64], "relation": "rerun"}
            try:
                run = await AppsApi(site.api(person)).begin(body)
                return RedirectResponse(f"{site.config.prefix}/runs/{quote(str(run['id']), safe='')}", status_code=303)
            except Refused as refused:
                faults = refused_by_rule(refused)
        values = await form_values(site, request, person, app, inputs, form, faults)
        address = f"{site.config.prefix}/apps/{quote(name, safe='')}/run"
        return site.page(request, "runform.html", values, person=person, status=400 if faults else 200, address=address)
