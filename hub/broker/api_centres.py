"""The API of centres, offers, and people's accounts at centres."""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from perijove.hub.broker import offer_views, views
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.spawners.centre import Centre
from pydantic import BaseModel, ConfigDict, Field

Person = Callable[[Request], Awaitable[Caller]]


class NewIdentity(BaseModel):
    """An account to register."""

    model_config = ConfigDict(extra="forbid")
    centre: str = Field(max_length=64)
    account: str = Field(max_length=64)
    owner: str | None = Field(default=None, max_length=255, description="operators only: whose it is")


def router(broker: Broker, person: Person) -> APIRouter:
    """The routes of centres, offers and identities."""
    routes = APIRouter(tags=["centres"])
    Who = Annotated[Caller, Depends(person)]

    def described(centre: str) -> Centre:
        found = broker.parts.centres.get(centre)
        if found is None:
            raise Refusal(404, "unknown-centre", "there is no such centre")
        return found

    @routes.get("/centres")
    async def centres(who: Who) -> dict[str, Any]:
        """Every centre, its queues, and how busy they are."""
        now = broker.parts.clock()
        known = broker.parts.centres.values()
        keepers, orders = broker.keepers, broker.orders
        return {"centres": [views.centre(centre, keepers.get(centre.id), now, orders) for centre in known]}

    @routes.post("/offers")
    async def offers(options: dict[str, Any], who: Who) -> dict[str, Any]:
        """What every queue says to a request: start, price, data, or every reason why not and what would mend it.

        The body has a request's options (`centre` may be left out) and `prefer`: what matters most, one of start,
        price, data, balanced. Spends nothing, and asks no centre.
        """
        return offer_views.offers(broker.offers(options), broker.parts.clock())

    @routes.post("/preview")
    async def preview(options: dict[str, Any], who: Who) -> dict[str, Any]:
        """The job script that a request would become, and the command that would submit it. Spends nothing."""
        return await broker.preview(who.name, options)

    @routes.get("/identities")
    async def identities(who: Who, owner: str | None = None) -> dict[str, Any]:
        """One's accounts at centres."""
        whose = owner or who.name
        if not who.may_see(whose):
            raise Refusal(403, "forbidden", "you see your own accounts only")
        return {"identities": [found.view() for found in await broker.parts.identities.listing(whose)]}

    @routes.post("/identities", status_code=201)
    async def register(body: NewIdentity, who: Who) -> dict[str, Any]:
        """Register an account at a centre; the answer has the public key to install there."""
        centre, owner = described(body.centre), body.owner or who.name
        if not who.may_see(owner):
            raise Refusal(403, "forbidden", "you register your own accounts only")
        if centre.login.identity == "sudo" and not who.operator:
            raise Refusal(403, "operators-only", f"an operator says which account is yours at {centre.id}")
        return (await broker.parts.identities.register(owner, centre, body.account, who.name)).view()

    @routes.post("/identities/{centre}/check")
    async def check(centre: str, who: Who, owner: str | None = None) -> dict[str, Any]:
        """Log in at the centre with the registered account; `problem` says what is wrong."""
        whose = owner or who.name
        found = await broker.parts.identities.get(whose, centre) if who.may_see(whose) else None
        if found is None:
            raise Refusal(404, "no-account", "no account is registered for this centre")
        return (await broker.parts.identities.check(found, described(centre), broker.parts.links)).view()

    @routes.delete("/identities/{centre}", status_code=204)
    async def remove(centre: str, who: Who, owner: str | None = None) -> None:
        """Forget an account."""
        whose = owner or who.name
        if not who.may_see(whose) or not await broker.parts.identities.remove(whose, centre):
            raise Refusal(404, "no-account", "no account is registered for this centre")

    return routes
