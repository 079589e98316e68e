"""The API of runs: started, followed, reported by their sessions, run again, compared, kept and removed."""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from perijove.hub.broker import runviews
from perijove.hub.broker.api_sessions import LONGEST_WAIT
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.runcompare import compare
from perijove.hub.broker.runfiles import TooLarge, headers, media_of
from perijove.hub.broker.runrecords import Relation, Run, RunState
from perijove.spawners.link import printable
from pydantic import BaseModel, ConfigDict, Field

Person = Callable[[Request], Awaitable[Caller]]
Key = Annotated[str, Field(max_length=64, description="names the request: repeated, it is the same run")]
SessionName = Annotated[str | None, Field(max_length=64, description="a live session that executes it; none: its own")]
Chosen = Annotated[
    dict[str, Any] | None, Field(description="of its own session: centre, queue, cores, memory, walltime, project")
]

FilesAt = Annotated[
    str | None,
    Field(
        max_length=64,
        description="the centre where the files of one's own among these inputs lie, if it is not where the run will"
        " be: they are brought there before its session is opened",
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewRun(_Body):
    """A run of an app."""

    app: str = Field(max_length=64)
    inputs: dict[str, Any] = Field(default_factory=dict)
    language: Literal["en", "zh"] = "en"
    label: str = Field(default="", max_length=200, description="the person's own words for it")
    key: Key = ""
    session: SessionName = None
    request: Chosen = None
    parent: str | None = Field(default=None, max_length=32, description="a run of one's own that this one comes from")
    relation: Relation | None = None
    owner: str | None = Field(default=None, max_length=255, description="for the gateway: whose it is")
    files_at: FilesAt = None


class Again(_Body):
    """A run once more, with other values for some inputs."""

    inputs: dict[str, Any] = Field(default_factory=dict, description="those that are to be others")
    key: Key = ""
    label: str | None = Field(default=None, max_length=200)
    language: Literal["en", "zh"] | None = None
    session: SessionName = None
    request: Chosen = None
    files_at: FilesAt = None


class Replay(_Body):
    """The same run at another centre."""

    centre: str = Field(max_length=64)
    key: Key = ""
    request: Chosen = None


class Resume(_Body):
    """Where a run goes on."""

    session: SessionName = None


class Label(_Body):
    """A run's name."""

    label: str = Field(max_length=200)


class Report(_Body):
    """What a session says of a run."""

    report: dict[str, Any] = Field(description="state, progress, steps, failure, codes, data, results; at most 512 kB")
    folder: str = Field(default="", max_length=1000, description="the run's folder at the centre")
    session: str | None = Field(default=None, max_length=64, description="the session that says so")


def router(broker: Broker, person: Person) -> APIRouter:  # noqa: PLR0915 - one function per address
    """The routes."""
    routes = APIRouter(tags=["runs"])
    Who = Annotated[Caller, Depends(person)]
    desk = broker.runs

    async def one(name: str, who: Caller) -> Run:
        """A run that the caller may see."""
        found = await desk.runs.get(name[:32])
        if found is None or not who.may_see(found.owner):
            raise Refusal(404, "no-run", "there is no such run")
        return found

    async def own(name: str, who: Caller) -> Run:
        """A run that the caller may do things with."""
        found = await one(name, who)
        if not (who.gateway or who.name == found.owner):
            raise Refusal(403, "forbidden", "this is another person's run: its files are theirs alone")
        return found

    @routes.post("/runs", status_code=201)
    async def start(body: NewRun, who: Who) -> dict[str, Any]:
        """Run an app: in a live session, or in one that is opened for it. This spends."""
        owner = body.owner or ("" if who.gateway else who.name)
        if not owner:
            raise Refusal(400, "bad-request", "owner: say for whom")
        if not (who.gateway or who.name == owner):
            raise Refusal(403, "forbidden", "you cannot start runs of other people")
        parent = await own(body.parent, who) if body.parent else None
        lie = desk.lie(parent, body.inputs) if parent and parent.owner == owner else {}
        made = await desk.start(
            owner,
            broker.apps.app(body.app),
            body.inputs,
            language=body.language,
            label=body.label,
            key=body.key,
            session=body.session,
            request=body.request,
            parent=parent.id if parent else None,
            relation=body.relation if parent else None,
            lie=lie | (dict.fromkeys(body.inputs, body.files_at) if body.files_at else {}),
        )
        return await desk.view(made)

    @routes.get("/runs")
    async def listing(
        who: Who,
        owner: str | None = None,
        app: str | None = None,
        state: RunState | None = None,
        session: str | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
    ) -> dict[str, Any]:
        """Runs, newest first: one's own, or (operators) everybody's; without the rows of tables."""
        if owner is not None and not who.may_see(owner):
            raise Refusal(403, "forbidden", "you see your own runs only")
        whose = owner if owner is not None or who.operator else who.name
        found = await desk.runs.listing(whose, app=app, state=state, session=session, limit=limit)
        return {"runs": [runviews.brief(view) for view in await desk.views(found)]}

    @routes.get("/runs/{run}")
    async def get(
        run: str,
        who: Who,
        after: Annotated[int, Query(ge=-1)] = -1,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0.0,
    ) -> dict[str, Any]:
        """One run; waits up to `wait` seconds for a version beyond `after`."""
        found = await one(run, who)
        return await desk.view(await desk.wait(found, after, wait) if wait else found)

    @routes.patch("/runs/{run}")
    async def label(run: str, body: Label, who: Who) -> dict[str, Any]:
        """Give a run a name."""
        found, words = await own(run, who), printable(body.label, 200)
        after = await desk.runs.change(found.id, lambda now: None if now.label == words else {"label": words})
        return await desk.view(after or found)

    @routes.delete("/runs/{run}")
    async def cancel(run: str, who: Who) -> dict[str, Any]:
        """Cancel a run. Asking again, or for one that has ended, is harmless."""
        return await desk.view(await desk.cancel(await one(run, who), who.name))

    @routes.delete("/runs/{run}/record", status_code=204)
    async def forget(run: str, who: Who) -> None:
        """Remove a run that has ended, its kept files and its shares. What it made at the centre stays there."""
        await desk.forget(await own(run, who))

    @routes.put("/runs/{run}/report")
    async def report(run: str, body: Report, who: Who) -> dict[str, Any]:
        """What the session says of its run; the answer says what is `wanted` of it."""
        found = await own(run, who)
        return await desk.view(await desk.report(found, body.report, body.folder, body.session))

    @routes.post("/runs/{run}/resume")
    async def resume(run: str, who: Who, body: Resume | None = None) -> dict[str, Any]:
        """A run that failed, was cancelled or interrupted goes on; finished steps are not run again. This spends."""
        return await desk.view(await desk.resume(await own(run, who), body.session if body else None))

    @routes.post("/runs/{run}/rerun", status_code=201)
    async def rerun(run: str, body: Again, who: Who) -> dict[str, Any]:
        """A new run with these inputs, some of them changed. This spends."""
        found = await own(run, who)
        more = body.model_dump(include={"key", "label", "language", "session", "request"})
        more["lie"] = dict.fromkeys(body.inputs, body.files_at) if body.files_at else None
        made = await desk.again(found.owner, found, body.inputs, relation=Relation.RERUN, **more)
        return await desk.view(made)

    @routes.post("/runs/{run}/replay", status_code=201)
    async def replay(run: str, body: Replay, who: Who) -> dict[str, Any]:
        """The same once more at another centre; when it is done the run says whether the results agree. This spends.

        Files of one's own are brought there first (`staging`); nothing is charged for that.
        """
        found = await own(run, who)
        request = {**(body.request or {}), "centre": body.centre}
        made = await desk.again(found.owner, found, {}, relation=Relation.REPLAY, key=body.key, request=request)
        return await desk.view(made)

    @routes.get("/runs/{run}/compare/{other}")
    async def side_by_side(run: str, other: str, who: Who) -> dict[str, Any]:
        """Inputs, numbers and figures of two runs of one app, and whether the results agree."""
        a, b = await one(run, who), await one(other, who)
        if a.app != b.app:
            raise Refusal(409, "other-app", "these are runs of two apps: there is nothing to compare")
        return compare(broker.apps.apps.get(a.app), a, b)

    @routes.put("/runs/{run}/files/{file:path}")
    async def keep(run: str, file: str, request: Request, who: Who) -> dict[str, Any]:
        """Keep a copy of a result, at most 8 MiB: the body is the file. Its type follows from its name."""
        found, content = await own(run, who), await request.body()
        try:
            return (await desk.files.keep(found.id, file, content)).view()
        except ValueError as error:
            raise Refusal(400, "bad-request", f"file: {error}") from None
        except TooLarge as large:
            raise Refusal(413, "too-large", str(large)) from None
        except LookupError:
            raise Refusal(404, "no-run", "there is no such run") from None

    @routes.get("/runs/{run}/files/{file:path}", response_class=StreamingResponse)
    async def read(run: str, file: str, who: Who) -> StreamingResponse:
        """A file of a run: the kept copy, else from its centre."""
        pieces = await desk.reading.file(await own(run, who), file)
        return StreamingResponse(pieces, media_type=media_of(file), headers=headers(file))

    @routes.get("/runs/{run}/download", response_class=StreamingResponse)
    async def download(run: str, who: Who) -> StreamingResponse:
        """All files of a run, as a ZIP."""
        found = await own(run, who)
        pieces, name = await desk.reading.download(found), f"{found.app}-{found.id}.zip"
        return StreamingResponse(pieces, media_type="application/zip", headers=headers(name))

    return routes
