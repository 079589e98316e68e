"""The API of budgets: what one has, who may spend it, and the grants that operators give.

All money is micro-credits. A budget's key is `person:NAME`, `project:SLUG` or `course:SLUG`. People see their own
budget and those of which they are members; managers of a project see and say who its members are and what these may
spend; operators see all, and they alone grant money.
"""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from perijove.hub.broker import budgetviews, paying
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.moneyrefusals import refusal
from perijove.hub.broker.typed import Moment, Text
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.budgets import Budget
from perijove.hub.ledger.records import MOST, LedgerError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

T = TypeVar("T")
Person = Callable[[Request], Awaitable[Caller]]
Name = Annotated[Text, Field(min_length=1, max_length=255, pattern=r"^[^\s/%]+$")]
Role = Literal["manager", "member"]
Limit = Annotated[int | None, Field(ge=0, le=MOST, description="micro-credits on hold and spent; none: no limit")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewProject(_Body):
    """A project, or a course."""

    slug: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="its name in links and keys")
    title: Text = Field(default="", max_length=200, description="what people read")
    manager: Name | None = Field(default=None, description="who manages it; none: whoever asks")
    kind: Literal["project", "course"] = "project"


class NewMember(_Body):
    """A member, or another role or limit of one."""

    person: Name
    role: Role = "member"
    limit: Limit = None


class NewLimit(_Body):
    """The most that somebody, or all at a centre, may spend."""

    limit: Limit
    person: Text = Field(default="", max_length=255, description='whose; "" is all together, at a centre')
    centre: str = Field(default="", max_length=32, description='where; "" is anywhere')


class NewGrant(_Body):
    """Money for a budget."""

    amount: int = Field(gt=0, le=MOST, description="micro-credits")
    starts: Moment | None = Field(default=None, description="when it can be spent from; none: now")
    ends: Moment | None = Field(default=None, description="until when; none: for ever")
    note: Text = Field(default="", max_length=500, description="what it is for; people read it")
    key: Text | None = Field(default=None, max_length=64, description="names the grant: repeated, it is given once")


def router(broker: Broker, person: Person) -> APIRouter:  # noqa: PLR0915 - one function per address
    """The routes."""
    routes = APIRouter(tags=["budgets"])
    Who = Annotated[Caller, Depends(person)]
    database, clock = broker.parts.database, broker.parts.clock

    async def write(work: Callable[[Connection], T]) -> T:
        try:
            return await database.write(work)
        except LedgerError as error:
            raise refusal(error) from None
        except ValueError as error:
            raise Refusal(400, "bad-request", str(error)) from None

    def seen(c: Connection, key: str, who: Caller) -> Budget:
        """A budget that the caller may see."""
        found = _valid(lambda: budgets.one(c, key[:300], who.name))
        if found is None or (found.role is None and not who.operator):
            raise Refusal(404, "no-budget", "there is no such budget")
        return found

    def managed(c: Connection, slug: str, who: Caller) -> str:
        """The key of a project, or of a course, of which the caller may say who spends it."""
        keys = (f"{kind}:{slug[:64]}" for kind in ("project", "course"))
        found = next((one for key in keys if (one := budgets.one(c, key, who.name)) is not None), None)
        if found is None or (found.role is None and not who.operator):
            raise Refusal(404, "no-budget", "there is no such budget")
        if found.role != "manager" and not who.operator:
            raise Refusal(403, "not-manager", "only who manages it, or an operator, may do that")
        return found.key

    def operator(who: Caller) -> None:
        if not who.operator:
            raise Refusal(403, "forbidden", "only operators of this gateway may do that")

    @routes.get("/budgets")
    async def listing(who: Who, owner: str | None = None, everybody: bool = False) -> dict[str, Any]:
        """The budgets that one may spend, one's own first, with what is in them: `available` now, `held`, `spent` and
        `granted` since ever, `next_end` of money, `burn` an hour of what runs now. Operators: of `owner`, or all."""
        whose = owner or who.name
        if everybody:
            operator(who)
        if not who.may_see(whose):
            raise Refusal(403, "forbidden", "you see your own budgets only")

        def work(c: Connection) -> list[dict[str, Any]]:
            found = budgets.listing(c, closed=True) if everybody else budgets.budgets_of(c, whose)
            return [budgetviews.budget(c, one, clock()) for one in found]

        if not everybody and not (who.gateway and owner is None):
            await _ensure(whose)
        return {"budgets": await database.read(work), "enforce": broker.parts.ledger.enforce}

    async def _ensure(whose: str) -> None:
        """A new person's starting grant is there when they first look."""
        known = await database.read(lambda c: budgets.one(c, paying.own_budget(whose)))
        if known is None:
            await database.write(lambda c: paying.ensure(c, broker.parts.ledger, whose, clock()))

    @routes.get("/budgets/{key}")
    async def get(key: str, who: Who) -> dict[str, Any]:
        """One budget with its `grants`, `members` and `limits`. A member who does not manage it sees of the members
        only themselves."""

        def work(c: Connection) -> dict[str, Any]:
            found = seen(c, key, who)
            only = None if who.operator or found.role == "manager" else who.name
            return budgetviews.detail(c, found, only, clock())

        if key == paying.own_budget(who.name):
            await _ensure(who.name)
        return await database.read(work)

    @routes.post("/projects", status_code=201)
    async def create(body: NewProject, who: Who) -> dict[str, Any]:
        """Make a project. Operators only; it has no money until it is granted some."""
        operator(who)
        manager = body.manager or who.name

        def work(c: Connection) -> dict[str, Any]:
            made = budgets.create_project(c, body.slug, body.title, manager, clock(), kind=body.kind)
            return budgetviews.budget(c, made, clock())

        return await write(work)

    @routes.delete("/projects/{slug}")
    async def close(slug: str, who: Who) -> dict[str, Any]:
        """Close a project: nothing more can be spent of it; sessions that it pays for are told, and stopped after the
        notice that the settings say. Operators only."""
        operator(who)

        def work(c: Connection) -> dict[str, Any]:
            key = managed(c, slug, who)
            budgets.close(c, key, clock())
            return budgetviews.budget(c, seen(c, key, who), clock())

        return await write(work)

    @routes.post("/projects/{slug}/members", status_code=201)
    async def join(slug: str, body: NewMember, who: Who) -> dict[str, Any]:
        """Make somebody a member, or give a member another role or limit."""

        def work(c: Connection) -> dict[str, Any]:
            key = managed(c, slug, who)
            budgets.add_member(c, key, body.person, body.role, clock(), limit=body.limit)
            return budgetviews.detail(c, seen(c, key, who), None, clock())

        return await write(work)

    @routes.delete("/projects/{slug}/members/{member}")
    async def leave(slug: str, member: str, who: Who) -> dict[str, Any]:
        """Remove a member; sessions of theirs that the project pays for are told, and stopped after the notice."""

        def work(c: Connection) -> dict[str, Any]:
            key = managed(c, slug, who)
            budgets.remove_member(c, key, member, clock())
            return budgetviews.detail(c, seen(c, key, who), None, clock())

        return await write(work)

    @routes.put("/projects/{slug}/limits")
    async def limit(slug: str, body: NewLimit, who: Who) -> dict[str, Any]:
        """Say the most that a member may spend, anywhere or at a centre, or all members together at a centre."""
        if body.centre and body.centre not in broker.parts.centres:
            raise Refusal(404, "no-centre", f"there is no centre {body.centre!r}")

        def work(c: Connection) -> dict[str, Any]:
            key = managed(c, slug, who)
            budgets.set_limit(c, key, body.limit, clock(), person=body.person, centre=body.centre)
            return budgetviews.detail(c, seen(c, key, who), None, clock())

        return await write(work)

    @routes.post("/budgets/{key}/grants", status_code=201)
    async def grant(key: str, body: NewGrant, who: Who) -> dict[str, Any]:
        """Grant money to a budget. Operators only. A person who never was here gets their budget with it."""
        operator(who)

        def work(c: Connection) -> dict[str, Any]:
            now = clock()
            if key.startswith("person:"):
                paying.ensure(c, broker.parts.ledger, key.removeprefix("person:"), now)
            times: tuple[datetime, datetime | None] = (body.starts or now, body.ends)
            given = books.grant(c, key, body.amount, *times, who.name, body.note, now, body.key and f"{key}:{body.key}")
            return budgetviews.grant(given, given.amount)

        return await write(work)

    @routes.delete("/budgets/{key}/grants/{grant}")
    async def withdraw(key: str, grant: int, who: Who) -> dict[str, Any]:
        """Take back what is left of a grant. Sessions that hold money of it are told, and stopped after the notice.
        Operators only."""
        operator(who)

        def work(c: Connection) -> dict[str, Any]:
            found = seen(c, key, who)
            if grant not in {one.id for one in budgetviews.grants_of(c, found.key)}:
                raise Refusal(404, "no-grant", "there is no such grant")
            left = books.withdraw(c, grant, who.name, clock())
            return {"left": left, "budget": budgetviews.budget(c, found, clock())}

        return await write(work)

    return routes


def _valid(work: Callable[[], T]) -> T | None:
    """What `work` finds; nothing where the key is none."""
    try:
        return work()
    except ValueError:
        return None
