"""The server of a session as a child of the agent: started once, its output kept and cleaned, ended with all its own.

Its output goes through the agent into the job's log, line by line, so that
- no secret of its environment ever shows there (jupyter prints a URL with its token when it makes one itself),
- the last lines are at hand even when the log cannot be written (home directory full), which does not stop the server.

A batch system that follows process groups loses daemons of a kernel; the agent makes itself their reaper instead
(PR_SET_CHILD_SUBREAPER), and ends what is left when the job ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|COOKIE|CREDENTIAL|API_KEY", re.IGNORECASE)
_SECRET_TEXT = re.compile(rb"((?:token|api_key|password)=)[^\s&\"']+", re.IGNORECASE)
#: Lines kept for `info`, and the longest piece of output handled at once, in bytes.
LINES, PIECE = 400, 4096


def become_reaper() -> None:
    """Adopt processes whose parents end; where the system has no such thing, nothing happens."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def parents() -> dict[int, int]:
    """The parent of each process on this node that we can see."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                fields = (Path(entry.path) / "stat").read_text(errors="replace").rpartition(")")[2].split()
                found[int(entry.name)] = int(fields[1])
    return found


def descendants() -> Iterator[int]:
    """All processes below this one."""
    table = parents()
    below = {os.getpid()}
    while more := {pid for pid, parent in table.items() if parent in below} - below:
        below |= more
        yield from more


def end_descendants() -> None:
    """Kill what is left of the session; twice, as a process may start another one meanwhile."""
    for _ in range(2):
        for pid in list(descendants()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _existing(directory: str) -> Path:
    """`directory`, or / where it does not exist: a server that can say what is missing beats none."""
    path = Path(directory).expanduser()
    return path if path.is_dir() else Path("/")


class Child:
    """One server process."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], directory: str, told: bytes | None = None
    ) -> None:
        """`told` is what it reads on its standard input; None: nothing."""
        self._argv, self._told = argv, told
        self._environment = environment
        self._directory = directory
        self._secrets = [
            value.encode() for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= 8
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self._lines: deque[bytes] = deque(maxlen=LINES)
        self._started = 0.0
        self._ended = 0.0

    async def start(self) -> None:
        """Start it. Raises OSError."""
        # A pipe of our own: asyncio's process would count as running until everybody has closed its pipes.
        reading, writing = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                env={**os.environ, **self._environment},
                cwd=_existing(self._directory),
                stdin=asyncio.subprocess.DEVNULL if self._told is None else asyncio.subprocess.PIPE,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._started = time.time()
        self._pump = asyncio.create_task(self._read(reading))
        if self._told is not None and self._process.stdin is not None:
            with suppress(OSError):  # it ended at once: its exit code says so
                self._process.stdin.write(self._told)
                await self._process.stdin.drain()
            self._process.stdin.close()

    def state(self) -> dict[str, Any]:
        """ "running" or "ended" with its exit code (negative: the signal that ended it)."""
        code = self._process.returncode if self._process else None
        if code is None:
            return {"state": "running", "pid": self._process.pid if self._process else 0, "since": self._started}
        return {"state": "ended", "exit_code": code, "since": self._started, "ended": self._ended}

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of its output, without secrets."""
        return [line.decode("utf-8", "replace") for line in list(self._lines)[-max(0, lines) :]] if lines > 0 else []

    async def wait(self) -> int:
        """Wait until it ends; the exit code for the job (128 + signal where one ended it)."""
        assert self._process is not None  # noqa: S101 - only called after start
        code = await self._process.wait()
        self._ended = self._ended or time.time()
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=1)  # something that outlives it may hold the pipe
        return code if code >= 0 else 128 - code

    async def stop(self, grace: float) -> None:
        """Ask it to end (SIGTERM), and end its whole process group after `grace` seconds."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), max(0.0, grace))
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self.wait()

    async def _read(self, descriptor: int) -> None:
        """Move its output to the log until nobody can write any more."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
        )
        kept = b""
        try:
            while piece := await reader.read(PIECE):
                *lines, kept = (kept + piece).split(b"\n")
                if len(kept) > PIECE:  # a line without end
                    lines.append(kept)
                    kept = b""
                self._log(lines)
            self._log([kept] if kept else [])
        finally:
            transport.close()

    def _log(self, lines: list[bytes]) -> None:
        """Keep lines, and write them to the job's log; a full disk loses them there, and nothing else."""
        clean = [self._clean(line) for line in lines]
        self._lines.extend(clean)
        with suppress(OSError):
            sys.stdout.buffer.write(b"".join(line + b"\n" for line in clean))
            sys.stdout.buffer.flush()

    def _clean(self, line: bytes) -> bytes:
        """`line` without what must not be in a log."""
        for secret in self._secrets:
            line = line.replace(secret, b"[secret]")
        return _SECRET_TEXT.sub(rb"\1[secret]", line)
