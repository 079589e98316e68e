"""Runs a command or a pipe of commands: started without a shell, watched, measured and taken down whole.

Each command leads a process group of its own and carries a mark in its environment: `RUN:KEEPER:BORN:TRY`, the run's
folder, the process that watches it (with its start time, as process ids come again), and the try. So a try ends with
all that it started, even what left the group; and what a keeper left behind that was killed itself is found by the next
one (`sweep`). Peak memory is the kernel's count of each command (`wait4`), or where that shows only what this process
had when it forked, the largest value seen in /proc.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from perijove.spawners.apps.steplog import StepLog
from perijove.spawners.apps.steps import Command
from perijove.spawners.localqueue_process import born

#: The variable that marks the processes of a step.
MARK = "PERIJOVE_STEP"
#: Seconds: between two looks, from TERM to KILL, for output after the last process has gone.
TICK, GRACE, DRAIN = 0.05, 5.0, 0.5

#: What no step needs to know. Apps are code of others; a token would let them act for the person.
_SECRET = re.compile(
    r"JUPYTER|^JPY_|^DASK_|^SSH_|TOKEN|SECRET|PASSW|CREDENTIAL|COOKIE|API_?KEY|ACCESS_?KEY|PRIVATE", re.IGNORECASE
)


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a step: without what may be a secret."""
    return {name: value for name, value in environment.items() if not _SECRET.search(name)}


@dataclass
class Ended:
    """How a pipe ended.

    Attributes:
        codes: Exit code of each command; below zero: the signal that ended it.
        why: "" by itself, "timed-out", or "stopped".
        seconds, cpu: Time by the clock, and of all processors (seconds).
        memory: Peak, summed over the commands (bytes).
    """

    codes: list[int]
    why: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0

    @property
    def culprit(self) -> int | None:
        """The command to blame: the first that failed by itself, not because nobody read what it wrote."""
        failed = [place for place, code in enumerate(self.codes) if code]
        return next((place for place in failed if self.codes[place] != -signal.SIGPIPE), failed[0] if failed else None)


class NoProgram(Exception):
    """A program is not there, or is none."""

    def __init__(self, program: str, why: str) -> None:
        super().__init__(f"{program}: {why}")
        self.program = program


def mark(folder: Path) -> str:
    """What begins the mark of every process of the run in `folder`."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def marked(begin: str) -> dict[int, str]:
    """The living processes of this machine whose mark begins with `begin`, with their marks."""
    wanted = f"{MARK}={begin}".encode()
    found = {}
    for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue  # another person's, or gone by now
        text = next((entry for entry in entries if entry.startswith(wanted)), None)
        if text is not None and born(pid) is not None:
            found[pid] = text.decode().partition("=")[2]
    return found


def sweep(folder: Path) -> int:
    """Ends what keepers that are no more left behind of the run in `folder` on this machine; how many processes."""
    ended = 0
    for pid, text in marked(f"{mark(folder)}:").items():
        _, keeper, since, _ = text.split(":", 3)
        if born(int(keeper)) != int(since):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended += 1
    return ended


@dataclass
class Child:
    """One process of a pipe."""

    popen: subprocess.Popen[bytes]
    floor: int
    code: int | None = None
    cpu: float = 0.0
    seen: int = 0
    memory: int = 0

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
        limit: Seconds.
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
    children: list[Child] = field(default_factory=list)

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
                why = self._follow(selector, began + self.limit)
            finally:
                for key in list(selector.get_map().values()):
                    os.close(key.fd)
                self._end()
        return Ended(
            [child.code if child.code is not None else -signal.SIGKILL for child in self.children],
            why,
            time.monotonic() - began,
            sum(child.cpu for child in self.children),
            sum(child.memory for child in self.children),
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
            if self.stopped():
                return "stopped"
            if now > deadline:
                return "timed-out"

    @staticmethod
    def _read(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        data = os.read(key.fd, 1 << 16)
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


def oom_kills() -> int:
    """How many processes the kernel has ended in our control group for want of memory; 0 where it does not tell."""
    total = 0
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            v2 = Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.events"
            v1 = Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.oom_control"
            place = v2 if not controllers else v1
            if not controllers or "memory" in controllers.split(","):
                with suppress(OSError):
                    words = place.read_text().split()
                    total += int(words[words.index("oom_kill") + 1])
    return total
