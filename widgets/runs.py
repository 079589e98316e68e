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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perijove.spawners.apps.marks import clean, sweep
from perijove.spawners.facts import Facts
from perijove.widgets.appdata import AppData
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.runend import died, never, stopped
from perijove.widgets.runorder import order
from perijove.widgets.runprocess import secrets
from perijove.widgets.runreport import Reporter
from perijove.widgets.way import Unreachable, Way

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
#: Seconds between two looks at a run's state; for a run to end in good order when it is told to.
LOOK, GRACE = 0.2, 10.0
#: States of a report after which nothing changes any more.
OVER = frozenset({"done", "failed", "cancelled"})
#: Runs that are executed at once in one session; more of them would only slow each other down.
MOST_LIVE = 4
#: Seconds for the end of a run to reach the broker before it may go on.
SETTLE = 30.0


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
    #: What follows it until its end is at the broker.
    following: asyncio.Task[None] | None = None
    #: The session ends, not the run.
    left: bool = False
    #: Its person wants it to end.
    stopping: bool = False
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
            self._room()
            body = {**asked, "app": self._app.name, "session": self._facts.session}
            view = (await self._way().broker("POST", "/runs", body)).good()
            if found := self._runs.get(str(view.get("id"))):
                return found  # the same key again
            return await self._begin(view)

    async def adopt(self, identity: str) -> Run:
        """Execute a run that the broker has for this session. Raises ClusterError, Unreachable."""
        view = (await self._way().broker("GET", f"/runs/{identity}")).good()
        async with self._starting:
            return self._runs.get(identity) or await self._start(view)

    async def resume(self, identity: str) -> Run:
        """A run that has ended, here or in an earlier session at this centre, goes on here; finished steps are kept.

        Raises:
            ClusterError: the broker refuses, too many run here at once (busy), or its end is still being told.
            Unreachable: the broker does not answer; nothing was started.
        """
        async with self._starting:
            before = self._runs.get(identity)
            if before is not None and before.live:
                return before
            self._room()
            if before is not None and before.following is not None:  # or its end would be told after its new beginning
                done, _ = await asyncio.wait({before.following}, timeout=SETTLE)
                if not done:
                    raise ClusterError("settling", {}, "the end of this run is being told to the gateway: try again")
            body = {"session": self._facts.session}
            view = (await self._way().broker("POST", f"/runs/{identity}/resume", body)).good()
            if view.get("session") != self._facts.session:  # somebody else was quicker: its folder is in use
                raise ClusterError("elsewhere", {}, "this run goes on in another session: see the run's own page")
            run = await self._begin(view, before.version + 1 if before else 0)
            if before is not None:  # pages that wait for a change of it
                async with before.changed:
                    before.version += 1
                    before.changed.notify_all()
            return run

    def _room(self) -> None:
        """Raises ClusterError (busy): too many run here at once."""
        if sum(run.live for run in self._runs.values()) >= MOST_LIVE:
            raise ClusterError("busy", {"most": MOST_LIVE}, f"{MOST_LIVE} runs are going on here; wait for one")

    async def _begin(self, view: dict[str, Any], version: int = 0) -> Run:
        """As `_start`; the gateway hears of it where it cannot be, or it would wait for this run to begin."""
        try:
            return await self._start(view, version)
        except ClusterError as error:
            folder = self._folder / str(view.get("id", ""))
            reporter = Reporter(str(view.get("id", "")), str(folder), self._facts.session, self._way, self._log)
            with suppress(Unreachable):
                await reporter.put(never(str(error)))
            raise

    async def _start(self, view: dict[str, Any], version: int = 0) -> Run:
        """Raises ClusterError where it cannot be started here."""
        identity = str(view.get("id", ""))
        if not ID.fullmatch(identity):
            raise ClusterError("bad-answer", {}, "the gateway gave the run no name that can be used")
        folder = self._folder / identity
        await self.data.ask()
        told = await asyncio.to_thread(order, view, self._app, self._facts, self.data)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / "state.json").unlink(missing_ok=True)  # of an earlier session; its finished steps are kept
            _write(folder / "run.json", told)
            run = Run(identity, folder, told, view, version=version)
            with (folder / "process.log").open("wb") as output:
                run.process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", "perijove.widgets.runprocess", str(folder),
                    stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output, cwd=folder, start_new_session=True,
                    env=clean(os.environ),  # the pipeline is code of others
                )  # fmt: skip
            await _tell(run.process, secrets(os.environ) if told["workers"] else b"")
        except OSError as error:
            raise ClusterError("no-room", {"detail": str(error)}, f"the run's folder cannot be made: {error}") from None
        self._runs[identity] = run
        reporter = Reporter(run.id, str(folder), self._facts.session, self._way, self._log)
        run.following = task = asyncio.create_task(self._follow(run, reporter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def _follow(self, run: Run, reporter: Reporter) -> None:
        """Read its state until it is over, and say so to pages and broker."""
        process = run.process
        assert process is not None  # noqa: S101 - it was started just now
        reporting = asyncio.create_task(reporter.run(lambda: self._cancelled(run)))
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
                # One that is stopped while it still waits for its workers has no report of its own yet.
                code = process.returncode or 0
                found = stopped(run.report) if run.stopping else died(run.report, run.folder, code)
                await self._seen(run, found, reporter)
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
        self._cancelled(run)
        return run

    def _cancelled(self, run: Run) -> None:
        """The gateway was told that it is not wanted any more."""
        run.stopping = True
        self._stop_wanted(run)

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


async def _tell(process: asyncio.subprocess.Process, words: bytes) -> None:
    """Through its standard input, and no more after that; one that has ended already need not hear it."""
    if (pipe := process.stdin) is not None:
        with suppress(BrokenPipeError, ConnectionResetError):
            pipe.write(words)
            await pipe.drain()
        pipe.close()


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
