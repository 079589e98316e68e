"""Heads of Dask clusters on this machine alone: what TLS costs a shuffle, and a head with hundreds of workers.

    python deploy/bench/heads.py [--only shuffle|many] [--runs 5] [--rows 8000000] [--workers 300] [--minutes 10]

Shuffle: two clusters of two worker processes stand beside each other, one with plain TCP, one with the keys that every
cluster of ours has (`perijove.spawners.dask.tls`). In turn each shuffles the same new table (peer to peer, Dask's
default), which its workers have in memory; scratch is in memory, too, since a disk would hide what encryption costs.
Where the machine is busy, processor time says more than the clock.

Many: a real head process, whose broker is the tests' double, and real workers without nannies, many in a process
(`stubs.py`). All the while the head is asked for its status, as a panel does, and once a minute it has small tasks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
from crowd import CLUSTER, HeadProcess, head_of
from distributed import Client, LocalCluster, wait
from distributed.security import Security
from perijove.spawners.dask import tls

PARTS = 16
#: Small tasks of one measurement; seconds between two questions for the status.
TASKS, ASK = 2000, 2.0
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a directory of ours is made in it
SCRATCH = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None


def met(reached: bool) -> str:
    """How a goal stands."""
    return "met" if reached else "NOT MET"


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- what TLS costs a shuffle ---------------------------------------------------------------------------------------


def table(part: int, rows: int) -> pd.DataFrame:
    """One part: a random key and three columns of numbers, 32 bytes a row."""
    random = np.random.default_rng(part)
    columns = {"key": random.integers(0, 2**40, rows), **{name: random.random(rows) for name in ("x", "y", "z")}}
    return pd.DataFrame(columns)


def keys_of_all() -> Security:
    """The keys of one cluster, for scheduler, workers and client."""
    keys = tls.make(CLUSTER)
    return Security(
        require_encryption=True,
        tls_ca_file=keys.ca,
        tls_scheduler_cert=keys.head.certificate,
        tls_scheduler_key=keys.head.key,
        tls_worker_cert=keys.worker.certificate,
        tls_worker_key=keys.worker.key,
        tls_client_cert=keys.client.certificate,
        tls_client_key=keys.client.key,
    )


class Kind:
    """A cluster of two worker processes, and how long shuffles took it."""

    def __init__(self, stack: ExitStack, scratch: str, protocol: str, security: Security | None) -> None:
        self.cluster = stack.enter_context(
            LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address=":0",
                local_directory=scratch,
                protocol=protocol,
                security=security,
            )
        )
        self.client = stack.enter_context(Client(self.cluster, set_as_default=False))
        self.clock: list[float] = []
        self.processor: list[float] = []

    def shuffle(self, first: int, rows: int) -> None:
        """Put every row of a table where its key belongs; what making the table takes is left out."""
        frame = dd.from_map(table, range(first, first + PARTS), rows=rows // PARTS, meta=table(0, 1))
        frame = self.client.persist(frame)
        with self.client.as_current():
            wait(frame)
        begun, used = time.perf_counter(), self._used()
        # `len` of whole parts: nothing that the optimiser could leave out.
        parts = frame.shuffle("key", npartitions=PARTS).map_partitions(
            len, meta=("rows", "int64"), enforce_metadata=False
        )
        lengths = self.client.gather(self.client.compute(parts.to_delayed()))
        self.clock.append(time.perf_counter() - begun)
        self.processor.append(self._used() - used)
        if sum(lengths) != rows:
            raise RuntimeError(f"rows were lost: {sum(lengths)} of {rows}")

    def _used(self) -> float:
        return sum(processor(nanny.pid) for nanny in self.cluster.workers.values())


def shuffle(runs: int, rows: int) -> None:
    """Prints the times of both, in turn."""
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(dir=SCRATCH))
        kinds = {
            "tcp": Kind(stack, scratch, "tcp://", None),
            "tls": Kind(stack, scratch, "tls://", keys_of_all()),
        }
        for number in range(runs + 1):
            for kind in kinds.values():
                kind.shuffle(number * PARTS, rows)
    print(f"shuffle of {rows * 32 / 1e6:.0f} MB on two worker processes, {runs} each in turn; medians, seconds")
    for what, words in (("clock", "by the clock"), ("processor", "processor time of the workers")):
        # The first shuffle of each loads libraries.
        theirs, ours = (getattr(kind, what)[1:] for kind in kinds.values())
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(
            f"{words}: tcp {statistics.median(theirs):.2f} ({min(theirs):.2f} to {max(theirs):.2f}), "
            f"tls {statistics.median(ours):.2f} ({min(ours):.2f} to {max(ours):.2f}), "
            f"on top {100 * (ratio - 1):+.0f} %, goal 10: {met(ratio <= 1.1)}",
            flush=True,
        )


# --- a head with hundreds of workers --------------------------------------------------------------------------------


def resident(pid: int, field: str = "VmRSS") -> float:
    """MiB of memory that a process has now, or ("VmHWM") ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def inc(number: int) -> int:
    """A small task."""
    return number + 1


async def rate(client: Client) -> float:
    """Small tasks a second, from the first to the last result."""
    begun = time.perf_counter()
    found = await client.gather(client.map(inc, range(TASKS), pure=False))
    seconds = time.perf_counter() - begun
    if found != list(range(1, TASKS + 1)):
        raise RuntimeError("the head's answers are wrong")
    return TASKS / seconds


class Watch:
    """Asks the head for its status all the time, and keeps what it saw."""

    def __init__(self, head: HeadProcess) -> None:
        self.head = head
        self.times: list[float] = []
        self.connected: list[int] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            begun = time.perf_counter()
            status = await self.head.status()
            self.times.append(1000 * (time.perf_counter() - begun))
            self.connected.append(int(status["counts"]["connected"]))
            await asyncio.sleep(ASK)


async def many(workers: int, minutes: int) -> None:
    """Prints what the head is like each minute."""
    with tempfile.TemporaryDirectory(prefix="perijove-bench-") as folder:
        async with head_of(base := Path(folder)) as head:
            pid = head.process.pid
            empty = resident(pid)
            begun = time.perf_counter()
            await head.call("POST", "/control/scale", {"n": workers})
            await head.until(lambda status: status["counts"]["connected"] == workers, 300)
            print(f"{workers} workers on one head: all connected after {time.perf_counter() - begun:.1f} s", flush=True)
            address = (await head.status())["address"]
            security = tls.client_security(head.folder)
            async with Client(address, security=security, asynchronous=True, set_as_default=False) as client:
                rows = [await minute(head, client, number) for number in range(minutes + 1)]
            lines = (base / "head.log").read_text(errors="replace").splitlines()
            files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - counted, not read
            highest = resident(pid, "VmHWM")
    summary(rows, workers, empty)
    trouble = sum("Traceback" in line or "unresponsive" in line for line in lines)
    print(
        f"at its highest {highest:.0f} MiB; {files} open files; {trouble} lines of its log tell of trouble", flush=True
    )


async def minute(head: HeadProcess, client: Client, number: int) -> dict[str, float]:
    """A minute of the head's life, which begins with small tasks; number 0 is them alone."""
    watch = Watch(head)
    asking = asyncio.ensure_future(watch.run())
    begun, used = time.perf_counter(), processor(head.process.pid)
    rates = [await rate(client) for _ in range(3)]
    if number:
        await asyncio.sleep(max(0.0, 60 - (time.perf_counter() - begun)))
    share = (processor(head.process.pid) - used) / (time.perf_counter() - begun)
    if not asking.cancel():
        await asking  # it has failed, and says how
    await asyncio.gather(asking, return_exceptions=True)
    row = {
        "minute": number,
        "fewest": min(watch.connected),
        "memory": resident(head.process.pid),
        "median": statistics.median(watch.times),
        "worst": max(watch.times),
        "rate": statistics.median(rates),
        "share": share,
    }
    print(
        f"minute {number:2d}: at least {row['fewest']:.0f} connected, memory {row['memory']:.0f} MiB, status median "
        f"{row['median']:.0f} ms, worst {row['worst']:.0f} ms, {row['rate']:.0f} small tasks a second, "
        f"processor {100 * share:.0f} %",
        flush=True,
    )
    return row


def summary(rows: list[dict[str, float]], workers: int, empty: float) -> None:
    """Prints the goals: all connected throughout, and memory that does not go on growing."""
    fewest = min(row["fewest"] for row in rows)
    print(f"connected throughout: {fewest:.0f} of {workers}, goal all: {met(fewest == workers)}")
    memory = [row["memory"] for row in rows]
    half = memory[len(memory) // 2]
    print(f"memory without workers {empty:.0f} MiB, in the first minute {memory[0]:.0f}, half-way {half:.0f}, ", end="")
    print(f"at the end {memory[-1]:.0f}; goal, at most 5 % more in the second half: {met(memory[-1] <= 1.05 * half)}")
    median, worst = statistics.median(row["median"] for row in rows), max(row["worst"] for row in rows)
    print(f"status: median {median:.0f} ms, worst {worst:.0f} ms")
    print(f"small tasks a second: {rows[0]['rate']:.0f} at first, {rows[-1]['rate']:.0f} at the end")


def main() -> None:
    """Prints all of it, or one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("shuffle", "many"))
    parser.add_argument("--runs", type=int, default=5, help="shuffles of each kind")
    parser.add_argument("--rows", type=int, default=8_000_000, help="of the table, 32 bytes each")
    parser.add_argument("--workers", type=int, default=300)
    parser.add_argument("--minutes", type=int, default=10)
    given = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "shuffle": lambda: shuffle(given.runs, given.rows),
        "many": lambda: asyncio.run(many(given.workers, given.minutes)),
    }
    for name, part in parts.items():
        if given.only in (None, name):
            part()


if __name__ == "__main__":
    main()
