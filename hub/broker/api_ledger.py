"""The API of the books: entries, use, prices, what is owed, supply and demand, and what nobody knows the cost of.

All money is micro-credits; `since` and `until` are ISO 8601 times with a zone. With `format=csv` entries, use and what
is owed come as tables for spreadsheets, in credits and hours. People see what they spent themselves; managers of a
project what was spent of it; operators everything.
"""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from perijove.hub.broker import budgetviews
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.demand import demand
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.typed import LARGEST, Moment, Text
from perijove.hub.broker.views import iso
from perijove.hub.ledger import books, budgets, prices, statements
from perijove.hub.ledger.holding import one_hold, undecided
from perijove.hub.ledger.records import MOST, Hold, Subject
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

Person = Callable[[Request], Awaitable[Caller]]
Format = Literal["json", "csv"]
Since = Annotated[Moment | None, Query(description="from then on")]
Until = Annotated[Moment | None, Query(description="before then")]
By = Literal["day", "centre", "queue", "person", "budget"]
#: Entries in one table for a spreadsheet; days that demand looks back where nothing is said.
MOST_ROWS, DAYS = 100_000, 30


class Decision(BaseModel):
    """What an operator says that something has cost."""

    model_config = ConfigDict(extra="forbid")
    charge: int = Field(ge=0, le=MOST, description="micro-credits that it cost in all")
    note: Text = Field(default="", max_length=500, description="why; it stands in the books")


def router(broker: Broker, person: Person) -> APIRouter:  # noqa: PLR0915 - one function per address
    """The routes."""
    routes = APIRouter(tags=["ledger"])
    Who = Annotated[Caller, Depends(person)]
    database, clock = broker.parts.database, broker.parts.clock

    async def operator(who: Who) -> Caller:
        if not who.operator:
            raise Refusal(403, "forbidden", "only operators of this gateway may do that")
        return who

    Operator = Annotated[Caller, Depends(operator)]

    async def whose(who: Caller, budget: str | None, wanted: str | None) -> str | None:
        """The person whose entries the caller may see: of a budget that they manage everybody's (None)."""
        if who.operator:
            return wanted
        found = await database.read(lambda c: _one(c, budget, who.name)) if budget else None
        if budget and (found is None or found.role is None):
            raise Refusal(404, "no-budget", "there is no such budget")
        if found is not None and found.role == "manager":
            return wanted
        if wanted not in (None, who.name):
            raise Refusal(403, "forbidden", "you see your own entries only")
        return who.name

    @routes.get("/budgets/{key}/entries")
    async def entries(  # noqa: PLR0913, PLR0917 - each is a filter
        key: str,
        who: Who,
        owner: str | None = None,
        centre: str | None = None,
        since: Since = None,
        until: Until = None,
        cursor: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        format: Format = "json",
    ) -> Any:
        """The entries of a budget, newest first; `cursor` of the answer asks for those before them. A member who does
        not manage it sees their own; grants, which are nobody's, are with the budget."""
        only = await whose(who, key, owner)
        filters: dict[str, Any] = {"budget": key, "person": only, "centre": centre, "since": since, "until": until}
        find: Any = partial(statements.entries, **filters)
        if format == "csv":
            page = await database.read(lambda c: find(c, cursor=cursor, limit=MOST_ROWS))
            return table(page.entries, statements.ENTRY_COLUMNS, "entries")
        page = await database.read(lambda c: find(c, cursor=cursor, limit=limit))
        shown = [asdict(one) | {"time": iso(one.time), "job_id": one.job_id} for one in page.entries]
        return {"entries": shown, "cursor": page.cursor}

    @routes.get("/usage")
    async def usage(  # noqa: PLR0913, PLR0917 - each is a filter
        who: Who,
        by: By = "day",
        budget: str | None = None,
        owner: str | None = None,
        centre: str | None = None,
        queue: str | None = None,
        since: Since = None,
        until: Until = None,
        format: Format = "json",
    ) -> Any:
        """What was used and charged, summed up: one's own, that of a budget one manages, or (operators) everybody's.

        Of each `key`: `charged`, `absorbed` (what the gateway paid), `core_hours`, `gpu_hours`, and `jobs` that ended.
        A queue is named with its centre, `CENTRE/QUEUE`.
        """
        only = await whose(who, budget, owner)
        filters: dict[str, Any] = {
            "budget": budget,
            "person": only,
            "centre": centre,
            "queue": queue,
            "since": since,
            "until": until,
        }
        find: Any = partial(statements.usage, by=by, **filters)
        found = await database.read(find)
        if format == "csv":
            return table(found, statements.USAGE_COLUMNS, "usage")
        keys = ("key", "charged", "absorbed", "core_hours", "gpu_hours", "jobs")
        return {"by": by, "usage": [{key: getattr(one, key) for key in keys} for one in found]}

    @routes.get("/prices")
    async def listing(who: Who, centre: str | None = None, queue: str | None = None) -> dict[str, Any]:
        """The versions of prices: micro-credits an hour of a core, of a GPU, of a GiB, `valid_from` when. `now`: it is
        the one that holds for what is asked for now."""
        return {"prices": await database.read(lambda c: _versions(c, centre, queue, clock()))}

    @routes.get("/owed")
    async def owed(who: Operator, since: Since = None, until: Until = None, format: Format = "json") -> Any:
        """What each centre has earned: `charged` to budgets, `absorbed` by the gateway, `owed` in all. Operators."""
        found = await database.read(lambda c: statements.owed(c, since, until))
        if format == "csv":
            return table(found, statements.OWED_COLUMNS, "owed")
        return {"owed": [asdict(one) for one in found]}

    @routes.get("/demand")
    async def supply(who: Operator, since: Since = None, until: Until = None) -> dict[str, Any]:
        """Supply and demand of each queue, of the last 30 days if nothing is said: `jobs`, hours, `income`, `waits` in
        seconds (`count`, `p50`, `p90`), `refused` requests by code, sessions `waiting` and `running` now. Operators."""
        end = until or clock()
        begin = since or end - timedelta(days=DAYS)
        found = await database.read(lambda c: demand(c, begin, end))
        return {"since": iso(begin), "until": iso(end), "demand": found}

    @routes.get("/holds")
    async def holds(who: Operator) -> dict[str, Any]:
        """What nobody knows the cost of: on hold until the centre's accounting or an operator says. Operators."""
        found = await database.read(undecided)
        return {"holds": [budgetviews.hold(one) for one in found]}

    @routes.post("/holds/{kind}/{subject}/decision")
    async def decide(kind: Literal["session", "workers", "warm"], subject: str, body: Decision, who: Operator) -> Any:
        """Say what something cost in all, or correct what is settled. Again it changes nothing. Operators."""

        def work(c: Connection) -> dict[str, Any]:
            about = Subject(kind, subject[:64])
            return budgetviews.hold(_decided(c, about, body.charge, who.name, clock(), body.note))

        try:
            return await database.write(work)
        except LookupError:
            raise Refusal(404, "no-hold", "nothing is held for that") from None
        except ValueError as error:
            raise Refusal(409, "not-undecided", str(error)) from None

    return routes


def _decided(c: Connection, about: Subject, charge: int, by: str, now: datetime, note: str) -> Hold:
    """An operator says what something has cost in all, whether that is open or was settled to something else.

    Raises:
        LookupError, ValueError: as `books.decide` and `books.adjust`.
    """
    found = one_hold(c, about)
    if found is not None and found.state == "settled":
        return books.adjust(c, about, charge, by, now, note)
    # Tasks that are settled already have cost their part of it.
    before = found.charged + found.absorbed if found is not None else 0
    return books.decide(c, about, charge - before, by, now, note)


def table(rows: Sequence[Any], columns: Sequence[str], name: str) -> Response:
    """A table for a spreadsheet."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "X-Content-Type-Options": "nosniff"}
    text = "\ufeff" + statements.csv_text(rows, columns)  # the mark tells spreadsheets that it is UTF-8
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _versions(c: Connection, centre: str | None, queue: str | None, now: datetime) -> list[dict[str, Any]]:
    found, held = [], set()
    for one in prices.listing(c, centre, queue):  # of each queue the newest first
        holds = one.valid_from <= now and (one.centre, one.queue) not in held
        held |= {(one.centre, one.queue)} if holds else set()
        found.append(asdict(one) | {"valid_from": iso(one.valid_from), "now": holds})
    return found


def _one(c: Connection, budget: str, person: str) -> budgets.Budget | None:
    try:
        return budgets.one(c, budget[:300], person)
    except ValueError:
        return None
