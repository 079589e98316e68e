"""Start: what to run, where, and what it costs. Links and typing only ask; the POST with its XSRF token starts.

The form speaks as people do (hours, GiB; "90m" and "512M" work too), the API in its own units. Links may carry the
API's options (`?centre=..&cores=4&walltime=2h`, also with JupyterHub's `opt-` prefix).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Api, Json, Refused
from perijove.hub.pages.context import Site
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import Language, language_of
from perijove.hub.pages.views import centre_name, queue_status, queue_title
from perijove.spawners.units import memory_from, time_from

#: The resources of the form and what stands in an empty one.
DEFAULTS = {"cores": "1", "memory": "", "gpus": "0", "walltime": "1"}
#: Options of a request that the form has no field for: a link may set them, and they are shown and kept.
QUIET = ("kind", "project")
#: As the hub and the broker want it.
_SERVER = re.compile(r"([a-z][a-z0-9-]{0,29})?", re.ASCII)
_PLAIN = re.compile(r"\d{1,9}(\.\d{1,3})?", re.ASCII)


def _in_units(name: str, number: int) -> str:
    """A plain number of the API (MiB, seconds) as the form understands it: there it would mean GiB or hours."""
    if name == "memory":
        return f"{number}M"
    return f"{number}s" if number % 60 else f"{number // 60}m"


def from_query(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The form's fields from a link's options; of unknown ones the names are kept, to be refused with words."""
    form: dict[str, str] = {}
    for key, value in list(query)[:50]:
        name = key.removeprefix("opt-")
        if name not in ("lang", "next"):
            form[name] = value[:500]
    for name, read, size in (("memory", memory_from, 1024), ("walltime", time_from, 3600)):
        raw = form.get(name, "").strip()
        if raw.isascii() and raw.isdigit() and len(raw) < 15:
            raw = _in_units(name, int(raw))
        try:
            amount = read(raw) if raw else 0
        except ValueError:
            continue
        if amount:
            form[name] = f"{amount / size:.3f}".rstrip("0").rstrip(".") if amount % (size / 8) == 0 else raw
    if form.get("centre") and not form.get("place"):
        form["place"] = f"{form['centre']}/{form.get('queue', '')}"
    return form


def options_of(form: Mapping[str, str]) -> dict[str, str]:
    """A request's options from the form's fields; plain numbers of memory and time get their units."""
    known = {"cores", "memory", "gpus", "walltime", "place", "server", "centre", "queue", "_xsrf", "action"}
    options = {key: value.strip() for key, value in form.items() if key not in known and value.strip()}
    for key, unit in (("cores", ""), ("memory", "G"), ("gpus", ""), ("walltime", "h")):
        value = form.get(key, DEFAULTS[key]).strip()
        if value:
            options[key] = f"{value}{unit}" if _PLAIN.fullmatch(value) else value
    centre, _, queue = form.get("place", "").partition("/")
    return options | {key: value for key, value in (("centre", centre), ("queue", queue)) if value}


def offer_rows(
    offers: list[Json], centres: Mapping[str, Json], language: Language, place: str
) -> list[tuple[str, list[dict[str, Any]]]]:
    """The offers by centre: those that fit first within the order of the API, each with its words."""
    rows: dict[str, list[dict[str, Any]]] = {}
    wanted = place if any(place == f"{o['centre']}/{o['queue']}" for o in offers) else place.partition("/")[0]
    for offer in offers:
        centre, queue = str(offer["centre"]), str(offer["queue"])
        here = f"{centre}/{queue}"
        rows.setdefault(centre, []).append(
            {
                **offer,
                "place": here,
                "status": queue_status(centres.get(centre), queue),
                "title": queue_title(centres.get(centre), queue, language),
                "chosen": wanted in (here, centre) and bool(offer.get("fits")),
            }
        )
    chosen = False
    for row in (row for group in rows.values() for row in group):
        row["chosen"], chosen = row["chosen"] and not chosen, chosen or row["chosen"]
    order = sorted(rows.items(), key=lambda item: not any(row.get("fits") for row in item[1]))
    return [(centre_name(centre, centres, language), group) for centre, group in order]


async def start_values(api: Api, form: Mapping[str, str], language: Language, faults: list[Json]) -> dict[str, Any]:
    """What the start page shows for the fields of `form`, with `faults` of an attempt to start."""
    options = options_of(form)
    centres = await api.centres()
    asked = {key: value for key, value in options.items() if key not in ("centre", "queue")}
    try:
        offers = await api.offers(asked)
    except Refused as refused:
        if refused.status >= 500 or refused.status in (401, 403):
            raise
        offers, faults = [], faults or refused.faults or [_whole(refused)]
    fields = set(DEFAULTS) | {"server"}
    place = form.get("place", "")
    groups = offer_rows(offers, centres, language, place)
    lost = bool(place) and place.partition("/")[0] not in centres
    if lost:
        unknown = {"field": "centre", "code": "unknown-centre", "values": {"centre": place.partition("/")[0]}}
        faults = [*[fault for fault in faults if fault.get("code") != "unknown-centre"], unknown]
    return {
        "form": {**DEFAULTS, "server": "", "place": "", **form},
        "extra": [(key, form[key]) for key in form if key not in {*DEFAULTS, "server", "place", "centre", "queue"}],
        "groups": groups,
        "any_fits": any(row.get("fits") for _, group in groups for row in group),
        "field_faults": {f: [x for x in faults if x.get("field") == f] for f in fields},
        "faults": [fault for fault in faults if fault.get("field") not in fields],
    }


async def may_start(api: Api, owner: str, server: str, form: Mapping[str, str]) -> None:
    """What the API does not refuse: it takes a start of a live server for a repeated one and gives that session.

    Raises:
        Refused: with the fault at its field.
    """
    fault = {}
    if not form.get("place"):
        fault = {"field": "centre", "code": "choose-centre"}
    elif not _SERVER.fullmatch(server):
        fault = {"field": "server", "code": "server-name"}
    elif await api.live(owner, server):
        fault = {"field": "server", "code": "name-taken" if server else "name-needed"}
    if fault:
        raise Refused(400, fault["code"], "", [fault])


def _whole(refused: Refused) -> Json:
    """A refusal without faults by field, as one fault of the whole request."""
    return {"field": "", "code": refused.code, "message": refused.message, "values": {}}


def routes(router: APIRouter, site: Site) -> None:
    """Add GET and POST /start, and /start/offers."""

    async def show(request: Request, form: dict[str, str], faults: list[Json], **more: Any) -> Response:
        person = more["person"]
        values = await start_values(site.api(person), form, language_of(request), faults)
        return site.page(request, "start.html", values, **more)

    @router.get("/start")
    async def start(request: Request) -> Response:
        person = await site.person(request)
        return await show(request, from_query(request.query_params.multi_items()), [], person=person)

    @router.post("/start/offers")
    async def offers(request: Request) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        form = {key: value for key, value in form.items() if key not in ("_xsrf", "action")}
        values = await start_values(site.api(person), form, language_of(request), [])
        return site.page(request, "parts/offers.html", values, person=person)

    @router.post("/start")
    async def begin(request: Request) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        form = {key: value for key, value in form.items() if key != "_xsrf"}
        check = form.pop("action", "") == "check"
        back = {key: value for key, value in options_of(form).items() if key not in ("_xsrf", "action")}
        address = f"{site.config.prefix}/start?{urlencode(back)}"
        if check:
            return await show(request, form, [], person=person, address=address)
        try:
            server = form.get("server", "").strip()
            await may_start(site.api(person), person.name, server, form)
            spoken = {"language": language_of(request).code}
            row = await site.api(person).start(server, spoken | options_of(form))
        except Refused as refused:
            if refused.status >= 500 or refused.status in (401, 403):
                raise
            faults = refused.faults or [_whole(refused)]
            return await show(request, form, faults, person=person, status=400, address=address)
        return RedirectResponse(f"{site.config.prefix}/sessions/{quote(str(row['id']), safe='')}", status_code=303)
