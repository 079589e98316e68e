"""Reconciling: what was charged is held against each centre's own accounting, day by day, and the differences are kept.

Once a day for each centre that this broker keeps, of the day before; and whenever an operator asks. What nobody knew
the cost of is settled by what the accounting says: that is the one thing that is changed. Other differences are
reported, and an operator decides. The centre is asked with one call of the launcher, as the account that watches it;
where people's jobs are hidden from each other, as each account that ran jobs in the window.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from perijove.hub.broker import reconcilestore as reports
from perijove.hub.broker.charges import charge
from perijove.hub.broker.store import sessions
from perijove.hub.ledger import books
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.reconcile import Difference, Window, compare
from perijove.hub.ledger.records import Subject
from perijove.spawners.batch import BatchError
from perijove.spawners.job import Accounting, JobUsage, session_of
from perijove.spawners.link import Account, LinkError
from perijove.spawners.watcher import outputs_of, status_request
from sqlalchemy import Connection, select

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker
    from perijove.hub.broker.keeper import Keeper

log = logging.getLogger(__name__)
#: Who has decided what the accounting said.
ACCOUNTING = "accounting"
#: Two clocks may differ by so much at midnight; so long is waited after a failure, and before a look at the undecided.
BESIDE, AGAIN = timedelta(minutes=10), timedelta(hours=1)
#: So far back is looked for what is undecided, lest a centre is asked for months of jobs every hour.
BACK = timedelta(days=7)
#: A centre's accounting was not to be had.
FAILURES = (LinkError, BatchError, TimeoutError)
#: Seconds for one call of the launcher.
SECONDS = 120.0


#: Our side, the centre's, and every difference, in a transaction.
Compared = Callable[[Connection], tuple[reports.Mine, Accounting, list[Difference]]]


class NotKept(Exception):
    """The centre is not this broker's: the one that has its lease can reconcile it."""


class Reconciling:
    """The reports of one broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._tried: dict[str, datetime] = {}

    async def round(self) -> None:
        """Make the reports that are due, of yesterday; and look for what is undecided."""
        if self.broker.parts.ledger.reconcile == "off":
            return
        for name, keeper in list(self.broker.keepers.items()):
            if not keeper.held:
                continue
            try:
                await self._centre(name, keeper)
            except NotKept:
                continue  # another broker has it now
            except Exception:
                # Whatever is wrong with one centre's accounts, the others are reconciled.
                log.exception("%s could not be reconciled", name)

    async def _centre(self, name: str, keeper: Keeper) -> None:
        parts = self.broker.parts
        now = parts.clock()
        yesterday = now.astimezone(UTC).date() - timedelta(days=1)
        if not await parts.database.read(partial(reports.done, centre=name, day=yesterday, now=now, again=AGAIN)):
            await self.run(name, yesterday)
        if self._tried.get(name, now - AGAIN) <= now - AGAIN:
            self._tried[name] = now
            await self._undecided(keeper, now)

    async def _undecided(self, keeper: Keeper, now: datetime) -> None:
        """Settle what is undecided, of the last days; there is a report of it if there is something to report."""
        parts, centre = self.broker.parts, keeper.context.centre.id
        oldest = await parts.database.read(lambda c: reports.oldest_undecided(c, centre))
        if oldest is None:
            return
        day = now.astimezone(UTC).date()
        window = Window(max(oldest, now - BACK), datetime.combine(day, time(), UTC) + timedelta(days=1))
        ours = await parts.database.read(lambda c: reports.mine(c, centre, window.since, window.until))
        if not any(one.undecided for one in ours.jobs):
            return
        try:
            compared = await self._compared(keeper, window)
        except FAILURES as error:
            log.warning("%s: what is undecided could not be looked for: %s", centre, error or "no answer in time")
            return

        def work(c: Connection) -> None:
            at = parts.clock()
            _, theirs, found = compared(c)
            noted = [(one, ACCOUNTING) for one in found if _settle(c, one, at)]
            if noted:
                number = reports.begin(c, centre, day, at)
                reports.note(c, number, noted, at)
                state = reports.SOUND if theirs.complete else reports.PARTIAL
                reports.finish(c, number, at, state, theirs.source, len(noted), len(noted))

        await parts.database.write(work)

    async def run(self, centre: str, day: date) -> int:
        """Reconcile a day (UTC) of a centre; the number of the report, failed or not.

        Raises:
            NotKept.
        """
        keeper = self.broker.keepers.get(centre)
        if keeper is None or not keeper.held:
            raise NotKept(centre)
        parts = self.broker.parts
        begin = datetime.combine(day, time(), UTC)
        number = await parts.database.write(lambda c: reports.begin(c, centre, day, parts.clock()))
        try:
            await self._report(keeper, Window(begin, begin + timedelta(days=1)), number)
            return number
        except FAILURES as error:
            words = str(error) or "the centre did not answer in time"
            log.warning("%s: %s could not be reconciled: %s", centre, day, words)
        except Exception as error:
            words = f"an unexpected fault ({type(error).__name__}); the broker's log has more"
            log.exception("%s: %s could not be reconciled", centre, day)
        await parts.database.write(lambda c: reports.finish(c, number, parts.clock(), reports.FAILED, words))
        return number

    async def _report(self, keeper: Keeper, window: Window, number: int) -> None:
        parts = self.broker.parts
        compared = await self._compared(keeper, window)

        def work(c: Connection) -> None:
            now = parts.clock()
            mine, theirs, found = compared(c)
            noted = [(one, ACCOUNTING if _settle(c, one, now) else None) for one in found]
            reports.note(c, number, noted, now)
            counts = [sum(window.has(one.ended) for one in side) for side in (mine.jobs, theirs.jobs)]
            good = reports.SOUND if theirs.complete else reports.PARTIAL
            state = reports.DIFFERS if any(by is None for _, by in noted) else good
            words = theirs.source if theirs.complete else f"{theirs.source}: no accounting, it forgets ended jobs"
            reports.finish(c, number, now, state, words, counts[0], counts[1])

        await parts.database.write(work)

    async def _compared(self, keeper: Keeper, window: Window) -> Compared:
        """Asks the centre for its accounting; what compares it, in the transaction that settles, with ours as it is.

        Raises:
            LinkError, BatchError, TimeoutError.
        """
        tag, centre = self.broker.tag, keeper.context.centre.id
        wide = Window(window.since - BESIDE, window.until + BESIDE)
        ours = await self.broker.parts.database.read(lambda c: reports.mine(c, centre, wide.since, wide.until))
        theirs = await self._asked(keeper, wide, ours.accounts)

        def compared(c: Connection) -> tuple[reports.Mine, Accounting, list[Difference]]:
            mine = reports.mine(c, centre, wide.since, wide.until)
            known = reports.known(c, [name for job in theirs.jobs if (name := session_of(job.name, tag))])
            return mine, theirs, compare(mine.jobs, theirs, window, lambda name: session_of(name, tag), known)

        return compared

    async def _asked(self, keeper: Keeper, wide: Window, accounts: Sequence[Account]) -> Accounting:
        """The centre's accounting.

        Raises:
            LinkError, BatchError, TimeoutError.
        """
        jobs: dict[tuple[str, int | None], JobUsage] = {}
        sources, complete = set(), True
        for account in keeper.askers(accounts):
            told = await self._ask(keeper, wide, account)
            jobs |= {(job.job_id, job.task): job for job in told.jobs}
            sources.add(told.source)
            complete = complete and told.complete
        if not sources:
            return Accounting((), "nobody ran jobs here, so there is no account to ask as", complete=True)
        return Accounting(tuple(jobs.values()), ", ".join(sorted(sources)), complete)

    async def _ask(self, keeper: Keeper, wide: Window, account: Account) -> Accounting:
        context = keeper.context
        commands = context.system.accounting(wide.since, wide.until)
        link = context.links.get(context.centre, account)
        answer = await link.launch(status_request(context.centre, commands, SECONDS), timeout=SECONDS + 10)
        outputs = outputs_of(answer, len(commands))
        told = context.system.parse_accounting(outputs)
        cut = any(len(output.stdout.encode()) >= _CUT for output in outputs)
        return Accounting(told.jobs, told.source, complete=told.complete and not cut)


#: Bytes from which on the launcher may have cut an output off.
_CUT = (8 << 20) - 4


def _settle(c: Connection, one: Difference, now: datetime) -> bool:
    """Settle what was undecided by what the centre's accounting says, if it says it."""
    job, mine = one.usage, one.mine
    if one.kind != "undecided" or mine is None or job is None or job.elapsed is None:
        return False
    hold = one_hold(c, one.subject)
    if hold is None or hold.state != "undecided":
        return False
    lasted = timedelta(seconds=job.elapsed) - _kept_warm(c, one.subject, job)
    lasted = max(lasted, timedelta(0))
    part = "" if one.subject.kind != "workers" else str(job.task or 1)
    evidence: dict[str, Any] = {"job_id": one.job_id, "started": job.started, "ended": job.ended, "outcome": job.state}
    seconds = round(lasted.total_seconds())
    evidence |= {"by": ACCOUNTING, "core_seconds": seconds * mine.cores, "gpu_seconds": seconds * mine.gpus}
    books.settle(c, hold.about, part, charge(hold.hourly, lasted), now, evidence=evidence)
    return True


def _kept_warm(c: Connection, subject: Subject, job: JobUsage) -> timedelta:
    """How much of a job's time was before its session was taken over: that was the gateway's, and is settled."""
    if subject.kind != "session" or job.started is None:
        return timedelta(0)
    taken: datetime | None = c.scalar(select(sessions.c.taken).where(sessions.c.id == subject.id))
    return timedelta(0) if taken is None else max(timedelta(0), taken - job.started)


__all__ = ["ACCOUNTING", "NotKept", "Reconciling"]
