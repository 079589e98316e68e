"""The broker: its store, one keeper per centre, and what its HTTP API asks of them.

A crash at any moment loses nothing: whatever is under way is in the store, and the next broker on the same store takes
it up. Sessions of centres that another broker keeps are written here and taken up there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from perijove.hub.broker import paying, transitions, warm
from perijove.hub.broker.appdesk import AnyCatalogue, AppDesk
from perijove.hub.broker.config import Timing
from perijove.hub.broker.context import Context, HubSide
from perijove.hub.broker.database import Database
from perijove.hub.broker.drafts import draft, placed, preview
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.events import Bulletin
from perijove.hub.broker.files import Files
from perijove.hub.broker.hubtrouble import HubTrouble
from perijove.hub.broker.identity import Identities
from perijove.hub.broker.keeper import Keeper
from perijove.hub.broker.leases import Leases
from perijove.hub.broker.ledgerkeeper import LedgerKeeper
from perijove.hub.broker.money import Meters
from perijove.hub.broker.moneyrefusals import refusal
from perijove.hub.broker.orders import Orders
from perijove.hub.broker.purge import Purge
from perijove.hub.broker.reconciling import Reconciling
from perijove.hub.broker.records import Change, News, Record
from perijove.hub.broker.rundesk import RunDesk
from perijove.hub.broker.sessions import Clock, Sessions, TooMany
from perijove.hub.broker.transfers import Transfers
from perijove.hub.broker.work import Work
from perijove.hub.ledger import prices
from perijove.hub.ledger.records import LedgerError
from perijove.hub.limits import AppLimits, ClusterLimits, LedgerSettings, Retention
from perijove.hub.offers.find import CentreNow, Offers, find
from perijove.spawners.apps.catalogue import Catalogue
from perijove.spawners.batch import batch_system
from perijove.spawners.centre import Centre
from perijove.spawners.request import BadRequest, Placement
from perijove.spawners.session import Stage
from perijove.spawners.watcher import LinkPool
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)
#: Of so many people the hub is asked one by one.
FEW = 10


@dataclass(slots=True)
class Parts:
    """What a broker is made of; tests put doubles in."""

    database: Database
    centres: Mapping[str, Centre]
    links: LinkPool
    hub: HubSide
    identities: Identities
    clock: Clock
    timing: Timing
    ports: tuple[int, int]
    per_person: int
    #: Makes the context of one centre.
    context: Callable[[Centre, Sessions], Context]
    reload: Callable[[], object] = lambda: None
    #: Whose the leases are: another broker waits until they have run out, the same one started again does not.
    holder: str = field(default_factory=lambda: secrets.token_hex(8))
    retention: Retention = field(default_factory=Retention)
    cluster_limits: ClusterLimits = field(default_factory=ClusterLimits)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    app_limits: AppLimits = field(default_factory=AppLimits)
    catalogue: AnyCatalogue = field(default_factory=Catalogue)
    #: The operator's, for a look around by another Python.
    app_folders: tuple[Path, ...] = ()


class Broker:
    """One broker process."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.bulletin = Bulletin()
        self.sessions = Sessions(parts.database, self.bulletin, parts.clock, parts.ports)
        self.holder = parts.holder
        self.leases = Leases(parts.database, self.holder, parts.clock, parts.timing.lease)
        self.orders = Orders(parts.database, parts.clock)
        self.keepers: dict[str, Keeper] = {}
        self.files = Files(parts.centres, parts.links, parts.identities)
        self.transfers = Transfers(parts.database, self.files, parts.clock, self.keeps)
        self.apps = AppDesk(self, parts.catalogue)
        self.runs = RunDesk(self, parts.app_limits.kept << 20)
        self.meters = Meters(parts.database, parts.clock)
        self.warm = warm.Pool(self)
        self.reconciling = Reconciling(self)
        self.ledger = LedgerKeeper(self)
        self.tag = ""
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._told: dict[str, str] = {}

    # --- life --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the store, take up everything that is under way."""
        await self.parts.database.migrate()
        self.tag = await self.sessions.tag()
        await self._record_prices()
        await self.orders.load()
        await self.apps.reload()
        await self.keep_centres()
        timing = self.parts.timing
        loops = [
            self._every(30.0, self._reload),
            self._every(timing.orders_every, self.orders.load),
            self._every(timing.purge_every, self._purge),
            self.apps.look_around(),
            self._every(timing.runs_every, self.runs.keeper.round),
            self._every(timing.warm_every, self.warm.look),
            self._every(timing.reconcile_every, self.reconciling.round),
            self._every(timing.ledger_every, self.ledger.round),
            self._attach(),
            self.transfers.run(),
        ]
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def stop(self, *, release: bool = True) -> None:
        """Stop working; sessions and jobs go on. Without `release` as if it were killed: the leases stay."""
        tasks = [*self._loops, *self._keeping.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.runs.keeper.staging.stop()
        if release:
            await asyncio.gather(*(keeper.release() for keeper in self.keepers.values()))
        await self.parts.database.close()

    async def keep_centres(self) -> None:
        """A keeper for each centre that is described; one whose description changed gets the new one."""
        for centre in self.parts.centres.values():
            keeper = self.keepers.get(centre.id)
            if keeper is None:
                keeper = Keeper(self.parts.context(centre, self.sessions), self.leases, self.tag)
                self.keepers[centre.id] = keeper
                self._keeping[centre.id] = asyncio.create_task(keeper.run(), name=f"centre {centre.id}")
            elif keeper.context.centre != centre:
                fresh = self.parts.context(centre, self.sessions)
                keeper.context.centre, keeper.context.system = centre, fresh.system
                keeper.watcher.centre, keeper.watcher.system = centre, fresh.system

    async def _reload(self) -> None:
        await asyncio.to_thread(self.parts.reload)
        await self._record_prices()
        await self.keep_centres()

    async def _record_prices(self) -> None:
        """Descriptions may have other prices than the newest versions."""
        described, now = list(self.parts.centres.values()), self.parts.clock()
        await self.parts.database.write(lambda c: prices.record(c, described, now))

    async def _purge(self) -> None:
        gone, trimmed = await Purge(self.parts.database, self.parts.clock, self.parts.retention).run()
        if gone or trimmed:
            log.info("removed %d sessions that ended long ago, and the events of %d more", gone, trimmed)

    async def _every(self, seconds: float, work: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except (SQLAlchemyError, OSError) as error:
                log.warning("%s", error)
            except Exception:  # what one round cannot do must not end all later ones, of which nobody would hear
                log.exception("a round of the broker's work")

    def keeps(self, centre: str) -> bool:
        """This broker looks after the centre."""
        keeper = self.keepers.get(centre)
        return keeper is not None and keeper.held

    @property
    def ready(self) -> bool:
        """All keepers are at work (here or in another broker)."""
        return bool(self.tag) and all(not task.done() for task in self._keeping.values())

    # --- what the API asks -------------------------------------------------------------------------------------

    def work(self, record: Record) -> Work | None:
        """The work on a session, if it is this broker's."""
        keeper = self.keepers.get(record.centre)
        return keeper.works.get(record.id) or (keeper.take(record) if not record.over else None) if keeper else None

    def needs_environment(self, record: Record) -> bool:
        """The hub is to hand over the environment of this session's server."""
        work = self.work(record) if record.stage.pending else None
        return work is not None and work.needs_environment

    async def open(self, owner: str, server: str, options: Mapping[str, Any]) -> Record:
        """The live session of (owner, server); if there is none, one for what is asked for, written down and begun.

        Its money is put on hold in the same transaction.

        Raises:
            BadRequest: with every reason why it cannot be; "centre-drained" where an operator said so.
            Refusal: the ledger refuses it; see `moneyrefusals`.
            NoPort, TooMany.
        """
        try:
            return await self._open(owner, server, options)
        except BadRequest as bad:
            await self._count_refusal(owner, options, next(iter(bad.faults)).code)
            raise
        except TooMany:
            await self._count_refusal(owner, options, "too-many")
            raise

    async def _count_refusal(self, owner: str, options: Mapping[str, Any], code: str) -> None:
        """For the operators' view of demand: of requests that name a centre."""
        named = {key: value for key in ("centre", "queue", "budget") if isinstance(value := options.get(key), str)}
        if (centre := named.get("centre")) in self.parts.centres:
            queue, budget = named.get("queue", ""), named.get("budget", "")
            await self.meters.refused(owner, budget or paying.own_budget(owner), str(centre), queue, code)

    async def refused(self, owner: str, centre: str, queue: str, error: LedgerError) -> Refusal:
        """What the ledger refuses, noted, in the API's words."""
        budget, missing = getattr(error, "budget", ""), getattr(error, "missing", None)
        said = refusal(error)
        await self.meters.refused(owner, budget, centre, queue, said.code, missing)
        return said

    async def _open(self, owner: str, server: str, options: Mapping[str, Any]) -> Record:
        request, placement = placed(options, self.parts.centres, self.parts.clock())
        if faults := self.orders.faults(placement.centre.id):
            live = await self.sessions.by_name(owner, server)
            if live is not None and live.live:
                return live  # a drain is about new sessions only
            raise BadRequest(faults)
        account = await self.parts.identities.account(owner, placement.centre)
        known = self._forecast(placement)
        wanted = draft(owner, server, request, placement, account, self.parts.clock())
        if request.kind == warm.KIND:
            taken = await self.warm.take(wanted, request.walltime, placement.hourly)
            if taken is not None:
                return taken
        record = replace(wanted, **known)
        news = News.of("checked", cores=placement.cores, centre=placement.centre.id, queue=placement.queue.name)
        hold = partial(paying.hold_session, settings=self.parts.ledger, hourly=placement.hourly)
        try:
            record, _ = await self.sessions.open(record, self.tag, [news], self.parts.per_person, hold)
        except LedgerError as error:
            raise await self.refused(owner, record.centre, record.queue, error) from None
        self.work(record)
        return record

    def _forecast(self, placement: Placement) -> dict[str, Any]:
        """What is known of the queue now, and when a job there would start: kept with the session, to learn from."""
        keeper, now = self.keepers.get(placement.centre.id), self.parts.clock()
        if keeper is None:
            return {}
        memory, queue = keeper.memory, placement.queue
        expected = memory.expected(queue, now)
        start = memory.forecast(queue, placement.cores, placement.walltime, now)
        return {
            "situation": memory.situation(queue, now).as_json(),
            "forecast": start.as_json(expected.isoformat() if expected else None),
        }

    def offers(self, options: Mapping[str, Any]) -> Offers:
        """What every centre and queue says to a request, from what is known: no centre is asked.

        Raises:
            BadRequest: the request itself is faulty.
        """
        now = self.parts.clock()
        known = {name: self._now(name, keeper.now(now)) for name, keeper in self.keepers.items()}
        return find(options, self.parts.centres, known, now)

    def _now(self, centre: str, known: CentreNow) -> CentreNow:
        """What is known of a centre, with what operators ordered."""
        return replace(known, faults=(*self.orders.faults(centre), *known.faults))

    async def preview(self, owner: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """The job script of a request of `owner`, as it would be submitted; see `drafts.preview`.

        Raises:
            BadRequest: with every reason why it cannot be.
        """
        now = self.parts.clock()
        request, placement = placed(options, self.parts.centres, now)
        account = await self.parts.identities.account(owner, placement.centre)
        record = draft(owner, "", request, placement, account, now)
        keeper = self.keepers.get(placement.centre.id)
        system = keeper.context.system if keeper else batch_system(placement.centre)
        return preview(record, placement.centre, system)

    def ahead(self, record: Record) -> int | None:
        """Jobs that the batch system would start before that of a waiting session, where it tells."""
        keeper = self.keepers.get(record.centre)
        work = keeper.works.get(record.id) if keeper else None
        job = work.job or work.taken if work else None
        return job.ahead if job and record.stage in (Stage.SUBMITTED, Stage.QUEUED) else None

    async def hand_over(self, record: Record, environment: Mapping[str, str], argv: Sequence[str]) -> Record:
        """The hub's environment for the server of a live session; empty withdraws what was given."""
        prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", "")
        if prefix and prefix != record.prefix:
            record = await self.sessions.change(record.id, lambda r: Change({"prefix": prefix[:1000]}))
        if (work := self.work(record)) is not None:
            work.give(environment, argv)
        elif keeper := self.keepers.get(record.centre):
            keeper.environments[record.id] = environment, argv
        return record

    async def ask_to_stop(self, record: Record, by: str) -> Record:
        """Mark a session as to be stopped, and set about it."""
        record = await self.sessions.change(record.id, transitions.stop_asked(by, self.parts.clock()))
        if (work := self.work(record)) is not None and record.stage is Stage.ENDING:
            work.replaced(record)
        return record

    def watch(self, record: Record) -> None:
        """Somebody waits for this session."""
        keeper = self.keepers.get(record.centre)
        if keeper is not None and record.stage is not Stage.READY:
            keeper.watcher.wait_for(self.parts.timing.watched_for)

    # --- the hub -----------------------------------------------------------------------------------------------

    async def start_at_hub(self, record: Record) -> None:
        """Have the hub start the server of a session; it then comes for the session by name."""
        try:
            await self.parts.hub.start(record.owner, record.server, record.id)
        except HubTrouble as error:
            log.warning("%s: the hub does not start the server: %s", record.id, error)
            if self._told.get(record.id) != str(error):
                self._told[record.id] = str(error)
                with contextlib.suppress(SQLAlchemyError):
                    await self.sessions.tell(record.id, News.of("hub-refused", detail=str(error)))

    async def _attach(self) -> None:
        """Live sessions whose server the hub has forgotten (it crashed while they queued) get it back.

        The hub writes a server down only when it is up: those on their way are looked at often, all now and then, as
        each look at everybody keeps a hub with a thousand servers from answering for a third of a second.
        """
        timing = self.parts.timing
        often = max(1, round(timing.attach_all_every / timing.attach_every))
        for turn in itertools.count():
            await asyncio.sleep(timing.attach_every)
            try:
                await self.attach(everybody=turn % often == 0)
            except HubTrouble as error:
                log.info("the hub does not say which servers there are: %s", error)
            except SQLAlchemyError as error:
                log.warning("%s", error)

    async def attach(self, *, everybody: bool = True) -> None:
        """One round of that. A session that the spawner itself opened moments ago is left alone."""
        now = self.parts.clock()
        works = [work.record for keeper in self.keepers.values() for work in keeper.works.values()]
        ours = [r for r in works if r.live and not r.warm and (now - r.created).total_seconds() > 3]
        if not everybody:
            settled = now - timedelta(seconds=self.parts.timing.attach_all_every)
            ours = [r for r in ours if r.ready is None or r.ready > settled]
        if not ours:
            return
        owners = {record.owner for record in ours}
        servers = await self.parts.hub.servers(owners if len(owners) <= FEW else None)
        lost = [record for record in ours if not servers.get((record.owner, record.server))]
        await asyncio.gather(*(self.start_at_hub(record) for record in lost[:50]))


__all__ = ["Broker", "Parts"]
