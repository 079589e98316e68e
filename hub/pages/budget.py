"""A budget's page: what one has, what runs on it now, what was spent, and for a project who may spend it.

The API says who may see and change what; a form that it refuses comes back with what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Json, Refused
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.moneyapi import MoneyApi
from perijove.hub.pages.moneyforms import by_field, credits_of
from perijove.hub.pages.moneyviews import COLOURS, DAYS, FOLDERS, BudgetView, EntryView, spending
from perijove.hub.pages.moneywords import MOVES, ROLES
from perijove.hub.pages.news import fresh
from perijove.hub.pages.people import Person
from perijove.hub.pages.start import refused_by_rule
from perijove.hub.pages.views import centre_name, session_view

#: Lines of a statement on one page, and how often more is fetched to fill it where holds are left out.
LINES, FETCHES = 40, 6
_KINDS = {folder: kind for kind, folder in FOLDERS.items()}


def key_of(person: Person, folder: str, name: str) -> str:
    """The key of the budget at an address; "" and "" is the person's own.

    Raises:
        HTTPException: 404, no budget can be there.
    """
    if folder and (folder not in _KINDS or not name or len(name) > 255):
        raise HTTPException(404)
    return f"{_KINDS[folder]}:{name}" if folder else f"person:{person.name}"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def filters(given: Mapping[str, str]) -> dict[str, str]:
    """The filters of a statement that can be meant: days from and until, and whether holds are shown."""
    found = {key: given.get(key, "").strip()[:10] for key in ("since", "until") if _day(given.get(key, ""))}
    return found | ({"all": "1"} if given.get("all") == "1" else {})


def wanted(chosen: Mapping[str, str]) -> dict[str, Any]:
    """The API's query for those filters: times in UTC; the last day is meant to its end."""
    query: dict[str, Any] = {}
    if since := _day(chosen.get("since", "")):
        query["since"] = f"{since.isoformat()}T00:00:00+00:00"
    if (until := _day(chosen.get("until", ""))) and until < date.max:
        query["until"] = f"{(until + timedelta(days=1)).isoformat()}T00:00:00+00:00"
    return query


async def statement(api: MoneyApi, key: str, chosen: Mapping[str, str], cursor: str) -> tuple[list[Json], str]:
    """A page of a statement, and where the next begins ("": nowhere)."""
    rows: list[Json] = []
    for _ in range(FETCHES):
        query = wanted(chosen) | {"limit": LINES} | ({"cursor": cursor} if cursor else {})
        answer = await api.entries(key, query)
        found = answer.get("entries") or ()
        rows += [row for row in found if chosen.get("all") or row.get("kind") not in MOVES]
        cursor = str(answer.get("cursor") or "")
        if not cursor or len(rows) >= LINES // 2:
            break
    return rows, cursor


class Page:
    """What the page of one budget shows to one person."""

    def __init__(self, site: Site, request: Request, person: Person, key: str) -> None:
        self.site, self.request, self.person, self.key = site, request, person, key
        self.api, self.money = site.api(person), MoneyApi(site.api(person))
        self.language = language_of(request)
        self.fmt = Formats(self.language)

    async def now(self) -> dict[str, Any]:
        """The part that is kept fresh: the balance, and what of the person's runs on it."""
        view = BudgetView(await self.money.budget(self.key), self.fmt, self.person.name)
        centres, root = await self.api.centres(), self.site.config.base_url
        rows = [row for row in await self.api.sessions(self.person.name) if paid_by(row, self.person) == self.key]
        clusters = [row for row in await self.api.clusters(self.person.name) if paid_by(row, self.person) == self.key]
        live = [session_view(row, self.language, centres, root) for row in rows if row.get("stage") != "ended"]
        return {"view": view, "live": live, "clusters": clusters, "live_path": f"{view.path}/live", "centres": centres}

    async def all(self, faults: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The whole page, with the faults of a form of it."""
        shown, asked = await self.now(), self.request.query_params
        view, centres, chosen = shown["view"], shown["centres"], filters(asked)
        rows, older = await statement(self.money, self.key, chosen, asked.get("cursor", "")[:200])
        since = datetime.now(UTC) - timedelta(days=DAYS)
        usage = await self.spent({"budget": self.key, "since": since.isoformat()})
        others = [BudgetView(row, self.fmt, self.person.name) for row in await self.money.budgets()]
        shown |= {
            "others": [one for one in others if one.key != self.key],
            "plot": spending(usage, centres, self.fmt, datetime.now(UTC).date()),
            "entries": [EntryView(row, self.fmt, centres) for row in rows],
            "chosen": chosen,
            "csv": urlencode({"budget": self.key} | chosen),
            "older": urlencode(chosen | {"cursor": older}) if older else "",
            "later": bool(asked.get("cursor")),
            "names": {name: centre_name(name, centres, self.language) for name in centres},
            "roles": ROLES,
            "form": {},
            "faults": {},
        }
        shown["may_change"] = not view.closed and (view.manages or (self.person.admin and view.kind == "project"))
        return shown | dict(faults or {})

    async def spent(self, query: Mapping[str, Any]) -> list[Json]:
        """What was charged a day and a centre: those that have a colour one by one, the rest together ("")."""
        centres = [row for row in await self.money.usage({**query, "by": "centre"}) if row.get("charged")]
        named = sorted(centres, key=lambda row: -int(row["charged"]))[:COLOURS]
        found, rest = (
            [],
            {str(row["key"]): int(row["charged"]) for row in await self.money.usage({**query, "by": "day"})},
        )
        for centre in named:
            for row in await self.money.usage({**query, "by": "day", "centre": centre["key"]}):
                found.append({"day": row["key"], "centre": centre["key"], "charged": row["charged"]})
                rest[str(row["key"])] -= int(row["charged"])
        return found + [{"day": day, "centre": "", "charged": charged} for day, charged in rest.items() if charged > 0]

    async def render(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A page or a part of one."""
        return self.site.page(self.request, template, values, person=self.person, status=status)


def paid_by(row: Json, person: Person) -> str:
    """The budget that pays for a session or a cluster."""
    return str((row.get("money") or {}).get("budget") or f"person:{person.name}")


def routes(router: APIRouter, site: Site) -> None:
    """Add /budget and what is below it."""

    @router.get("/budget/entries.csv")
    async def csv(request: Request) -> Response:
        person = await site.person(request)
        key = request.query_params.get("budget", "")[:300] or f"person:{person.name}"
        query = wanted(filters(request.query_params))
        answer = await MoneyApi(site.api(person)).entries_csv(key, query)
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in key)[:80]
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "X-Content-Type-Options": "nosniff"}
        return Response(answer.content, media_type="text/csv; charset=utf-8", headers=headers)

    @router.get("/budget")
    @router.get("/budget/{folder}/{name}")
    async def show(request: Request, folder: str = "", name: str = "") -> Response:
        person = await site.person(request)
        page = Page(site, request, person, key_of(person, folder, name))
        return await page.render("budget.html", await page.all())

    @router.get("/budget/live")
    @router.get("/budget/{folder}/{name}/live")
    async def live(request: Request, folder: str = "", name: str = "") -> Response:
        person = await site.person(request)
        page = Page(site, request, person, key_of(person, folder, name))
        part = await page.render("parts/balance.html", await page.now())
        return fresh(part, request.query_params.get("seen"))

    @router.post("/budget/projects/{name}/members")
    async def change(request: Request, name: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        api, page = MoneyApi(site.api(person)), Page(site, request, person, f"project:{name}")
        try:
            await _change(api, name, form)
        except Refused as refused:
            faults = by_field(refused_by_rule(refused), ("person", "limit") if form.get("do") == "add" else ())
            shown = await page.all({"form": form, "faults": faults})
            return await page.render("budget.html", shown, 400)
        return RedirectResponse(f"{site.config.prefix}/budget/projects/{name}#members", status_code=303)


async def _change(api: MoneyApi, slug: str, form: Mapping[str, str]) -> None:
    """What one of the forms of a project's members asks for."""
    who, do = form.get("person", "").strip()[:255], form.get("do", "")
    if do == "remove":
        return await api.remove_member(slug, who)
    limit = credits_of(form, "limit", needed=False)
    if do == "limit":
        return await api.set_limit(slug, who, form.get("centre", ""), limit)
    if not who:
        raise Refused(400, "missing", "", [{"field": "person", "code": "missing"}])
    role = form.get("role", "member")
    return await api.set_member(slug, who, role if role in ROLES else "member", limit)
