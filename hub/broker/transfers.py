"""Files on their way from one centre to another, through the gateway's links, and through no browser.

A transfer is in the store before it begins. Whatever breaks (a link, the gateway) it goes on from the bytes that the
target has, and it counts as done when the target's SHA-256 is the source's and the file is in place. It is carried by
the broker that keeps the target's centre, as one of many: `Files` bounds what bulk may take.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from perijove.hub.broker.database import Database
from perijove.hub.broker.files import Facts, Files, FileTrouble, Place
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import transfers
from perijove.spawners.request import BadRequest
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

log = logging.getLogger(__name__)
#: States of a transfer that is not over; `cancelling` is one whose partial file is yet to be removed.
UNFINISHED = ("waiting", "running", "cancelling")
#: Transfers under way at once, and those of one person that are not over.
AT_ONCE, PER_PERSON = 4, 50
#: Transfers that this broker looks after at once, most of them waiting.
TOGETHER = 500
#: Days for which one that is over is remembered.
KEPT = 30
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def new_name() -> str:
    """An id for a transfer, and for its partial file."""
    return "".join(secrets.choice(_LETTERS) for _ in range(20))


class TooManyTransfers(Exception):
    """The person has as many transfers under way as one person may have."""


class Stopped(Exception):
    """Somebody cancelled the transfer."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A row of `transfers`; sizes in bytes."""

    id: str
    owner: str
    from_centre: str
    from_path: str
    to_centre: str
    to_path: str
    ours: bool
    state: str
    total: int | None
    mtime: float | None
    moved: int
    sha256: str
    code: str
    detail: str
    created: datetime
    ended: datetime | None

    def view(self, rate: float | None = None) -> dict[str, Any]:
        """For the API. `rate` in bytes a second, `left` in seconds."""
        going = self.state == "running" and rate and self.total is not None
        return {
            "id": self.id,
            "from": {"centre": self.from_centre, "path": self.from_path},
            "to": {"centre": self.to_centre, "path": self.to_path},
            "state": self.state,
            "total": self.total,
            "moved": self.moved,
            "rate": rate if going else None,
            "left": (cast("int", self.total) - self.moved) / cast("float", rate) if going else None,
            "sha256": self.sha256 or None,
            "problem": {"code": self.code, "message": self.detail} if self.code else None,
            "created": self.created.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
        }


@dataclass(slots=True)
class Transfers:
    """All transfers of this gateway. `held`: whether this broker keeps a centre."""

    database: Database
    files: Files
    clock: Clock
    held: Callable[[str], bool]
    #: Seconds between two looks for work, and between tries after a fault that may pass: doubled from first to last.
    look_every: float = 5.0
    retry: tuple[float, float] = (2.0, 120.0)
    #: Seconds for which one is tried again without a byte of progress.
    patience: float = 6 * 3600.0
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _moved: dict[str, int] = field(default_factory=dict)
    _rates: dict[str, float] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    #: Held while one moves bytes, not while it waits for a centre: four to a silent one must not stop all others.
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def stage(
        self, owner: str, source: tuple[str, str], target: tuple[str, str], *, ours: bool = False, name: str = ""
    ) -> Transfer:
        """Have the file at `source` (centre, path) brought to `target`; nothing is replaced there.

        `name`: the id that its caller has written down (of `new_name`); one that is there already is the answer.

        Raises:
            FileTrouble: there is no such centre.
            BadRequest: the person has no account there.
            TooManyTransfers.
        """
        for centre in (source[0], target[0]):
            await self.files.place(owner, centre)
        name = name or new_name()
        values = dict(zip(("from_centre", "from_path", "to_centre", "to_path"), (*source, *target), strict=True))
        made = Transfer(
            id=name, owner=owner, **values, ours=ours, state="waiting", total=None, mtime=None, moved=0,
            sha256="", code="", detail="", created=self.clock(), ended=None,
        )  # fmt: skip

        def work(c: Connection) -> None:
            if c.scalar(select(transfers.c.id).where(transfers.c.id == made.id)):
                return
            mine = (transfers.c.owner == owner, transfers.c.state.in_(UNFINISHED))
            if (c.scalar(select(func.count()).select_from(transfers).where(*mine)) or 0) >= PER_PERSON:
                raise TooManyTransfers
            c.execute(insert(transfers).values({name: getattr(made, name) for name in Transfer.__slots__}))

        with contextlib.suppress(IntegrityError):  # another broker wrote it down at the same time
            await self.database.write(work)
        self._wake.set()
        return await self.get(made.id) or made

    async def get(self, transfer: str) -> Transfer | None:
        """The transfer of that id."""
        return next(iter(await self._find(transfers.c.id == transfer)), None)

    async def listing(self, owner: str, limit: int = 100) -> Sequence[Transfer]:
        """A person's transfers, newest first."""
        return await self._find(transfers.c.owner == owner, limit=limit)

    def view(self, transfer: Transfer) -> dict[str, Any]:
        """For the API, with the progress of this moment."""
        return transfer.view(self._rates.get(transfer.id)) | {
            "moved": max(transfer.moved, self._moved.get(transfer.id, 0))
        }

    async def cancel(self, transfer: str) -> None:
        """Stop a transfer that is not over, and have its partial file removed."""
        await self._set(transfer, ("waiting", "running"), state="cancelling")
        if (task := self._tasks.get(transfer)) is not None:
            task.cancel()
        self._wake.set()

    async def run(self) -> None:
        """Carry what is to be carried, until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._take_up()
                except SQLAlchemyError as error:
                    log.warning("transfers: the store cannot be used now: %s", error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.look_every):
                        await self._wake.wait()
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- the work ----------------------------------------------------------------------------------------------

    async def _take_up(self) -> None:
        old = (transfers.c.ended < self.clock() - timedelta(days=KEPT),)
        if await self._find(*old, limit=1):
            await self.database.write(lambda c: c.execute(delete(transfers).where(*old)) and None)
        found = await self._find(transfers.c.state.in_(UNFINISHED), limit=1000)
        for transfer in reversed(found):
            if len(self._tasks) < TOGETHER and transfer.id not in self._tasks and self.held(transfer.to_centre):
                task = asyncio.create_task(self._carry(transfer), name=f"transfer {transfer.id}")
                self._tasks[transfer.id] = task
                task.add_done_callback(partial(self._over, transfer.id))

    def _over(self, name: str, _task: object) -> None:
        self._tasks.pop(name, None)
        self._moved.pop(name, None)
        self._rates.pop(name, None)
        self._wake.set()

    async def _carry(self, transfer: Transfer) -> None:
        """One transfer, to its end or to the end of this broker."""
        pause, since, moved = self.retry[0], time.monotonic(), -1
        while True:
            try:
                async with self._turns:
                    transfer = await self.get(transfer.id) or transfer
                    if transfer.state == "cancelling":
                        await self._drop(transfer)
                    elif transfer.state in UNFINISHED:
                        await self._move(transfer)
            except Stopped:
                pass
            except BadRequest as error:
                await self._fail(transfer, "no-account", str(error))
            except FileTrouble as trouble:
                if self._moved.get(transfer.id, 0) > moved:
                    pause, since, moved = self.retry[0], time.monotonic(), self._moved.get(transfer.id, 0)
                if trouble.passing and time.monotonic() - since < self.patience:
                    await self._set(transfer.id, UNFINISHED, code=trouble.code, detail=trouble.message[:500])
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, self.retry[1])
                    transfer = await self.get(transfer.id) or transfer
                    continue
                await self._fail(transfer, trouble.code, trouble.message)
            return

    async def _places(self, transfer: Transfer) -> tuple[Place, Place]:
        ends = (transfer.from_centre, transfer.to_centre)
        source, target = [await self.files.place(transfer.owner, end, ours=transfer.ours) for end in ends]
        return source, target

    async def _move(self, transfer: Transfer) -> None:
        """Bring what is missing, and put it in place. Raises FileTrouble, BadRequest, Stopped."""
        files, name, path = self.files, transfer.id, transfer.to_path
        source, target = await self._places(transfer)
        facts = await files.look(source, transfer.from_path)
        there = await files.partial(target, path, name)
        if (transfer.total, transfer.mtime) != (facts.total, facts.mtime):
            there = 0  # the first time, or the source is another one now
        await self._save(name, state="running", total=facts.total, mtime=facts.mtime, moved=there)
        digest = hashlib.sha256() if there == 0 else None
        begun, first = time.monotonic(), there
        pieces = cast("AsyncGenerator[bytes]", files.stream(source, transfer.from_path, facts, there))
        async with aclosing(pieces):
            async for piece in pieces:
                if digest is not None:
                    await asyncio.to_thread(digest.update, piece)
                end, there = there + len(piece), await files.write(target, path, name, there, piece)
                if there != end:
                    raise FileTrouble("centre-silent", "a piece did not arrive whole", passing=True)
                self._moved[name] = there
                self._rates[name] = (there - first) / max(time.monotonic() - begun, 1e-6)
                await self._save(name, moved=there, code="", detail="")
        sha256 = digest.hexdigest() if digest else await self._digest(source, transfer.from_path, facts)
        try:
            await files.finish(target, path, name, sha256, facts.total, replace=False)
        except FileTrouble as trouble:
            # Killed between the last step and its record, or the same file was there: either way it is in place.
            if trouble.code != "exists" or await self._is_not(target, path, sha256, facts.total):
                raise
            await files.drop(target, path, name)
        await self._save(name, state="done", moved=facts.total, sha256=sha256, code="", detail="", ended=self.clock())

    async def _is_not(self, target: Place, path: str, sha256: str, size: int) -> bool:
        """What stands at the target is something else."""
        try:
            found = await self.files.look(target, path)
            if found.total != size:
                return True
            return (await self.files.look(target, path, digest=True, size=size)).sha256 != sha256
        except FileTrouble as trouble:
            if trouble.passing:
                raise
            return True

    async def _digest(self, source: Place, path: str, facts: Facts) -> str:
        """The source's digest, said by its centre: this broker has not seen all of it."""
        now = await self.files.look(source, path, digest=True, size=facts.total)
        if (now.total, now.mtime) != (facts.total, facts.mtime):
            raise FileTrouble("changed")
        return now.sha256

    async def _drop(self, transfer: Transfer) -> None:
        """Remove what has arrived of a cancelled one."""
        with contextlib.suppress(BadRequest):
            _, target = await self._places(transfer)
            await self.files.drop(target, transfer.to_path, transfer.id)
        await self._set(transfer.id, ("cancelling",), state="cancelled", ended=self.clock())

    async def _fail(self, transfer: Transfer, code: str, words: str) -> None:
        """It will not be: say why, and leave nothing half-written."""
        with contextlib.suppress(FileTrouble, BadRequest):
            _, target = await self._places(transfer)
            await self.files.drop(target, transfer.to_path, transfer.id)
        state = "cancelled" if transfer.state == "cancelling" else "failed"
        await self._set(transfer.id, UNFINISHED, state=state, code=code, detail=words[:500], ended=self.clock())

    # --- the store ---------------------------------------------------------------------------------------------

    async def _find(self, *where: Any, limit: int = 1) -> list[Transfer]:
        query = select(transfers).where(*where).order_by(transfers.c.created.desc()).limit(limit)
        return await self.database.read(lambda c: [Transfer(**dict(row._mapping)) for row in c.execute(query)])

    async def _set(self, transfer: str, states: Sequence[str], **values: Any) -> bool:
        """Change one that is in one of these states; whether it was."""
        query = update(transfers).where(transfers.c.id == transfer, transfers.c.state.in_(states)).values(**values)
        return await self.database.write(lambda c: c.execute(query).rowcount > 0)

    async def _save(self, transfer: str, **values: Any) -> None:
        """Write progress down. Raises Stopped where somebody cancelled it."""
        if not await self._set(transfer, ("waiting", "running"), **values):
            raise Stopped
