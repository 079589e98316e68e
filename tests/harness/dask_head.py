"""A real head process with the broker's double, for tests; nothing here sleeps for a fixed time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from doubles.dask_broker import DaskBroker
from tornado.httpclient import HTTPRequest
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

CLUSTER = f"abcdef{os.getpid() % 10**7:07d}"  # so that tests side by side take other ports
TOKEN = "the-token-of-the-server"
PREFIX = "/user/a/s/perijove/clusters/one/dashboard"


class UnixResolver(Resolver):
    """Every host is this unix socket."""

    def initialize(self, path: Path) -> None:
        self._path = str(path)

    async def resolve(self, host: str, port: int, family: int = 0) -> list[tuple[int, Any]]:
        import socket

        return [(socket.AF_UNIX, self._path)]


class HeadProcess:
    """One head: its process, its folder and its socket."""

    def __init__(self, process: asyncio.subprocess.Process, broker: DaskBroker, folder: Path, sockets: Path) -> None:
        self.process, self.broker, self.folder, self.socket = process, broker, folder, sockets / "h"
        self._client = SimpleAsyncHTTPClient(force_instance=True, resolver=UnixResolver(path=self.socket))

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        request = HTTPRequest(
            "http://head" + path,
            method=method,
            body=None if body is None else json.dumps(body),
            allow_nonstandard_methods=True,
            follow_redirects=False,
        )
        answer = await self._client.fetch(request, raise_error=False)
        text = answer.body.decode() if answer.body else ""
        return answer.code, json.loads(text) if text.startswith("{") else text

    async def status(self) -> dict[str, Any]:
        code, found = await self.call("GET", "/control/status")
        assert code == 200, found
        return dict(found)

    async def until(self, what: Callable[[dict[str, Any]], Any], within: float = 60) -> dict[str, Any]:
        """The first status for which `what` holds."""
        end = time.monotonic() + within
        while True:
            found = await self.status()
            if what(found):
                return found
            assert time.monotonic() < end, f"not within {within} s: {json.dumps(found, indent=1)}"
            await asyncio.sleep(0.05)

    def close(self) -> None:
        self._client.close()


def config(broker: DaskBroker, base: Path, sockets: Path, **more: Any) -> dict[str, Any]:
    shape = {"cores": 1, "memory": 600, "gpus": 0, "walltime": broker.walltime, "queue": "q", "project": None}
    times = {"tick": 0.1, "death": 20, "report": 1}
    return {
        "id": CLUSTER,
        "name": "one",
        "socket_dir": str(sockets),
        "folder": str(base / CLUSTER),
        "address": "127.0.0.1",
        "ports": [21000, 29000],
        "shape": shape,
        "price": 500_000,
        "api": broker.api,
        "prefix": PREFIX,
        "idle": 0,
        "times": {**times, **more.pop("times", {})},
        **more,
    }


@contextlib.asynccontextmanager
async def running_head(base: Path, *, walltime: float | None = None, **more: Any) -> AsyncIterator[HeadProcess]:
    """A head that runs, with its broker; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="perijove-") as sockets:
        async with DaskBroker(base, CLUSTER, walltime) as broker:
            with (base / "head.log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-W", "default", "-m", "perijove.spawners.dask.head"),
                    stdin=asyncio.subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, "JUPYTERHUB_API_TOKEN": TOKEN},
                )
            head = HeadProcess(process, broker, base / CLUSTER, Path(sockets))
            try:
                assert process.stdin is not None
                process.stdin.write(json.dumps(config(broker, base, Path(sockets), **more)).encode())
                process.stdin.close()
                while not head.socket.exists():
                    assert process.returncode is None, (base / "head.log").read_text()
                    await asyncio.sleep(0.02)
                yield head
            finally:
                head.close()
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                    try:
                        await asyncio.wait_for(process.wait(), 30)
                    except TimeoutError:
                        process.kill()
                        await process.wait()
