"""The operator's page of money: what needs a decision, what is owed to whom, what queues are asked for, and grants.

As on the other pages of operators, the API refuses whoever is none.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Refused
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.moneyapi import MoneyApi
from perijove.hub.pages.moneyforms import by_field, credits_of, day_of
from perijove.hub.pages.operatormoneyviews import (
    HoldView,
    Period,
    ReconciliationView,
    demand_view,
    owed_view,
    price_view,
)
from perijove.hub.pages.people import Person
from perijove.hub.pages.start import refused_by_rule
from perijove.hub.pages.views import centre_name

#: The fields of each form; what is wrong with anything else stands on top of the page.
FIELDS = {
    "decide": ("charge",),
    "grants": ("budget", "amount", "starts", "ends", "note"),
    "projects": ("slug", "title", "manager"),
}


async def money_values(site: Site, request: Request, person: Person) -> dict[str, Any]:
    """What the page shows."""
    language, api = language_of(request), site.api(person)
    money, centres, fmt = MoneyApi(api), await api.centres(), Formats(language)
    period = Period.of(request.query_params.get("month", ""), datetime.now(UTC).date(), fmt)
    budgets = await money.budgets(everybody=True)
    return {
        "period": period,
        "undecided": [HoldView(row, centres, fmt) for row in await money.undecided()],
        "owed": owed_view(await money.owed(period.query), centres, fmt),
        "demand": demand_view(await money.demand(period.query), centres, fmt),
        "checks": [ReconciliationView(row, centres, fmt) for row in await money.reconciliations()],
        "prices": price_view(await money.prices(), centres, fmt, datetime.now(UTC)),
        "projects": [row for row in budgets if row.get("kind") == "project"],
        "keys": [str(row["key"]) for row in budgets],
        "names": {name: centre_name(name, centres, language) for name in centres},
        "form": {},
        "grant_key": secrets.token_hex(16),
        "faults": {},
        "at": "",
    }


def routes(router: APIRouter, site: Site) -> None:
    """Add /operator/money and the forms of it."""
    root = f"{site.config.prefix}/operator/money"

    @router.get("/operator/money")
    async def show(request: Request) -> Response:
        person = await site.person(request)
        values = await money_values(site, request, person)
        return site.page(request, "operatormoney.html", values, person=person)

    @router.get("/operator/money/owed.csv")
    async def csv(request: Request) -> Response:
        person = await site.person(request)
        fmt = Formats(language_of(request))
        period = Period.of(request.query_params.get("month", ""), datetime.now(UTC).date(), fmt)
        answer = await MoneyApi(site.api(person)).owed_csv(period.query)
        headers = {"Content-Disposition": f'attachment; filename="owed-{period.value}.csv"'}
        return Response(answer.content, media_type="text/csv; charset=utf-8", headers=headers)

    @router.post("/operator/money/{what}")
    async def order(request: Request, what: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        try:
            there = await _order(MoneyApi(site.api(person)), what, form)
        except Refused as refused:
            faults = by_field(refused_by_rule(refused), FIELDS.get(what, ()))
            shown = await money_values(site, request, person) | {"form": form, "faults": faults}
            shown |= {"at": f"{what}{form.get('kind', '')}{form.get('subject', '')}"}
            return site.page(request, "operatormoney.html", shown, person=person, status=400, address=root)
        return RedirectResponse(there if there.startswith("/") else f"{root}{there}", status_code=303)

    async def _order(api: MoneyApi, what: str, form: Mapping[str, str]) -> str:
        """Do what a form asks for; where to go then: a place on the page, or another page."""
        budget = form.get("budget", "").strip()[:300]
        if what == "decide":
            charge = credits_of(form, "charge") or 0
            await api.decide(form.get("kind", ""), form.get("subject", ""), charge, form.get("note", "")[:500])
            return "#undecided"
        if what == "reconcile":
            await api.reconcile(form.get("centre", ""))
            return "#checks"
        if what == "withdraw":
            grant = form.get("grant", "")
            await api.withdraw(budget, int(grant) if grant.isascii() and grant.isdigit() else 0)
            folder, _, name = budget.partition(":")
            return (
                f"{site.config.prefix}/budget/{'people' if folder == 'person' else 'projects'}/{quote(name, safe='')}"
            )
        if what == "projects":
            slug, manager = form.get("slug", "").strip()[:64], form.get("manager", "").strip()[:255]
            title = form.get("title", "").strip()[:200]
            for field, value in (("slug", slug), ("manager", manager)):
                if not value:
                    raise Refused(400, "missing", "", [{"field": field, "code": "missing"}])
            await api.make_project({"slug": slug, "title": title or slug, "manager": manager})
            return f"{site.config.prefix}/budget/projects/{quote(slug, safe='')}"
        if what == "grants":
            return await _grant(api, budget, form)
        raise Refused(404, "not-found", "", [])

    async def _grant(api: MoneyApi, budget: str, form: Mapping[str, str]) -> str:
        amount = credits_of(form, "amount") or 0
        if not budget:
            raise Refused(400, "missing", "", [{"field": "budget", "code": "missing"}])
        body: dict[str, Any] = {"amount": amount, "note": form.get("note", "").strip()[:500]}
        body |= {"starts": day_of(form, "starts"), "ends": day_of(form, "ends")}
        # Of this form: posted again, it grants nothing more.
        body["key"] = form.get("key", "")[:64] or None
        await api.grant(budget, {key: value for key, value in body.items() if value is not None})
        return "?granted=1#grants"
