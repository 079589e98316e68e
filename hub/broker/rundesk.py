"""What the API asks about runs: from a caller's words to the store, and to the session that executes them.

For the session's side: the answer to each report is the run as the store has it. Where its `wanted` is "cancel", its
person has asked for that, and the session is to cancel the run in good order and report it as cancelled; a session that
has nothing to report waits for the same at `GET /runs/{id}?after=VERSION&wait=30`. A run's own session is besides asked
to stop, as any session is. A report may say which session it is of: one that is not the run's any more is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from perijove.hub.broker import runrecords as change
from perijove.hub.broker import runviews
from perijove.hub.broker.appdesk import session_options, wants
from perijove.hub.broker.drafts import placed
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.records import Record
from perijove.hub.broker.runfiles import RunFiles
from perijove.hub.broker.runkeeper import RunKeeper
from perijove.hub.broker.runreading import RunReading
from perijove.hub.broker.runrecords import Run, RunState
from perijove.hub.broker.runs import KeyUsed, Runs, TooManyRuns
from perijove.hub.broker.runshares import Shares
from perijove.hub.broker.runstaging import anew
from perijove.hub.broker.sessions import NoPort, TooMany
from perijove.spawners.apps import centredata
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.link import printable
from perijove.spawners.request import BadRequest, Fault

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker
    from perijove.spawners.apps.manifest import App

#: Seconds between looks into the store while one waits: another broker may have the run's session.
LOOK = 5.0
#: Bytes of a report, and of inputs.
MOST_REPORT, MOST_INPUTS = 512 << 10, 64 << 10
_STATES = ("running", "done", "failed", "cancelled")


class RunDesk:
    """Runs of one broker."""

    def __init__(self, broker: Broker, kept: int) -> None:
        self.broker = broker
        self.runs = Runs(broker.sessions)
        self.files = RunFiles(broker.parts.database, broker.parts.clock, kept)
        self.shares = Shares(broker.parts.database, broker.parts.clock)
        self.keeper = RunKeeper(broker, self.runs)
        self.reading = RunReading(broker)

    # --- a new run ---------------------------------------------------------------------------------------------

    async def start(  # noqa: PLR0913 - each says another thing of the run
        self,
        owner: str,
        app: App,
        inputs: Mapping[str, Any],
        *,
        language: str = "en",
        label: str = "",
        key: str = "",
        session: str | None = None,
        request: Mapping[str, Any] | None = None,
        parent: str | None = None,
        relation: str | None = None,
        lie: Mapping[str, str] | None = None,
    ) -> Run:
        """A run with these inputs, in a session of one's own or in one opened for it; the same key is the same run.

        `lie`: the centre at which the file of an input lies, by its name; it is brought to where the run's session is.

        Raises:
            BadRequest, Refusal, TooMany, NoPort: nothing of it is kept.
        """
        parsed = Inputs(app).parse(plain(inputs, MOST_INPUTS, "inputs"))
        if key and (known := await self.runs.of_key(owner, key)) is not None:
            if (known.app, known.asked) != (app.name, parsed):
                raise _key_used()
            return known
        chosen = dict(request or {})
        wanted = wants(app, parsed, chosen)
        own = [name for name in own_files(app, parsed) if name in (lie or {})]
        here = {name: (str((lie or {})[name]), str(parsed[name])) for name in own}
        common: dict[str, Any] = {
            "id": "",
            "owner": owner,
            "key": key or secrets.token_hex(16),
            "app": app.name,
            "app_version": app.version,
            "digest": app.digest,
            "title": app.title.model_dump(),
            "inputs": parsed,
            "language": language,
            "needs": wanted.as_dict(),
            "label": printable(label, 200),
            "created": self.runs.clock(),
            "parent": parent,
            "relation": relation,
        }
        if session is not None:
            place = await self._in_session(owner, session, wanted.cores)
            if away := sorted({where for where, _ in here.values()} - {place["centre"]}):
                words = f"a file of this run lies at {away[0]}: run it in a session of its own, to which it is brought"
                raise Refusal(409, "files-elsewhere", words, values={"centre": away[0]})
            self._data_there(app, parsed, place["centre"])
            draft = Run(**common, own_session=False, **place)
        else:
            self._data_there(app, parsed, str(chosen.get("centre") or ""))
            data = centredata.names(app, parsed)
            options = session_options(wanted, chosen, data) | {"language": language}
            place = await self._in_own(owner, app, options, {where for where, _ in here.values()}, data)
            staging = await self.keeper.staging.plan(owner, here, place["centre"]) or None
            draft = Run(**common, own_session=True, staging=staging, **place)
        try:
            made, new = await self.runs.add(draft, self.broker.tag)
        except KeyUsed:
            raise _key_used() from None
        except TooManyRuns:
            raise Refusal(
                409, "too-many-runs", "you have as many live runs as one person may have; wait for one, or cancel one"
            ) from None
        await self.keeper.reach("run-written")
        return await self._opened(made) if new and made.own_session else made

    async def _opened(self, run: Run) -> Run:
        try:
            return await self.keeper.open(run)
        except (BadRequest, Refusal, TooMany, NoPort):
            # It was refused: the person hears why, and there is no run. (After a crash or with a store that does not
            # answer the keeper goes on: a session may have been opened, and that must not be left to itself.)
            await self.runs.change(run.id, change.not_opened([], self.runs.clock()))
            await self.runs.forget(run.id)
            raise

    async def _in_session(self, owner: str, session: str, cores: int) -> dict[str, Any]:
        """Where a run in a session with other work is, and its share of the price: by its cores."""
        host = await self.broker.sessions.get(session[:64])
        if host is None or host.owner != owner:
            raise Refusal(404, "no-session", "there is no such session")
        if not host.live:
            raise Refusal(409, "session-over", "this session has ended or is being stopped")
        money = (await self.broker.meters.sessions([host]))[host.id]
        hourly = money["hourly"] if money else runviews.hourly(host)
        price = hourly * min(cores, host.cores) // max(host.cores, 1)
        place = {"session": host.id, "server": host.server, "centre": host.centre, "queue": host.queue}
        return {**place, "price": price, "request": {}}

    def _data_there(self, app: App, inputs: Mapping[str, Any], centre: str) -> None:
        """Raises BadRequest: a data set that the inputs name does not lie at this centre, or with "" at none."""
        if away := self.broker.apps.away(app, inputs, centre):
            raise BadRequest(away)

    async def _in_own(
        self, owner: str, app: App, options: dict[str, Any], near: Collection[str] = (), data: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Where a run's own session will be: where the person said, else the best offer where the app runs and its
        `data` lie, and first of those `near`, where files of the person are."""
        prefer = {"prefer": options.pop("prefer")} if "prefer" in options else {}
        if not options.get("centre"):
            offers = self.broker.offers({**options, **prefer}).offers
            nearer = tuple(offer for offer in offers if offer.centre.id in near)
            desk = self.broker.apps
            best = await desk.best(app, nearer, owner, data) or await desk.best(app, offers, owner, data)
            if best is None:
                words = f"no centre that is open now can run {app.title.en}: see the offers for the reasons"
                raise BadRequest([Fault("centre", "app-nowhere", words, {"app": app.name})])
            options |= {"centre": best.centre.id, "queue": best.queue.name}
        full = {**options, "kind": "app", "options": {"app": app.name, "run": "x" * 13}}
        _, placement = placed(full, self.broker.parts.centres, self.runs.clock())
        if faults := self.broker.orders.faults(placement.centre.id):
            raise BadRequest(faults)
        options |= {"centre": placement.centre.id, "queue": placement.queue.name}
        place = {"centre": placement.centre.id, "queue": placement.queue.name, "attempt": 1}
        return {**place, "price": placement.hourly, "most": placement.price, "request": options}

    # --- a run that is there -----------------------------------------------------------------------------------

    async def resume(self, run: Run, session: str | None = None) -> Run:
        """The same run goes on, in a session of its own or in a live one, at the centre where its folder is.

        Raises:
            BadRequest, Refusal, TooMany, NoPort: it stays as it was.
        """
        if run.state.live:
            return run
        if run.state is RunState.DONE:
            raise Refusal(409, "run-done", "the run is done: run it again instead")
        app = self.broker.apps.app(run.app)
        before = await self._record(run)
        cost = await self.keeper.cost(run, before)
        if session is not None:
            if run.own_session and session == run.session:  # it ends with the run, and has done its part
                raise Refusal(409, "session-over", "this session ends with its run: resume it in one of its own")
            if run.waits_for_files:
                words = "files of this run are yet to be brought: resume it in a session of its own"
                raise Refusal(409, "files-elsewhere", words)
            place = await self._in_session(run.owner, session, int(run.needs.get("cores", 1)))
            if place["centre"] != run.centre:
                raise Refusal(
                    409,
                    "other-centre",
                    f"the run's files are at {run.centre}: resume it in a session there",
                    values={"centre": run.centre},
                )
            values = {**place, "own_session": False, "request": run.request}
        else:
            wanted = wants(app, run.inputs, {})
            options = dict(run.request) or session_options(wanted, {"centre": run.centre, "language": run.language})
            values = await self._in_own(run.owner, app, options)
            del values["attempt"]
            values |= {"staging": anew(run.staging, self.runs.clock())} if run.staging else {}
        if before is not None and before.live and run.own_session:
            await self.broker.ask_to_stop(before, "the run's end")  # it has done its part, and nobody would end it
        after = await self.runs.change(run.id, change.goes_on(run.session, cost, **values))
        if after is None:
            raise Refusal(404, "no-run", "there is no such run")
        await self.keeper.reach("run-resumed")
        if session is not None or after.session is not None:
            return after
        try:
            return await self.keeper.open(after)
        except Exception:
            back = {"state": run.state, "ended": run.ended, "problem": run.problem}
            await self.runs.change(run.id, lambda now: back if now.state.live and now.session is None else None)
            raise

    async def again(self, owner: str, run: Run, changes: Mapping[str, Any], **more: Any) -> Run:
        """A new run with this one's inputs but for `changes`.

        Raises:
            As `start`.
        """
        app = self.broker.apps.app(run.app)
        inputs = {**run.inputs, **plain(changes, MOST_INPUTS, "inputs")}
        more = {"language": run.language, "label": run.label} | {k: v for k, v in more.items() if v is not None}
        lie = (self.lie(run, inputs) if owner == run.owner else {}) | dict(more.pop("lie", None) or {})
        return await self.start(owner, app, inputs, parent=run.id, lie=lie, **more)

    def lie(self, run: Run, inputs: Mapping[str, Any]) -> dict[str, str]:
        """The centre where each file of one's own lies that `inputs` has as this run of theirs has it."""
        away = {one["input"]: one["centre"] for one in run.staging or () if one["state"] != "done"}
        same = [name for name in self.own_files(run) if inputs.get(name) == run.inputs[name]]
        return {name: away.get(name, run.centre) for name in same}

    async def cancel(self, run: Run, by: str) -> Run:
        """The run is to be cancelled; asking again, or for one that has ended, is harmless."""
        after = await self.runs.change(run.id, change.cancel_asked(by)) or run
        await self.keeper.reach("run-cancel-asked")
        await self.keeper.step(after, await self._record(after))
        return await self.runs.get(run.id) or after

    async def report(self, run: Run, said: Any, folder: str, session: str | None) -> Run:
        """What the session that executes it says of it.

        Raises:
            Refusal: it is no report, or of a session that is not the run's any more.
        """
        report = plain(said, MOST_REPORT, "report")
        if report.get("state") not in _STATES:
            raise Refusal(400, "bad-request", f"report: state is one of {', '.join(_STATES)}")
        if session is not None and session != run.session:
            raise Refusal(409, "other-session", "the run goes on in another session")
        when = self.runs.clock()
        after = await self.runs.change(run.id, change.reported(report, printable(folder, 1000), session, when))
        if after is not None and after.state is RunState.DONE and after.version > run.version:
            await self.keeper.agree(after)
            after = await self.runs.get(run.id)
        return after or run

    async def forget(self, run: Run) -> None:
        """Remove the run, its kept files and its shares. What it made at the centre stays.

        Raises:
            Refusal: it is live.
        """
        record = await self._record(run)
        if not await self.runs.forget(run.id):
            raise Refusal(409, "run-live", "the run has not ended: cancel it first")
        if run.own_session and record is not None and record.live:
            await self.broker.ask_to_stop(record, "the run's end")

    # --- views -------------------------------------------------------------------------------------------------

    async def view(self, run: Run) -> dict[str, Any]:
        """The API's JSON of a run."""
        return (await self.views([(run, await self._record(run))]))[0]

    async def views(self, found: list[tuple[Run, Record | None]]) -> list[dict[str, Any]]:
        """The API's JSON of runs."""
        kept, now = await self.files.listing(*(run.id for run, _ in found)), self.runs.clock()
        views = []
        for run, record in found:
            workers = await self.keeper.workers_cost(run, record)
            known = run.app in self.broker.apps.apps
            views.append(runviews.run(run, record, kept[run.id], now, workers=workers, known=known))
        return views

    async def wait(self, run: Run, after: int, wait: float) -> Run:
        """The run, once its version is beyond `after`, or after `wait` seconds."""
        bulletin, loop = self.broker.bulletin, asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            news = bulletin.listen(run.id)
            try:
                found = await self.runs.get(run.id)
                if found is None:
                    return run
                left = deadline - loop.time()
                if found.version > after or left <= 0:
                    return found
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, LOOK)):
                        await news
            finally:
                bulletin.leave(run.id, news)

    def own_files(self, run: Run) -> list[str]:
        """The inputs of a run that are its owner's own files, by name; of an app that is gone: any that may be."""
        return own_files(self.broker.apps.apps.get(run.app), run.inputs)

    async def _record(self, run: Run) -> Record | None:
        return await self.broker.sessions.get(run.session) if run.session else None


def own_files(app: App | None, inputs: Mapping[str, Any]) -> list[str]:
    """The inputs that are files of a person's own, by name; of an app that is gone: any that may be."""
    texts = {name: value for name, value in inputs.items() if isinstance(value, str)}
    known = {name for name, one in app.inputs.items() if one.type == "file"} if app is not None else set(texts)
    return [name for name, value in texts.items() if name in known and not value.startswith("data:")]


def plain(value: Any, most: int, what: str) -> dict[str, Any]:
    """`value` if it is a JSON table that every store and every reader takes.

    Raises:
        Refusal: it is none, is too large, or has numbers or characters that JSON has not.
    """
    if not isinstance(value, Mapping):
        raise Refusal(400, "bad-request", f"{what}: must be a table")
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, TypeError, RecursionError):
        raise Refusal(400, "bad-request", f"{what}: has a number or a character that is none in JSON") from None
    if size > most:
        raise Refusal(413, "too-large", f"{what}: at most {most >> 10} kB")
    return dict(value)


def _key_used() -> Refusal:
    return Refusal(409, "key-used", "this key was used for a run of another app or of other inputs")


__all__ = ["RunDesk", "own_files", "plain"]
