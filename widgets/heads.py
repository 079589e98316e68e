"""The heads of Dask clusters that a session's server starts and keeps, so that they outlive its kernels.

A head is registered at the broker before it is started, told what it is to be on its standard input, and reached at its
unix socket. Nothing is started again silently: a head that died takes the state of its cluster with it, so its cluster
is closed at the broker (its queued workers would come for nobody) and the server says for as long as it runs what the
head's last words were. A head ends with the server (`die_with_parent` in `perijove.spawners.dask.head`).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from perijove.spawners.agent import make_socket_directory
from perijove.spawners.agent_child import Child
from perijove.spawners.agent_net import addresses
from perijove.spawners.facts import Facts
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.way import Answer, Place, Unreachable, Way
from pydantic import BaseModel, ConfigDict, Field, ValidationError

#: Seconds for a head to answer for the first time, and to end in good order.
START_WAIT, END_WAIT = 90.0, 8.0
#: Seconds between two looks whether a head still serves; for the broker to be told of an end, and between attempts.
LOOK, TELL, AGAIN = 0.1, 20.0, 5.0
#: Lines of a dead head's output that are kept.
LAST_WORDS = 15
#: Where the centre's description has no range of ports; see `perijove.spawners.centre.Ports`.
PORTS = (20000, 59999)
NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")


class NewCluster(BaseModel):
    """What is asked for: the body of `POST perijove/clusters`, and what a session of kind `dask` is given."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(default="", max_length=30)
    #: One worker, as the broker's `POST /clusters` takes it.
    shape: dict[str, Any] = Field(default_factory=dict, max_length=20)
    workers: Annotated[int, Field(ge=0, le=100_000)] = 0
    minimum: Annotated[int, Field(ge=0, le=100_000)] | None = None
    maximum: Annotated[int, Field(ge=0, le=100_000)] | None = None
    #: Seconds without work after which the cluster ends; 0: never.
    idle: Annotated[float, Field(ge=0, le=366 * 86400)] = 0.0
    confirmed: bool = False

    @classmethod
    def parse(cls, given: object) -> NewCluster:
        """Raises ClusterError (bad-request) with every fault."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors()[:20]]
            raise ClusterError("bad-request", {}, "; ".join(faults)) from None


@dataclass(slots=True)
class Head:
    """One head and its process."""

    id: str
    name: str
    directory: Path
    child: Child
    started: float = field(default_factory=time.time)
    #: "starting", "running", "closing", "ended" (well) or "died".
    state: str = "starting"
    last_words: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> Place:
        """Where it answers."""
        return Place("http://127.0.0.1", socket=str(self.directory / "h"))

    @property
    def live(self) -> bool:
        """Whether its process runs."""
        return self.state in ("starting", "running", "closing")

    def view(self) -> dict[str, Any]:
        """What the server lists."""
        return {
            "id": self.id, "name": self.name, "state": self.state, "started": self.started,
            "last_words": self.last_words,
        }  # fmt: skip


class Heads:
    """All heads of one server, by name; the latest of a name counts."""

    def __init__(self, facts: Facts, prefix: str, way: Callable[[], Way], log: Any) -> None:
        self._facts, self._prefix, self._way, self._log = facts, prefix, way, log
        self._heads: dict[str, Head] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()
        self._told: set[str] = set()
        self._tidied = not facts.session

    def get(self, name: str) -> Head | None:
        """The latest head with that name."""
        return self._heads.get(name)

    def listing(self) -> list[dict[str, Any]]:
        """All that there are and were, newest first."""
        return [head.view() for head in sorted(self._heads.values(), key=lambda head: -head.started)]

    def first(self) -> Head | None:
        """One that runs."""
        return next((head for head in self._heads.values() if head.live), None)

    async def make(self, wanted: NewCluster) -> Head:
        """The running head of that cluster, started if there is none.

        Raises:
            ClusterError: the broker refuses, or the head did not start (head-failed, with its last words).
            Unreachable: the broker does not answer.
        """
        async with self._making:
            way = self._way()
            await self._tidy(way)
            view = await self._registered(wanted, way)
            head = self._heads.get(str(view["name"]))
            if head is not None and head.id == view["id"]:
                if head.live:
                    return head
                # Its head died, and the broker has not been told: it is another cluster that is wanted now.
                await self._tell(head.id, way)
                view = await self._registered(wanted, way)
            try:
                head = await self._start(view, wanted, way)
                await self._until_it_answers(head)
            except BaseException:
                self._later(self._tell(str(view["id"]), way))
                raise
            return head

    async def _registered(self, wanted: NewCluster, way: Way) -> dict[str, Any]:
        """The broker's view of the cluster. Raises ClusterError, Unreachable."""
        body = {"session": self._facts.session, "name": wanted.name, "shape": wanted.shape}
        return (await way.broker("POST", "/clusters", body)).good()

    async def tidy(self) -> None:
        """Close what this session had before its job was put back into the queue: heads are gone, workers would come
        for nobody. Tries until the broker answers."""
        while not self._tidied:
            try:
                async with self._making:
                    await self._tidy(self._way())
            except Unreachable:
                await asyncio.sleep(TELL)
            except ClusterError as error:
                self._log.warning("perijove: clusters of an earlier server of this session: %s", error)
                return

    async def _tidy(self, way: Way) -> None:
        """Once. A session that is there for its head alone keeps the cluster, and the new head clears up."""
        if self._tidied:
            return
        owner = os.environ.get("JUPYTERHUB_USER", "")
        query = f"?live=true&owner={quote(owner, safe='')}" if owner else "?live=true"
        answer = await way.broker("GET", f"/clusters{query}")
        mine = {head.id for head in self._heads.values()}
        for view in answer.good()["clusters"]:
            if view["session"] == self._facts.session and view.get("beside") and view["id"] not in mine:
                self._log.warning("perijove: the cluster %s is closed: its head is gone", view["name"])
                await way.broker("DELETE", f"/clusters/{view['id']}")
        self._tidied = True

    async def _start(self, view: dict[str, Any], wanted: NewCluster, way: Way) -> Head:
        """Start the process. Raises ClusterError."""
        name, identity = str(view["name"]), str(view["id"])
        directory = make_socket_directory()
        command = [sys.executable, "-m", "perijove.spawners.dask.head"]
        config = json.dumps(self._config(view, wanted, way, directory)).encode()
        # Not to be led astray by a file of the home directory that is called as a module.
        environment = {"JUPYTERHUB_API_TOKEN": way.token, "PYTHONSAFEPATH": "1"}
        head = Head(identity, name, directory, Child(command, environment, "~", config))
        try:
            await head.child.start()
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise ClusterError("head-failed", {"name": name, "detail": str(error)}) from None
        self._heads[name] = head
        self._later(self._watch(head, way))
        return head

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    def _config(self, view: dict[str, Any], wanted: NewCluster, way: Way, directory: Path) -> dict[str, Any]:
        """What a head is told; see `perijove.spawners.dask.config`."""
        facts = self._facts
        first, _, last = facts.ports.partition("-")
        ports = [int(first), int(last)] if first.isdigit() and last.isdigit() else list(PORTS)
        end = facts.end(os.environ)
        return {
            "id": view["id"],
            "name": view["name"],
            "centre": view.get("centre") or facts.centre,
            "queue": view.get("queue") or "",
            "beside": bool(view.get("beside", True)),
            "socket_dir": str(directory),
            "folder": str(Path(facts.base or "~/.perijove").expanduser().absolute() / str(view["id"])),
            "address": addresses()[0],
            "ports": ports,
            "shape": view["shape"],
            "price": view.get("price") or 0,
            "api": f"{way.hub.origin}{way.api}",
            "api_host": way.hub.host,
            "prefix": f"{self._prefix}perijove/clusters/{view['name']}/dashboard",
            "idle": wanted.idle,
            "minimum": wanted.minimum,
            "maximum": wanted.maximum,
            "workers": wanted.workers,
            "confirmed": wanted.confirmed,
            "scratch": facts.scratch or None,
            "ends_by": datetime.fromtimestamp(end, UTC).isoformat() if end else None,
        }

    async def _until_it_answers(self, head: Head) -> None:
        """Raises ClusterError if it ends instead, or says nothing for too long."""
        deadline = time.monotonic() + START_WAIT
        while head.live:
            with suppress(Unreachable):
                if (await head.place.ask("GET", "control/status", seconds=10)).status == 200:
                    head.state = "running" if head.state == "starting" else head.state
                    return
            if time.monotonic() > deadline:
                await head.child.stop(END_WAIT)
                await head.over.wait()
            await asyncio.sleep(LOOK)
        detail = head.last_words or "it does not answer"
        raise ClusterError("head-failed", {"name": head.name, "detail": detail})

    async def _watch(self, head: Head, way: Way) -> None:
        """Wait for a head's end, and say what became of it."""
        try:
            code = await head.child.wait()
        finally:
            shutil.rmtree(head.directory, ignore_errors=True)
        head.last_words = "\n".join(head.child.log_tail(LAST_WORDS))
        head.state = "died" if code else "ended"
        head.over.set()
        if code:
            self._log.error("perijove: the head of the cluster %s ended with %s", head.name, code)
        await self._tell(head.id, way)

    async def _tell(self, identity: str, way: Way) -> None:
        """Have the broker close a cluster that has no head; tries until it answers, or the server ends."""
        while identity not in self._told:
            with suppress(Unreachable):
                if (await way.broker("DELETE", f"/clusters/{identity}", seconds=TELL)).status < 500:
                    self._told.add(identity)
                    return
            await asyncio.sleep(AGAIN)

    async def control(self, head: Head, method: str, what: str, data: Any = None) -> Answer:
        """One request to a head. Raises Unreachable."""
        return await head.place.ask(method, f"control/{what}", data=data)

    async def busy(self, within: float) -> bool:
        """Whether a cluster computed within the last `within` seconds."""
        for head in list(self._heads.values()):
            if head.state == "running":
                with suppress(Unreachable):
                    said = (await self.control(head, "GET", "status")).data.get("idle_for")
                    if isinstance(said, int | float) and said < within:
                        return True
        return False

    async def wait_for_end(self, head: Head) -> str:
        """How it ended: "ended" or "died"."""
        await head.over.wait()
        return head.state

    async def end(self) -> None:
        """End all heads in good order, with the server."""
        live = [head for head in self._heads.values() if head.live]
        await asyncio.gather(*(head.child.stop(END_WAIT) for head in live))
        if self._watchers:
            await asyncio.wait(self._watchers, timeout=END_WAIT)
        for watcher in list(self._watchers):
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
