"""Logs for a person: the scheduler's and each worker's newest lines, from the process itself or from its job."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler
    from perijove.spawners.dask.broker import Broker

#: Lines of the scheduler and of one worker by name, and of each worker among all.
MANY, FEW = 200, 20
#: Seconds that a worker has to hand over its lines.
PATIENCE = 10.0


async def collect(scheduler: Scheduler, broker: Broker, worker: str) -> str:
    """The newest lines of `worker`, or of the scheduler and all connected workers where that is "".

    Of a worker that is not connected, its job's log. Raises Refused, Silent.
    """
    named = {str(ws.name): ws.address for ws in scheduler.workers.values()}
    if worker:
        if worker not in named:
            return await broker.log(worker)
        return await _of(scheduler, named[worker], MANY)
    parts = ["== scheduler ==", _lines(scheduler.get_logs(n=MANY))]
    texts = await asyncio.gather(*(_of(scheduler, address, FEW) for address in named.values()))
    for name, text in zip(named, texts, strict=True):
        parts += [f"== {name} ==", text]
    return "\n".join(parts)


async def _of(scheduler: Scheduler, address: str, count: int) -> str:
    try:
        found = await asyncio.wait_for(scheduler.get_worker_logs(n=count, workers=[address]), PATIENCE)
    except (OSError, TimeoutError) as error:
        return f"(no answer: {type(error).__name__})"
    return _lines(found.get(address) or [])


def _lines(found: Any) -> str:
    """distributed gives pairs of level and text, the newest first."""
    return "\n".join(str(line[-1]) for line in reversed(list(found)))
