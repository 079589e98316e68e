"""Start: what to run, where, when it would start and what it costs. Links and typing only ask; one POST starts.

What is chosen in the form is the person's; until they choose, it is what the API recommends for what matters to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Api, Json, Refused
from perijove.hub.pages.appsapi import AppsApi
from perijove.hub.pages.appviews import only_where
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats, moment
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import Language, language_of
from perijove.hub.pages.moneyapi import MoneyApi
from perijove.hub.pages.moneyviews import BudgetView
from perijove.hub.pages.offers import data_titles, offers_view
from perijove.hub.pages.offerwords import PREFERENCES
from perijove.hub.pages.people import Person
from perijove.hub.pages.presets import presets
from perijove.hub.pages.startform import (
    DEFAULTS,
    FIELDS,
    OPTION,
    OWN,
    data_of,
    from_query,
    preference_of,
    query_of,
    remembered,
    request_of,
    to_remember,
    wish_of,
)
from perijove.hub.pages.views import session_view, text_in
from perijove.spawners.request import BadRequest
from perijove.spawners.request import Request as Asked

#: As the hub and the broker want it.
_SERVER = re.compile(r"([a-z][a-z0-9-]{0,29})?", re.ASCII)
LAST = "perijove-last"
#: Seconds for which the last choice is remembered, and within which a second press of the button is the first one's.
LAST_AGE, TWICE = 365 * 86400, 10.0


def refused_by_rule(refused: Refused) -> list[Json]:
    """The faults of a refusal that the person can mend.

    Raises:
        Refused: it is not of that kind.
    """
    if refused.status >= 500 or refused.status == 401 or (refused.status == 403 and not refused.faults):
        raise refused
    return refused.faults or [{"field": "", "code": refused.code, "message": refused.message, "values": {}}]


async def start_values(
    api: Api,
    owner: str,
    form: Mapping[str, str],
    language: Language,
    faults: list[Json],
    *,
    last: str = "",
    base_url: str = "/",
) -> dict[str, Any]:
    """What the start page shows to `owner` for the fields of `form`, with `faults` of an attempt to start."""
    centres, app, fmt = await api.centres(), await app_of(api, form), Formats(language)
    instead = await api.session_of(owner, form.get("instead", ""))
    waiting = session_view(instead, language, centres, base_url) if instead else None
    try:
        answer = await api.offers(wish_of(form))
        answer = only_where(answer, app) if app else answer
    except Refused as refused:
        answer, faults = {}, faults or refused_by_rule(refused)
    budgets = [BudgetView(row, fmt, owner) for row in await MoneyApi(api).budgets()]
    payer, wrong = payer_of(budgets, form.get("budget", ""))
    faults = faults or wrong
    place = form.get("place", "")
    if place and place.partition("/")[0] not in centres:
        unknown = {"field": "centre", "code": "unknown-centre", "values": {"centre": place.partition("/")[0]}}
        faults = [*[fault for fault in faults if fault.get("code") != "unknown-centre"], unknown]
    avoid = str(waiting.data.get("centre") or "") if waiting else ""
    own = {*FIELDS, *(OWN - {"instead"})} | ({"budget"} if len(budgets) > 1 else set())
    shown = {**DEFAULTS, "server": "", "project": "", "place": "", **form}
    return {
        "form": shown,
        "extra": [(k, form[k]) for k in form if k not in own and not k.startswith("data.")],
        "offers": offers_view(answer, centres, form, fmt, last=last, avoid=avoid, payer=payer),
        "budgets": budgets if len(budgets) > 1 else [],
        "payer": payer,
        "asked": bool(answer),
        "presets": [(preset, query_of(form, **preset.fields)) for preset in presets(centres.values())],
        "preferences": [
            (code, *look) for code, look in PREFERENCES.items() if code != "data" or data_titles(centres, fmt)
        ],
        "prefer": preference_of(form),
        "datasets": sorted(data_titles(centres, fmt).items(), key=lambda pair: pair[1]),
        "data": data_of(form),
        "waiting": waiting,
        "field_faults": {f: [x for x in faults if x.get("field") == f] for f in FIELDS},
        "faults": [fault for fault in faults if fault.get("field") not in FIELDS],
        "script": None,
        "app": text_in(app.get("title"), language),
    }


def payer_of(budgets: Sequence[BudgetView], key: str) -> tuple[BudgetView | None, list[Json]]:
    """The budget that a form names, the person's own for none; and the fault of one that is not theirs."""
    found = next((one for one in budgets if one.key == key or (not key and one.own)), None)
    if found or not key or not budgets:
        return found, []
    return None, [{"field": "", "code": "not-member", "message": "", "values": {"budget": key[:300]}}]


async def free_name(api: Api, owner: str, app: str = "") -> str:
    """A name for one more session: "" if the person has none without a name, else "lab-2" and so on.

    Sessions of an app are called after it: "climate", "climate-2".
    """
    if not await api.live(owner, app):
        return app
    taken = {str(row.get("server")) for row in await api.sessions(owner) if row.get("stage") != "ended"}
    base = (app or "lab")[:26]
    return next(name for number in range(2, len(taken) + 3) if (name := f"{base}-{number}") not in taken)


async def app_of(api: Api, form: Mapping[str, str]) -> Json:
    """The app that the form opens; empty if it opens none, or none that the gateway has."""
    name = form.get(f"{OPTION}app", "") if form.get("kind") == "app" else ""
    try:
        return await AppsApi(api).app(name) if name else {}
    except Refused as refused:
        if refused.status >= 500:
            raise
        return {}


def same_request(one: Mapping[str, Any], other: object) -> bool:
    """Both ask for the same, however they write it; the language of the page asks for nothing."""
    asked = [{k: v for k, v in each.items() if k != "language"} for each in (one, other) if isinstance(each, Mapping)]
    try:
        return len(asked) == 2 and Asked.parse(asked[0]) == Asked.parse(asked[1])
    except BadRequest:
        return False


async def may_start(api: Api, owner: str, form: Mapping[str, str]) -> Json | None:
    """Holds a start against what the API does not refuse: it takes one of a live server for a repeated one.

    Gives the session that the first of two quick presses of the button has started, if this is the second.

    Raises:
        Refused: with the fault at its field.
    """
    server, fault = form.get("server", "").strip(), {}
    if not form.get("place"):
        fault = {"field": "centre", "code": "choose-centre"}
    elif not _SERVER.fullmatch(server):
        fault = {"field": "server", "code": "server-name"}
    elif row := await api.live(owner, server):
        created = moment(row.get("created"))
        soon = created and (datetime.now(UTC) - created).total_seconds() < TWICE
        if soon and same_request(request_of(form), row.get("request")):
            return row
        fault = {"field": "server", "code": "name-taken" if server else "name-needed"}
    if fault:
        raise Refused(400, fault["code"], "", [fault])
    await _still_that_price(api, form)
    return None


async def _still_that_price(api: Api, form: Mapping[str, str]) -> None:
    """A button away from the start page says what it costs at most; it starts nothing that has become dearer."""
    most = form.get("most", "")
    if most.isascii() and most.isdigit():
        answer = await api.offers(wish_of(form))
        here = [o for o in answer.get("offers") or () if f"{o['centre']}/{o['queue']}" == form["place"]]
        if any(int(offer.get("price") or 0) > int(most) for offer in here):
            raise Refused(400, "price-changed", "", [{"field": "", "code": "price-changed"}])


def routes(router: APIRouter, site: Site) -> None:
    """Add GET and POST /start, /start/offers and /start/preview."""

    def last_of(request: Request, person: Person) -> tuple[dict[str, str], str]:
        return remembered(person.name, site.signer.read(LAST, request.cookies.get(LAST), LAST_AGE))

    async def values(request: Request, person: Person, form: Mapping[str, str], faults: list[Json]) -> dict[str, Any]:
        last = last_of(request, person)[1]
        root = site.config.base_url
        api, language = site.api(person), language_of(request)
        return await start_values(api, person.name, form, language, faults, last=last, base_url=root)

    def address(form: Mapping[str, str]) -> str:
        return f"{site.config.prefix}/start?{query_of(form)}"

    @router.get("/start")
    async def start(request: Request) -> Response:
        person = await site.person(request)
        form = from_query(request.query_params.multi_items())
        if not form:
            form = last_of(request, person)[0]
        if "server" not in form:
            form["server"] = await free_name(site.api(person), person.name, form.get(f"{OPTION}app", ""))
        return site.page(request, "start.html", await values(request, person, form, []), person=person)

    async def fragment(request: Request) -> tuple[Person, dict[str, str]]:
        form = await read_form(request)
        person = await site.writer(request, form)
        return person, {key: value for key, value in form.items() if key not in ("_xsrf", "action")}

    @router.post("/start/offers")
    async def offers(request: Request) -> Response:
        person, form = await fragment(request)
        return site.page(request, "parts/offers.html", await values(request, person, form, []), person=person)

    @router.post("/start/preview")
    async def preview(request: Request) -> Response:
        person, form = await fragment(request)
        return site.page(request, "parts/preview.html", await script_of(site.api(person), form), person=person)

    @router.post("/start")
    async def begin(request: Request) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        form = {key: value for key, value in form.items() if key != "_xsrf"}
        action, api = form.pop("action", ""), site.api(person)
        if action == "check":
            shown = await values(request, person, form, [])
            if form.get("place"):
                shown |= await script_of(api, form)
            return site.page(request, "start.html", shown, person=person, address=address(form))
        try:
            row = await may_start(api, person.name, form)
            if row is None:
                asked = request_of(form) | {"language": language_of(request).code}
                row = await api.start(form.get("server", "").strip(), asked)
        except Refused as refused:
            shown = await values(request, person, form, refused_by_rule(refused))
            return site.page(request, "start.html", shown, person=person, status=400, address=address(form))
        there = f"{site.config.prefix}/sessions/{quote(str(row['id']), safe='')}"
        if form.get("instead"):
            there += f"?{urlencode({'instead': form['instead'][:64]})}"
        response = RedirectResponse(there, status_code=303)
        if form.get("kind"):
            return response  # what an app needs is not what the person wants of a notebook next time
        content = site.signer.sign(LAST, to_remember(person.name, form))
        response.set_cookie(
            LAST,
            content,
            max_age=LAST_AGE,
            path=f"{site.config.prefix}/",
            httponly=True,
            samesite="lax",
            secure=site.config.secure,
        )
        return response


async def script_of(api: Api, form: Mapping[str, str]) -> dict[str, Any]:
    """The real job script for the form, or why there is none."""
    if not form.get("place"):
        return {"script": "", "script_faults": [{"field": "centre", "code": "choose-centre"}]}
    try:
        answer = await api.preview(request_of(form))
    except Refused as refused:
        return {"script": "", "script_faults": refused_by_rule(refused)}
    return {
        "script": str(answer["script"]),
        "argv": [str(word) for word in answer.get("argv") or ()],
        "script_faults": [],
    }
