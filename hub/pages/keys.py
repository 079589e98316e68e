"""Account keys: a person's own accounts at centres that want a key per person (identity "key")."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Json, Refused
from perijove.hub.pages.context import Site
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.people import Person
from perijove.hub.pages.views import centre_name


async def key_values(site: Site, request: Request, person: Person) -> dict[str, Any]:
    """What the page shows: each centre that wants a key, with the person's registration if there is one."""
    api, language = site.api(person), language_of(request)
    centres = await api.centres()
    known = {str(row.get("centre")): row for row in await api.identities()}
    rows = [
        {"id": centre, "name": centre_name(centre, centres, language), "key": known.get(centre, {})}
        for centre, row in centres.items()
        if row.get("identity") == "key" or centre in known
    ]
    return {"rows": rows, "at": "", "faults": [], "account": ""}


def routes(router: APIRouter, site: Site) -> None:
    """Add GET /keys, POST /keys/{centre} (register) and POST /keys/{centre}/check."""

    @router.get("/keys")
    async def keys(request: Request) -> Response:
        person = await site.person(request)
        return site.page(request, "keys.html", await key_values(site, request, person), person=person)

    async def act(request: Request, centre: str, check: bool) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        account = form.get("account", "").strip()
        try:
            await (site.api(person).check_key(centre) if check else site.api(person).register_key(centre, account))
        except Refused as refused:
            if refused.status >= 500 or refused.status in (401, 403):
                raise
            values = await key_values(site, request, person)
            faults: list[Json] = refused.faults or [{"code": refused.code, "message": refused.message}]
            values |= {"at": centre, "faults": faults, "account": account}
            address = f"{site.config.prefix}/keys"
            return site.page(request, "keys.html", values, person=person, status=400, address=address)
        return RedirectResponse(f"{site.config.prefix}/keys", status_code=303)

    @router.post("/keys/{centre}")
    async def register(request: Request, centre: str) -> Response:
        return await act(request, centre, check=False)

    @router.post("/keys/{centre}/check")
    async def check(request: Request, centre: str) -> Response:
        return await act(request, centre, check=True)
