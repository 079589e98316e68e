"""A process that the supervisor keeps alive: started with its own log, watched, started again with growing pauses.

A child runs in a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then ends the
children in order; the kernel ends them (SIGTERM) if the supervisor itself is killed.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import httpx
from perijove.hub.cli.words import _

_PR_SET_PDEATHSIG = 1
#: A log of more bytes than this is put aside (one generation) before the next start.
LOG_SIZE = 20_000_000
#: Bytes of a line of output that is cleaned.
LONGEST_LINE = 1 << 18
#: Seconds that a child must have run for its next restart to be prompt again.
SETTLED = 30.0


class StartFailed(RuntimeError):
    """A child did not become ready; the message names its log."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and how to see that it is ready: `ready_url` answers with anything below 500."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    ready_url: str
    log: Path
    pid_file: Path
    #: Seconds for an orderly end before it is killed.
    grace: float = 10.0
    #: What a line of its output has to go through before it is in the log; None: it writes there itself.
    clean: Callable[[str], str] | None = None


class Child:
    """One supervised process."""

    def __init__(self, plan: Plan, after_restart: Callable[[], Awaitable[None]] | None = None) -> None:
        self.plan = plan
        self.restarts = 0
        self._after_restart = after_restart
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def start(self, patience: float = 60.0) -> None:
        """Starts it, waits until it is ready, and keeps it alive from then on.

        Raises:
            StartFailed: it ended, or was not ready after `patience` seconds.
        """
        await self._launch()
        await self._ready(patience)
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.plan.name}")

    async def stop(self) -> None:
        """Ends it: SIGTERM, then SIGKILL after its grace; its whole process group is gone afterwards."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self.plan.grace)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._writer is not None:
            await self._writer
        self.plan.pid_file.unlink(missing_ok=True)

    async def _launch(self) -> None:
        plan = self.plan
        if plan.log.exists() and plan.log.stat().st_size > LOG_SIZE:
            plan.log.replace(plan.log.with_suffix(".log.1"))
        descriptor = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *plan.argv,
                env=dict(plan.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if plan.clean else descriptor,
                stderr=asyncio.subprocess.STDOUT if plan.clean else descriptor,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                limit=LONGEST_LINE,
            )
            if plan.clean is not None and self._process.stdout is not None:
                log = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", buffering=1)
                writing = _write(self._process.stdout, log, plan.clean)
                self._writer = asyncio.create_task(writing, name=f"log of {plan.name}")
        finally:
            os.close(descriptor)
        plan.pid_file.write_text(f"{self._process.pid}\n", encoding="ascii")

    async def _ready(self, patience: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            while loop.time() < deadline:
                if self._process is None or self._process.returncode is not None:
                    words = _("{part} ended at its start; its log: {log}")
                    raise StartFailed(words.format(part=self.plan.name, log=self.plan.log))
                with suppress(httpx.HTTPError):
                    if (await client.get(self.plan.ready_url)).status_code < 500:
                        return
                await asyncio.sleep(0.1)
        words = _("{part} is not ready after {seconds} s; its log: {log}")
        raise StartFailed(words.format(part=self.plan.name, seconds=f"{patience:.0f}", log=self.plan.log))

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.1
        while self._process is not None:
            began = loop.time()
            status = await self._process.wait()
            if loop.time() - began > SETTLED:
                pause = 0.1
            print(f"{self.plan.name} ended ({status}); starting it again", file=sys.stderr, flush=True)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)
            await self._launch()
            self.restarts += 1
            with suppress(StartFailed):
                await self._ready(60.0)
                if self._after_restart is not None:
                    await self._after_restart()


async def _write(lines: asyncio.StreamReader, log: TextIO, clean: Callable[[str], str]) -> None:
    """Everything that a child says, to its log, cleaned. What cannot be written is lost: the child must not wait."""
    with log:
        while True:
            try:
                line = await lines.readline()
            except ValueError:  # longer than any line that a child of ours writes: none of it is cleaned for certain
                line = b"[a line that is too long]\n"
            if not line:
                return
            with suppress(OSError):
                log.write(clean(line.decode("utf-8", "replace")))


#: Loaded before any fork: the child of a fork must not import or allocate much.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """In the child, before the program: SIGTERM when the supervisor dies (prctl(2))."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
