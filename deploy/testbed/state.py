"""The testbed's state on disk: where things lie, and which processes are ours.

A process is known by its pid and its start time, never by its name: a pid alone may belong to somebody else by now.
Each one records itself before it becomes what it is to be, so that even `kill -9` of the testbed's own command
leaves no process behind that the next `up` or `down` does not find.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

#: A constant: the shell notes its own /proc/self/stat, then becomes the program, with the same pid and start time.
_RECORD = 'file=$1; shift; read -r stat < /proc/self/stat && printf "%s\\n" "$stat" > "$file" && exec "$@"'


class TestbedError(Exception):
    """Something in the testbed did not work; the message says what to look at."""

    __test__ = False


def default_directory() -> Path:
    """`$PERIJOVE_TESTBED_DIR`, or /var/lib/perijove-testbed."""
    return Path(os.environ.get("PERIJOVE_TESTBED_DIR", "/var/lib/perijove-testbed"))


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file so that it is there whole or not at all; readers never see half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.chmod(mode)
    part.replace(path)


def write_json(path: Path, data: Any) -> None:
    """Write `data` as JSON, mode 0600."""
    write(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, default: Any) -> Any:
    """The JSON in `path`, or `default` if there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return default


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0, every: float = 0.05) -> None:
    """Wait until `condition()` holds.

    Raises:
        TestbedError: it did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TestbedError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


def run(argv: Sequence[str], stdin: str = "", timeout: float = 60.0) -> str:
    """The standard output of a command, run without a shell.

    Raises:
        TestbedError: it failed; with what it said.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise TestbedError(f"{' '.join(argv[:12])}: exit {done.returncode}: {(done.stderr or done.stdout)[-1000:]}")
    return done.stdout


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is no such process (or only its corpse)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


@dataclass(frozen=True, slots=True)
class Process:
    """One process of ours."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this pid now."""
        start = start_time(pid)
        return None if start is None else cls(pid, start)

    @property
    def alive(self) -> bool:
        """Whether it is still this very process."""
        return start_time(self.pid) == self.start

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is still there."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self, seconds: float = 10.0) -> None:
        """End it, and wait until it has ended."""
        self.send(signal.SIGKILL)
        wait_for(lambda: not self.alive, f"process {self.pid} ends", seconds, 0.01)


class State:
    """The state directory: 0700, root's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes = directory / "run"
        self.keys = directory / "keys"
        self.software = directory / "software"
        self.centres = directory / "centres"
        self.inventory = directory / "inventory.json"
        self.identities = directory / "identities.toml"
        self.faults = directory / "faults.json"

    def make(self) -> None:
        """Make the directories that are always there."""
        for path in (self.directory, self.processes, self.keys, self.centres, self.directory / "work"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        (self.software / "perijove/bin").mkdir(parents=True, exist_ok=True)

    def work(self, centre: str) -> Path:
        """What one centre is made of; made afresh by each `up`."""
        return self.directory / "work" / centre

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one `up`, `down` or fault at a time."""
        self.make()
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def record(self, name: str) -> Path:
        """The file in which the process called `name` records itself."""
        return self.processes / f"{name}.stat"

    def process(self, name: str) -> Process | None:
        """The process that was started as `name`, if it lives."""
        try:
            head, _, tail = self.record(name).read_text().rpartition(")")
            process = Process(int(head.split()[0]), int(tail.split()[19]))
        except (FileNotFoundError, IndexError, ValueError):
            return None
        return process if process.alive else None

    def recorded(self) -> dict[str, Process]:
        """All our processes that live, by name."""
        names = sorted(path.stem for path in self.processes.glob("*.stat"))
        return {name: process for name in names if (process := self.process(name))}

    def spawn(self, name: str, argv: Sequence[str], *, stdout: int | None = None) -> subprocess.Popen[bytes]:
        """Start a process that outlives us, in a session of its own; its words go to run/NAME.log."""
        with (self.processes / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _RECORD, "sh", str(self.record(name)), *argv],
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            )
