"""The cluster of a head: dask-jobqueue's cluster, whose jobs come from the gateway's broker.

Specs, scheduler and life cycle stay Dask's. What differs, and why:
- A spec exists for workers that the broker has accepted, under the names it gave: the answer to *one* call per scaling.
- Nothing is believed started: states come from the broker's long poll, connections from the scheduler.
- Surplus workers are let go, the cheapest first, and connected ones move their results before they leave.
What must be watched for that, and what is replaced, is in `keeper.py`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any

from dask_jobqueue.core import JobQueueCluster
from distributed.core import Status
from distributed.deploy.spec import SpecCluster
from distributed.utils import NoOpAwaitable
from perijove.spawners.dask.adaptive import HeadAdaptive
from perijove.spawners.dask.broker import Broker, Refused, Silent
from perijove.spawners.dask.config import Config
from perijove.spawners.dask.job import BrokerJob, Desk
from perijove.spawners.dask.keeper import Keeper
from perijove.spawners.dask.logs import collect
from perijove.spawners.dask.members import Member, Members
from perijove.spawners.dask.scheduler import HeadScheduler
from perijove.spawners.dask.state import News, state
from perijove.spawners.dask.tls import Keys

logger = logging.getLogger("perijove.dask")

#: Seconds between two attempts to let go of workers that are too many, and to cancel while the broker is silent.
SHRINK_AGAIN, CANCEL_AGAIN = 10.0, 5.0


class HeadCluster(JobQueueCluster):
    """A scheduler, and as many workers as wanted, as far as the broker gives them."""

    job_cls = BrokerJob
    scheduler: HeadScheduler

    def __init__(self, config: Config, keys: Keys, broker: Broker, port: int) -> None:
        self.config, self.broker = config, broker
        self.members = Members(config)
        self.desk = Desk()
        self.news = News()
        self.keeper = Keeper(self, broker)
        self.started = time.time()
        self.target = 0
        self._confirmed = config.confirmed
        self._pending: tuple[str, int, bool] | None = None
        self._nonce, self._asked = secrets.token_hex(8), 0
        self._shrink_after = self._cancel_after = 0.0
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
        super(SpecCluster, self)._update_worker_status(op, msg)  # type: ignore[no-untyped-call]
        self.keeper.changed.set()

    # -- scaling ------------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> set[str]:
        """Names of the workers that count towards the target; adaptive scaling compares with them."""
        return {member.name for member in self.members.active()}

    requested = plan

    @property
    def price(self) -> int:
        """Micro-credits an hour of one worker, as the broker said last."""
        return int(self.keeper.view.get("price", self.config.price))

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
        adaptive, self._adaptive = self._adaptive, None  # it must not interfere while we wait for our turn
        try:
            await self._agreed(n, confirmed)
        except Refused:
            self._adaptive = self._adaptive or adaptive
            raise
        if adaptive is not None:
            adaptive.stop(reason="scaled by hand")

    async def adapt_to(self, minimum: int, maximum: int, *, confirmed: bool = False) -> None:
        """Let the scheduler's load decide, within these bounds."""
        if minimum > self.target:
            await self._agreed(minimum, confirmed)
        self._confirmed = confirmed
        self.keeper.hope()
        self.adapt(Adaptive=HeadAdaptive, minimum=minimum, maximum=maximum, interval=self.config.times.tick)

    async def _agreed(self, n: int, confirmed: bool) -> None:
        """What a person asks; their yes to the cost holds for replacements, too, and only if it was of use."""
        self.keeper.hope()
        await self._aim(n, confirmed)
        self._confirmed = confirmed

    async def _aim(self, n: int, confirmed: bool) -> None:
        async with self.keeper.turn:
            before, self.target = self.target, n
            try:
                await self.fill(confirmed)
            except Refused:
                self.target = min(before, n)
                raise
            except Silent:
                self.keeper.silent()  # the step asks again
            finally:
                await self._shrink()
        self.keeper.changed.set()

    async def let_go(self, names: Iterable[str]) -> None:
        """Adaptive scaling needs these no longer."""
        async with self.keeper.turn:
            leaving = [m for m in self.members.active() if m.name in set(names)]
            # What was wanted besides and is not there is not needed either.
            self.target = min(self.target, len(self.members.active()) - len(leaving))
            await self._release(leaving)

    async def fill(self, confirmed: bool | None = None) -> None:
        """Ask for what is missing, in one call; `confirmed` as before where it is None. Raises Refused, Silent."""
        missing = self.target - len(self.members.active())
        agreed = self._confirmed if confirmed is None else confirmed
        if self._pending is not None:
            self._pending = (*self._pending[:2], self._pending[2] or agreed)
        else:
            if missing <= 0:
                return
            self._asked += 1
            self._pending = (f"{self._nonce}-{self._asked}", missing, agreed)
        try:
            names = await self.broker.ask(*self._pending)
        except Refused:
            self._pending = None
            raise
        self._pending = None
        self.keeper.heard()
        self.members.add(names, time.time())
        self.worker_spec.update({name: self.new_spec for name in names})
        await self._follow_spec()

    async def _shrink(self) -> None:
        if (surplus := len(self.members.active()) - self.target) > 0:
            idle = {str(ws.name) for ws in self.scheduler.workers.values() if not ws.processing}
            await self._release(self.members.surplus(surplus, idle))

    async def tidy(self, now: float) -> None:
        """Let go of what is too much: an answer that came late, results that could not be moved, an earlier head's."""
        if self._pending is None:
            self.desk.unwanted.update(self.members.strangers())
        if self.desk.unwanted and now >= self._cancel_after:
            await self.cancel()
            self._cancel_after = now + CANCEL_AGAIN if self.desk.unwanted else 0.0
        if self._adaptive is None and now >= self._shrink_after:
            self._shrink_after = now + SHRINK_AGAIN
            await self._shrink()

    async def _release(self, leaving: list[Member]) -> None:
        """Cancel what is not connected, in one call; let the others move their results first."""
        for member in leaving:
            member.retiring = True
        if staying := [m for m in leaving if m.connected]:
            self.keeper.spawn(self.retire(staying))
        await self.drop([m for m in leaving if not m.connected])

    # -- letting go ---------------------------------------------------------------------------------------------------

    async def retire(self, members: list[Member]) -> None:
        """Move their results to other workers, then have them cancelled. What cannot move stays, for another try; but
        where nobody is to stay, there is nobody to move to."""
        done = await self.scheduler.retire_workers(names=[m.name for m in members], close_workers=False, remove=False)
        moved = {str(info["name"]) for info in done.values()}
        for member in members:
            if member.connected and member.name not in moved and (self.target or self._adaptive is not None):
                member.retiring = False
        await self.drop([m for m in members if m.retiring])

    async def drop(self, members: list[Member]) -> None:
        """They are wanted no longer: cancel their jobs."""
        for member in members:
            self.members.all.pop(member.name, None)
            self.worker_spec.pop(member.name, None)
        if members:
            await self._follow_spec()
        await self.cancel()

    async def cancel(self) -> None:
        """Have everything cancelled that was handed in. While the broker is silent, the workers are told directly."""
        names = sorted(self.desk.unwanted)
        if not names:
            return
        try:
            answer = await self.broker.cancel(names)
        except (Silent, Refused) as error:
            logger.warning("perijove: cancelling %s: %s", ", ".join(names), error)
            await self.disconnect(names)
            return
        self.desk.unwanted.difference_update(names)
        self.members.take(answer.get("workers") or ())

    async def disconnect(self, names: Sequence[str]) -> None:
        """Have the scheduler close its connections to these; what they computed is computed elsewhere."""
        for address in [ws.address for ws in self.scheduler.workers.values() if str(ws.name) in names]:
            await self.scheduler.remove_worker(address, stimulus_id=f"perijove-{time.time()}", close=True)

    async def _follow_spec(self) -> None:
        """Make or end Dask's jobs as the specs say."""
        await self._correct_state()  # type: ignore[no-untyped-call]

    # -- what is shown ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The status of the control interface."""
        return state(self)

    async def logs(self, worker: str) -> str:
        """The newest lines of one worker, or of the scheduler and all workers. Raises Refused, Silent."""
        return await collect(self.scheduler, self.broker, worker)
