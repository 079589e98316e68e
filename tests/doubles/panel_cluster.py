"""A cluster for the panel: no head and no batch system, a loop of its own and states that a test or a person sets."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tornado.ioloop import IOLoop

#: Micro-credits an hour of one worker.
PRICE = 800_000


class Refused(Exception):
    """What the cluster's own errors look like to the panel."""

    def __init__(self, code: str, message: str, **values: Any) -> None:
        self.code, self.values = code, values
        super().__init__(message)


def iso(seconds: float) -> str:
    """A moment so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def worker(number: int, state: str, **more: Any) -> dict[str, Any]:
    """A row of the head's status."""
    row = {"name": f"abcdefghijklm-{number}", "job": "abcdefghijklm", "task": number, "state": state, "reason": ""}
    row |= {"raw_reason": "", "detail": "", "node": None, "job_id": "4711", "ends_by": None, "connected": False}
    row |= {"memory_used": None, "cpu": None, "tasks": 0}
    if state == "running":
        row |= {"node": f"cn{number:02}", "connected": True, "memory_used": (number % 5 + 1) * 9 << 27, "tasks": 3}
        row |= {"ends_by": iso(3100 + 40 * number)}
    if state == "queued":
        row |= {"reason": "priority", "raw_reason": "Priority"}
    return row | more


class PanelCluster:
    """Everything of a cluster that the panel needs; `rows` and `more` are what it says."""

    def __init__(self, *states: str, target: int | None = None, confirm_above: int | None = 60) -> None:
        self.name = "dask-1"
        self.rows = [worker(n + 1, state) for n, state in enumerate(states)]
        self.target = len(states) if target is None else target
        self.adaptive: dict[str, int] | None = None
        self.confirm_above = confirm_above
        self.more: dict[str, Any] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.failing: Exception | None = None
        self.asked = 0
        self.loop = self._loop()

    @staticmethod
    def _loop() -> IOLoop:
        found: list[IOLoop] = []
        ready = threading.Event()

        async def stay() -> None:
            found.append(IOLoop.current())
            ready.set()
            await asyncio.Event().wait()

        threading.Thread(target=asyncio.run, args=(stay(),), daemon=True).start()
        assert ready.wait(10)
        return found[0]

    async def _status(self) -> dict[str, Any]:
        self.asked += 1
        if self.failing:
            raise self.failing
        running = sum(row["connected"] for row in self.rows)
        status: dict[str, Any] = {
            "id": "nopqrstuvwxyz",
            "name": self.name,
            "centre": "zhengzhou",
            "queue": "cpu",
            "beside": True,
            "shape": {"queue": "cpu", "cores": 4, "memory": 8192, "gpus": 0, "walltime": 7200, "project": ""},
            "target": self.target,
            "adaptive": self.adaptive,
            "workers": [dict(row) for row in self.rows],
            "price": PRICE,
            "cost_per_hour": running * PRICE,
            "limits": {"workers": 200, "cores": 1000, "cost_per_hour": None, "confirm_cost_per_hour": 48_000_000},
            "used": {"workers": len(self.rows), "cores": 4 * len(self.rows), "cost_per_hour": running * PRICE},
            "money": {
                "budget": "person:alice",
                "held": 0,
                "spent": 812_345,
                "hourly": running * PRICE,
                "state": "open",
            },
            "ends_by": iso(11_530),
            "started": iso(-400),
            "dashboard": "/user/alice/perijove/clusters/dask-1/dashboard/status",
            "said": [],
            "broker": "ok",
        }
        return status | self.more

    def _ask(self, n: int, confirmed: bool) -> None:
        if n > 200:
            raise Refused("limit-workers", "too many", most=200, asked=n, used=len(self.rows))
        if self.confirm_above is not None and n > self.confirm_above and not confirmed:
            raise Refused("confirm-cost", "dear", cost=n * PRICE, limit=self.confirm_above * PRICE)

    async def _scale(self, n: int, confirmed: bool) -> None:
        self.calls.append(("scale", n, confirmed))
        self._ask(n, confirmed)
        self.target, self.adaptive = n, None
        self.rows = self.rows[:n] + [worker(number + 1, "queued") for number in range(len(self.rows), n)]

    async def _adapt(self, minimum: int, maximum: int, confirmed: bool) -> None:
        self.calls.append(("adapt", minimum, maximum, confirmed))
        self._ask(maximum, confirmed)
        self.adaptive = {"minimum": minimum, "maximum": maximum}

    async def _logs(self, name: str | None) -> dict[str, str]:
        names = [row["name"] for row in self.rows if name in (None, row["name"])]
        log = "distributed.nanny - INFO - Start Nanny at: tls://10.0.0.12:41233\n<b>not bold</b>\n"
        return {one: log for one in names}

    async def _close(self) -> None:
        self.calls.append(("close",))

    def some_minutes(self, panel: Any) -> None:
        """Have the panel show the last minutes of a cluster that grew, lost workers and got new ones."""
        now, steps = time.time(), [(600, 0, 0, 6, 0, 20), (560, 0, 14, 6, 0, 20), (530, 6, 14, 0, 0, 20)]
        steps += [(410, 11, 9, 0, 0, 20), (260, 15, 5, 0, 0, 20), (170, 12, 5, 0, 3, 20), (110, 12, 5, 3, 0, 20)]
        panel._history.points = [[float(now - before), *rest] for before, *rest in steps]
