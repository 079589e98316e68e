"""The API of people's own files at centres, and of files on their way between centres.

Own files only: operators read nobody's, and neither does the gateway's own token. Where everybody shares a `community`
account nobody's files are their own, and none are reached from here. (`self` is the account of one person, or a demo.)
"""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.files import Facts, Files, FileTrouble, Place
from perijove.hub.broker.transfers import TooManyTransfers, Transfer
from pydantic import BaseModel, ConfigDict, Field

Person = Callable[[Request], Awaitable[Caller]]
#: Characters of a path.
LONGEST = 4000


class End(BaseModel):
    """Where a file is or is to be."""

    model_config = ConfigDict(extra="forbid")
    centre: str = Field(max_length=64, description="the centre's id")
    path: str = Field(min_length=1, max_length=LONGEST, description='below the home directory: "data/x.nc", "~/x.nc"')


class NewTransfer(BaseModel):
    """A file that is to be brought from one centre to another."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    source: End = Field(alias="from")
    target: End = Field(alias="to")


def refused(trouble: FileTrouble) -> Refusal:
    """The API's answer to trouble with a file."""
    return Refusal(trouble.status, trouble.code, trouble.message)


async def download(files: Files, place: Place, path: str, request: Request, media: str = "") -> Response:
    """A file as an answer, or the part of it that `Range` asks for. It is never shown as a page. Raises Refusal."""
    try:
        facts = await files.look(place, path)
    except FileTrouble as trouble:
        raise refused(trouble) from None
    tag = f'"{facts.total:x}-{int(facts.mtime * 1000):x}"'
    part = _range(request.headers, facts.total, tag)
    name = path.rstrip("/").rpartition("/")[2].encode("utf-8", "replace")
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "ETag": tag,
        "X-Content-Type-Options": "nosniff",
    }
    if part is None:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{facts.total}"})
    start, stop = part
    whole = (start, stop) == (0, facts.total)
    headers["Content-Length"] = str(stop - start)
    if not whole:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{facts.total}"
    content = _pieces(files, place, path, facts, start, stop)
    media = media or "application/octet-stream"
    return StreamingResponse(content, 200 if whole else 206, headers=headers, media_type=media)


async def _pieces(files: Files, place: Place, path: str, facts: Facts, start: int, stop: int) -> AsyncIterator[bytes]:
    """The bytes; trouble in the middle breaks the answer off, which is then shorter than it said."""
    async for piece in files.stream(place, path, facts, start, stop):
        for at in range(0, len(piece), 1 << 18):
            yield piece[at : at + (1 << 18)]


def _range(headers: Any, total: int, tag: str) -> tuple[int, int] | None:
    """From where to where (RFC 9110, one range); all of it if the request says nothing else; None: not there."""
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", headers.get("range", "").replace(" ", ""))
    if found is None or not any(found.groups()) or headers.get("if-range", tag) != tag:
        return 0, total
    first, last = found.groups()
    start = int(first) if first else max(0, total - int(last))
    stop = min(int(last) + 1, total) if first and last else total
    return (start, stop) if start < stop else None


def router(broker: Broker, person: Person) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["files"])
    Who = Annotated[Caller, Depends(person)]
    Path = Annotated[str, Query(max_length=LONGEST)]
    files, transfers = broker.files, broker.transfers

    async def own(who: Caller, centre: str) -> Place:
        if who.gateway:
            raise Refusal(403, "own-files-only", "files are read by the person whose they are, and by nobody else")
        try:
            place = await files.place(who.name, centre)
        except FileTrouble as trouble:
            raise refused(trouble) from None
        if place.centre.login.identity == "community":
            raise Refusal(
                403, "shared-account", "everybody shares one account at this centre: use its files in a session there"
            )
        return place

    async def mine(who: Caller, transfer: str) -> Transfer:
        found = await transfers.get(transfer[:64])
        if found is None or who.gateway or found.owner != who.name:
            raise Refusal(404, "no-transfer", "there is no such transfer")
        return found

    @routes.get("/files/{centre}")
    async def listing(centre: str, who: Who, path: Path = "~") -> Response:
        """What is in a folder below one's home at a centre; nothing hidden, and no link that leads elsewhere."""
        place = await own(who, centre)
        try:
            found = await files.listing(place, path)
        except FileTrouble as trouble:
            raise refused(trouble) from None
        # ASCII: names that are no UTF-8 are lone surrogates, which no UTF-8 can carry.
        return Response(json.dumps({"path": path} | found), media_type="application/json")

    @routes.get("/files/{centre}/content")
    async def content(centre: str, who: Who, request: Request, path: Path) -> Response:
        """A file of one's own at a centre, or the part that `Range` asks for."""
        return await download(files, await own(who, centre), path, request)

    @routes.post("/transfers", status_code=201)
    async def stage(body: NewTransfer, who: Who) -> dict[str, Any]:
        """Bring a file of one's own from one centre to another; it goes on by itself, also after a broken link."""
        for end in (body.source, body.target):
            await own(who, end.centre)
        source, target = (body.source.centre, body.source.path), (body.target.centre, body.target.path)
        try:
            return transfers.view(await transfers.stage(who.name, source, target))
        except TooManyTransfers:
            raise Refusal(409, "too-many-transfers", "you have as many transfers as one person may have") from None

    @routes.get("/transfers")
    async def all_of_mine(who: Who, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        """One's transfers, newest first."""
        return {"transfers": [transfers.view(found) for found in await transfers.listing(who.name, limit)]}

    @routes.get("/transfers/{transfer}")
    async def one(transfer: str, who: Who) -> dict[str, Any]:
        """One transfer: waiting, running, done, failed, cancelling or cancelled, with its progress in bytes."""
        return transfers.view(await mine(who, transfer))

    @routes.delete("/transfers/{transfer}")
    async def cancel(transfer: str, who: Who) -> dict[str, Any]:
        """Stop a transfer; what has arrived is removed. Asking again is harmless."""
        found = await mine(who, transfer)
        await transfers.cancel(found.id)
        return transfers.view(await mine(who, found.id))

    return routes
