"""The API of links that show one run: made and taken back by its owner, opened by whoever has one.

A link needs no login to look; to run the app with its inputs one must be signed in, and pays oneself.
"""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from perijove.hub.broker import runviews
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.runfiles import headers, media_of
from perijove.hub.broker.runrecords import Relation, Run
from perijove.hub.broker.runshares import LONGEST_DAYS, Mode, Share, TooManyShares
from pydantic import BaseModel, ConfigDict, Field

Person = Callable[[Request], Awaitable[Caller]]


class NewShare(BaseModel):
    """A link to a run."""

    model_config = ConfigDict(extra="forbid")
    mode: Mode = Field(default="view", description="rerun: whoever is signed in may run the app with these inputs")
    days: int = Field(default=30, ge=1, le=LONGEST_DAYS, description="for how long it is good")


class SharedAgain(BaseModel):
    """A shared run once more, as one's own."""

    model_config = ConfigDict(extra="forbid")
    inputs: dict[str, Any] = Field(default_factory=dict, description="those that are to be others")
    key: str = Field(default="", max_length=64)
    request: dict[str, Any] | None = None
    session: str | None = Field(default=None, max_length=64)


def _name_of(broker: Broker, run: Run) -> dict[str, str] | None:
    """Its centre as people read it; None for one that is not described any more."""
    centre = broker.parts.centres.get(run.centre)
    return centre.name.model_dump() if centre is not None else None


def router(broker: Broker, person: Person, prefix: str) -> APIRouter:
    """The routes; `prefix` is the path of the pages, where a link leads."""
    routes = APIRouter(tags=["shares"])
    Who = Annotated[Caller, Depends(person)]
    desk = broker.runs

    async def own(name: str, who: Caller) -> Run:
        found = await desk.runs.get(name[:32])
        if found is None or not who.may_see(found.owner):
            raise Refusal(404, "no-run", "there is no such run")
        if not (who.gateway or who.name == found.owner):
            raise Refusal(403, "forbidden", "only its owner shares a run")
        return found

    async def opened(token: str) -> tuple[Share, Run]:
        share = await desk.shares.find(token[:200])
        found = await desk.runs.get(share.run) if share else None
        if share is None or found is None:
            raise Refusal(404, "no-share", "this link is not good, or no longer")
        return share, found

    @routes.post("/runs/{run}/shares", status_code=201)
    async def share(run: str, body: NewShare, who: Who) -> dict[str, Any]:
        """Make a link that shows this run alone. Its token is told now and never again."""
        found = await own(run, who)
        try:
            made, token = await desk.shares.make(found.id, body.mode, body.days, who.name)
        except TooManyShares:
            raise Refusal(409, "too-many-shares", "the run has as many links as one may have; take one back") from None
        return {**made.view(broker.parts.clock()), "token": token, "url": f"{prefix}shared/{token}"}

    @routes.get("/runs/{run}/shares")
    async def shares(run: str, who: Who) -> dict[str, Any]:
        """The links to a run, without their tokens."""
        now = broker.parts.clock()
        return {"shares": [one.view(now) for one in await desk.shares.listing((await own(run, who)).id)]}

    @routes.delete("/runs/{run}/shares/{share}", status_code=204)
    async def revoke(run: str, share: str, who: Who) -> None:
        """Take a link back; again is harmless."""
        if not await desk.shares.revoke((await own(run, who)).id, share[:32]):
            raise Refusal(404, "no-share", "the run has no such link")

    @routes.get("/shared/{token}")
    async def shared(token: str) -> dict[str, Any]:
        """The run that a link shows: nothing of who its owner is. Needs no login."""
        link, found = await opened(token)
        app = broker.apps.apps.get(found.app)
        titles = {name: one.title.model_dump() for name, one in app.inputs.items()} if app is not None else {}
        view = runviews.shared(await desk.view(found), link.mode, desk.own_files(found), titles)
        return view | {"centre_name": _name_of(broker, found)}

    @routes.get("/shared/{token}/files/{file:path}", response_class=StreamingResponse)
    async def file(token: str, file: str) -> StreamingResponse:
        """A file of the run that a link shows. Needs no login."""
        _, found = await opened(token)
        if file in runviews.PRIVATE:
            raise Refusal(404, "no-file", "the run has no such file")
        pieces = await desk.reading.file(found, file)
        return StreamingResponse(pieces, media_type=media_of(file), headers=headers(file))

    @routes.post("/shared/{token}/rerun", status_code=201)
    async def rerun(token: str, body: SharedAgain, who: Who) -> dict[str, Any]:
        """Run the app with the inputs of a shared run, as one's own run. This spends."""
        link, found = await opened(token)
        if link.mode != "rerun":
            raise Refusal(403, "view-only", "this link is for looking only")
        if who.gateway:
            raise Refusal(400, "bad-request", "a run is somebody's: use a person's token")
        # The owner's own files are not the caller's: theirs are asked for.
        inputs = {name: None for name in desk.own_files(found)} | body.inputs
        made = await desk.again(
            who.name, found, inputs, relation=Relation.RERUN, key=body.key, request=body.request, session=body.session
        )
        return await desk.view(made)

    return routes
