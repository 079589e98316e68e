"""The API of sessions: the person's door, the spawner's door, and looking on."""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from perijove.hub.broker import views
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.records import Record
from perijove.spawners.session import Stage
from pydantic import BaseModel, ConfigDict, Field

_SERVER = re.compile(r"([a-z][a-z0-9-]{0,29})?\Z")
#: Seconds: the longest long poll.
LONGEST_WAIT = 60.0
Person = Callable[[Request], Awaitable[Caller]]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewSession(_Body):
    """What a person asks for."""

    owner: str | None = Field(default=None, max_length=255, description="operators only: for whom")
    server: str = Field(default="", max_length=30, description='the name of the server; "" is the default one')
    options: dict[str, Any] = Field(description="as in the start form: centre, queue, cores, memory, ...")


class HandOver(_Body):
    """What the hub's spawner hands over."""

    options: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    argv: list[str] = Field(default_factory=list, max_length=1000)


def router(broker: Broker, person: Person) -> APIRouter:  # noqa: PLR0915 - one function per address
    """The routes."""
    routes = APIRouter(tags=["sessions"])
    Who = Annotated[Caller, Depends(person)]

    async def shown(found: Sequence[Record]) -> list[dict[str, Any]]:
        money = await broker.meters.sessions(found)
        return [
            views.session(record, broker.needs_environment(record), broker.ahead(record), money[record.id])
            for record in found
        ]

    async def view(record: Record) -> dict[str, Any]:
        return (await shown([record]))[0]

    async def one(session: str, who: Caller) -> Record:
        record = await broker.sessions.get(session[:64])
        if record is None or not who.may_see(record.owner):
            raise Refusal(404, "no-session", "there is no such session")
        return record

    async def named(owner: str, server: str, who: Caller) -> Record:
        record = None
        if who.may_see(owner):
            record = await broker.sessions.by_name(owner, "" if server == "-" else server)
        if record is None:
            raise Refusal(404, "no-session", "there is no such session")
        return record

    @routes.post("/sessions", status_code=201)
    async def start(body: NewSession, who: Who) -> dict[str, Any]:
        """Start a session, or give the live one of this server. The one request that spends."""
        owner = body.owner or (None if who.gateway else who.name)
        if owner is None:
            raise Refusal(400, "bad-request", "owner: say for whom")
        if not who.may_see(owner):
            raise Refusal(403, "forbidden", "you cannot start sessions of other people")
        if not _SERVER.match(body.server):
            raise Refusal(400, "bad-request", "server: a name has lower-case letters, digits and -, at most 30")
        record = await broker.open(owner, body.server, body.options)
        _later(broker.start_at_hub(record))
        return await view(record)

    @routes.put("/sessions/by-name/{owner}/{server}")
    async def hand_over(owner: str, server: str, body: HandOver, who: Who) -> dict[str, Any]:
        """The spawner's door: the live session of this server, made if there is none, with this environment."""
        if not who.gateway:
            raise Refusal(403, "forbidden", "only the hub hands over environments")
        server = "" if server == "-" else server
        live = await broker.sessions.by_name(owner, server)
        wanted = body.options.get("session")
        if live is None or not live.live:
            if wanted is not None:
                raise Refusal(409, "session-over", "this session has ended or is being stopped")
            live = await broker.open(owner, server, body.options)
        elif wanted is not None and wanted != live.id:
            raise Refusal(409, "other-session", "another session of this server is live")
        return await view(await broker.hand_over(live, body.environment, body.argv))

    @routes.get("/sessions")
    async def listing(
        who: Who,
        owner: str | None = None,
        live: bool | None = None,
        centre: str | None = None,
        stage: Stage | None = None,
        limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
    ) -> dict[str, Any]:
        """Sessions, newest first: one's own, or (operators) everybody's."""
        if owner is not None and not who.may_see(owner):
            raise Refusal(403, "forbidden", "you see your own sessions only")
        whose = owner if owner is not None or who.operator else who.name
        found = await broker.sessions.listing(whose, live, limit, centre=centre, stage=stage)
        return {"sessions": await shown(found)}

    @routes.get("/sessions/by-name/{owner}/{server}")
    async def by_name(owner: str, server: str, who: Who) -> dict[str, Any]:
        """The live session of a server ("-" is the default one), else its latest."""
        return await view(await named(owner, server, who))

    @routes.get("/sessions/{session}")
    async def get(session: str, who: Who) -> dict[str, Any]:
        """One session."""
        return await view(await one(session, who))

    @routes.delete("/sessions/{session}")
    async def stop(session: str, who: Who) -> dict[str, Any]:
        """Stop a session. Asking again is harmless."""
        return await view(await broker.ask_to_stop(await one(session, who), who.name))

    @routes.delete("/sessions/by-name/{owner}/{server}")
    async def stop_by_name(owner: str, server: str, who: Who) -> dict[str, Any]:
        """Stop the session of a server."""
        return await view(await broker.ask_to_stop(await named(owner, server, who), who.name))

    @routes.get("/sessions/{session}/events")
    async def events(
        session: str,
        who: Who,
        after: Annotated[int, Query(ge=0)] = 0,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0.0,
    ) -> dict[str, Any]:
        """What happened to a session after event `after`; waits up to `wait` seconds for the first."""
        record = await one(session, who)
        if wait and record.stage is not Stage.ENDED:
            broker.watch(record)
        return {"events": await _wait_for_events(broker, record.id, after, wait)}

    @routes.get("/sessions/{session}/log")
    async def log(session: str, who: Who) -> dict[str, Any]:
        """The last lines of the session's job."""
        return {"log": await _log(broker, await one(session, who))}

    @routes.post("/sessions/{session}/watch")
    async def watch(session: str, who: Who) -> dict[str, Any]:
        """Somebody waits for this session: look closely for a minute."""
        record = await one(session, who)
        broker.watch(record)
        return await view(record)

    return routes


_TASKS: set[asyncio.Task[None]] = set()


def _later(work: Any) -> None:
    """Do something without the caller waiting for it."""
    task = asyncio.ensure_future(work)
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


async def _wait_for_events(broker: Broker, session: str, after: int, wait: float) -> list[dict[str, Any]]:
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        news = broker.bulletin.listen(session)
        try:
            found = await broker.sessions.events(session, after)
            left = deadline - asyncio.get_running_loop().time()
            if found or left <= 0:
                return found
            with contextlib.suppress(TimeoutError):
                # Another broker may keep this session: then the store alone has its news.
                async with asyncio.timeout(min(left, 5.0)):
                    await news
        finally:
            broker.bulletin.leave(session, news)


async def _log(broker: Broker, record: Record) -> str:
    keeper = broker.keepers.get(record.centre)
    if record.stage is Stage.ENDED or keeper is None or keeper.context.tails is None or not record.attempt:
        return record.log_tail
    return await keeper.context.tails.get(record.login, record.id) or record.log_tail
