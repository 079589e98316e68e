"""The API's addresses for budgets, what was spent, prices, and the operators' books, as one person sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from perijove.hub.pages.api import Api, Json, Refused


def _q(text: str) -> str:
    return quote(text, safe="")


def _rows(answer: Any, key: str) -> list[Json]:
    return list(answer.get(key) or ())


@dataclass(frozen=True, slots=True)
class MoneyApi:
    """Budgets and the books; each call raises `Refused` where the API says no."""

    api: Api

    async def budgets(self, *, everybody: bool = False) -> list[Json]:
        """What the person may spend, their own first, or (operators) what anybody may; `enforce` as the gateway has it.

        None from a broker that keeps no books.
        """
        try:
            answer = await self.api.call("GET", "/budgets", query={"everybody": True} if everybody else None)
        except Refused as refused:
            if refused.status != 404:
                raise
            return []
        rows = [row | {"enforce": answer.get("enforce", True)} for row in _rows(answer, "budgets")]
        return sorted(rows, key=lambda row: (row.get("kind") != "person", str(row.get("title") or row.get("key"))))

    async def budget(self, key: str) -> Json:
        """One, with its members, grants and limits for whoever may see them."""
        return dict(await self.api.call("GET", f"/budgets/{_q(key)}"))

    async def entries(self, key: str, query: Mapping[str, Any]) -> Json:
        """The statement of a budget, newest first: `entries`, and the `cursor` of what is older."""
        return dict(await self.api.call("GET", f"/budgets/{_q(key)}/entries", query=query))

    async def entries_csv(self, key: str, query: Mapping[str, Any]) -> httpx.Response:
        """The statement as a table for a spreadsheet."""
        return await self.api.send("GET", f"/budgets/{_q(key)}/entries", query={**query, "format": "csv"})

    async def usage(self, query: Mapping[str, Any]) -> list[Json]:
        """What was charged, summed up `by` what `query` says: of each `key`."""
        return _rows(await self.api.call("GET", "/usage", query=query), "usage")

    async def prices(self) -> list[Json]:
        """The price of every queue, each version of it."""
        return _rows(await self.api.call("GET", "/prices"), "prices")

    # --- for whoever manages a project -------------------------------------------------------------------------------

    async def set_member(self, slug: str, person: str, role: str, limit: int | None) -> None:
        """Let somebody spend a project's money, or change what they may."""
        body = {"person": person, "role": role, "limit": limit}
        await self.api.call("POST", f"/projects/{_q(slug)}/members", body)

    async def remove_member(self, slug: str, person: str) -> None:
        """Let somebody spend it no more."""
        await self.api.call("DELETE", f"/projects/{_q(slug)}/members/{_q(person)}")

    async def set_limit(self, slug: str, person: str, centre: str, limit: int | None) -> None:
        """Bound what a person ("": all together) may spend at a centre; None for no bound."""
        await self.api.call("PUT", f"/projects/{_q(slug)}/limits", {"person": person, "centre": centre, "limit": limit})

    # --- for operators: everybody else is refused --------------------------------------------------------------------

    async def make_project(self, body: Mapping[str, Any]) -> None:
        """Make a project."""
        await self.api.call("POST", "/projects", body)

    async def grant(self, key: str, body: Mapping[str, Any]) -> None:
        """Give a budget money."""
        await self.api.call("POST", f"/budgets/{_q(key)}/grants", body)

    async def withdraw(self, key: str, grant: int) -> None:
        """Take back what is left of a grant."""
        await self.api.call("DELETE", f"/budgets/{_q(key)}/grants/{grant}")

    async def owed(self, query: Mapping[str, Any]) -> list[Json]:
        """What is owed to each centre."""
        return _rows(await self.api.call("GET", "/owed", query=query), "owed")

    async def owed_csv(self, query: Mapping[str, Any]) -> httpx.Response:
        """That as a table for a spreadsheet."""
        return await self.api.send("GET", "/owed", query={**query, "format": "csv"})

    async def demand(self, query: Mapping[str, Any]) -> list[Json]:
        """Use, waits, refusals and income of each queue."""
        return _rows(await self.api.call("GET", "/demand", query=query), "demand")

    async def undecided(self) -> list[Json]:
        """Holds whose end nobody knows."""
        return _rows(await self.api.call("GET", "/holds"), "holds")

    async def decide(self, kind: str, subject: str, charge: int, note: str) -> None:
        """Say what such a hold costs."""
        body = {"charge": charge, "note": note}
        await self.api.call("POST", f"/holds/{_q(kind)}/{_q(subject)}/decision", body)

    async def reconciliations(self) -> list[Json]:
        """The newest comparisons with the centres' own accounts, with their differences."""
        try:
            return _rows(await self.api.call("GET", "/reconciliations"), "reconciliations")
        except Refused as refused:
            if refused.status != 404:
                raise
            return []

    async def reconcile(self, centre: str) -> None:
        """Compare with a centre now."""
        await self.api.call("POST", f"/reconciliations/{_q(centre)}")
