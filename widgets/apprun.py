"""A session that is there for one run: executes it at once, and ends when it is over."""

from __future__ import annotations

import asyncio
from typing import Any

from perijove.widgets.clustererror import ClusterError
from perijove.widgets.daskserver import PATIENCE, RETRY
from perijove.widgets.runs import Runs
from perijove.widgets.way import Unreachable

_failed = False


def failed() -> bool:
    """Whether the one run failed or could not be executed: then so did the session."""
    return _failed


async def serve_run(runs: Runs, identity: str, server: Any, log: Any) -> None:
    """Execute the run `identity`, and stop the server once all of it is at the broker."""
    global _failed  # noqa: PLW0603 - the process has one purpose, and this is what became of it
    try:
        run = await _adopted(runs, identity)
        _failed = await runs.over(run) == "failed"
    except (ClusterError, Unreachable) as error:
        log.error("perijove: the run %s cannot be executed: %s", identity, error)
        _failed = True
    except Exception:
        log.exception("perijove: the run cannot be executed")
        _failed = True
    server.stop()


async def _adopted(runs: Runs, identity: str) -> Any:
    """Raises ClusterError, Unreachable."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        try:
            return await runs.adopt(identity)
        except Unreachable:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(RETRY)
