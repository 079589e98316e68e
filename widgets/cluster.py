"""`Cluster`: a Dask cluster beside this session, or at another centre, as one object of the Dask ecosystem.

    from perijove.widgets import Cluster
    cluster = Cluster()                                # workers at this session's centre
    cluster = Cluster(centre="wuxi", workers=20, cores=8, memory="16G", walltime="2h")
    cluster.scale(20); cluster.adapt(0, 50); client = cluster.get_client()

The object is a window: the head runs in a session's server (`perijove.widgets.heads`), so a kernel that is restarted,
or a laptop that is closed, leaves the cluster alone; `Cluster.attach(name)` comes back to it, `close()` ends it. In the
session of the head itself the client speaks TLS with the cluster's own keys; from anywhere else it goes through the
gateway, with the person's token, over a connection that survives the gateway's restarts (`pjws`).
"""

# Dask says that it is typed, and for the most part is not.
# mypy: allow-untyped-calls
from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Coroutine, Generator, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import quote

from dask.utils import parse_timedelta
from distributed.core import Status, rpc
from distributed.deploy.cluster import Cluster as DaskCluster
from distributed.utils import NoOpAwaitable
from perijove.widgets import clusterlook
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.clusterfind import Finder, Found, Wanted
from perijove.widgets.way import Unreachable

#: Seconds in which a disconnected cluster lets go at the end of a program.
GOODBYE = 5.0
#: Seconds for a head to ask for its first workers, and between two looks.
ASKED, AGAIN = 30.0, 0.2


class Adapting:
    """What `adapt` gives: the bounds, for programs that ask for them; `await` it where the code is asynchronous."""

    def __init__(self, minimum: int, maximum: int, done: asyncio.Future[Any] | None) -> None:
        self.minimum, self.maximum = minimum, maximum
        self._done = done

    def __await__(self) -> Generator[Any, None, Adapting]:
        if self._done is not None:
            yield from self._done
        return self

    def __repr__(self) -> str:
        return f"Adapting(minimum={self.minimum}, maximum={self.maximum})"


class Cluster(DaskCluster):
    """A Dask cluster of the gateway.

    Args:
        name: of the cluster; a live one of that name is used, otherwise it is made. None: a new name.
        centre: where it runs; None or this session's own: beside this session, without another wait for a queue.
        queue, cores, memory, gpus, walltime, project: one worker; what is not given comes from the centre's
            description. `memory` as "8G" or MiB, `walltime` as "2h" or seconds.
        workers: how many to ask for at once. minimum, maximum: let Dask choose between them.
        idle: the cluster ends after so long without work; None: never.
        gateway, token: from outside of a session; else from PERIJOVE_GATEWAY and JUPYTERHUB_API_TOKEN.
        asynchronous: for code that awaits: `await Cluster(asynchronous=True)`, `async with`.

    Raises:
        ClusterError: with a code, values, and words that say what to do.
    """

    _open: ClassVar[weakref.WeakSet[Cluster]] = weakref.WeakSet()

    def __init__(  # noqa: PLR0913 - the words of a person, all of them optional
        self,
        name: str | None = None,
        *,
        centre: str | None = None,
        queue: str | None = None,
        cores: int | None = None,
        memory: str | int | None = None,
        gpus: int | None = None,
        walltime: str | int | None = None,
        workers: int = 0,
        minimum: int | None = None,
        maximum: int | None = None,
        project: str | None = None,
        idle: str | float | None = "1h",
        gateway: str | None = None,
        token: str | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        quiet: bool = False,
        _attach: bool = False,
        _environment: Mapping[str, str] | None = None,
    ) -> None:
        given = {
            "queue": queue, "cores": cores, "memory": memory, "gpus": gpus, "walltime": walltime, "project": project,
        }  # fmt: skip
        shape = {key: value for key, value in given.items() if value is not None}
        seconds = float(parse_timedelta(idle)) if idle else 0.0
        self._wanted = Wanted(name or "", centre, shape, workers, minimum, maximum, seconds, _attach)
        self._finder = Finder(self._wanted, gateway or "", token or "", _environment or os.environ, self._log)
        self._found: Found | None = None
        self.security: Any = None
        super().__init__(asynchronous=asynchronous, loop=loop, quiet=quiet, name=name or "", scheduler_sync_interval=5)
        if not asynchronous:
            self._loop_runner.start()
            try:
                self.sync(self._start)
            except BaseException:
                with suppress(Exception):
                    self.sync(self._finder.give_up, callback_timeout=GOODBYE)
                self.status = Status.closed
                self._loop_runner.stop()
                raise

    def __await__(self) -> Generator[Any, None, Cluster]:
        async def started() -> Cluster:
            if self.status == Status.created:
                await self._start()
            return self

        return started().__await__()

    # --- coming and going ---------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Find or make the cluster, and connect to its scheduler. Raises ClusterError."""
        try:
            found = await self._finder.find()
            self._found = found
            self.name = found.name
            self.security = found.security
            self.scheduler_comm = rpc(
                found.scheduler, connection_args=found.security.get_connection_args("client"), timeout=60
            )
            await super()._start()
        except BaseException as error:
            self.status = Status.closed
            if self.scheduler_comm is not None:
                await self.scheduler_comm.close_rpc()
            await self._finder.give_up()  # a session that was started for nothing would run, and cost
            if isinstance(error, Unreachable | OSError) and not isinstance(error, ClusterError):
                values = {"name": self.name, "detail": str(error)}
                raise ClusterError("unreachable", values) from None
            raise
        self._finder.made = ""
        Cluster._open.add(self)
        if self._wanted.asks:
            try:
                await (self._hear_of_first() if found.asked else self._ask_at_first())
            except ClusterError as refused:  # a limit is said, and the cluster is there all the same
                self._log(str(refused))

    async def _ask_at_first(self) -> None:
        """What was asked for with the cluster itself. Raises ClusterError."""
        wanted = self._wanted
        if wanted.maximum is not None:
            await self._adapt(wanted.minimum or 0, wanted.maximum)
        else:
            await self._scale(wanted.workers)

    async def _hear_of_first(self) -> None:
        """A head that was told at its start how many are wanted asks by itself. Raises ClusterError: it was refused."""
        deadline = asyncio.get_running_loop().time() + ASKED
        while asyncio.get_running_loop().time() < deadline:
            status = await self._status()
            for news in status["said"]:
                if news["code"] == "refused":
                    raise ClusterError(str(news["values"]["code"]), news["values"])
            if status["target"] or status["adaptive"]:
                return
            await asyncio.sleep(AGAIN)

    async def _close(self) -> None:
        """End the cluster: its head, its workers, and its session where that is for it alone."""
        if self.status == Status.closed:
            return
        try:
            if self._found is not None:
                await self._found.close()
            self._found = None  # what is asked of it from now on is answered with "no live cluster"
        finally:
            await self._disconnect()

    async def _disconnect(self) -> None:
        Cluster._open.discard(self)
        await super()._close()

    def close(self, timeout: float | None = None) -> Any:
        """End the cluster for good: all its workers, and its session where that is for it alone."""
        done = super().close(timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
        return done

    def disconnect(self) -> Any:
        """Let go of the cluster, which runs on: `Cluster.attach(name)` comes back to it."""
        if self.status == Status.closed:
            return NoOpAwaitable() if self.asynchronous else None
        if self.asynchronous:
            return self._disconnect()
        self.sync(self._disconnect, callback_timeout=GOODBYE)
        self._loop_runner.stop()
        return None

    def __del__(self, *_: Any) -> None:
        """Nothing: an object that is forgotten ends no cluster, and is no mistake."""

    # --- what one does with it ----------------------------------------------------------------------------------

    def scale(self, n: int, confirm: bool = False) -> Any:
        """Have `n` workers. `confirm`: yes, also where it costs more than one is asked about first."""
        return self.sync(self._scaled, n, confirm)

    def adapt(self, minimum: int = 0, maximum: int | None = None, confirm: bool = False, **_: Any) -> Any:  # type: ignore[override]
        """Let Dask choose the number of workers between `minimum` and `maximum` by the work that there is."""
        if maximum is None:
            raise ValueError("adapt: say how many workers at most, adapt(maximum=...)")
        if self.asynchronous:
            return Adapting(minimum, maximum, asyncio.ensure_future(self._adapt(minimum, maximum, confirm)))
        self.sync(self._adapt, minimum, maximum, confirm)
        return Adapting(minimum, maximum, None)

    def logs(self, worker: str | None = None) -> Any:
        """The newest lines of the scheduler and the workers, or of one worker, as text."""
        return self.sync(self._logs, worker)

    def describe(self) -> Any:
        """The head's whole status: workers with their states and reasons, costs, limits, news."""
        return self.sync(self._status)

    async def _scaled(self, n: int, confirm: bool) -> None:
        await self._scale(n, confirm)

    async def _scale(self, n: int, confirmed: bool = False) -> dict[str, Any]:
        return await self._ask("POST", "scale", {"n": n, "confirmed": confirmed})

    async def _adapt(self, minimum: int, maximum: int, confirmed: bool = False) -> dict[str, Any]:
        return await self._ask("POST", "adapt", {"minimum": minimum, "maximum": maximum, "confirmed": confirmed})

    async def _logs(self, worker: str | None = None) -> str:
        query = f"?worker={quote(worker, safe='')}" if worker else ""
        found: str = (await self._ask("GET", f"logs{query}"))["logs"]
        return found

    async def _status(self) -> dict[str, Any]:
        return await self._ask("GET", "status")

    async def _ask(self, method: str, what: str, data: Any = None) -> dict[str, Any]:
        """One request to the head. Raises ClusterError."""
        if self._found is None:
            raise ClusterError("no-cluster", {"name": self.name})
        return await self._found.ask(method, what, data)

    # --- what others ask of it ----------------------------------------------------------------------------------

    @property
    def dashboard_link(self) -> str:
        """The address of Dask's own pages, behind the hub's login."""
        return self._found.dashboard if self._found is not None else ""

    def _ipython_display_(self, **kwargs: Any) -> None:
        """The panel; where it cannot be shown, Dask's own words."""
        if not clusterlook.show(self):
            super()._ipython_display_(**kwargs)

    @classmethod
    def list(cls, *, gateway: str | None = None, token: str | None = None, asynchronous: bool = False) -> Any:
        """One's own live clusters at all centres: for each what the broker knows of it."""
        asked = Finder(Wanted(), gateway or "", token or "", os.environ, print).listing()
        return asked if asynchronous else _run(asked)

    @classmethod
    def attach(cls, name: str, **given: Any) -> Cluster:
        """The live cluster of that name; `gateway`, `token` and `asynchronous` as in the class. Raises ClusterError."""
        return cls(name, _attach=True, **given)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Wait for `work`, also where a loop is running already, as in a notebook."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@atexit.register
def _let_go() -> None:
    """At the end of a program: clusters run on, their connections are closed in order."""
    for cluster in list(Cluster._open):
        with suppress(Exception):
            if not cluster.asynchronous:
                cluster.disconnect()
