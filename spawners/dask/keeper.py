"""Keeps a cluster's workers: hears what became of them, replaces the lost, lets the expiring retire, explains the rest.

One step, repeated, brings what is to what is wanted (the cluster's `target`). Losses in a row stop the replacing, with
their reason. A silent broker stops nothing: what runs goes on, what was asked is asked again under the same key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from perijove.spawners.dask.broker import POLL, Broker, Refused, Silent
from perijove.spawners.dask.members import Member
from perijove.spawners.dask.state import report

if TYPE_CHECKING:
    from perijove.spawners.dask.cluster import HeadCluster

logger = logging.getLogger("perijove.dask")

#: Losses of workers that never connected, in a row, after which asking for more is only spending.
HOPELESS = 3
#: Losses of any kind within `WINDOW` seconds, more than twice the workers wanted, that stop the replacing, too.
WINDOW = 600.0
#: Seconds between attempts while the broker is silent or refuses: first and longest.
AGAIN = (1.0, 15.0)
#: Silent workers explained with their log in one step; all of them are marked in the status.
EXPLAINED = 5
#: Characters of a worker's log that news carry.
LOG = 2000


class Keeper:
    """For one cluster; `turn` is held by whoever changes its workers."""

    def __init__(self, cluster: HeadCluster, broker: Broker) -> None:
        self._cluster, self._broker = cluster, broker
        self.turn, self.changed = asyncio.Lock(), asyncio.Event()
        #: Set when the broker says that the cluster is over; the head closes.
        self.over = asyncio.Event()
        #: The broker's view of the cluster: limits and prices.
        self.view: dict[str, Any] = {}
        self.silent_since: float | None = None
        #: Why no more workers are asked for (the name of the last one lost), or "".
        self.stopped = ""
        self._failed = 0
        self._losses: deque[float] = deque(maxlen=1000)
        self._not_before = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life ---------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Watch and keep the workers; call once, when the scheduler runs."""
        for work in (self._watch(), self._keep(), self._report()):
            self.spawn(work)

    async def end(self) -> None:
        """Stop watching. Workers are cancelled by closing the cluster at the broker."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside everything else, until the end; a failure is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("perijove: a part of the head failed", exc_info=error)

    def hope(self) -> None:
        """Somebody asked anew: what stopped the replacing is to be tried again."""
        self.stopped, self._failed, self._not_before = "", 0, 0.0
        self._losses.clear()

    # -- the broker ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Hear from the broker what became of the workers."""
        version, pause = -1, AGAIN[0]  # a cluster that has never had a worker is at version 0
        while not self.over.is_set():
            try:
                answer = await self._broker.workers(version, POLL if version >= 0 else 0)
                newest = int(answer["version"])
                self._cluster.members.take(answer["workers"])
            except (Silent, Refused, KeyError, TypeError, ValueError) as error:
                if isinstance(error, Refused) and error.code in ("not-found", "no-cluster", "cluster-closed"):
                    self.over.set()
                    return
                self.silent(str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN[1])
                continue
            pause = AGAIN[0]
            self.heard()
            version = newest
            if answer.get("closing") or not answer.get("live", True):
                self.over.set()
            self.changed.set()

    async def _report(self) -> None:
        """Leave the state with the broker, and learn limits and prices from its answer."""
        while True:
            with suppress(Silent, Refused):
                self.view = await self._broker.report(report(self._cluster))
            await asyncio.sleep(self._cluster.config.times.report)

    def silent(self, detail: str = "") -> None:
        """The broker gave no answer."""
        if self.silent_since is None:
            self.silent_since = time.time()
            self._cluster.news.say("broker-silent", detail=detail[:300])

    def heard(self) -> None:
        """The broker answered."""
        if self.silent_since is not None:
            self.silent_since = None
            self._cluster.news.say("broker-back")

    # -- the workers --------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), self._cluster.config.times.tick)
            self.changed.clear()
            try:
                async with self.turn:
                    await self._step(time.time())
            except Exception:
                # A fault of ours must not leave the workers alone.
                logger.exception("perijove: a look at the workers failed")
                await asyncio.sleep(AGAIN[0])

    async def _step(self, now: float) -> None:
        """One look at everything, and what follows from it."""
        cluster, members = self._cluster, self._cluster.members
        if members.connect((str(ws.name) for ws in cluster.scheduler.workers.values()), now):
            self._failed, self.stopped = 0, ""
        await self._bury(now)
        if silent := members.newly_silent(now):
            self.spawn(self._explain(silent[:EXPLAINED]))
        members.mark_expiring(now)
        if leaving := members.to_retire(now, cluster.target):
            for member in leaving:
                member.retiring = True
                cluster.news.say("worker-retires", worker=member.name)
            self.spawn(cluster.retire(leaving))
        await cluster.tidy(now)
        if self.stopped or now < self._not_before:
            return
        try:
            await cluster.fill()
        except Silent:
            self.silent()
            self._not_before = now + AGAIN[0]
        except Refused as error:
            cluster.news.say("refused", code=error.code, **error.values)
            self._not_before = now + AGAIN[1]

    async def _bury(self, now: float) -> None:
        """Forget workers that are gone, say so, and stop replacing them where that leads nowhere."""
        cluster = self._cluster
        for member in [m for m in cluster.members.all.values() if m.over and m.connected]:
            # The batch system knows better than a connection that nobody has closed: its tasks go elsewhere.
            await cluster.disconnect([member.name])
            member.connected = False
        for member in (found := cluster.members.gone(now)):
            if member.retiring or member.expiring:
                continue
            row = member.row or {}
            missing = "out-of-touch" if member.arrived else "silent"
            reason = str(row.get("reason") or ("ended" if member.over else missing))
            cluster.news.say("worker-lost", worker=member.name, reason=reason, detail=str(row.get("detail") or ""))
            self._losses.append(now)
            self._failed += member.arrived is None
        await cluster.drop(found)
        often = sum(now - lost < WINDOW for lost in self._losses) > max(10, 2 * cluster.target)
        if found and not self.stopped and (self._failed >= HOPELESS or often):
            self.stopped = found[-1].name
            losses = self._failed or len(self._losses)
            log = await self._log(found[-1])
            cluster.news.say("workers-stopped", worker=found[-1].name, losses=losses, log=log)

    async def _explain(self, members: list[Member]) -> None:
        """Say of each that its job runs and that it has not connected, with what its job has written."""
        for member in members:
            log = await self._log(member)
            if member.arrived is None:
                node = str((member.row or {}).get("node") or "")
                self._cluster.news.say("worker-silent", worker=member.name, node=node, log=log)

    async def _log(self, member: Member) -> str:
        """The last lines of its job; "" where the broker has none."""
        with suppress(Silent, Refused):
            return (await self._broker.log(member.name))[-LOG:]
        return ""
