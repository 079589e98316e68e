"""The runs of an app's session: started beside the server, so that they outlive kernels and pages.

A run is registered at the broker before it is started; its process (`perijove.widgets.runprocess`, a process group of
its own) is told everything by `run.json` in its folder and says everything in `state.json` there. `Runs` reads that,
wakes the pages that wait, and reports to the broker: at changes, once a second at most, and again after the gateway was
away. A run that the session leaves behind when its time is up keeps its finished steps and goes on elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perijove.spawners.apps.marks import clean, sweep
from perijove.spawners.facts import Facts
from perijove.spawners.request import BadRequest
from perijove.widgets.appdata import AppData
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.runreport import Reporter
from perijove.widgets.way import Way

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
#: Seconds between two looks at a run's state; for a run to end in good order when it is told to.
LOOK, GRACE = 0.2, 10.0
#: States of a report after which nothing changes any more.
OVER = frozenset({"done", "failed", "cancelled"})
#: Runs that are executed at once in one session; more of them would only slow each other down.
MOST_LIVE = 4
#: Characters of the output of a process that died without a word.
LAST_WORDS = 2000


class NoRun(Exception):
    """There is no such run in this session."""


@dataclass(slots=True)
class Run:
    """One run: its folder, its process, and what is known of it."""

    id: str
    folder: Path
    #: What it was told, as in run.json.
    told: dict[str, Any]
    #: The broker's JSON of it, as it was last seen.
    view: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    #: Grows with each change.
    version: int = 0
    process: asyncio.subprocess.Process | None = None
    #: The session ends, not the run.
    left: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def live(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.returncode is None

    @property
    def state(self) -> str:
        """ "starting", "running", "done", "failed" or "cancelled"."""
        return str(self.report.get("state") or "starting")

    def json(self) -> dict[str, Any]:
        """What a page is told."""
        told = self.told
        mine = {
            "id": self.id, "app": told.get("app"), "inputs": told.get("inputs"), "state": self.state, "live": self.live,
            "label": self.view.get("label") or "", "created": self.view.get("created"), "version": self.version,
            "report": self.report or None, "here": True, "price": self.view.get("price"), "cost": self.view.get("cost"),
        }  # fmt: skip
        return mine


class Runs:
    """All runs of one session, by id."""

    def __init__(self, facts: Facts, app: Any, way: Callable[[], Way], log: Any) -> None:
        """`app` is the manifest (`perijove.spawners.apps.manifest.App`)."""
        self._facts, self._app, self._way, self._log = facts, app, way, log
        self._folder = Path(facts.base or "~/.perijove").expanduser().absolute() / "runs"
        self.data = AppData(facts, app, way)
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()

    def get(self, identity: str) -> Run:
        """Raises NoRun."""
        try:
            return self._runs[identity]
        except KeyError:
            raise NoRun(identity) from None

    def listing(self) -> list[Run]:
        """Newest first."""
        return list(reversed(self._runs.values()))

    @property
    def busy(self) -> bool:
        """Whether one is executed."""
        return any(run.live for run in self._runs.values())

    async def create(self, asked: Mapping[str, Any]) -> Run:
        """A new run in this session; `asked` is what the broker's POST /runs takes, its `inputs` checked already.

        Raises:
            ClusterError: the broker refuses, or too many run here at once (busy).
            Unreachable: the broker does not answer; nothing was started.
        """
        async with self._starting:
            if sum(run.live for run in self._runs.values()) >= MOST_LIVE:
                raise ClusterError("busy", {"most": MOST_LIVE}, f"{MOST_LIVE} runs are going on here; wait for one")
            body = {**asked, "app": self._app.name, "session": self._facts.session}
            view = (await self._way().broker("POST", "/runs", body)).good()
            if found := self._runs.get(str(view.get("id"))):
                return found  # the same key again
            return await self._start(view)

    async def adopt(self, identity: str) -> Run:
        """Execute a run that the broker has for this session. Raises ClusterError, Unreachable."""
        view = (await self._way().broker("GET", f"/runs/{identity}")).good()
        async with self._starting:
            return self._runs.get(identity) or await self._start(view)

    async def _start(self, view: dict[str, Any]) -> Run:
        """Raises ClusterError where it cannot be started here."""
        identity = str(view.get("id", ""))
        if not ID.fullmatch(identity):
            raise ClusterError("bad-answer", {}, "the gateway gave the run no name that can be used")
        folder = self._folder / identity
        await self.data.ask()
        told = await asyncio.to_thread(self._told, view)
        # The pipeline is code of others. Only who asks for workers must act for the person.
        environment = dict(os.environ) if told["workers"] else clean(os.environ)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / "state.json").unlink(missing_ok=True)  # of an earlier session; its finished steps are kept
            _write(folder / "run.json", told)
            run = Run(identity, folder, told, view)
            with (folder / "process.log").open("wb") as output:
                run.process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", "perijove.widgets.runprocess", str(folder),
                    stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, start_new_session=True,
                    env=environment,
                )  # fmt: skip
        except OSError as error:
            raise ClusterError("no-room", {"detail": str(error)}, f"the run's folder cannot be made: {error}") from None
        self._runs[identity] = run
        reporter = Reporter(run.id, str(folder), self._facts.session, self._way, self._log)
        task = asyncio.create_task(self._follow(run, reporter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    def _told(self, view: Mapping[str, Any]) -> dict[str, Any]:
        """What run.json says. Blocks: sizes of files count. Raises ClusterError: the inputs are none of this app's."""
        from perijove.spawners.apps.inputs import Inputs
        from perijove.spawners.apps.needs import needs

        app, facts = self._app, self._facts
        try:
            inputs = Inputs(app).parse(view.get("inputs") or {})
        except BadRequest as bad:
            raise ClusterError("bad-inputs", {}, f"the run's inputs do not fit this app: {bad}") from None
        takes = needs(app, inputs, facts.cores or os.cpu_count())
        own = bool(view.get("own_session"))
        return {
            "run": view["id"], "app": app.name, "app_version": app.version, "digest": app.digest,
            "app_folder": str(app.folder), "inputs": inputs,
            "language": view.get("language") or facts.language or "en",
            "cores": facts.cores or os.cpu_count() or 1, "memory": facts.memory,
            # A small case needs no workers: it is done before they would have come.
            "workers": takes.workers if own or not takes.small else 0,
            "worker": takes.worker.model_dump() if hasattr(takes.worker, "model_dump") else _plain(takes.worker),
            "owner": view.get("owner") or os.environ.get("JUPYTERHUB_USER", ""), "centre": facts.centre,
            "session": facts.session, "parent": view.get("parent"), "relation": view.get("relation"),
            "queue": facts.queue,
            # Where centres link it into the home, such a link leads to files of one's own.
            "roots": [str(Path(facts.scratch).expanduser())] if facts.scratch else [],
            "datasets": self.data.paths(), "lies": self.data.lies or {},
        }  # fmt: skip

    async def _follow(self, run: Run, reporter: Reporter) -> None:
        """Read its state until it is over, and say so to pages and broker."""
        process = run.process
        assert process is not None  # noqa: S101 - it was started just now
        reporting = asyncio.create_task(reporter.run(lambda: self._stop_wanted(run)))
        try:
            ended = asyncio.ensure_future(process.wait())
            while True:
                await asyncio.wait({ended}, timeout=LOOK)
                over = ended.done()
                await self._read(run, reporter)
                if over:
                    break
            # One that was killed leaves its steps behind, each in a session of its own.
            await asyncio.to_thread(sweep, run.folder)
            if run.state not in OVER and not run.left:
                await self._seen(run, _died(run, process.returncode or 0), reporter)
            if run.left:
                reporting.cancel()
            else:
                await reporter.finish(run.report)
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)

    async def _read(self, run: Run, reporter: Reporter) -> None:
        found = _json(run.folder / "state.json")
        if found and found != run.report:
            await self._seen(run, found, reporter)

    async def _seen(self, run: Run, report: dict[str, Any], reporter: Reporter) -> None:
        async with run.changed:
            run.report, run.version = report, run.version + 1
            run.changed.notify_all()
        # A session that ends cancels its runs' processes, but nobody cancelled the run. Its end is told with its files.
        if not run.left and run.state not in OVER:
            reporter.say(report)

    async def wait(self, run: Run, after: int, seconds: float) -> None:
        """Until the run's version is more than `after`, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), run.changed:
                await run.changed.wait_for(lambda: run.version > after)

    def cancel(self, identity: str) -> Run:
        """Have it end in good order. Raises NoRun."""
        run = self.get(identity)
        self._stop_wanted(run)
        return run

    def _stop_wanted(self, run: Run) -> None:
        if run.live and run.process is not None:
            with suppress(ProcessLookupError):
                run.process.send_signal(signal.SIGTERM)

    async def end(self) -> None:
        """The session ends: stop what runs in good order, so that it can go on elsewhere."""
        live = [run for run in self._runs.values() if run.live]
        for run in live:
            run.left = True
            self._stop_wanted(run)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE)
        for run in live:
            if run.live and run.process is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(run.process.pid, signal.SIGKILL)
                    await run.process.wait()
                    await asyncio.to_thread(sweep, run.folder)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def over(self, run: Run) -> str:
        """Wait until it is over and all of it is at the broker; its last state."""
        while self._tasks and (run.live or run.state not in OVER):
            await self.wait(run, run.version, 5.0)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return run.state


def _write(path: Path, content: object) -> None:
    """Whole or not at all, for the owner alone."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
    fresh.replace(path)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in ("cores", "memory", "walltime") if hasattr(value, name)}


def _died(run: Run, code: int) -> dict[str, Any]:
    """The report of a run whose process ended without one."""
    with suppress(OSError):
        lines = (run.folder / "process.log").read_text(errors="replace")[-LAST_WORDS:].splitlines()[-20:]
        break_off = code in (-signal.SIGKILL, 128 + signal.SIGKILL)
        failure = {
            "step": None, "part": None, "code": "killed" if break_off else "internal", "command": None, "lines": lines,
            "message": {
                "en": f"The run's process ended without a word (exit code {code}).",
                "zh": f"运行进程意外结束（退出码 {code}）。",
            },
            "advice": {
                "en": "Run it again: finished steps are kept. If it ends so again, ask for more memory.",
                "zh": "请再次运行：已完成的步骤会保留。如果再次这样结束，请申请更多内存。",
            },
            "input": None,
        }  # fmt: skip
        return {**run.report, "version": 1, "state": "failed", "ended": time.time(), "left": None, "failure": failure}
    return {**run.report, "version": 1, "state": "failed", "ended": time.time()}
