"""The panel's Python side: reads the cluster's status on the cluster's own loop, and does what people press.

The loop of a plain cluster runs beside the kernel's, so the panel goes on while a cell computes. Nothing is read when
nobody looks: messages to a browser that is gone would keep an idle session alive.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import anywidget
from perijove.spawners.facts import Facts
from perijove.widgets.panel.history import History
from traitlets import Bool, Dict, List, Unicode

_HERE = Path(__file__).parent
#: The script's files, in the order in which they stand in it.
PARTS = ("words.js", "parts.js", "plot.js", "workers.js", "controls.js", "panel.js")
SCRIPT = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in PARTS)
#: Seconds between two readings; and after one that failed.
EVERY, AFTER_FAILURE = 2.0, 5.0
#: Seconds for which the panel goes on after a browser last said that somebody looks: a kernel that computes may not
#: hear it, and the plot shows as much.
LEASE = 600.0
#: Characters of a log that are sent.
LOG_LENGTH = 60_000
#: Codes that mean that there is no such cluster any more.
_GONE = frozenset({"not-found", "no-cluster", "cluster-ended", "closed", "gone"})


class Shown(Protocol):
    """What the panel needs of a cluster."""

    name: Any
    loop: Any

    async def _status(self) -> Mapping[str, Any]: ...
    async def _scale(self, n: int, confirmed: bool) -> Any: ...
    async def _adapt(self, minimum: int, maximum: int, confirmed: bool) -> Any: ...
    async def _logs(self, worker: str | None) -> Any: ...
    async def _close(self) -> Any: ...


class Panel(anywidget.AnyWidget):
    """The panel of one cluster; `panel(cluster)` makes it."""

    _esm = SCRIPT
    _css = _HERE / "panel.css"

    name = Unicode().tag(sync=True)
    #: The head's status as it was last read, with `now`, the time here in seconds since 1970.
    seen = Dict().tag(sync=True)
    history: List[list[float]] = List().tag(sync=True)
    #: Why the status could not be read: `{"code", "message", "since"}`; empty when it could.
    problem = Dict().tag(sync=True)
    ended = Bool(False).tag(sync=True)
    #: The person's language, whether JupyterLab could speak it, and the words in it.
    language = Unicode().tag(sync=True)
    pack = Bool(False).tag(sync=True)
    words = Dict().tag(sync=True)
    #: The names of the centre and the queue of this session, by kind, id and language.
    names = Dict().tag(sync=True)

    def __init__(self, cluster: Shown) -> None:
        facts = Facts.read(os.environ)
        super().__init__(
            names={
                "centre": {facts.centre: {"en": facts.centre_en, "zh": facts.centre_zh}},
                "queue": {facts.queue: {"en": facts.queue_en, "zh": facts.queue_zh}},
            },
            name=str(cluster.name),
            language=facts.language,
            pack=any(entry.name == "zh_CN" for entry in entry_points(group="jupyterlab.languagepack")),
            words=json.loads((_HERE / "words.zh.json").read_text(encoding="utf-8")),
        )
        self._cluster = cluster
        self._history = History()
        self._looked = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._again: asyncio.Event | None = None
        self._doing: set[asyncio.Task[None]] = set()
        self.on_msg(self._pressed)
        self._on_loop(self._look)

    def _on_loop(self, what: Callable[..., Any], *arguments: Any) -> None:
        try:
            self._cluster.loop.add_callback(what, *arguments)
        except RuntimeError:  # the loop is closed, and the cluster with it
            self.ended = True

    def _pressed(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A message of a browser: `{"id", "action", ...}`. Comes from whichever thread reads the kernel's messages."""
        if isinstance(content, dict):
            self._on_loop(self._take, content)

    def _take(self, content: dict[str, Any]) -> None:
        if content.get("action") == "look":
            self._look()
        else:
            task = asyncio.get_running_loop().create_task(self._do(content))
            self._doing.add(task)
            task.add_done_callback(self._doing.discard)

    def _look(self) -> None:
        """Somebody looks: read the status now and from now on."""
        self._looked = time.monotonic()
        if self.ended:
            return
        if self._reading is None or self._reading.done():
            self._again = asyncio.Event()
            self._reading = asyncio.get_running_loop().create_task(self._read_on())
        elif self._again is not None:
            self._again.set()

    async def _read_on(self) -> None:
        """Read the status again and again while somebody looks."""
        assert self._again is not None  # noqa: S101 - made by whoever starts this
        try:
            while not self.ended and time.monotonic() - self._looked < LEASE:
                await self._read()
                self._again.clear()
                try:
                    async with asyncio.timeout(AFTER_FAILURE if self.problem else EVERY):
                        await self._again.wait()
                except TimeoutError:
                    pass
        except asyncio.CancelledError:
            self.ended = True  # the cluster is closed, and its loop with it
            raise

    async def _read(self) -> None:
        if getattr(getattr(self._cluster, "status", None), "name", "") in ("closing", "closed"):
            self.ended = True
            return
        try:
            status = dict(await self._cluster._status())
        except Exception as error:
            self._failed(error)
            return
        now = time.time()
        if self._history.add(now, status):
            self.history = [list(point) for point in self._history.points]
        self.problem = {}
        self.seen = status | {"now": now}

    def _failed(self, error: Exception) -> None:
        said = _said(error)
        if said["error"] in _GONE:
            self.ended = True
        else:
            self.problem = said | {"since": self.problem.get("since") or time.time()}

    async def _do(self, content: dict[str, Any]) -> None:
        """Do what was pressed, and answer with the same `id`: `{"done": ...}` or `{"error", "message", "values"}`."""
        try:
            done = await self._act(content)
        except Exception as error:
            answer = _said(error)
        else:
            answer = {"done": done}
        self.send(answer | {"id": content.get("id")})
        self._look()

    def _act(self, content: Mapping[str, Any]) -> Awaitable[Any]:
        """The coroutine for a message; numbers of workers are what a browser's fields gave, and may be anything."""
        cluster, confirmed = self._cluster, content.get("confirmed") is True
        match content.get("action"):
            case "scale":
                return cluster._scale(_number(content.get("n")), confirmed)
            case "adapt":
                return cluster._adapt(_number(content.get("minimum")), _number(content.get("maximum")), confirmed)
            case "log":
                worker = content.get("worker")
                return self._log(worker if isinstance(worker, str) else None)
            case "stop":
                return self._stop()
        raise ValueError(f"the panel was asked for something that it does not do: {str(content.get('action'))[:40]}")

    async def _log(self, worker: str | None) -> list[list[str]]:
        """The newest lines of one worker, or of all and the scheduler: pairs of name and text."""
        found = await self._cluster._logs(worker)
        parts = found if isinstance(found, Mapping) else {worker or self.name: found}
        each = LOG_LENGTH // max(1, len(parts))
        return [[str(name), str(text)[-each:]] for name, text in parts.items()]

    async def _stop(self) -> None:
        # Closing may end this very loop: what is seen is said first.
        self.ended = True
        try:
            await self._cluster._close()
        except Exception:
            self.ended = False
            raise


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise ValueError("the number of workers must be a whole number, 0 or more")
    return value


def _said(error: Exception) -> dict[str, Any]:
    """An error for the browser; a cluster's own ones carry a code and its values."""
    values = getattr(error, "values", None)
    return {
        "error": str(getattr(error, "code", "") or type(error).__name__),
        "message": str(error)[:500],
        "values": dict(values) if isinstance(values, Mapping) else {},
    }


_PANELS: WeakKeyDictionary[Any, Panel] = WeakKeyDictionary()


def panel(cluster: Shown) -> Panel:
    """The panel of `cluster`: the same one however often it is shown, so that the cluster is asked once."""
    found = _PANELS.get(cluster)
    if found is None:
        found = _PANELS[cluster] = Panel(cluster)
    return found
