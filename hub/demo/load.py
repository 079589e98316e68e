"""Other people's jobs: keeps the demo's queues at their own levels of use, so that there is something to wait for.

The jobs only sleep. They come at random (exponential gaps, a seed) in a process of its own, which leaves when whoever
started it is gone. Each centre has a bounded number of waiting ones, so a level above 1 makes a queue but no flood.
"""

from __future__ import annotations

import heapq
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from perijove.hub.demo.centres import CENTRES, DemoQueue, queue_of
from perijove.spawners.localqueue import LocalQueue
from perijove.spawners.localqueue_engine import sweep
from perijove.spawners.localqueue_plan import Size
from perijove.spawners.localqueue_process import this_python

#: Mean of a job's length in seconds, and the walltime asked for as a multiple of it: people ask for too much.
MEAN = 120.0
ASKED = 2.5
#: Waiting jobs of ours per queue, at most.
WAITING = 5
#: Names as other people's jobs have them; the gateway's own begin with `pj`.
NAMES = ("wrf", "vasp", "lammps", "blast", "openfoam", "gromacs", "train", "postproc")


class Load:
    """The background load of a demo, in a process of its own."""

    def __init__(self, state_dir: Path, seed: int = 0) -> None:
        self._arguments = [str(state_dir), str(seed)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin. Raises OSError."""
        command = this_python(*self._arguments)
        command[command.index("-c") + 1] = (
            "import sys; sys.path.insert(0, sys.argv.pop(1)); from perijove.hub.demo.load import main; main()"
        )
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    @property
    def pid(self) -> int | None:
        """The generator's process id while it is meant to run."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """End the generator and cancel its jobs; waits for both, 10 s at most for the generator."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Source:
    """The arrivals of one queue."""

    def __init__(self, queue: LocalQueue, described: DemoQueue, directory: str, chance: random.Random) -> None:
        self.queue, self.described, self.directory, self.chance = queue, described, directory, chance
        self.size = min(described.cores, 8)

    def gap(self) -> float:
        """Seconds until the next arrival."""
        mean_cores = (1 + self.size) / 2
        rate = self.described.level * self.described.nodes * self.described.cores / (mean_cores * MEAN)
        return self.chance.expovariate(rate)

    def fill(self, leave: threading.Event) -> None:
        """The work that lies there already when the demo begins."""
        wanted = self.described.level * self.described.nodes * self.described.cores
        while wanted > 0 and self._waiting() < WAITING and not leave.is_set():
            wanted -= self.arrive()

    def arrive(self) -> int:
        """Submit one job, unless enough of them wait; its cores."""
        cores = self.chance.randint(1, self.size)
        length = min(max(5.0, self.chance.expovariate(1 / MEAN)), 4 * MEAN)
        if self._waiting() < WAITING:
            self.queue.submit(
                self.chance.choice(NAMES),
                self.described.name,
                Size(cores, cores * self.described.memory * 1024 // self.described.cores, 0),
                60 * (1 + int(length * ASKED) // 60),
                f"#!/bin/sh\nexec sleep {length:.0f}\n",
                self.directory,
                output="/dev/null",
                grace=1,
            )
        return cores

    def _waiting(self) -> int:
        return self.queue.waiting(self.described.name)


def main() -> None:
    """The generator: `STATE-DIRECTORY SEED`. Runs until TERM, or until whoever started it is gone."""
    state, chance, parent = Path(sys.argv[1]), random.Random(int(sys.argv[2])), os.getppid()  # noqa: S311
    leave = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: leave.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # wrappers are our children: none of them stays as a zombie
    queues = {centre.id: queue_of(state, centre) for centre in CENTRES}
    sources = [
        Source(queues[centre.id], described, str(state), chance) for centre in CENTRES for described in centre.queues
    ]
    for source in sources:
        source.fill(leave)
    agenda = [(time.monotonic() + source.gap(), number) for number, source in enumerate(sources)]
    heapq.heapify(agenda)
    while os.getppid() == parent and not leave.is_set():
        at, number = agenda[0]
        if (wait := at - time.monotonic()) > 0:
            leave.wait(min(wait, 2))
            continue
        sources[number].arrive()
        heapq.heapreplace(agenda, (time.monotonic() + sources[number].gap(), number))
    for queue in queues.values():
        sweep(queue.store, NAMES)
