"""The cluster of a head: dask-jobqueue's cluster, whose jobs come from the gateway's broker.

Specs, scheduler and life cycle stay Dask's. What differs, and why:
- A spec exists for workers that the broker has accepted, under the names it gave: the answer to *one* call per scaling.
- Nothing is believed started: states come from the broker's long poll, connections from the scheduler.
- One step, repeated, brings what is to what is wanted (`target`): lost workers are replaced, those near their
walltime get a
  successor and retire, surplus ones are let go, the cheapest first. Losses in a row stop the replacing, with
  their reason.
- A silent broker stops nothing: what runs goes on, what was asked is asked again under the same key.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

from dask_jobqueue.core import JobQueueCluster
from distributed.core import Status
from distributed.deploy.spec import SpecCluster
from distributed.utils import NoOpAwaitable
from perijove.spawners.dask.adaptive import HeadAdaptive
from perijove.spawners.dask.broker import POLL, Broker, Refused, Silent
from perijove.spawners.dask.config import Config
from perijove.spawners.dask.job import BrokerJob, Desk
from perijove.spawners.dask.logs import collect
from perijove.spawners.dask.members import Member, Members
from perijove.spawners.dask.scheduler import HeadScheduler
from perijove.spawners.dask.state import News, report, state
from perijove.spawners.dask.tls import Keys

logger = logging.getLogger("perijove.dask")

#: Losses of workers that never connected, in a row, after which asking for more is only spending.
HOPELESS = 3
#: Losses of any kind within `WINDOW` seconds, more than twice the workers wanted, that stop the replacing, too.
WINDOW = 600.0
#: Seconds between attempts while the broker is silent or refuses: first and longest.
AGAIN = (1.0, 15.0)


class HeadCluster(JobQueueCluster):
    """A scheduler, and as many workers as wanted, as far as the broker gives them."""

    job_cls = BrokerJob
    scheduler: HeadScheduler

    def __init__(self, config: Config, keys: Keys, broker: Broker, port: int) -> None:
        self.config, self.broker = config, broker
        self.members = Members(config)
        self.desk = Desk()
        self.news = News()
        self.started = time.time()
        self.target = 0
        self.view: dict[str, Any] = {}
        self.silent_since: float | None = None
        #: Why no more workers are asked for, or "".
        self.stopped = ""
        #: Set when the broker says that the cluster is over; the head closes.
        self.over = asyncio.Event()
        self._confirmed = config.confirmed
        self._failed = 0
        self._losses: deque[float] = deque(maxlen=1000)
        self._pending: tuple[str, int, bool] | None = None
        self._not_before = 0.0
        self._nonce, self._asked = secrets.token_hex(8), 0
        self._changed, self._turn = asyncio.Event(), asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(
            asynchronous=True,
            security=keys.security(),
            name=config.name,
            cores=config.cores,
            memory=f"{config.memory} B",
            processes=1,
            desk=self.desk,
            scheduler_cls=HeadScheduler,
            scheduler_options={
                "host": config.address,
                "port": port,
                "protocol": "tls://",
                "dashboard": True,
                "dashboard_address": None,
                "http_prefix": config.prefix,
            },
        )

    def _get_worker_security(self, security: Any) -> None:
        """Workers find their keys in the cluster's folder; dask-jobqueue would write them elsewhere."""

    def _update_worker_status(self, op: str, msg: Any) -> None:
        """Not SpecCluster's, which would start a lost job again under the same name."""
        super(SpecCluster, self)._update_worker_status(op, msg)
        self._changed.set()

    # -- life ---------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Watch and keep the workers; call once, when the scheduler runs."""
        for work in (self._watch(), self._keep(), self._report()):
            self._spawn(work)

    async def end(self) -> None:
        """Stop watching. Workers are cancelled by closing the cluster at the broker."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("perijove: a part of the head failed", exc_info=error)

    # -- scaling ------------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> set[str]:
        """Names of the workers that count towards the target; adaptive scaling compares with them."""
        return {member.name for member in self.members.active()}

    requested = plan

    def scale(self, n: Any = None, jobs: int = 0, memory: Any = None, cores: Any = None) -> Any:  # type: ignore[override]
        """dask-jobqueue's; in a head it returns an awaitable. See `scale_to` for what is raised."""
        if self.status in (Status.closing, Status.closed):
            self.worker_spec.clear()
            return NoOpAwaitable()
        return asyncio.ensure_future(self._aim(n if n is not None else jobs, self._confirmed))

    async def scale_to(self, n: int, *, confirmed: bool = False) -> None:
        """Want `n` workers from now on, and no adaptive scaling.

        Raises:
            Refused: over a limit; nothing has changed then, unless fewer were wanted.
        """
        if self._adaptive is not None:
            self._adaptive.stop(reason="scaled by hand")
            self._adaptive = None
        self._confirmed = confirmed
        self._hope()
        await self._aim(n, confirmed)

    async def adapt_to(self, minimum: int, maximum: int, *, confirmed: bool = False) -> None:
        """Let the scheduler's load decide, within these bounds."""
        self._confirmed = confirmed
        self._hope()
        if minimum > self.target:
            await self._aim(minimum, confirmed)
        self.adapt(Adaptive=HeadAdaptive, minimum=minimum, maximum=maximum, interval=self.config.times.tick)

    def _hope(self) -> None:
        """Somebody asked anew: what stopped the replacing is to be tried again."""
        self.stopped, self._failed, self._not_before = "", 0, 0.0
        self._losses.clear()

    async def _aim(self, n: int, confirmed: bool) -> None:
        async with self._turn:
            before, self.target = self.target, n
            try:
                await self._fill(confirmed)
            except Refused:
                self.target = before
                raise
            except Silent:
                self._silent()  # the step asks again
            await self._shrink()
        self._changed.set()

    async def let_go(self, names: Iterable[str]) -> None:
        """Adaptive scaling needs these no longer."""
        async with self._turn:
            leaving = [m for m in self.members.active() if m.name in set(names)]
            self.target = max(0, self.target - len(leaving))
            await self._release(leaving)

    async def _fill(self, confirmed: bool) -> None:
        """Ask for what is missing, in one call. Raises Refused, Silent."""
        missing = self.target - len(self.members.active())
        if self._pending is None:
            if missing <= 0:
                return
            self._asked += 1
            self._pending = (f"{self._nonce}-{self._asked}", missing, confirmed)
        try:
            names = await self.broker.ask(*self._pending)
        except Refused:
            self._pending = None
            raise
        self._pending = None
        self._heard()
        self.members.add(names, time.time())
        self.worker_spec.update({name: self.new_spec for name in names})
        await self._correct_state()

    async def _shrink(self) -> None:
        idle = {str(ws.name) for ws in self.scheduler.workers.values() if not ws.processing}
        await self._release(self.members.surplus(len(self.members.active()) - self.target, idle))

    async def _release(self, leaving: list[Member]) -> None:
        """Cancel what is not connected, in one call; let the others move their results first."""
        for member in leaving:
            member.retiring = True
        if staying := [m for m in leaving if m.connected]:
            self._spawn(self._retire(staying))
        await self._drop([m for m in leaving if not m.connected])

    async def _retire(self, members: list[Member]) -> None:
        """Move their results to other workers, then have them cancelled. What cannot move stays, for another try."""
        done = await self.scheduler.retire_workers(names=[m.name for m in members], close_workers=False, remove=False)
        moved = {str(info["name"]) for info in done.values()}
        for member in members:
            if member.connected and member.name not in moved:
                member.retiring = False
        await self._drop([m for m in members if m.retiring])

    async def _drop(self, members: list[Member]) -> None:
        """They are wanted no longer: cancel their jobs."""
        for member in members:
            self.members.all.pop(member.name, None)
            self.worker_spec.pop(member.name, None)
        if members:
            await self._correct_state()
        await self._cancel()

    async def _cancel(self) -> None:
        """Have everything cancelled that was handed in. While the broker is silent, the workers are told directly."""
        names = sorted(self.desk.unwanted)
        if not names:
            return
        try:
            answer = await self.broker.cancel(names)
        except (Silent, Refused) as error:
            logger.warning("perijove: cancelling %s: %s", ", ".join(names), error)
            for address in [ws.address for ws in self.scheduler.workers.values() if str(ws.name) in names]:
                await self.scheduler.remove_worker(address, stimulus_id=f"perijove-{time.time()}", close=True)
            return
        self.desk.unwanted.difference_update(names)
        self.members.take(answer.get("workers") or ())

    # -- keeping ------------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self.config.times.tick)
            self._changed.clear()
            async with self._turn:
                await self._step(time.time())

    async def _step(self, now: float) -> None:
        """One look at everything, and what follows from it."""
        arrived = self.members.connect((str(ws.name) for ws in self.scheduler.workers.values()), now)
        if arrived:
            self._failed = 0
            if self.stopped:
                self.stopped = ""
        await self._bury(now)
        self.members.mark_expiring(now)
        if leaving := self.members.to_retire(now, self.target):
            for member in leaving:
                member.retiring = True
                self.news.say("worker-retires", worker=member.name)
            self._spawn(self._retire(leaving))
        if self.desk.unwanted:
            await self._cancel()
        if self.stopped or now < self._not_before:
            return
        try:
            await self._fill(self._confirmed)
        except Silent:
            self._silent()
            self._not_before = now + AGAIN[0]
        except Refused as error:
            self.news.say("refused", code=error.code, **error.values)
            self._not_before = now + AGAIN[1]

    async def _bury(self, now: float) -> None:
        """Forget workers that are gone, say so, and stop replacing them where that leads nowhere."""
        for member in list(self.members.all.values()):
            if member.over and member.connected:
                # The batch system knows better than a connection that nobody has closed: its tasks go elsewhere.
                for ws in [ws for ws in self.scheduler.workers.values() if str(ws.name) == member.name]:
                    await self.scheduler.remove_worker(ws.address, stimulus_id=f"perijove-{now}", close=True)
                member.connected = False
        for member in (found := self.members.gone(now)):
            if member.retiring or member.expiring:
                continue
            row = member.row or {}
            reason = str(row.get("reason") or ("ended" if member.over else "out-of-touch"))
            self.news.say("worker-lost", worker=member.name, reason=reason, detail=str(row.get("detail") or ""))
            self._losses.append(now)
            self._failed += member.arrived is None
        await self._drop(found)
        often = sum(now - lost < WINDOW for lost in self._losses) > max(10, 2 * self.target)
        if found and not self.stopped and (self._failed >= HOPELESS or often):
            self.stopped = found[-1].name
            log = ""
            with suppress(Silent, Refused):
                log = await self.broker.log(found[-1].name)
            self.news.say(
                "workers-stopped", worker=found[-1].name, losses=self._failed or len(self._losses), log=log[-2000:]
            )

    async def _watch(self) -> None:
        """Hear from the broker what became of the workers."""
        version, pause = 0, AGAIN[0]
        while not self.over.is_set():
            try:
                answer = await self.broker.workers(version, POLL if version else 0)
            except (Silent, Refused) as error:
                if isinstance(error, Refused) and error.code in ("not-found", "no-cluster", "cluster-closed"):
                    self.over.set()
                    return
                self._silent(str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN[1])
                continue
            pause = AGAIN[0]
            self._heard()
            version = int(answer["version"])
            self.members.take(answer["workers"])
            if answer.get("closing") or not answer.get("live", True):
                self.over.set()
            self._changed.set()

    async def _report(self) -> None:
        """Leave the state with the broker, and learn limits and prices from its answer."""
        while True:
            with suppress(Silent, Refused):
                self.view = await self.broker.report(report(self))
            await asyncio.sleep(self.config.times.report)

    def _silent(self, detail: str = "") -> None:
        if self.silent_since is None:
            self.silent_since = time.time()
            self.news.say("broker-silent", detail=detail[:300])

    def _heard(self) -> None:
        if self.silent_since is not None:
            self.silent_since = None
            self.news.say("broker-back")

    # -- what is shown ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The status of the control interface."""
        return state(self)

    async def logs(self, worker: str) -> str:
        """The newest lines of one worker, or of the scheduler and all workers. Raises Refused, Silent."""
        return await collect(self.scheduler, self.broker, worker)
