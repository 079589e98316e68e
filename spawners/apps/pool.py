"""Where steps run: in this machine's cores (`Here`); on the workers of a Dask cluster see `daskpool`.

A pool admits a step when it has room for it, carries out its tries, and tells what happens through one function that
may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from perijove.spawners.apps.task import Outcome, Task, perform


@dataclass(frozen=True)
class Told:
    """A try says how far it is (0 to 1)."""

    key: str
    fraction: float
    words: str


@dataclass(frozen=True)
class Ended:
    """A try has ended."""

    key: str
    outcome: Outcome


@dataclass(frozen=True)
class Lost:
    """The machine that ran a try was lost, not by the step's fault; `words` say what is known."""

    key: str
    words: str


Event = Told | Ended | Lost


class Pool(Protocol):
    """What runs tries."""

    @property
    def cores(self) -> int:
        """How many cores there are."""

    def room(self, cores: int, memory: int) -> bool:
        """Whether a step of so many cores and MiB can start now. One that is too large for the pool has room when
        nothing else runs: it may be slow, but it must not wait for ever."""

    def start(self, task: Task, memory: int, tell: Callable[[Event], None]) -> None:
        """Starts a try, which is ended if it holds more than `memory` MiB, or with 0 more than all there is."""

    def look(self) -> None:
        """Called about once a second: for what the pool must ask for."""

    def stop(self) -> None:
        """Ends all tries, and returns when they have ended."""


class Here:
    """This machine's cores, as many as the run may use, and its memory (MiB; 0: not watched)."""

    def __init__(self, cores: int, memory: int = 0) -> None:
        self._cores, self._memory = max(cores, 1), memory
        self._busy: dict[str, tuple[int, int]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._stopped = threading.Event()

    @property
    def cores(self) -> int:
        """How many cores there are."""
        return self._cores

    def room(self, cores: int, memory: int) -> bool:
        """Whether a step of so many cores and MiB can start now. With 0 MiB it is taken to need its cores' share."""
        memory = memory or self._share(cores)
        used = [sum(column) for column in zip(*self._busy.copy().values(), strict=True)] or [0, 0]
        fits = used[0] + cores <= self._cores and (not self._memory or used[1] + memory <= self._memory)
        return fits or not self._busy

    def _share(self, cores: int) -> int:
        return self._memory * min(cores, self._cores) // self._cores

    def start(self, task: Task, memory: int, tell: Callable[[Event], None]) -> None:
        """Starts a try in a thread that waits for its processes."""
        self._busy[task.key] = (task.cores, memory or self._share(task.cores))
        task = replace(task, memory=memory or self._memory, declared=bool(memory))

        def work() -> None:
            try:
                outcome = perform(task, lambda f, words: tell(Told(task.key, f, words)), self._stopped.is_set)
            except Exception as error:
                outcome = Outcome().fails("internal", f"{type(error).__name__}: {error}")
            self._busy.pop(task.key, None)
            tell(Ended(task.key, outcome))

        # Never joined by the interpreter: `stop` does it, after the processes were ended.
        thread = threading.Thread(target=work, name=task.key, daemon=True)
        self._threads[task.key] = thread
        thread.start()

    def look(self) -> None:
        """Nothing to ask for here."""

    def stop(self) -> None:
        """Ends all tries."""
        self._stopped.set()
        for thread in self._threads.values():
            thread.join()
