"""The API of apps: which there are, where they can run, and what a run would take."""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from perijove.hub.broker.appdesk import AppDesk
from perijove.hub.broker.appplaces import EVERYBODY
from perijove.hub.broker.appviews import example_file, picture_file
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.runfiles import headers, media_of
from perijove.spawners.apps.bundle import pack
from perijove.spawners.apps.folder import BadFolder
from pydantic import BaseModel, ConfigDict, Field

Person = Callable[[Request], Awaitable[Caller]]
Name = Annotated[str, Field(max_length=200)]


class Estimate(BaseModel):
    """What a run would be of."""

    model_config = ConfigDict(extra="forbid")
    inputs: dict[str, Any] = Field(default_factory=dict, description="by the inputs' names; defaults may be left out")
    request: dict[str, Any] = Field(
        default_factory=dict, description="centre, queue, cores, memory, walltime, project, prefer: what was chosen"
    )


class Missing(BaseModel):
    """A code that is not there."""

    code: str = Field(max_length=32)
    how: dict[Annotated[str, Field(max_length=16)], Name] = Field(default_factory=dict, max_length=8)


class FoundThere(BaseModel):
    """What of an app is at a centre: what `python -m perijove.spawners.apps.probe` says of it."""

    model_config = ConfigDict(extra="forbid")
    way: str | None = Field(default=None, max_length=32)
    codes: dict[Name, Name | None] = Field(default_factory=dict, max_length=50)
    missing: list[Missing] = Field(default_factory=list, max_length=50)
    data: dict[Name, Annotated[str, Field(max_length=1000)] | None] = Field(default_factory=dict, max_length=50)
    digest: str = Field(default="", max_length=64, description="of the app that was looked for")


def router(broker: Broker, person: Person, root: str) -> APIRouter:
    """The routes; `root` is the path of the API."""
    routes = APIRouter(tags=["apps"])
    Who = Annotated[Caller, Depends(person)]
    desk: AppDesk = broker.apps

    @routes.get("/apps")
    async def listing(who: Who) -> dict[str, Any]:
        """Every app: what it asks for, what it gives, where it can run, how long it usually takes and what it costs."""
        return {"apps": await desk.views(list(desk.apps.values()), root, who.name)}

    @routes.get("/apps/{app}")
    async def get(app: str, who: Who) -> dict[str, Any]:
        """One app."""
        return await desk.view(desk.app(app), root, who.name)

    # Pictures are shown by pages, which cannot send a token along with an image; they tell nothing of anybody.
    @routes.get("/apps/{app}/picture", response_class=Response)
    async def picture(app: str) -> Response:
        """The app's picture; needs no login."""
        found = desk.app(app)
        return _file(await asyncio.to_thread(picture_file, found), found.picture)

    @routes.get("/apps/{app}/example/{file:path}", response_class=Response)
    async def example(app: str, file: str) -> Response:
        """A file of the app's example; needs no login."""
        return _file(await asyncio.to_thread(example_file, desk.app(app), file), file)

    @routes.get("/apps/{app}/bundle", response_class=Response)
    async def bundle(app: str, who: Who, request: Request) -> Response:
        """The app's folder as a ZIP, for the session that runs it; its ETag is the app's digest."""
        found = desk.app(app)
        tag = {"ETag": f'"{found.digest}"'}
        if request.headers.get("If-None-Match", "").strip() == tag["ETag"]:
            return Response(status_code=304, headers=tag)
        try:
            content = await asyncio.to_thread(pack, found)
        except (BadFolder, OSError) as error:
            raise Refusal(503, "app-changed", f"the app's folder cannot be read now: {error}") from None
        saved = {"Content-Disposition": f'attachment; filename="{found.name}.zip"'}
        return Response(content, media_type="application/zip", headers=tag | saved)

    @routes.post("/apps/{app}/estimate")
    async def estimate(app: str, body: Estimate, who: Who) -> dict[str, Any]:
        """What a run with these inputs would take and cost, and where: or every fault of the inputs. Spends nothing."""
        return await desk.estimate(desk.app(app), body.inputs, body.request, who.name)

    @routes.put("/apps/{app}/places/{centre}")
    async def place(app: str, centre: str, body: FoundThere, who: Who) -> dict[str, Any]:
        """Tell what of an app is at a centre: an operator tells everybody, a session there its own person alone."""
        found = desk.app(app)
        if centre not in broker.parts.centres:
            raise Refusal(404, "unknown-centre", "there is no such centre")
        if not who.operator and not await broker.sessions.listing(who.name, True, 1, centre=centre):
            raise Refusal(403, "forbidden", "only a session of yours at this centre can tell what is there")
        if body.way is not None and found.way(body.way) is None:
            raise Refusal(400, "bad-request", "way: the app has no such way")
        said = body.model_dump(exclude={"digest"})
        person = EVERYBODY if who.operator else who.name
        told = await desk.places.put(centre, app, body.digest or found.digest, said, who.name, person=person)
        return told.view()

    return routes


def _file(content: bytes | None, name: str) -> Response:
    if content is None:
        raise Refusal(404, "no-file", "there is no such file")
    return Response(content, media_type=media_of(name), headers=headers(name) | {"Cache-Control": "max-age=300"})
