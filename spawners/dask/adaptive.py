"""Adaptive scaling that knows what a queue is.

distributed's cancels workers that have not arrived as soon as fewer are wanted: at a centre that throws away a place in
the queue for a moment's lull. Ours leaves alone what the batch system has started or will start soon, cancels the rest
only after fewer have been enough for a while, and lets connected workers go as distributed does.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed.deploy.adaptive import Adaptive
from perijove.spawners.dask.broker import Refused

if TYPE_CHECKING:
    from perijove.spawners.dask.cluster import HeadCluster

logger = logging.getLogger("perijove.dask")

#: Seconds without asking after the broker refused.
BACK_OFF = 30.0


class HeadAdaptive(Adaptive):
    """For `HeadCluster.adapt`."""

    cluster: HeadCluster

    def __init__(self, cluster: HeadCluster, **options: Any) -> None:
        self._fewer_since: float | None = None
        self._refused_until = 0.0
        super().__init__(cluster, **options)

    async def recommendations(self, target: int) -> dict[str, Any]:
        """What to do to have `target` workers; "down" names those that may go."""
        now, active = time.time(), self.cluster.members.active()
        # What was wanted and never came is not asked for once the work is gone.
        if self._in_charge:
            self.cluster.target = min(self.cluster.target, max(target, len(active)))
        if target >= len(active):
            self._fewer_since = None
            self.close_counts.clear()
            return {"status": "up", "n": target} if target > len(active) else {"status": "same"}
        self._fewer_since = self._fewer_since or now
        times = self.cluster.config.times
        surplus = len(active) - target
        queued = [m for m in active if not m.connected and not m.starts_within(now, times.soon)]
        if queued:
            if now - self._fewer_since < times.quiet:
                return {"status": "same"}
            queued.sort(key=lambda member: -member.asked)
            return {"status": "down", "workers": [member.name for member in queued[:surplus]]}
        return await self._connected_down(target, surplus)

    async def _connected_down(self, target: int, surplus: int) -> dict[str, Any]:
        """Those that the scheduler says can be closed at little cost, after it has said so often enough."""
        firm, closable = [], [str(name) for name in await self.workers_to_close(target=target)][:surplus]
        for name in closable:
            self.close_counts[name] += 1  # type: ignore[index]
            if self.close_counts[name] >= self.wait_count:  # type: ignore[index]
                firm.append(name)
        for known in list(self.close_counts):
            if known not in closable or known in firm:
                del self.close_counts[known]
        return {"status": "down", "workers": firm} if firm else {"status": "same"}

    async def scale_up(self, n: int) -> None:  # type: ignore[override]
        """Ask for more; a refusal is told as news, and not repeated every second."""
        if self.cluster.keeper.stopped or time.time() < self._refused_until or not self._in_charge:
            return
        missing = n - len(self.cluster.members.active())
        try:
            await self.cluster.scale(n)
        except Refused as error:
            self._refused_until = time.time() + BACK_OFF
            self.cluster.news.say("refused", code=error.code, **error.values)
            if fewer := fitting(error, missing, self.cluster.price):
                with suppress(Refused):  # somebody else took the rest
                    await self.cluster.scale(n - missing + fewer)

    @property
    def _in_charge(self) -> bool:
        """Nobody has scaled by hand, or set other bounds, while we thought."""
        return self.cluster._adaptive is self

    async def scale_down(self, workers: list[str]) -> None:  # type: ignore[override]
        """Let them go; the cluster moves their results first."""
        if self._in_charge:
            await self.cluster.let_go(workers)


def fitting(refused: Refused, count: int, price: int) -> int:
    """How many of `count` workers fit below the limit because of which they were refused; `price` is that of one."""
    values = refused.values
    try:
        if refused.code == "confirm-cost":
            room, one = values["limit"] - (values["cost"] - count * price), price
        elif refused.code in ("limit-workers", "limit-cores", "limit-cost"):
            room, one = values["most"] - values["used"], values["asked"] // count
        elif refused.code == "balance":
            room, one = values["available"], values["needed"] // count
        elif refused.code == "budget-limit":
            room, one = values["limit"] - values["used"], values["needed"] // count
        else:
            return 0
        return max(0, min(count - 1, int(room // one)))
    except (KeyError, TypeError, ZeroDivisionError):
        return 0
