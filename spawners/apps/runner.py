"""Executes an app's pipeline in a run's folder, and goes on where an earlier runner was interrupted.

One thread decides: it starts steps whose predecessors are done and for which the pool has room, takes what the pool
tells, moves what good tries made to its place, and writes `state.json`. One runner at a time has a folder (a lock that
dies with it); what a runner that was killed left half-done is cleared away by the next one, and what it finished stays.

`python -m perijove.spawners.apps.runner FOLDER` runs it in this machine's cores; SIGTERM cancels the run in order.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import os
import queue
import secrets
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from perijove.spawners.apps import codes
from perijove.spawners.apps.call import where
from perijove.spawners.apps.crate import write
from perijove.spawners.apps.graph import Graph
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.marks import sweep
from perijove.spawners.apps.plan import Plan, Unready, plan
from perijove.spawners.apps.pool import Ended, Event, Here, Lost, Pool, Told
from perijove.spawners.apps.progress import Progress
from perijove.spawners.apps.records import Record, Records, fingerprint
from perijove.spawners.apps.results import BadResult, results
from perijove.spawners.apps.state import State, write_json
from perijove.spawners.apps.steps import BadPipeline, Step
from perijove.spawners.apps.task import KEEPER, TRIES, Outcome, Task

#: The order, in the run's folder; see `perijove.spawners.apps.plan`.
ORDER, LOCK = "run.json", "runner.lock"
#: Seconds: between two looks at the pool, and the longest wait before a step is tried again.
LOOK, LONGEST = 0.5, 30.0
#: How often a step may lose its worker.
LOSSES = 3
#: Failures that trying again may heal.
PASSING = {"command-failed", "no-output", "empty-output", "timed-out", "out-of-memory", "killed", "check-failed"}


class AlreadyRunning(Exception):
    """Another runner has the run's folder."""


class Runner:
    """One execution of the run in `folder`. `pause`: seconds before the first retry, doubled with each."""

    def __init__(self, folder: Path, app: App, pool: Pool, *, pause: float = 1.0) -> None:
        self._folder, self._app, self._pool, self._pause = folder.resolve(), app, pool, pause
        self._id = secrets.token_hex(8)
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._cancelled = False
        self._state = State(app, socket.gethostname(), pool.cores, time.time())
        self._plan: Plan | None = None
        self._records = Records(self._folder)
        self._done: dict[str, Record] = {}
        self._running: set[str] = set()
        self._later: list[tuple[float, str]] = []
        self._losses: dict[str, int] = {}

    def cancel(self) -> None:
        """Ends the run in order; may be called from a signal handler or another thread."""
        self._cancelled = True
        self._events.put(None)

    def run(self) -> dict[str, Any]:
        """Runs to the end and returns the report.

        Raises:
            AlreadyRunning: another runner has the folder.
        """
        with self._alone():
            try:
                self._clear()
                self._execute()
            except Unready as error:
                self._fail(None, error.outcome)
            except BadPipeline as error:
                self._fail(None, Outcome().fails("internal", str(error)))
            except OSError as error:
                code: codes.Code = "disk-full" if error.errno in codes.FULL else "internal"
                self._fail(None, Outcome().fails(code, f"{error.strerror}: {error.filename}"))
            except Exception as error:
                traceback.print_exc()  # for whoever keeps the engine; the run's report says it in words
                self._fail(None, Outcome().fails("internal", f"{type(error).__name__}: {error}{where(error)}"))
            finally:
                self._close()
            return self._state.report()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._folder / LOCK).open("a", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(f"another runner works on {self._folder}") from None
            write_json(self._folder / KEEPER, {"id": self._id, "pid": os.getpid(), "node": socket.gethostname()})
            yield

    def _clear(self) -> None:
        """Takes away what a runner that was killed left half-done."""
        sweep(self._folder)
        shutil.rmtree(self._folder / TRIES, ignore_errors=True)
        for name in (TRIES, "log", "work", "results"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)

    def _close(self) -> None:
        # Without its runner's name in it a try on a worker ends by itself.
        (self._folder / KEEPER).unlink(missing_ok=True)
        self._pool.stop()
        shutil.rmtree(self._folder / TRIES, ignore_errors=True)
        for key in self._running:
            self._state.parts[key].state = "cancelled"
        if self._state.state == "running":
            self._state.state = "cancelled"
        self._state.ended = time.time()
        with suppress(OSError):  # a full disk: whoever started us has the report all the same
            self._state.write(self._folder, now=True)

    def _execute(self) -> None:
        state = self._state
        state.write(self._folder, now=True)
        self._plan = made = plan(self._folder, self._app, self._pool.cores)
        state.way, state.expected = made.case.way, made.seconds
        state.codes, state.data = made.codes(), made.data(())
        state.take(made.graph)
        state.write(self._folder, now=True)
        waiting = dict(made.graph.steps)
        while (waiting or self._running or self._later) and not self._cancelled and state.failure is None:
            self._start(waiting, made.graph)
            if waiting or self._running or self._later:
                self._wait()
            state.write(self._folder)
        if not self._cancelled and state.failure is None:
            self._finish(made)

    def _start(self, waiting: dict[str, Step], graph: Graph) -> None:
        """Starts, or keeps, what can be."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, key = heapq.heappop(self._later)
            waiting[key] = graph.steps[key]
        again = True
        while again and not self._cancelled:
            again = False
            for key, step in list(waiting.items()):
                if not graph.needs[key] <= self._done.keys():
                    continue
                if self._keep(step, graph):
                    again = True
                elif self._pool.room(step.cores, step.memory):
                    self._try(step)
                else:
                    continue
                del waiting[key]

    def _mark(self, step: Step, graph: Graph) -> str:
        assert self._plan is not None  # noqa: S101  (steps come from it)
        before = [self._done[key] for key in sorted(graph.before[step.key])]
        return fingerprint(step, self._plan.base, before, (self._folder, self._app.folder))

    def _keep(self, step: Step, graph: Graph) -> bool:
        part = self._state.parts[step.key]
        if part.tries:
            return False
        record = self._records.kept(step.key, self._mark(step, graph))
        if record is None:
            return False
        self._done[step.key] = record
        part.state, part.seconds, part.cpu, part.memory = "kept", record.seconds, record.cpu, record.memory
        return True

    def _try(self, step: Step) -> None:
        assert self._plan is not None  # noqa: S101
        part = self._state.parts[step.key]
        self._records.forget(step)
        part.state, part.fraction, part.words, part.began = "running", 0.0, "", time.time()
        part.tries += 1
        self._running.add(step.key)
        task = Task(
            step.key,
            self._folder,
            self._id,
            step.do,
            self._plan.case.to_json(),
            self._app.folder / self._app.pipeline,
            tuple(step.makes),
            min(step.cores, self._pool.cores),
            step.limit,
            step.check.__name__ if step.check else "",
            self._progress(step.name),
        )
        self._pool.start(task, step.memory, self._events.put)

    def _progress(self, name: str) -> Progress | None:
        """How the manifest says that the step's progress is read."""
        given = self._app.steps[name].progress
        if given is None or self._plan is None:
            return None
        total: Any = self._plan.case.inputs.get(given.total, given.total)
        try:
            return Progress(given.pattern, float(total) if total else None)
        except (TypeError, ValueError):
            return Progress(given.pattern)

    def _wait(self) -> None:
        """Takes what the pool tells, at least one thing or nothing within `LOOK`."""
        timeout = LOOK
        if self._later:
            timeout = min(max(self._later[0][0] - time.monotonic(), 0.0), LOOK)
        try:
            event = self._events.get(timeout=timeout)
            while True:
                self._take(event)
                event = self._events.get_nowait()
        except queue.Empty:
            self._pool.look()

    def _take(self, event: Event | None) -> None:
        if event is None or event.key not in self._running:
            return
        part = self._state.parts[event.key]
        if isinstance(event, Told):
            part.fraction, part.words = event.fraction, event.words or part.words
            return
        self._running.discard(event.key)
        if isinstance(event, Lost):
            self._lost(event)
        elif self._state.failure is None:
            self._ended(event)

    def _lost(self, event: Lost) -> None:
        part = self._state.parts[event.key]
        losses = self._losses[event.key] = self._losses.get(event.key, 0) + 1
        if losses >= LOSSES:
            outcome = Outcome().fails("killed", event.key)
            outcome.lines = [event.words]
            self._fail(event.key, outcome)
            return
        part.tries -= 1  # not the step's failure
        part.state, part.words = "waiting", event.words
        heapq.heappush(self._later, (time.monotonic() + self._pause * losses, event.key))

    def _ended(self, event: Ended) -> None:
        assert self._plan is not None  # noqa: S101
        step, outcome = self._plan.graph.steps[event.key], event.outcome
        part = self._state.parts[event.key]
        part.seconds, part.cpu, part.memory = outcome.seconds, outcome.cpu, max(outcome.memory, part.memory)
        if not outcome.code:
            self._done[step.key] = self._records.publish(step, self._mark(step, self._plan.graph), outcome)
            part.state, part.fraction, part.words = "done", 1.0, ""
        elif outcome.code == "stopped":
            part.state = "cancelled"
        elif outcome.code in PASSING and not outcome.lasting and part.tries <= step.retries:
            part.state = "waiting"
            wait = min(self._pause * 2 ** (part.tries - 1), LONGEST)
            heapq.heappush(self._later, (time.monotonic() + wait, step.key))
        else:
            self._fail(event.key, outcome)

    def _fail(self, key: str | None, outcome: Outcome) -> None:
        if self._state.failure is not None:
            return
        self._state.state, self._state.results = "failed", None
        step = self._plan.graph.steps[key] if self._plan and key else None
        if step:
            self._state.parts[step.key].state = "failed"
        code: Any = outcome.code
        message, advice = outcome.message, codes.advice(code)
        manifest = self._app.steps[step.name].advice if step else None
        if code == "missing-code" and self._plan:
            message, advice = self._plan.missing(outcome.missing)
        elif outcome.advice:
            advice = outcome.advice
        elif manifest is not None and code != "internal":
            advice = manifest.model_dump()
        self._state.failure = {
            "step": step.name if step else None,
            "part": step.part or None if step else None,
            "code": code,
            "command": outcome.command,
            "lines": outcome.lines,
            "message": message,
            "advice": advice,
            "input": outcome.input,
        }

    def _finish(self, made: Plan) -> None:
        """Puts the results together; only a run that got here has any."""
        folder = self._folder / "results"
        try:
            returned = [self._done[step.key].result for step in made.graph.last]
            self._state.results = results(self._app, returned, folder)
        except BadResult as error:
            self._fail(None, Outcome().fails("check-failed", str(error)))
            return
        used = [name for record in self._done.values() for name in record.data]
        self._state.data = made.data(used)
        self._state.ended = time.time()
        write(self._folder, self._app, made, self._done, self._state)
        self._state.state = "done"


def main(arguments: list[str] | None = None) -> int:
    """Runs the run in a folder in this machine's cores; exit code 0 done, 1 failed, 2 refused, 3 cancelled."""
    given = sys.argv[1:] if arguments is None else arguments
    folder = Path(given[0]).resolve()
    order = json.loads((folder / ORDER).read_bytes())
    app = load(order["app_folder"])
    runner = Runner(folder, app, Here(int(order.get("cores") or 1), int(order.get("memory") or 0)))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.cancel())
    try:
        report = runner.run()
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return 2
    return {"done": 0, "failed": 1}.get(report["state"], 3)


if __name__ == "__main__":
    sys.exit(main())
