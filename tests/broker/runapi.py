"""The API of runs as people and sessions use it: what its tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from broker.callers import Api
from broker.harness import Gateway
from broker.runworld import Runs, app_kind, report, results
from broker.simulated import SimulatedCentre
from broker.simulated import centre as described

#: What a test of this API imports to have its fixtures.
__all__ = ["RunApi", "api", "app_kind", "runs"]
PRICED = [{"name": "cpu", "cores": 64, "memory": "256G", "max_time": "2d", "price": {"core_hour": "1"}}]


class RunApi(Api):
    """Calls as somebody, with what is expected of them."""

    async def ok(self, method: str, path: str, who: str = "t-ada", status: int = 200, **more: Any) -> Any:
        """The answer's JSON, if any; its status must be this one."""
        answer = await self(method, path, who, **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def started(self, who: str = "t-ada", **body: Any) -> dict[str, Any]:
        """A run."""
        view: dict[str, Any] = await self.ok("POST", "/runs", who, 201, json={"app": "sums", "inputs": {}, **body})
        return view

    async def done(self, who: str = "t-ada", value: float = 3.0, table: str = "a" * 64, **body: Any) -> dict[str, Any]:
        """A run that its session reported as done."""
        run = await self.started(who, **body)
        said = {"report": report("done", ("done",), results=results(value, table)), "folder": "/home/ada/runs/x"}
        view: dict[str, Any] = await self.ok("PUT", f"/runs/{run['id']}/report", who, json=said)
        return view


@pytest_asyncio.fixture
async def runs(gateway: Gateway) -> Runs:
    """Two centres with a price, and the app."""
    gateway.simulated = {name: SimulatedCentre(described(name, queues=PRICED)) for name in ("alpha", "beta")}
    world = Runs(gateway)
    await world.begin()
    return world


@pytest_asyncio.fixture
async def api(gateway: Gateway, runs: Runs) -> AsyncIterator[RunApi]:
    """The API over them."""
    one = RunApi(gateway)
    yield one
    await one.client.aclose()
