"""The database under the broker: one writer that commits for all who wait, several readers, never on the event loop.

Three hundred sessions that start at once make some thousand small changes. Each alone would be a transaction with its
own wait for the disk; here all changes that came in during one commit go into the next one together, each in its own
savepoint, so that one that fails takes no other with it. Works on SQLite (WAL) and PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")
#: Changes in one transaction, at most.
TOGETHER = 200
READERS = 4
#: How often a transaction is begun that another broker's keeps from ending.
TRIES = 5


def engine_for(url: str, *, writes: bool) -> Engine:
    """An engine for `url`, in the way that suits its database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(parsed, pool_pre_ping=True, pool_size=1 if writes else READERS)
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("the broker's store is a file or a server: it must outlive the process")
    engine = create_engine(parsed, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, record: object) -> None:
        # We begin transactions ourselves: the driver's own way breaks savepoints.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class Database:
    """Runs functions of a connection in a transaction, in threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        #: Hears of each "read" and "write" how many seconds it took, with the wait for its turn.
        self.on_done: Callable[[str, float], None] = lambda kind, seconds: None
        self._writer = engine_for(url, writes=True)
        self._reader = engine_for(url, writes=False)
        self._write_thread = ThreadPoolExecutor(1, "store-write")
        self._read_threads = ThreadPoolExecutor(READERS, "store-read")
        self._waiting: list[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, once it is committed. What it raises is raised, and nothing of it is kept."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        with self._timed("write"):
            return await future

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; it must not write."""

        def run() -> T:
            with self._reader.connect() as connection:
                return work(connection)

        with self._timed("read"):
            return await asyncio.get_running_loop().run_in_executor(self._read_threads, run)

    @contextlib.contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.on_done(kind, time.perf_counter() - begun)

    async def migrate(self) -> None:
        """Bring the tables to this version's shape."""
        from perijove.hub.broker.migrations import upgrade

        await asyncio.get_running_loop().run_in_executor(self._write_thread, upgrade, self._writer)

    async def close(self) -> None:
        """Finish what waits, and close all connections."""
        if self._flusher is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._flusher
        self._write_thread.shutdown()
        self._read_threads.shutdown()
        self._writer.dispose()
        self._reader.dispose()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            works = [work for work, _ in batch]
            try:
                results = await loop.run_in_executor(self._write_thread, self._commit, works)
            except Exception as error:
                # Nothing was committed: each who waits hears it, and decides.
                results = [(False, error)] * len(batch)
            for (_, future), (good, result) in zip(batch, results, strict=True):
                if future.done():
                    continue
                if good:
                    future.set_result(result)
                else:
                    future.set_exception(result)

    def _commit(self, works: list[Callable[[Connection], Any]]) -> list[tuple[bool, Any]]:
        for _ in range(TRIES - 1):
            try:
                return self._once(works)
            except DBAPIError as error:
                if not _met_another(error):
                    raise
        return self._once(works)

    def _once(self, works: list[Callable[[Connection], Any]]) -> list[tuple[bool, Any]]:
        results: list[tuple[bool, Any]] = []
        with self._writer.begin() as connection:
            for work in works:
                try:
                    with connection.begin_nested():
                        results.append((True, work(connection)))
                except Exception as error:
                    if connection.invalidated or not connection.in_transaction() or _met_another(error):
                        raise
                    results.append((False, error))
        return results


def _met_another(error: Exception) -> bool:
    """Two transactions waited for each other, and PostgreSQL ended this one: it can be made again."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in ("40P01", "40001")
