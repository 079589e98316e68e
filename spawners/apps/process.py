"""Runs a command or a pipe of commands: started without a shell, watched, measured and taken down whole.

Each command leads a process group of its own and carries a mark in its environment (`marks`), so that a try ends with
all that it started, even what left the group. A pipe that holds more memory than its step may is ended. Peak memory is
the kernel's count of each command (`wait4`), or where that shows only what this process had when it forked, the largest
value seen in /proc.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from perijove.spawners.apps.marks import MARK, marked
from perijove.spawners.apps.memory import held
from perijove.spawners.apps.steplog import StepLog
from perijove.spawners.apps.steps import Command

#: Seconds: between two looks, and two at memory; from TERM to KILL; for output after the last process has gone.
TICK, WEIGH, GRACE, DRAIN = 0.05, 0.2, 5.0, 0.5


@dataclass
class Ended:
    """How a pipe ended.

    Attributes:
        codes: Exit code of each command; below zero: the signal that ended it.
        order: The commands' places in the order in which they ended.
        why: "" by itself, "timed-out", "out-of-memory", or "stopped".
        seconds, cpu: Time by the clock, and of all processors (seconds).
        memory: Peak, summed over the commands (bytes).
        largest: The place of the command that held most when there was too little memory.
    """

    codes: list[int]
    order: list[int]
    why: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    largest: int | None = None

    @property
    def culprit(self) -> int | None:
        """The command to blame: the one that took the memory, else of those that failed the first to end, but not
        because nobody read what it wrote."""
        if self.largest is not None:
            return self.largest
        failed = [place for place in self.order if self.codes[place]]
        return next((place for place in failed if self.codes[place] != -signal.SIGPIPE), failed[0] if failed else None)


class NoProgram(Exception):
    """A program is not there, or is none."""

    def __init__(self, program: str, why: str) -> None:
        super().__init__(f"{program}: {why}")
        self.program = program


@dataclass
class Child:
    """One process of a pipe."""

    popen: subprocess.Popen[bytes]
    floor: int
    code: int | None = None
    cpu: float = 0.0
    seen: int = 0
    memory: int = 0
    ended: float = 0.0

    def look(self) -> None:
        """Notes its largest memory so far."""
        with suppress(OSError, ValueError, IndexError):
            status = Path(f"/proc/{self.popen.pid}/status").read_text()
            self.seen = max(self.seen, int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) << 10)

    def reap(self) -> None:
        """Takes its end, if it has ended; what is left of its group goes with it."""
        pid = self.popen.pid
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        # Before it is waited for: until then its number, and so its group's, is nobody else's.
        self.signal(signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        self.ended = time.monotonic()
        self.code = self.popen.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        peak = usage.ru_maxrss << 10
        # What it inherited when it was forked hides what it used itself; one too short to be seen counts as nothing.
        self.memory = peak if peak > self.floor else self.seen

    def signal(self, number: int) -> None:
        """A signal to its process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, number)


@dataclass
class Watch:
    """What a pipe is run with.

    Attributes:
        scratch: Its working directory.
        environment: All variables, with the mark.
        mark: The mark of this try.
        limit, most: Seconds, and bytes of memory that all commands may hold together (0: not watched).
        log: Takes what is said.
        lines: Called with each line.
        stopped: Whether to end it.
        channel, message: A descriptor that the first command inherits as a way to write to us, and what takes it.
    """

    scratch: Path
    environment: Mapping[str, str]
    mark: str
    limit: float
    log: StepLog
    lines: Callable[[str], None]
    stopped: Callable[[], bool]
    message: Callable[[bytes], None] | None = None
    channel: str = ""
    most: int = 0
    children: list[Child] = field(default_factory=list)
    _held: list[int] = field(default_factory=list)
    _weighed: float = 0.0

    def run(self, commands: Sequence[Command]) -> Ended:
        """Runs `commands` as a pipe until all have ended.

        Raises:
            NoProgram: one is not there; the others are ended.
            OSError: a file to read from or to write to cannot be opened.
        """
        began = time.monotonic()
        with selectors.DefaultSelector() as selector:
            try:
                self._start(commands, selector)
                self._listen(selector)
                why = self._follow(selector, began + self.limit)
            finally:
                for key in list(selector.get_map().values()):
                    os.close(key.fd)
                self._end()
        return Ended(
            [child.code if child.code is not None else -signal.SIGKILL for child in self.children],
            sorted(range(len(self.children)), key=lambda place: self.children[place].ended),
            why,
            time.monotonic() - began,
            sum(child.cpu for child in self.children),
            max(sum(child.memory for child in self.children), sum(self._held)),
            self._held.index(max(self._held)) if why == "out-of-memory" else None,
        )

    def _start(self, commands: Sequence[Command], selector: selectors.BaseSelector) -> None:
        with ExitStack() as opened:

            def pipe() -> tuple[int, int]:
                read, write = os.pipe()
                opened.callback(os.close, write)
                return read, write

            said, say = pipe()
            selector.register(said, selectors.EVENT_READ, self._said)
            environment = dict(self.environment) | {MARK: self.mark}
            inherited: tuple[int, ...] = ()
            if self.message is not None:
                told, tell = pipe()
                selector.register(told, selectors.EVENT_READ, self.message)
                environment[self.channel], inherited = str(tell), (tell,)
            first = commands[0].stdin
            source = opened.enter_context(Path(first).open("rb")).fileno() if first is not None else subprocess.DEVNULL
            for command in commands:
                following, sink = -1, say
                if command.stdout is not None:
                    sink = opened.enter_context((self.scratch / command.stdout).open("wb")).fileno()
                elif command is not commands[-1]:
                    following, sink = pipe()
                    opened.callback(os.close, following)
                self._spawn(command, source, sink, say, environment, inherited)
                source = following

    def _spawn(
        self,
        command: Command,
        source: int,
        sink: int,
        say: int,
        environment: dict[str, str],
        inherited: tuple[int, ...],
    ) -> None:
        argv = [str(word) for word in command.argv]
        try:
            popen = subprocess.Popen(
                argv,
                stdin=source,
                stdout=sink,
                stderr=say,
                cwd=self.scratch,
                env=environment | dict(command.env),
                pass_fds=inherited,
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            raise NoProgram(argv[0], error.strerror or "cannot be started") from None
        self.children.append(Child(popen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10))

    def _listen(self, selector: selectors.BaseSelector) -> None:
        """Has the kernel tell when a command ends (Linux 5.3); without that it is seen within `TICK`."""
        for child in self.children:
            with suppress(OSError, AttributeError):
                selector.register(os.pidfd_open(child.popen.pid), selectors.EVENT_READ)

    def _said(self, data: bytes) -> None:
        for line in self.log.write(data):
            self.lines(line)

    def _follow(self, selector: selectors.BaseSelector, deadline: float) -> str:
        """Reads and waits until all have ended and nothing more is said, or it is time to stop."""
        pause, last, looked = 0.001, 0.0, 0.0
        while True:
            if selector.get_map():
                heard = selector.select(TICK if any(child.code is None for child in self.children) else DRAIN / 5)
                for key, _ in heard:
                    self._read(selector, key)
            else:
                time.sleep(pause)
                pause = min(pause * 1.5, TICK)
            now = time.monotonic()
            running = [child for child in self.children if child.code is None]
            if now - looked > TICK:
                looked = now
                for child in running:
                    child.look()
            for child in running:
                child.reap()
            if not any(child.code is None for child in self.children):
                last = last or now
                if not selector.get_map() or now - last > DRAIN:
                    return ""
            if why := self._no_more(now, deadline):
                return why

    def _no_more(self, now: float, deadline: float) -> str:
        """Why all are to be ended now; "": they may go on."""
        if self.stopped():
            return "stopped"
        if now > deadline:
            return "timed-out"
        if self.most and now - self._weighed > WEIGH:
            self._weighed = now
            return "out-of-memory" if self._too_large() else ""
        return ""

    def _too_large(self) -> bool:
        """Whether the commands hold more than they may; then `_held` says how much each."""
        sizes = [held(child.popen.pid, self.most) if child.code is None else 0 for child in self.children]
        if sum(sizes) <= self.most:
            return False
        self._held = sizes
        return True

    @staticmethod
    def _read(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        data = os.read(key.fd, 1 << 16) if key.data is not None else b""
        if data:
            key.data(data)
        else:
            selector.unregister(key.fd)
            os.close(key.fd)

    def _end(self) -> None:
        """Ends all that is still there: asked first, then made to."""
        running = [child for child in self.children if child.code is None]
        stopped = bool(running)
        for child in running:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while running and time.monotonic() < deadline:
            time.sleep(0.01)
            for child in running:
                child.reap()
            running = [child for child in running if child.code is None]
        for child in running:
            child.signal(signal.SIGKILL)
            while child.code is None:
                child.reap()
                time.sleep(0.002)
        if stopped:
            for pid in marked(self.mark):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
