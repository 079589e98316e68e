"""The person's own files on their way between centres: a part of the page of data sets, fresh while any is moving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Api, Json, Refused
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats, moment
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.news import fresh
from perijove.hub.pages.operatorwords import Trouble
from perijove.hub.pages.people import Person
from perijove.hub.pages.runfigures import percent, size
from perijove.hub.pages.transferwords import OTHER_TROUBLE, STATES, TROUBLES, WAITS
from perijove.hub.pages.views import centre_name
from perijove.hub.pages.words import Look

#: Transfers that the page shows.
MOST = 20


@dataclass(frozen=True, slots=True)
class TransferView:
    """One transfer as the page shows it; the words are English and go through the catalogue in the template."""

    data: Json
    fmt: Formats
    centres: Mapping[str, Json]

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.data.get("id") or "")

    @property
    def path(self) -> str:
        """Its address below the pages, for orders."""
        return f"/data/transfers/{quote(self.id, safe='')}"

    @property
    def file(self) -> str:
        """The file's name."""
        return self.end("from")[1].rpartition("/")[2]

    def end(self, which: str) -> tuple[str, str]:
        """The centre and the path at its end `from` or `to`."""
        found = self.data.get(which) or {}
        return centre_name(found.get("centre"), self.centres, self.fmt.language), str(found.get("path") or "")

    @property
    def live(self) -> bool:
        """It is not over."""
        return self.data.get("state") in ("waiting", "running", "cancelling")

    @property
    def can_cancel(self) -> bool:
        """It can be stopped."""
        return self.data.get("state") in ("waiting", "running")

    @property
    def can_repeat(self) -> bool:
        """It can be ordered once more."""
        return self.data.get("state") in ("failed", "cancelled")

    @property
    def look(self) -> Look:
        """Word, icon and colour; one that waits for a centre that does not answer goes on by itself."""
        return WAITS if self.can_cancel and self.trouble else STATES.get(str(self.data.get("state")), STATES["waiting"])

    @property
    def trouble(self) -> Trouble | None:
        """What was wrong, in our words, and what to do."""
        code = str((self.data.get("problem") or {}).get("code") or "")
        return TROUBLES.get(code, OTHER_TROUBLE) if code and self.data.get("state") != "done" else None

    @property
    def said(self) -> str:
        """What the gateway says of trouble that we have no words for."""
        return str((self.data.get("problem") or {}).get("message") or "")[:500] if self.trouble is OTHER_TROUBLE else ""

    @property
    def percent(self) -> int:
        """How much of it has arrived."""
        total = self.data.get("total")
        return 100 if self.data.get("state") == "done" else percent(self.data.get("moved", 0) / total if total else 0)

    @property
    def facts(self) -> str:
        """How much has arrived, how fast, and how long it will still take, as far as that is known."""
        total, gettext = self.data.get("total"), self.fmt.language.gettext
        if total is None:
            return ""
        if not self.live:
            return size(self.fmt, total)
        parts = [f"{size(self.fmt, self.data.get('moved') or 0)} / {size(self.fmt, total)}"]
        if rate := self.data.get("rate"):
            parts.append(f"{size(self.fmt, rate)}/s")
        if isinstance(left := self.data.get("left"), int | float):
            parts.append(gettext("%(time)s left") % {"time": self.fmt.run_time(float(left))})
        return " · ".join(parts)

    @property
    def created(self) -> datetime | None:
        """When it was ordered."""
        return moment(self.data.get("created"))


async def transfers_of(api: Api, fmt: Formats, centres: Mapping[str, Json]) -> list[TransferView]:
    """The person's transfers, newest first; none at a gateway that moves no files."""
    try:
        answer = await api.call("GET", "/transfers", query={"limit": MOST})
    except Refused as refused:
        if refused.status != 404:
            raise
        return []
    return [TransferView(row, fmt, centres) for row in answer["transfers"]]


async def values_of(site: Site, request: Request, person: Person) -> dict[str, Any]:
    """What the part shows."""
    api = site.api(person)
    return {"transfers": await transfers_of(api, Formats(language_of(request)), await api.centres())}


def routes(router: APIRouter, site: Site) -> None:
    """Add /data/transfers (the part alone) and what one does with one."""

    @router.get("/data/transfers")
    async def live(request: Request) -> Response:
        person = await site.person(request)
        page = site.page(request, "parts/transfers.html", await values_of(site, request, person), person=person)
        return fresh(page, request.query_params.get("seen"))

    @router.post("/data/transfers/{transfer}/{what}")
    async def order(request: Request, transfer: str, what: str) -> Response:
        form = await read_form(request)
        api, where = site.api(await site.writer(request, form)), f"/transfers/{quote(transfer, safe='')}"
        if what == "cancel":
            await api.call("DELETE", where)
        elif what == "again":
            known = await api.call("GET", where)
            await api.call("POST", "/transfers", {"from": known["from"], "to": known["to"]})
        else:
            raise HTTPException(404)
        return RedirectResponse(f"{site.config.prefix}/data#transfers", status_code=303)
