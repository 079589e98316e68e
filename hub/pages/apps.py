"""Apps: the gallery, and the page of one app with the button that opens it where it starts soonest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from perijove.hub.pages.api import Json, Refused
from perijove.hub.pages.appsapi import AppsApi
from perijove.hub.pages.appviews import AppView, app_view, found, only_where
from perijove.hub.pages.appwords import DOMAINS
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.inputs import datasets_of, fields_of
from perijove.hub.pages.languages import Language, language_of
from perijove.hub.pages.offers import Offers, offers_view
from perijove.hub.pages.people import Person
from perijove.hub.pages.pictures import MEDIA, picture
from perijove.hub.pages.runviews import RunView, run_view
from perijove.hub.pages.start import free_name
from perijove.hub.pages.startform import OPTION, wish_of
from perijove.hub.pages.views import SessionView, app_of, session_view

#: Seconds for which a session of an app is asked for at least: time to fill in a form and to look at the results.
LEAST = 3600


async def app_needs(api: AppsApi, name: str) -> Json:
    """What the app needs for its usual inputs; empty where it has none."""
    try:
        return (await api.estimate(name, {})).get("needs") or {}
    except Refused as refused:
        if refused.status >= 500:
            raise
        return {}


def start_fields(name: str, needs: Json) -> dict[str, str]:
    """The fields of the start form that open an app."""
    fields = {"kind": "app", f"{OPTION}app": name}
    if needs.get("cores"):
        fields["cores"] = str(needs["cores"])
    if needs.get("memory"):
        fields["memory"] = f"{needs['memory']}M"
    return fields | {"walltime": f"{max(LEAST, int(needs.get('walltime') or 0))}s"}


def preset_inputs(app: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The inputs of a preset; none for an unknown one."""
    return next((one.get("inputs") or {} for one in app.get("presets") or () if one.get("name") == name), {})


async def _opening(site: Site, person: Person, app: Json, fmt: Formats, centres: Mapping[str, Json]) -> dict[str, Any]:
    """Where it can be opened, best first, and the fields of the form that does it."""
    api = site.api(person)
    fields = start_fields(str(app["name"]), await app_needs(AppsApi(api), str(app["name"])))
    wish = wish_of(fields | {"prefer": "start"})
    try:
        offers: Offers | None = offers_view(only_where(await api.offers(wish), app), centres, fields, fmt)
    except Refused as refused:
        if refused.status >= 500:
            raise
        offers = None
    return {"offers": offers, "fields": fields | {"server": await free_name(api, person.name, str(app["name"]))}}


async def _opened(
    site: Site, person: Person, app: Json, language: Language, centres: Mapping[str, Json]
) -> list[SessionView]:
    """The person's sessions in which it is open or on its way: another one would cost them a second time."""
    rows = [row for row in await site.api(person).sessions(person.name) if app_of(row) == app["name"]]
    views = [session_view(row, language, centres, site.config.base_url, [app]) for row in rows]
    return [view for view in views if view.live and view.stage != "ending"]


def _filled_in(view: AppView, fields: Mapping[str, str]) -> dict[str, str]:
    """For each preset the query of the start page that opens the app with its inputs."""
    size = {key: fields[key] for key in ("cores", "memory", "walltime") if key in fields}
    links = {}
    for name, _title, _help in view.presets:
        inputs = json.dumps(dict(preset_inputs(view.data, name)), separators=(",", ":"))
        links[name] = view.start_query(**size, **{f"{OPTION}inputs": inputs})
    return links


def _example(view: AppView, site: Site) -> RunView | None:
    """The example as the results of a run, whose files are the app's own."""
    example = view.data.get("example") or {}
    if not view.example:
        return None
    row = {
        "id": "",
        "app": view.name,
        "inputs": example.get("inputs") or {},
        "report": example["report"],
        "state": "done",
    }
    return run_view(
        row,
        view.language,
        view.centres,
        lambda path: f"{site.config.prefix}{path.replace('/files/', '/', 1)}",
        view.data,
        f"{view.path}/example",
    )


def routes(router: APIRouter, site: Site) -> None:
    """Add /apps, /apps/{name} and their pictures."""

    @router.get("/apps")
    async def gallery(request: Request) -> Response:
        person = await site.person(request)
        api, language = site.api(person), language_of(request)
        centres = await api.centres()
        views = [app_view(row, language, centres) for row in await AppsApi(api).apps()]
        words, domain = request.query_params.get("q", "")[:200], request.query_params.get("domain", "")
        domain = domain if domain in DOMAINS else ""
        shown = {view.name for view in found(views, words, domain)}
        there = {view.domain for view in views}
        domains = [(code, *look) for code, look in DOMAINS.items() if code in there]
        values = {"apps": views, "shown": shown, "q": words, "domain": domain, "domains": domains}
        return site.page(request, "apps.html", values, person=person)

    @router.get("/apps/{name}")
    async def one(request: Request, name: str) -> Response:
        person = await site.person(request)
        api, language = site.api(person), language_of(request)
        app, centres, fmt = await AppsApi(api).app(name), await api.centres(), Formats(language)
        view = app_view(app, language, centres)
        values: dict[str, Any] = {"view": view, "example": _example(view, site), "inputs": fields_of(app, {}, language)}
        values["opened"] = await _opened(site, person, app, language, centres)
        opening = await _opening(site, person, app, fmt, centres)
        values |= {"datasets": dict(datasets_of(app, language)), "preset_links": _filled_in(view, opening["fields"])}
        return site.page(request, "app.html", values | opening, person=person)

    @router.get("/apps/{name}/picture")
    async def face(request: Request, name: str) -> Response:
        api = AppsApi(site.api(None))
        answer = await api.picture(name, "picture")
        media = answer.headers.get("Content-Type", "").partition(";")[0]

        async def same() -> Any:
            return answer

        return await picture(name, same, media if media in MEDIA.values() else "none")

    @router.get("/apps/{name}/example/{path:path}")
    async def example(request: Request, name: str, path: str) -> Response:
        api = AppsApi(site.api(None))
        return await picture(path, lambda: api.picture(name, f"example/{path}"))
