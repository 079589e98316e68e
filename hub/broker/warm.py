"""Sessions that are kept warm: jobs that run, whose agents answer, and that wait for whoever opens an app next.

A warm session is a session like any other, but for its owner, who is nobody (""): the watcher, the keeper and the store
treat it alike, so it survives a restart, is found after a lost answer, and is never submitted twice. It waits in stage
`starting` for an environment. Whoever asks for an app that fits takes it over: one transaction writes their name,
server and request into it, and from there on it is their session. The token comes with the environment, as always, so
a warm job holds no secret of anybody. Only accounts that all share can do this (`spawners.fields.inconsistencies`).

What a centre keeps is the operator's (`[warm]` of its description). The pool sleeps when no app was opened there for
`idle`, and fills again with the next one.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from perijove.hub.broker import paying
from perijove.hub.broker.charges import charge
from perijove.hub.broker.drafts import draft, placed
from perijove.hub.broker.records import Change, News, Record, Transition
from perijove.hub.broker.sessions import TooMany
from perijove.hub.broker.store import sessions
from perijove.hub.ledger.records import LedgerError
from perijove.hub.offers.find import SHORTEST, WARM_KIND, Spare
from perijove.spawners.request import BadRequest
from perijove.spawners.session import Stage
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker
    from perijove.spawners.centre import Centre, Queue

log = logging.getLogger(__name__)
#: The kind of session that is kept warm, whose it is, and who asks that it be stopped.
KIND, NOBODY, POLICY = WARM_KIND, "", "policy"


class Pool:
    """The warm sessions of one broker's centres."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._awake_since: datetime | None = None

    # --- taking over -----------------------------------------------------------------------------------------------

    async def take(self, wanted: Record, walltime: int | None, hourly: int) -> Record | None:
        """A warm session that serves `wanted`, which is now its owner's; None if there is none.

        `walltime`: seconds that were asked for, None if the person did not say. `hourly`: micro-credits an hour of
        what was asked for. From now on the person pays that, to the job's end at most; who has not so much gets a job
        of their own, which may be shorter.

        Raises:
            TooMany: the person has as many live sessions as one person may have.
        """
        broker = self.broker
        if not broker.parts.centres[wanted.centre].warm.number:
            return None
        mine = await broker.sessions.listing(wanted.owner, True)
        if any(one.live and one.server == wanted.server for one in mine):
            return None  # that one is opened, as ever
        if sum(1 for one in mine if one.live) >= broker.parts.per_person:
            raise TooMany
        for spare in await self._spare(wanted.centre):
            try:
                taking = _taking(wanted, walltime or SHORTEST, hourly, broker.parts.clock())
                paid = partial(paying.take_over, settings=broker.parts.ledger, hourly=hourly)
                taken = await broker.sessions.change(spare.id, taking, paid)
            except (IntegrityError, LedgerError):
                return None  # the same was asked for at the same time, and is there; or there is not the money for it
            if (taken.owner, taken.server) == (wanted.owner, wanted.server):
                if (work := broker.work(taken)) is not None:
                    work.replaced(taken)
                return taken
        return None

    async def _spare(self, centre: str) -> list[Record]:
        """Those that wait, the oldest first: it has the least time left, and is of use to nobody later on."""
        found = await self.broker.sessions.listing(NOBODY, True, centre=centre)
        return sorted((one for one in found if one.live), key=lambda one: one.created)

    # --- keeping ---------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """As many as there should be at each centre of this broker's."""
        now = self.broker.parts.clock()
        self._awake_since = self._awake_since or now
        for name, keeper in list(self.broker.keepers.items()):
            centre = self.broker.parts.centres.get(name)
            if keeper.held and centre is not None:
                await self._keep(centre, now)

    async def _keep(self, centre: Centre, now: datetime) -> None:
        there = await self._spare(centre.id)
        wanted = centre.warm.number
        if wanted and (self.broker.orders.faults(centre.id) or not await self._awake(centre, now)):
            wanted = 0
        good = [one for one in there if _serves(one, centre, now)]
        for one in [one for one in there if one not in good] + good[wanted:]:
            await self.broker.sessions.change(one.id, _ending(now))
            await self._replaced(one)
        for _ in range(wanted - len(good)):
            if not await self._open(centre, now):
                return

    async def _replaced(self, record: Record) -> None:
        fresh = await self.broker.sessions.get(record.id)
        if fresh is not None and (work := self.broker.work(fresh)) is not None:
            work.replaced(fresh)

    async def _awake(self, centre: Centre, now: datetime) -> bool:
        """Somebody opened an app here not long ago, or the broker has just started."""

        def newest(c: Connection) -> datetime | None:
            mine = (sessions.c.centre == centre.id, sessions.c.kind == KIND, sessions.c.owner != NOBODY)
            found: datetime | None = c.scalar(select(func.max(sessions.c.created)).where(*mine))
            return found

        last = await self.broker.parts.database.read(newest)
        since = max(filter(None, (last, self._awake_since)), default=now)
        return now - since < timedelta(seconds=centre.warm.idle)

    async def _open(self, centre: Centre, now: datetime) -> bool:
        """One more; False where the centre cannot have it now."""
        settings, parts = centre.warm, self.broker.parts
        queue = _queue(centre)
        options = {"centre": centre.id, "queue": queue.name, "kind": KIND, "cores": settings.cores}
        options |= {"walltime": min(settings.walltime or queue.max_time, queue.max_time)}
        if settings.memory:
            options["memory"] = settings.memory
        try:
            request, placement = placed(options, parts.centres, now)
        except BadRequest as error:
            log.warning("%s: no warm sessions: %s", centre.id, error)
            return False
        account = await parts.identities.account(NOBODY, centre)
        record = draft(NOBODY, f"warm-{secrets.token_hex(6)}", request, placement, account, now)
        # The hub knows nothing of it, so there is nothing for it to give up.
        record = replace(record, hub_cleared=True)
        news = News.of("checked", cores=placement.cores, centre=centre.id, queue=queue.name)
        hold = partial(paying.hold_session, settings=parts.ledger, hourly=placement.hourly)
        record, _ = await self.broker.sessions.open(record, self.broker.tag, [news], 10_000, hold)
        self.broker.work(record)
        return True


def _queue(centre: Centre) -> Queue:
    """Where its warm sessions wait."""
    return (centre.queue(centre.warm.queue) if centre.warm.queue else None) or centre.queues[0]


def _serves(record: Record, centre: Centre, now: datetime) -> bool:
    """It is what the description asks for, and has time enough for whoever comes."""
    as_described = record.queue == _queue(centre).name and record.cores == centre.warm.cores
    as_described &= centre.warm.memory in (None, record.memory)
    return as_described and (record.ends_by is None or (record.ends_by - now).total_seconds() > SHORTEST)


def spares(records: Iterable[Record], now: datetime) -> tuple[Spare, ...]:
    """Those of a centre's sessions that can be taken over now, in the order in which they would be, for offers."""
    return tuple(
        Spare(one.queue, one.cores, one.memory, one.gpus, (one.ends_by - now).total_seconds())
        for one in sorted(records, key=lambda one: one.created)
        if _ready(one) and one.ends_by is not None
    )


def _ready(record: Record) -> bool:
    """Nobody's yet, and only an environment is missing."""
    there = record.stage is Stage.STARTING and record.connected and record.unknown_since is None
    return record.warm and there


def _taking(wanted: Record, seconds: float, hourly: int, now: datetime) -> Transition:
    """The session is `wanted`'s from now on, if it is still nobody's, ready to take, and fits."""

    def to(record: Record) -> Change | None:
        left = (record.ends_by - now).total_seconds() if record.ends_by else 0.0
        fits = (
            _ready(record)
            and record.queue == wanted.queue
            and record.cores >= wanted.cores
            and record.memory >= wanted.memory
            and record.gpus >= wanted.gpus
            and record.account == wanted.account
            and left >= seconds
        )
        if not fits or record.ends_by is None:
            return None
        price = charge(hourly, record.ends_by - now)
        values = {"owner": wanted.owner, "server": wanted.server, "request": wanted.request, "price": price}
        values |= {"created": now, "taken": now, "hub_cleared": False}
        return Change(values, (News.of("kept-warm", centre=record.centre),))

    return to


def _ending(now: datetime) -> Transition:
    """Stated policy: it is not kept any longer. Somebody may have taken it over meanwhile."""

    def to(record: Record) -> Change | None:
        if not record.warm or record.stage in (Stage.ENDING, Stage.ENDED):
            return None
        return Change(
            {"stage": Stage.ENDING, "live": None, "asked_by": POLICY, "asked_at": now},
            (News.of("stop-asked", by=POLICY),),
        )

    return to
