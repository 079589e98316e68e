"""The keeper of one centre: holds its lease, watches it, and gives each of its sessions a `Work`.

What the watcher lists is matched to sessions by the job's name alone, so that a job whose submission was never answered
is found. Workers of Dask clusters are `ClusterKeeper`'s, jobs that nobody wants `Strays`'.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from perijove.hub.broker import gathering, transitions
from perijove.hub.broker.clusterkeeper import ClusterKeeper
from perijove.hub.broker.context import Context
from perijove.hub.broker.leases import Leases
from perijove.hub.broker.memory import Memory
from perijove.hub.broker.records import Record, Transition
from perijove.hub.broker.strays import Strays, of_record
from perijove.hub.broker.tails import Tails
from perijove.hub.broker.work import Work
from perijove.hub.offers.find import CentreNow
from perijove.spawners.job import JobState, JobStatus, QueueStatus, session_of
from perijove.spawners.link import Account
from perijove.spawners.session import Stage
from perijove.spawners.watcher import Failure, Listing, Query, Watcher
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)


class Keeper:
    """Everything the broker does at one centre."""

    def __init__(self, context: Context, leases: Leases, tag: str) -> None:
        self.context = context
        self.leases = leases
        self.tag = tag
        self.works: dict[str, Work] = {}
        self.held = False
        self.unknown: dict[Account, Failure] = {}
        self.memory = context.memory = Memory()
        #: Environments that came before their session was taken up here.
        self.environments: dict[str, tuple[Mapping[str, str], Sequence[str]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked_last: list[Account] = []
        self._vanished: dict[Account, set[str]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self.clusters = ClusterKeeper(context, lambda: self.held)
        self.strays = Strays(self)
        context.tails = Tails(context.centre, context.links)
        context.watcher = self.watcher = Watcher(
            context.centre,
            context.system,
            context.links,
            self._queries,
            self._heard,
            self._set_queues,
            context.timing.pace,
            lambda: gathering.probe(context, self.memory),
        )

    # --- life --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the centre while the lease is ours, until cancelled."""
        timing = self.context.timing
        try:
            await self._renew()
            if not self.held:  # another broker keeps the centre; its history is worth knowing all the same
                await gathering.recall(self.context, self.memory)
            while True:
                await asyncio.sleep(timing.lease_every if self.held else min(timing.lease_every, 2.0))
                await self._renew()
        finally:
            await self._let_go()

    async def _renew(self) -> None:
        try:
            held = await self.leases.take(self.context.centre.id)
        except SQLAlchemyError as error:
            log.warning("%s: the lease cannot be renewed: %s", self.context.centre.id, error)
            return
        if held and not self.held:
            self.held = True
            await self.scan()
            todo = (self.watcher.run(), self._scan_often(), gathering.recall(self.context, self.memory))
            self._loops = [asyncio.create_task(one) for one in todo]
        elif self.held and not held:
            log.warning("%s: another broker has the lease", self.context.centre.id)
            await self._let_go()

    async def _let_go(self) -> None:
        """Stop all work here; jobs and sessions are left as they are."""
        self.held = False
        tasks = [*self._loops, *self._tasks.values(), *self.clusters.let_go()]
        self._loops = []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(work.drop_tunnel() for work in self.works.values()), return_exceptions=True)
        self.works.clear()
        self._tasks.clear()

    async def release(self) -> None:
        """Give the lease back, so that another broker need not wait."""
        with contextlib.suppress(SQLAlchemyError):
            await self.leases.release(self.context.centre.id)

    # --- sessions ----------------------------------------------------------------------------------------------

    async def scan(self) -> None:
        """Take up every session that the store has for this centre."""
        for record in await self.context.sessions.unfinished(self.context.centre.id):
            work = self.works.get(record.id)
            if work is None:
                self.take(record)
            elif record.stage is Stage.ENDING and work.record.stage is not Stage.ENDING:
                work.replaced(record)
        await self.clusters.scan()

    def take(self, record: Record) -> Work | None:
        """Work on a session from now on; None if this broker does not keep the centre."""
        if not self.held:
            return None
        work = self.works.get(record.id)
        if work is None:
            work = self.works[record.id] = Work(record, self.context)
            if given := self.environments.pop(record.id, None):
                work.give(*given)
            task = asyncio.create_task(work.run(), name=f"session {record.id}")
            self._tasks[record.id] = task
            task.add_done_callback(lambda _: self._done(record.id))
            self.watcher.hurry()
        return work

    def _done(self, session: str) -> None:
        self.works.pop(session, None)
        self._tasks.pop(session, None)

    async def _scan_often(self) -> None:
        while True:
            await asyncio.sleep(self.context.timing.scan_every)
            try:
                await self.scan()
            except SQLAlchemyError as error:
                log.warning("%s: the store cannot be read: %s", self.context.centre.id, error)
            self._wait_for_fresh()

    def _wait_for_fresh(self) -> None:
        """Young submissions are watched closely, without anybody having to say that they wait."""
        now = self.context.clock()
        for work in self.works.values():
            if (
                work.record.stage.pending
                and (now - work.record.created).total_seconds() < self.context.timing.fresh_for
            ):
                self.watcher.wait_for(2 * self.context.timing.scan_every)
                return
        if self.clusters.fresh():
            self.watcher.wait_for(2 * self.context.timing.scan_every)

    # --- what is asked -----------------------------------------------------------------------------------------

    def _open_works(self) -> list[Work]:
        return [work for work in self.works.values() if work.record.stage is not Stage.ENDED]

    def _queries(self) -> list[Query]:
        """One for the whole centre; where people's jobs are hidden from each other, one for each account."""
        sessions = (work.record.login for work in self._open_works())
        accounts = list(dict.fromkeys([*sessions, *self.clusters.accounts()]))
        if accounts:
            self._asked_last = accounts
        if not self.context.centre.scheduler.sees_all:
            return [Query(account, (), self._vanished_of(account)) for account in accounts or self._asked_last]
        own = self._own_account()
        asker = own if own is not None else next(iter(accounts or self._asked_last), None)
        return [Query(asker, (), self._vanished_of(asker))] if asker is not None else []

    def _own_account(self) -> Account | None:
        """The gateway's own account, if it may ask; with `sudo` there is none: the launcher runs as people."""
        login = self.context.centre.login
        own = login.identity in ("self", "community") or (login.identity == "key" and login.account)
        return Account() if own else None

    def askers(self, accounts: Sequence[Account]) -> list[Account]:
        """As whom to ask what jobs under `accounts` used: one, unless people's jobs are hidden from each other."""
        if not self.context.centre.scheduler.sees_all:
            return list(accounts)
        own = self._own_account()
        return [own] if own is not None else list((*accounts, *self._asked_last)[:1])

    def _vanished_of(self, account: Account) -> tuple[str, ...]:
        return tuple(sorted(self._vanished.get(account, ())))[:200]

    # --- what is heard -----------------------------------------------------------------------------------------

    def _set_queues(self, queues: Sequence[QueueStatus]) -> None:
        self.memory.set_queues(queues, self.context.clock())

    async def _heard(self, answer: Listing | Failure) -> None:
        try:
            if isinstance(answer, Failure):
                await self._silent(answer)
            else:
                await self._answered(answer)
        except SQLAlchemyError as error:
            log.warning("%s: what was heard cannot be stored: %s", self.context.centre.id, error)

    def _covered(self, query: Query) -> list[Work]:
        """The sessions that a query is about."""
        works = self._open_works()
        if self.context.centre.scheduler.sees_all:
            return works
        return [work for work in works if work.record.login == query.account]

    async def _silent(self, failure: Failure) -> None:
        log.info("%s does not answer (%d): %s", self.context.centre.id, failure.count, failure.detail)
        if failure.count < self.context.timing.silent_after:
            return
        self.unknown[failure.query.account] = failure
        works = [work for work in self._covered(failure.query) if work.record.unknown_since is None]
        await self.change(works, transitions.silent(failure.since, failure.detail))
        self.clusters.hear(self._account_of(failure.query), failure.since)

    def _account_of(self, query: Query) -> Account | None:
        """Whose jobs alone a query is about; None: everybody's."""
        return None if self.context.centre.scheduler.sees_all else query.account

    async def _answered(self, listing: Listing) -> None:
        covered = self._covered(listing.query)
        if self.context.centre.scheduler.sees_all:
            self.unknown.clear()  # who asks may have changed: this answer is for everybody
        else:
            asking = {query.account for query in self._queries()} - {listing.query.account}
            self.unknown = {account: failure for account, failure in self.unknown.items() if account in asking}
        self.memory.heard(listing.begun)
        await self.change([work for work in covered if work.record.unknown_since], transitions.answers_again())
        self.clusters.hear(self._account_of(listing.query), None)
        jobs = self._by_session(listing.jobs)
        past = {job.job_id: job for job in listing.past if job.state is JobState.ENDED}
        asked = set(listing.query.vanished) if listing.asked_history else set()
        vanished: set[str] = set()
        for work in covered:
            job = of_record(jobs.get(work.record.id, ()), work.record)
            if job is not None:
                gathering.listed(self.context, self.memory, work.record, job, listing)
                work.seen(job, listing.begun)
            elif work.record.created > listing.begun:
                continue
            elif (job_id := work.record.job_id) is None:
                work.missing(listing.begun)
            elif ended := past.get(job_id):
                # Another job of the same name came of a submission that was answered late: it takes its place.
                others = [other for other in jobs.get(work.record.id, ()) if other.state is not JobState.ENDED]
                work.seen(others[0] if others else ended, listing.begun, instead=bool(others))
            elif work.record.submitted is None or work.record.submitted < listing.begun:
                vanished.add(job_id)
                if job_id in asked:
                    work.missing(listing.begun)
                else:
                    self.watcher.hurry(2.0)
        vanished |= self.clusters.listed(jobs, listing, self._account_of(listing.query))
        self._vanished[listing.query.account] = vanished
        await self.strays.among(jobs, listing)

    def now(self, now: datetime) -> CentreNow:
        """What offers need to know of the centre."""
        silent = next(iter(self.unknown.values()), None)
        return self.memory.now(self.context.centre, silent.since if silent else None, now)

    async def change(self, works: Iterable[Work], transition: Transition) -> None:
        """Make the change to all these sessions, and have their works go on with it."""
        by_id = {work.record.id: work for work in works}
        if by_id:
            for record in await self.context.sessions.change_all(by_id, transition):
                by_id[record.id].replaced(record)

    def _by_session(self, jobs: Iterable[JobStatus]) -> dict[str, list[JobStatus]]:
        """Jobs with our mark, by session or worker job; a batch system may list several of one."""
        found: dict[str, list[JobStatus]] = {}
        for job in jobs:
            if session := session_of(job.name, self.tag):
                found.setdefault(session, []).append(job)
        return found


__all__ = ["Keeper"]
