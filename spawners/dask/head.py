"""The head of a Dask cluster: scheduler, scaling, and the ways to both.

    PYTHON -m perijove.spawners.dask.head      < configuration (JSON, see `config.py`); the token in
    JUPYTERHUB_API_TOKEN

It listens for workers and clients of the same account with mutual TLS on one port, and on a unix socket of mode 0600 in
a directory of mode 0700 for everything else: `/control/...` (JSON, see `control.py`), `/comm` (clients from
elsewhere, see
`resume.py`) and the dashboard below its prefix. There is no other port. It ends with the process that started it, with
its cluster at the broker, after being idle for as long as it was told, or when asked; with 0, its folder removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import resource
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from perijove.spawners.dask import control, resume_head, tls
from perijove.spawners.dask.broker import Broker, Refused, Silent
from perijove.spawners.dask.cluster import HeadCluster
from perijove.spawners.dask.config import BadConfig, Config
from perijove.spawners.dask.scheduler import configure, free_ports
from perijove.spawners.dask.state import idle_for
from tornado.netutil import bind_unix_socket

logger = logging.getLogger("perijove.dask")

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, linux/prctl.h
#: Seconds for telling the broker that the cluster is over; the server tells it, too, and ends us after a few seconds.
GOODBYE = 3.0


def die_with_parent(parent: int) -> None:
    """Be asked to end (SIGTERM) when the process that started us ends; it may have ended already."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("perijove: the server that started this head is gone")


def raise_limits() -> None:
    """Have as many open files as the node allows: each worker takes three, and the usual limit is 1024."""
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Head:
    """One head, from its configuration to its end."""

    def __init__(self, config: Config, token: str) -> None:
        self.config = config
        self.broker = Broker(config.api, config.api_host, token, config.id)
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def close(self, reason: str) -> None:
        """Let `run` come to its end; the first reason counts."""
        if not self._end.done():
            self._end.set_result(reason)

    async def run(self) -> str:
        """Serve until the end; why it ended. Raises OSError where it cannot listen or write its folder."""
        keys = tls.make(self.config.id)
        tls.write(keys, self.config.folder)
        try:
            async with self._cluster(keys) as cluster:
                reason = await self._until_the_end(cluster)
                logger.info("perijove: the cluster ends: %s", reason)
                with contextlib.suppress(Silent, Refused):
                    await self.broker.close_cluster(GOODBYE)
                return reason
        finally:
            self.broker.close()
            shutil.rmtree(self.config.folder, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def _cluster(self, keys: tls.Keys) -> AsyncIterator[HeadCluster]:
        cluster = await self._listening(keys)
        try:
            settings = self.config.worker_settings(cluster.scheduler.address)
            tls.write_secret(self.config.folder / "worker.json", json.dumps(settings))
            channels = resume_head.Channels(cluster.scheduler)
            application, server = cluster.scheduler.http_application, cluster.scheduler.http_server
            application.add_handlers(".*", [*control.routes(cluster, self.close), *channels.routes()])
            server.add_socket(bind_unix_socket(str(self.config.socket_dir / "h"), mode=0o600))
            cluster.keeper.begin()
            try:
                yield cluster
            finally:
                await cluster.keeper.end()
                channels.close()
        finally:
            if (closing := cluster.close()) is not None:
                await closing

    async def _listening(self, keys: tls.Keys) -> HeadCluster:
        """A cluster on the first port that can be had. Raises OSError."""
        for port in free_ports(self.config.id, self.config.address, *self.config.ports):
            cluster = HeadCluster(self.config, keys, self.broker, port)
            try:
                return await cluster
            except RuntimeError as error:
                if "in use" not in str(error):  # somebody else was faster is the one reason to try another
                    raise
        raise OSError(f"no port of {self.config.ports} is free on {self.config.address}")

    async def _until_the_end(self, cluster: HeadCluster) -> str:
        cluster.keeper.spawn(self._first_workers(cluster))  # the end does not wait for a silent broker
        tasks: dict[asyncio.Future[Any], str] = {
            asyncio.ensure_future(cluster.keeper.over.wait()): "closed",
            asyncio.ensure_future(_finished(cluster)): "shut-down",
            asyncio.ensure_future(self._idle(cluster)): "idle",
        }
        try:
            done, _ = await asyncio.wait({self._end, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._end.result() if self._end.done() else next(tasks[task] for task in done)

    async def _first_workers(self, cluster: HeadCluster) -> None:
        """Ask for what the person asked with the cluster; a refusal is news, the cluster is there all the same."""
        config = self.config
        try:
            if config.maximum is not None:
                await cluster.adapt_to(config.minimum or 0, config.maximum, confirmed=config.confirmed)
            elif config.workers:
                await cluster.scale_to(config.workers, confirmed=config.confirmed)
        except Refused as error:
            cluster.news.say("refused", code=error.code, **error.values)

    async def _idle(self, cluster: HeadCluster) -> None:
        """Return when there was nothing to do for too long."""
        while not self.config.idle or idle_for(cluster) < self.config.idle:  # noqa: ASYNC110 - the scheduler has no event
            await asyncio.sleep(min(5.0, self.config.idle / 4) if self.config.idle else 3600)


async def _finished(cluster: HeadCluster) -> None:
    await cluster.scheduler.finished()  # type: ignore[no-untyped-call]


async def _serve(config: Config, token: str) -> None:
    head = Head(config, token)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, head.close, signal.Signals(number).name)
    await head.run()


def main() -> None:
    """The command; see the module's text."""
    parent = os.getppid()
    die_with_parent(parent)
    os.umask(0o077)
    raise_limits()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    try:
        config = Config.of(json.loads(sys.stdin.read()))
    except (BadConfig, ValueError) as error:
        sys.exit(f"perijove: the head's configuration is wrong: {error}")
    token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
    if not Path(config.socket_dir).is_dir():
        sys.exit(f"perijove: {config.socket_dir} is no directory")
    configure()
    asyncio.run(_serve(config, token))


if __name__ == "__main__":
    main()
