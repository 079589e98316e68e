"""Steps on the workers of a Dask cluster: Dask carries a try to the worker that this pool chose, and the outcome back.

The pool counts cores and memory itself, as Dask's threads know nothing of programs that use several, and it sees to
lost workers itself: a try whose worker is gone is told as lost at once. Files go through the run's folder, which all
workers must see. So does progress: a small file beside the try's scratch directory. And so does the order to stop: a
try goes on only as long as `runner.json` names its runner, for Dask cannot interrupt a thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perijove.spawners.apps.marks import sweep
from perijove.spawners.apps.pool import Ended, Event, Lost, Told
from perijove.spawners.apps.state import write_json
from perijove.spawners.apps.task import KEEPER, SEEN_WITHIN, TRIES, Outcome, Task, perform

#: Seconds between two words of progress, and between two looks whether to stop.
PAUSE = 0.5
#: Folders of runs that this worker has looked through for what a killed worker left behind.
_swept: set[tuple[str, str]] = set()


def runner_of(folder: Path) -> str:
    """Who runs the run in `folder` now; "" if nobody, or if the folder is not to be seen."""
    try:
        return str(json.loads((folder / KEEPER).read_bytes())["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def remote(task: Task) -> Outcome:
    """What a worker does: the try, with progress and the order to stop through the run's folder."""
    import socket

    begin = time.monotonic()
    while runner_of(task.folder) != task.runner:
        if time.monotonic() - begin > SEEN_WITHIN:
            where = f"the worker on {socket.gethostname()} does not see the run's folder {task.folder}"
            advice = "put the runs on a file system that all nodes of the centre share"
            return Outcome(node=socket.gethostname()).fails("internal", f"{where}: {advice}")
        time.sleep(0.2)
    if (str(task.folder), task.runner) not in _swept:
        _swept.add((str(task.folder), task.runner))
        sweep(task.folder)
    said = looked = 0.0
    going = True

    def tell(fraction: float, words: str) -> None:
        nonlocal said
        if time.monotonic() - said > PAUSE:
            said = time.monotonic()
            write_json(_progress(task), {"fraction": fraction, "words": words})

    def stopped() -> bool:
        nonlocal looked, going
        if time.monotonic() - looked > PAUSE:
            looked = time.monotonic()
            going = runner_of(task.folder) == task.runner
        return not going

    return perform(task, tell, stopped)


def _progress(task: Task) -> Path:
    return task.folder / TRIES / f"{task.key}.progress.json"


def _share(memory: int, cores: int, of: int) -> int:
    """What a step that says nothing of memory is taken to need: its cores' share."""
    return memory * min(cores, of) // max(of, 1)


@dataclass
class _Placed:
    task: Task
    memory: int
    worker: str
    future: Any
    tell: Callable[[Event], None]
    cores: int
    fraction: float = -1.0


class OnDask:
    """The workers of the cluster that `client` (a synchronous `distributed.Client`) is connected to."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._placed: dict[str, _Placed] = {}
        self._workers: dict[str, tuple[int, int]] = {}
        self._asked = 0.0
        self._stopping = False

    @property
    def cores(self) -> int:
        """How many cores its workers have together, now."""
        self._ask()
        return max(sum(cores for cores, _ in self._workers.values()), 1)

    def _ask(self, after: float = 1.0) -> None:
        """Asks the scheduler which workers there are, if that was longer than `after` seconds ago."""
        if time.monotonic() - self._asked < after:
            return
        self._asked = time.monotonic()
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        self._workers = {
            address: (int(worker["nthreads"]), int(worker["memory_limit"]) >> 20) for address, worker in workers.items()
        }

    def _choose(self, cores: int, memory: int) -> str | None:
        """The worker with the most cores free that has room."""
        best: tuple[int, str] | None = None
        for address, (has, size) in self._workers.items():
            here = [placed for placed in self._placed.values() if placed.worker == address]
            free = has - sum(placed.cores for placed in here)
            room = size - sum(placed.memory for placed in here)
            wanted = memory or _share(size, cores, has)
            fits = free >= min(cores, has) and (not size or room >= min(wanted, size))
            if fits and (best is None or free > best[0]):
                best = free, address
        return best[1] if best else None

    def room(self, cores: int, memory: int) -> bool:
        """Whether a worker can take a step of so many cores and MiB now."""
        self._ask()
        return self._choose(cores, memory) is not None

    def start(self, task: Task, memory: int, tell: Callable[[Event], None]) -> None:
        """Sends a try to a worker."""
        worker = self._choose(task.cores, memory)
        if worker is None:
            tell(Lost(task.key, "the worker has just gone"))
            return
        has, size = self._workers[worker]
        cores = min(task.cores, has)
        task = replace(task, cores=cores, memory=memory or size, declared=bool(memory))
        future = self._client.submit(remote, task, workers=[worker], allow_other_workers=False, pure=False, retries=0)
        placed = _Placed(task, memory or _share(size, cores, has), worker, future, tell, cores)
        self._placed[task.key] = placed
        future.add_done_callback(lambda _: self._done(placed))

    def _done(self, placed: _Placed) -> None:
        """In a thread of Dask's: a try has ended, or Dask gave it up."""
        if self._placed.get(placed.task.key) is not placed:
            return  # told as lost already
        del self._placed[placed.task.key]
        future = placed.future
        if future.status == "finished":
            try:
                event: Event = Ended(placed.task.key, future.result(timeout=30))
            except Exception as error:
                event = Lost(placed.task.key, f"what the worker made of it did not arrive: {error}")
        elif future.status == "error" and not self._is_loss(future):
            event = Ended(placed.task.key, Outcome().fails("internal", f"on the worker: {future.exception()!r}"))
        else:
            event = Lost(placed.task.key, f"the worker {placed.worker} was lost")
        placed.tell(event)

    @staticmethod
    def _is_loss(future: Any) -> bool:
        from distributed.scheduler import KilledWorker, NoValidWorkerError

        return isinstance(future.exception(), KilledWorker | NoValidWorkerError)

    def look(self) -> None:
        """Passes on progress, and tells which tries were lost with their workers."""
        try:
            self._ask()
        except Exception as error:
            self._asked, gone = time.monotonic(), list(self._placed.values())
            self._workers = {}
            words = f"the cluster does not answer: {error}"
        else:
            gone = [placed for placed in self._placed.values() if placed.worker not in self._workers]
            words = "the worker was lost"
        for placed in gone:
            if self._placed.get(placed.task.key) is placed:
                del self._placed[placed.task.key]
                placed.future.cancel()
                placed.tell(Lost(placed.task.key, f"{words} ({placed.worker})"))
        for placed in list(self._placed.values()):
            try:
                said = json.loads(_progress(placed.task).read_bytes())
            except (OSError, ValueError):
                continue
            if said["fraction"] != placed.fraction:
                placed.fraction = said["fraction"]
                placed.tell(Told(placed.task.key, said["fraction"], said["words"]))

    def stop(self) -> None:
        """Waits until all tries have ended, which they do by themselves once the run is no longer this runner's."""
        deadline = time.monotonic() + SEEN_WITHIN
        while self._placed and time.monotonic() < deadline:
            self.look()
            time.sleep(0.05)
        for placed in list(self._placed.values()):
            placed.future.cancel()
        self._placed.clear()
