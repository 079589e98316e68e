"""Brings the person's own files to where a run is to be, before its session is opened: nothing is charged meanwhile.

What is to be brought stands in the run itself (`staging`) before anything is done: of each file where it lies, where it
goes, and the transfer that carries it, whose id is written down before the transfer is made. So a crash in between, or
a second broker, finds the same transfer again. At the target a file goes below a folder of its own (`from-CENTRE`) and
replaces nothing; one that is there with the same checksum is used as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perijove.hub.broker import runrecords as change
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.files import FileTrouble
from perijove.hub.broker.runrecords import Run
from perijove.hub.broker.transfers import UNFINISHED, TooManyTransfers, Transfers, new_name
from perijove.hub.broker.views import fault_view
from perijove.spawners.request import BadRequest, Fault
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from perijove.hub.broker.runkeeper import RunKeeper

log = logging.getLogger(__name__)
#: How long a centre may be silent, or a transfer wait for its turn, until the run is given up.
PATIENCE = timedelta(hours=6)
#: Folders that are tried at the target, characters of a file's name there, and changes of a run in one go.
FOLDERS, LONGEST, STEPS = 9, 60, 100
#: What stands at the target and is not to be used: the next name is tried.
_IN_THE_WAY = ("not-a-file", "no-access", "outside", "exists")


def entry(name: str, centre: str, path: str, now: datetime) -> dict[str, Any]:
    """What stands in a run of a file that is to be brought: of the input `name`, at `path` of `centre`."""
    fresh = {"to": "", "transfer": "", "state": "waiting", "total": None, "moved": 0}
    return {"input": name, "centre": centre, "path": path, "since": now.isoformat(), **fresh}


def anew(staging: Sequence[Mapping[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The same where a run goes on: what was brought is there, the rest is tried again."""
    return [
        dict(one) if one["state"] == "done" else entry(one["input"], one["centre"], one["path"], now) for one in staging
    ]


def names(one: Mapping[str, Any]) -> Iterator[str]:
    """Where a file may go at the target, the best first."""
    plain = "".join(c if c.isalnum() or c in "._-" else "_" for c in one["path"].rpartition("/")[2])
    safe = plain[-LONGEST:].lstrip(".-") or "file"
    for number in range(1, FOLDERS + 1):
        yield f"from-{one['centre']}{'' if number == 1 else f'-{number}'}/{safe}"


class Staging:
    """Files of the runs of one broker."""

    def __init__(self, keeper: RunKeeper) -> None:
        self.keeper = keeper
        self.runs = keeper.runs
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def transfers(self) -> Transfers:
        """Those of the broker."""
        return self.keeper.broker.transfers

    async def plan(self, owner: str, lie: Mapping[str, tuple[str, str]], centre: str) -> list[dict[str, Any]]:
        """What is to be brought to `centre`; `lie`: centre and path of each input that is a file of one's own.

        Raises:
            BadRequest: the person has no account at one of the centres.
            Refusal: there is no such centre, or everybody shares one account there.
        """
        found = [entry(name, *where, self.runs.clock()) for name, where in lie.items() if where[0] != centre]
        for end in sorted({one["centre"] for one in found} | ({centre} if found else set())):
            try:
                place = await self.transfers.files.place(owner, end)
            except FileTrouble as trouble:
                raise Refusal(trouble.status, trouble.code, f"{end}: {trouble.message}") from None
            if place.centre.login.identity == "community":
                words = f"everybody shares one account at {end}: no file of one's own is brought from or to there"
                raise Refusal(403, "shared-account", words, values={"centre": end})
        return found

    def begin(self, run: Run) -> None:
        """Go on with bringing the files of a run; it is looked after once at a time."""
        if run.id not in self._tasks:
            task = asyncio.create_task(self._bring(run.id), name=f"files of run {run.id}")
            self._tasks[run.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(run.id, None))

    async def stop(self) -> None:
        """Leave everything where it is."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drop(self, run: Run) -> None:
        """The run wants its files no more."""
        for one in run.staging or ():
            if one["transfer"] and one["state"] != "done":
                await self.transfers.cancel(one["transfer"])

    # --- the work ----------------------------------------------------------------------------------------------

    async def _bring(self, name: str) -> None:
        try:
            for _ in range(STEPS):
                run = await self.runs.get(name)
                if run is None or not run.state.live or run.wanted or run.session:
                    return
                one = next((one for one in run.staging or () if one["state"] != "done"), None)
                if one is None or not await self._step(run, one):
                    return
        except SQLAlchemyError as error:
            log.warning("files of run %s: %s", name, error)
        except Exception:
            log.exception("files of run %s", name)

    async def _step(self, run: Run, one: Mapping[str, Any]) -> bool:
        """The next thing for a file; whether there is more to do now."""
        late = self.runs.clock() - datetime.fromisoformat(one["since"]) > PATIENCE
        try:
            return await (self._carried(run, one, late) if one["transfer"] else self._chosen(run, one))
        except BadRequest as error:
            await self._fail(run, one, "no-account", str(error))
        except TooManyTransfers:
            if late:
                await self._fail(run, one, "too-many-transfers", "you have as many transfers as one person may have")
        except FileTrouble as trouble:
            if late or not trouble.passing:
                await self._fail(run, one, trouble.code, trouble.message)
        return False

    async def _chosen(self, run: Run, one: Mapping[str, Any]) -> bool:
        """Where it goes, and which transfer carries it there, are written down."""
        path, there, total = await self._target(run, one)
        if there:
            await self._told(run, one, to=path, state="done", total=total, moved=total)
        else:
            await self._told(run, one, to=path, transfer=new_name(), total=total)
            await self.keeper.reach("run-file-chosen")
        return True

    async def _target(self, run: Run, one: Mapping[str, Any]) -> tuple[str, bool, int]:
        """Where a file goes, whether it is there already, and its bytes. Raises FileTrouble, BadRequest."""
        files, path = self.transfers.files, one["path"]
        source, target = [await files.place(run.owner, centre) for centre in (one["centre"], run.centre)]
        facts, sha256 = await files.look(source, path), ""
        for name in (path, *names(one)):
            try:
                there = await files.look(target, name)
            except FileTrouble as trouble:
                if trouble.code == "no-file" and name != path:
                    return name, False, facts.total
                if trouble.code in ("no-file", *_IN_THE_WAY):
                    continue
                raise
            if there.total == facts.total:
                sha256 = sha256 or (await files.look(source, path, digest=True, size=facts.total)).sha256
                if (await files.look(target, name, digest=True, size=facts.total)).sha256 == sha256:
                    return name, True, facts.total
        raise FileTrouble("exists")

    async def _carried(self, run: Run, one: Mapping[str, Any], late: bool) -> bool:
        """What has become of its transfer."""
        transfer = await self.transfers.get(one["transfer"])
        if transfer is None:
            ends = (one["centre"], one["path"]), (run.centre, one["to"])
            await self.transfers.stage(run.owner, *ends, name=one["transfer"])
            await self.keeper.reach("run-file-staged")
            return False
        if transfer.state == "done":
            await self._told(run, one, state="done", total=transfer.total, moved=transfer.moved)
            await self.keeper.reach("run-file-brought")
            return True
        if transfer.state in UNFINISHED:
            if transfer.state == "waiting" and late:
                await self.transfers.cancel(transfer.id)
                raise FileTrouble("centre-silent", f"no broker of this gateway looks after {run.centre} now")
            await self._told(run, one, state="running", total=transfer.total or one["total"], moved=transfer.moved)
            return False
        if transfer.code in _IN_THE_WAY[-1:]:
            await self._told(run, one, to="", transfer="")  # something else came in the way: another name
            return True
        raise FileTrouble(transfer.code or "cancelled", transfer.detail or "the transfer was cancelled")

    async def _told(self, run: Run, one: Mapping[str, Any], **values: Any) -> None:
        """Write down what came of a file, unless somebody did meanwhile."""

        def to(now: Run) -> Mapping[str, Any] | None:
            after = {**one, **values}
            if not now.state.live or now.session or one not in (now.staging or ()) or after == one:
                return None
            inputs = {**now.inputs, one["input"]: after["to"]} if after["state"] == "done" else now.inputs
            return {"staging": [after if known == one else known for known in now.staging or ()], "inputs": inputs}

        await self.runs.change(run.id, to)

    async def _fail(self, run: Run, one: Mapping[str, Any], code: str, words: str) -> None:
        """The run cannot begin: nothing was opened for it, so it costs nothing."""
        file = one["path"].rpartition("/")[2]
        values = {"file": file, "from": one["centre"], "to": run.centre, "reason": words}
        text = f"{file} could not be brought from {one['centre']} to {run.centre}: {words}"
        problem = [fault_view(Fault(one["input"], f"file-{code}", text, values))]
        await self.runs.change(run.id, change.not_opened(problem, self.runs.clock()))


__all__ = ["PATIENCE", "Staging", "anew", "entry", "names"]
