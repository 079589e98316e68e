"""One try of a step, wherever it runs: what to do goes in, what came of it comes out; both can be sent to a worker.

A try runs in a scratch directory of its own in the run's folder. It leaves there what it made, if all of it is good,
and nothing otherwise; the runner then moves it to its place. Nobody but the runner touches anything else in the folder.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from perijove.spawners.apps import codes, marks, process
from perijove.spawners.apps.checks import Made, NotMade, look
from perijove.spawners.apps.codes import Code, Words
from perijove.spawners.apps.memory import oom_kills
from perijove.spawners.apps.progress import CHANNEL, Meter, Progress
from perijove.spawners.apps.steplog import StepLog
from perijove.spawners.apps.steps import RESULTS, Call, Command, Pipe
from perijove.spawners.localqueue_process import born

#: Where tries have their scratch directories, and who runs the run now; both in the run's folder.
TRIES, KEEPER = "steps/.tries", "runner.json"
#: Seconds that a shared file system may take to show a worker what the runner wrote.
SEEN_WITHIN = 15.0


@dataclass(frozen=True)
class Task:
    """One try of a step.

    Attributes:
        key: The step.
        folder: The run's folder.
        runner: Who gave it out: a try goes on only as long as the run is this runner's.
        do, makes, cores, limit, check: As in `Step`; `check` is a function's name or "".
        case: The case as JSON.
        pipeline: The pipeline's file.
        progress: How its commands say how far they are, where they do not say so themselves.
        memory, declared: MiB that it may hold (0: not watched), and whether the step says so or the run.
    """

    key: str
    folder: Path
    runner: str
    do: Command | Pipe | Call
    case: str
    pipeline: Path
    makes: tuple[str, ...] = ()
    cores: int = 1
    limit: float = 3600.0
    check: str = ""
    progress: Progress | None = None
    memory: int = 0
    declared: bool = False

    def commands(self) -> tuple[Command, ...]:
        """Its commands; none for a call."""
        if isinstance(self.do, Call):
            return ()
        return tuple(self.do.commands) if isinstance(self.do, Pipe) else (self.do,)


@dataclass
class Outcome:
    """What came of a try.

    Attributes:
        code: "" if it is good, a failure code, or "stopped".
        message: What happened, in words.
        command, lines, input: The command to blame, the last lines of the log, the input to blame.
        advice: What to do, if better than what is usual for the code.
        missing: The code or data set that is not here.
        lasting: Another try would come to the same.
        result, data: What a call returned, and the names of the data sets that it used.
        scratch: Where what it made lies.
        made: What it made.
        started, seconds, cpu, memory, node: When (epoch), how long, how much (processor seconds, bytes) and where.
    """

    code: Code | str = ""
    message: Words = field(default_factory=dict)
    command: list[str] | None = None
    lines: list[str] = field(default_factory=list)
    input: str | None = None
    advice: Words | None = None
    missing: str = ""
    lasting: bool = False
    result: Any = None
    data: list[str] = field(default_factory=list)
    scratch: Path | None = None
    made: dict[str, Made] = field(default_factory=dict)
    started: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    node: str = ""

    def fails(self, code: Code, message: Words | str = "") -> Outcome:
        """This outcome as a failure."""
        self.code = code
        self.message = message if isinstance(message, dict) else codes.words(code, message)
        return self


#: Takes how far a try is (0 to 1) and its words.
Tell = Callable[[float, str], None]


def perform(task: Task, tell: Tell, stopped: Callable[[], bool]) -> Outcome:
    """Carries out a try here, and waits for it. Does not raise for what a step can do wrong."""
    attempt = f"{task.key}-{secrets.token_hex(4)}"
    scratch = task.folder / TRIES / attempt
    outcome = Outcome(started=time.time(), node=socket.gethostname())
    began = time.monotonic()
    try:
        scratch.mkdir(parents=True)
        for name in (*task.makes, *(command.stdout for command in task.commands() if command.stdout)):
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        with StepLog(task.folder / "log" / f"{task.key}.txt") as log:
            _Try(task, scratch, attempt, log, outcome, tell, stopped).run()
            outcome.lines = log.lines() if outcome.code else []
    except OSError as error:
        full = error.errno in codes.FULL
        outcome.fails("disk-full" if full else "internal", f"{error.strerror}: {error.filename or scratch}")
    finally:
        outcome.seconds = time.monotonic() - began
        if outcome.code:
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            outcome.scratch = scratch
    return outcome


@dataclass
class _Try:
    task: Task
    scratch: Path
    attempt: str
    log: StepLog
    outcome: Outcome
    tell: Tell
    stopped: Callable[[], bool]

    def run(self) -> None:
        task, outcome = self.task, self.outcome
        if isinstance(task.do, Call):
            self._call(task.do.function, task.do.arguments)
        else:
            self._commands(task.commands())
        if outcome.code:
            return
        try:
            outcome.made = look(self.scratch, task.makes)
        except NotMade as error:
            outcome.fails(error.code, error.name)
            outcome.command = outcome.command or self._last_command()
            return
        if task.check:
            result = outcome.result
            self._call(task.check, {}, checks=True)
            outcome.result = result

    def _last_command(self) -> list[str] | None:
        commands = self.task.commands()
        return [str(word) for word in commands[-1].argv] if commands else None

    def _environment(self) -> dict[str, str]:
        cores = str(self.task.cores)
        return marks.clean(os.environ) | {
            "OMP_NUM_THREADS": cores,
            "OPENBLAS_NUM_THREADS": cores,
            "MKL_NUM_THREADS": cores,
            "MPLBACKEND": "Agg",
            "PYTHONUNBUFFERED": "1",
        }

    def _watch(self, lines: Callable[[str], None], message: Callable[[bytes], None] | None = None) -> process.Watch:
        left = max(self.task.limit - (time.time() - self.outcome.started), 0.1)
        name = f"{marks.mark(self.task.folder)}:{os.getpid()}:{born(os.getpid())}:{self.attempt}"
        return process.Watch(
            self.scratch, self._environment(), name, left, self.log, lines, self.stopped, message, CHANNEL,
            self.task.memory << 20,
        )  # fmt: skip

    def _run(self, watch: process.Watch, commands: tuple[Command, ...]) -> process.Ended | None:
        """Runs a pipe; None if it could not be started, was ended by us, or somebody ended it from outside."""
        outcome, kills = self.outcome, oom_kills()
        try:
            ended = watch.run(commands)
        except process.NoProgram as error:
            outcome.missing = Path(error.program).name
            outcome.command = [error.program]
            outcome.fails("missing-code", outcome.missing)
            return None
        outcome.cpu += ended.cpu
        outcome.memory = max(outcome.memory, ended.memory)
        blame = ended.culprit
        if ended.why == "timed-out":
            outcome.fails("timed-out", f"{self.task.limit:g}")
        elif ended.why == "out-of-memory":
            who = Path(str(commands[blame or 0].argv[0])).name if not isinstance(self.task.do, Call) else self.task.key
            outcome.fails("out-of-memory", codes.too_large(who, ended.memory, self.task.memory << 20))
            outcome.advice = codes.more_memory(declared=self.task.declared)
            outcome.lasting = True
        elif ended.why:
            outcome.code = ended.why
        if blame is not None and not (isinstance(self.task.do, Call) or (self.task.check and outcome.made)):
            outcome.command = [str(word) for word in commands[blame].argv]
        if blame is not None and not outcome.code:
            killed = ended.codes[blame] == -9
            code = codes.cause(self.log.lines(), killed=killed, out_of_memory=oom_kills() > kills)
            outcome.fails(code, outcome.command[0].rpartition("/")[2] if outcome.command else self.task.key)
        return ended

    def _commands(self, commands: tuple[Command, ...]) -> None:
        own = [Meter(command.progress) for command in commands if command.progress]
        meters = own or ([Meter(self.task.progress)] if self.task.progress else [])

        def line(text: str) -> None:
            for meter in meters:
                fraction = meter.fraction(text)
                if fraction is not None:
                    self.tell(fraction, "")

        self._run(self._watch(line), tuple(_there(command) for command in commands))

    def _call(self, function: str, arguments: dict[str, Any], *, checks: bool = False) -> None:
        order = self.scratch.with_name(f"{self.attempt}.json")
        paths = [str(self.scratch)] if checks else []
        what = {"case": self.task.case, "pipeline": str(self.task.pipeline), "function": function, "paths": paths}
        order.write_text(json.dumps(what | {"arguments": arguments}))
        said = _Said(self.tell)
        # -P: a file that a step makes must not stand in for a module of Python's.
        child = Command((sys.executable, "-P", "-m", "perijove.spawners.apps.call"), stdin=order)
        try:
            ended = self._run(self._watch(lambda _: None, said.take), (child,))
        finally:
            order.unlink(missing_ok=True)
        if ended is not None and not ended.why:
            self._answer(said.last, function, checks=checks)

    def _answer(self, last: dict[str, Any], function: str, *, checks: bool) -> None:
        """What the function's last message means."""
        outcome = self.outcome
        if "result" in last:
            outcome.code, outcome.message, outcome.result = "", {}, last["result"]
            outcome.data += last.get("data", [])
        elif "unfit" in last:
            outcome.input = last["input"] or None
            code: Code = "check-failed" if checks and not outcome.input else "bad-input"
            outcome.fails(code, codes.said(code, last["unfit"]))
        elif "missing" in last:
            outcome.missing = last["missing"]
            outcome.fails("missing-code", last["missing"])
        elif "broken" in last:
            outcome.fails("internal", last["broken"])
        elif last.get("full"):
            outcome.fails("disk-full")
        elif last.get("memory"):
            outcome.fails("out-of-memory", function)
        elif "error" in last and outcome.code not in ("disk-full", "out-of-memory"):
            what = f"{function}: {last['error']}"
            outcome.fails("command-failed", codes.said("command-failed", {"en": what, "zh": what}))
        elif not outcome.code:
            outcome.fails("command-failed", f"{function} (it said nothing)")


def _there(command: Command) -> Command:
    """The command with its program where this machine has it: a worker's may lie elsewhere."""
    program = str(command.argv[0])
    if "/" in program and not Path(program).exists():
        found = shutil.which(Path(program).name)
        return replace(command, argv=(found or program, *command.argv[1:]))
    return command


class _Said:
    """What a function's process tells: lines of JSON."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._partial = b""
        self.last: dict[str, Any] = {}

    def take(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if "fraction" in message:
                self._tell(float(message["fraction"]), str(message.get("words", "")))
            else:
                self.last = message


def target(folder: Path, name: str) -> Path:
    """Where in the run's folder what a step made as `name` goes."""
    return folder / name if name.startswith(RESULTS) else folder / "work" / name
