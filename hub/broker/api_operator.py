"""The operators' API: drains and notices, how each centre is watched; and health for whoever supervises the process."""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from perijove.hub.broker import watching
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.orders import LONGEST_NOTE, LONGEST_TEXT, Level
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

Person = Callable[[Request], Awaitable[Caller]]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DrainBody(_Body):
    """Why a centre takes no new sessions."""

    note: str = Field(default="", max_length=LONGEST_NOTE, description="people who are refused read it")


class Words(_Body):
    """A text in both languages; neither may be missing."""

    en: str = Field(max_length=LONGEST_TEXT, pattern=r"\S")
    zh: str = Field(max_length=LONGEST_TEXT, pattern=r"\S")


class NoticeBody(_Body):
    """What everybody is told who looks at a centre."""

    text: Words
    level: Level = "info"


def router(broker: Broker, person: Person) -> APIRouter:
    """The routes for operators."""
    routes = APIRouter(tags=["operators"])

    async def operator(who: Annotated[Caller, Depends(person)]) -> Caller:
        if not who.operator:
            raise Refusal(403, "forbidden", "only operators of this gateway may do that")
        return who

    Who = Annotated[Caller, Depends(operator)]

    def described(centre: str) -> str:
        if centre not in broker.parts.centres:
            raise Refusal(404, "unknown-centre", f"there is no centre {centre[:64]!r}")
        return centre

    def ordered(centre: str) -> str:
        """A centre that is described, or was: its orders can still be taken back."""
        return centre if centre in broker.orders.drains or centre in broker.orders.notices else described(centre)

    @routes.put("/centres/{centre}/drain")
    async def drain(centre: str, who: Who, body: DrainBody | None = None) -> dict[str, Any]:
        """Take no new sessions at a centre; those that run or wait go on."""
        return (await broker.orders.drain(described(centre), who.name, body.note if body else "")).view()

    @routes.delete("/centres/{centre}/drain", status_code=204)
    async def undrain(centre: str, who: Who) -> None:
        """Take new sessions again."""
        await broker.orders.undrain(ordered(centre))

    @routes.put("/centres/{centre}/notice")
    async def notify(centre: str, body: NoticeBody, who: Who) -> dict[str, Any]:
        """Tell everybody who looks at a centre something."""
        return (await broker.orders.notify(described(centre), body.text.model_dump(), body.level, who.name)).view()

    @routes.delete("/centres/{centre}/notice", status_code=204)
    async def unnotify(centre: str, who: Who) -> None:
        """Remove the notice of a centre."""
        await broker.orders.unnotify(ordered(centre))

    @routes.get("/watchers")
    async def watchers(who: Who) -> dict[str, Any]:
        """How each centre is watched, and how many sessions it has."""
        return {"watchers": await watching.watchers(broker)}

    return routes


def health(broker: Broker) -> APIRouter:
    """The routes for whoever supervises the process; they need no login and say nothing of anybody."""
    routes = APIRouter(tags=["health"])

    @routes.get("/health/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @routes.get("/health/ready")
    async def ready() -> dict[str, Any]:
        """The store answers, and all centres are looked after."""
        try:
            await broker.parts.database.read(lambda c: c.execute(text("SELECT 1")) and None)
        except SQLAlchemyError:
            raise Refusal(503, "store", "the store does not answer") from None
        if not broker.ready:
            raise Refusal(503, "not-ready", "not all centres are looked after yet")
        return {"status": "ready", "centres": len(broker.keepers)}

    @routes.get("/health/centres")
    async def centres() -> dict[str, Any]:
        """Whether each centre answers, and since when not. A centre that is away is no fault of this process."""
        holders = await broker.leases.holders()
        return {"centres": [watching.health(broker, centre, holders) for centre in broker.parts.centres.values()]}

    return routes
