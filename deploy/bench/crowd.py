"""A real head whose workers, a few hundred, live in a few processes (`stubs.py`); for `heads.py`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from doubles.dask_broker import DaskBroker, Worker, now
from harness.dask_head import CLUSTER, TOKEN, HeadProcess, config

#: Workers in one stub process.
CROWD = 150


class Crowd(DaskBroker):
    """The broker's double, whose workers are many in a process."""

    def __init__(self, base: Path, cluster: str) -> None:
        super().__init__(base, cluster)
        self.stubs: list[asyncio.subprocess.Process] = []
        self._given = 0

    async def start(self, name: str) -> None:
        """One more name for the newest process, or the first for a new one."""
        if self._given % CROWD == 0:
            folder, log = self.base / self.cluster, self.base / f"stubs-{len(self.stubs)}.log"
            with log.open("wb") as file:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, str(Path(__file__).with_name("stubs.py")), str(folder)),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=file,
                    stderr=file,
                )
            self.stubs.append(process)
        self._given += 1
        pipe = self.stubs[-1].stdin
        if pipe is not None:
            pipe.write(f"{name}\n".encode())
            await pipe.drain()
        worker: Worker = self.workers[name]
        worker.state, worker.reason, worker.started = "running", "", now()

    async def end(self) -> None:
        """End the processes."""
        for process in self.stubs:
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def head_of(base: Path) -> AsyncIterator[HeadProcess]:
    """A head as a session has it, with the times of real life."""
    async with AsyncExitStack() as stack:
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perijove-")))
        broker = await stack.enter_async_context(Crowd(base, CLUSTER))
        stack.push_async_callback(broker.end)
        with (base / "head.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "perijove.spawners.dask.head"),
                stdin=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "JUPYTERHUB_API_TOKEN": TOKEN},
            )
        head = HeadProcess(process, broker, base / CLUSTER, sockets)
        try:
            given = config(broker, base, sockets, times={"tick": 1.0, "death": 60.0, "report": 20.0})
            if process.stdin is not None:
                process.stdin.write(json.dumps(given).encode())
                process.stdin.close()
            while not head.socket.exists():
                if process.returncode is not None:
                    raise RuntimeError((base / "head.log").read_text())
                await asyncio.sleep(0.05)
            yield head
        finally:
            head.close()
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await process.wait()
