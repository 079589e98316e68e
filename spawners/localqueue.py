"""The embedded batch system: queues of this machine's own processes, without a daemon, a service or root.

    perijove-localqueue VERB --root DIRECTORY [--OPTION VALUE]...

Each command prints one JSON object. Exit status: 0 done; 1 refused (its reason on standard error); 64 a wrong command
line; 75 the state on disk cannot be used at the moment (try again).

    submit    --queue NAME --name NAME --cores N --memory MIB --gpus N --walltime SECONDS [--grace SECONDS]
              [--output FILE] [--tasks N]; the script on standard input; the working directory is that of the command
    status    all live jobs
    history   --jobs ID,ID...: those of them that ended
    cancel    --jobs ID,ID...; ID_TASK is one task of an array
    queues    what each queue holds
    estimate  --queue --cores --memory --gpus --walltime: when such a job would start
    finish    --job ID --code STATUS: for the wrapper of a job alone

`--queues NAME:NODES:CORES:MEMORY:GPUS,...` says what the queues have, with any command but `finish`; it stays written
in the root. Cores and memory are what jobs hold against each other; nothing keeps a process from using more.
With `--tasks N` the job is an array: N jobs that share an id, a name and the script, are told apart by their number,
from 1 (`PERIJOVE_LOCAL_TASK`, and `.NUMBER` at the end of their output's name), and start as places come free.
How it works is told in `localqueue_engine`, `localqueue_plan`, `localqueue_process` and `localqueue_store`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

from perijove.spawners import localqueue_engine as engine
from perijove.spawners import localqueue_process as process
from perijove.spawners.localqueue_plan import Size, Waiting, fits
from perijove.spawners.localqueue_store import Store

#: Seconds between TERM and KILL where the submission names none.
GRACE = 10
#: A longer script is refused.
LONGEST = 1 << 20
#: An array of more tasks is refused.
TASKS = 10_000


class Refused(Exception):
    """The queue says no: there is no such queue, or no node of it could ever hold the job."""


class Job(dict[str, object]):
    """One job as the commands print it: JSON values, times in seconds since the epoch."""


class LocalQueue:
    """One embedded batch system. Methods raise `Refused`, OSError and sqlite3.Error."""

    def __init__(self, root: str, queues: Iterable[tuple[str, int, Size]] = ()) -> None:
        """Opens `root`; `queues` (name, nodes, size of a node) are written into it where they differ."""
        self.store = Store(root)
        wanted = {name: (name, nodes, *size) for name, nodes, size in queues}
        if wanted and not set(wanted.values()) <= {tuple(row) for row in self._queues()}:
            with self.store.locked() as db:
                db.executemany(
                    "REPLACE INTO queues (name, nodes, cores, memory, gpus) VALUES (?, ?, ?, ?, ?)",
                    list(wanted.values()),
                )

    def submit(  # noqa: PLR0913 - what a job is
        self,
        name: str,
        queue: str,
        size: Size,
        walltime: int,
        script: str,
        directory: str,
        *,
        output: str = "log",
        grace: int = GRACE,
        tasks: int = 0,
    ) -> int:
        """Queue `script`, to be run in `directory` with its output in the file `output` there; the job's id.

        It starts at once if there is room. With `tasks` it is an array of so many tasks, all of them or none.
        """
        if not 0 <= tasks <= TASKS:
            raise Refused(f"an array has 1 to {TASKS:,} tasks")
        if len(script) > LONGEST or "\0" in script or not script.strip():
            raise Refused("the script is empty, too long or not text")
        with self.store.locked():
            self._check(queue, size, walltime)
            given = (name, queue, *size, walltime, grace, directory)
            job = self.store.insert(given, output, script, time.time(), tasks)
        engine.schedule(self.store)
        return job

    def status(self) -> list[Job]:
        """All live jobs, in the order of submission."""
        engine.schedule(self.store)
        now = time.time()
        with self.store.locked():
            live = self.store.rows("state <> 'ended'")
            waiting = {job["queue"] for job in live if job["state"] == "queued"}
            expected = {
                start.id: start.at
                for queue in self._queues()
                if queue["name"] in waiting
                for start in engine.plan_of(self.store, queue, now)
            }
        first: set[str] = set()
        jobs = []
        for job in live:
            reason = ""
            if job["state"] == "queued":
                reason = "priority" if job["queue"] in first else "resources"
                first.add(job["queue"])
            jobs.append(_shown(job, reason, expected.get(job["id"])))
        return jobs

    def waiting(self, queue: str) -> int:
        """How many jobs wait in `queue`; no scheduling pass is made."""
        counted = self.store.db.execute("SELECT count(*) FROM jobs WHERE state = 'queued' AND queue = ?", (queue,))
        return int(counted.fetchone()[0])

    def history(self, jobs: Sequence[int | str]) -> list[Job]:
        """Those of `jobs` that ended and are remembered: as `cancel` takes them."""
        engine.schedule(self.store)
        return [_shown(job, job["reason"]) for job in self.store.named(jobs) if job["state"] == "ended"]

    def ended(self, since: float, until: float) -> list[Job]:
        """Those that ended from `since` until before `until` (seconds since 1970) and are remembered."""
        engine.schedule(self.store)
        found = self.store.rows("state = 'ended' AND ended >= ? AND ended < ?", since, until)
        return [_shown(job, job["reason"]) for job in found]

    def cancel(self, jobs: Sequence[int | str]) -> list[int]:
        """End `jobs`: waiting ones at once, running ones with TERM, and KILL after their grace; those it knew.

        An array's id means all its tasks, "7_3" the third of the array 7.
        """
        now = time.time()
        with self.store.locked():
            known = self.store.named(jobs)
            for job in known:
                if job["state"] == "queued":
                    engine.end(self.store, job["id"], "cancelled", now)
                elif job["state"] == "running" and job["cancelled"] is None:
                    engine.terminate(job)
                    self.store.change(job["id"], cancelled=now)
        engine.schedule(self.store)
        return [job["id"] for job in known]

    def queues(self) -> list[Job]:
        """What each queue has and holds."""
        engine.schedule(self.store)
        with self.store.locked():
            return [self._queue_shown(queue) for queue in self._queues()]

    def estimate(self, queue: str, size: Size, walltime: int) -> float | None:
        """When such a job would start (seconds since the epoch), from the walltimes of what is there now."""
        engine.schedule(self.store)
        now = time.time()
        with self.store.locked():
            row = self._check(queue, size, walltime)
            starts = engine.plan_of(self.store, row, now, Waiting(-1, size, float(walltime)))
        return next((start.at for start in starts if start.id == -1), None)

    def finish(self, job: int, code: str) -> None:
        """The wrapper's last word on its own job: write down the end, and let the next one start."""
        process.end_marked(self.store.mark(job), grace=2, but=os.getpid())
        with self.store.locked():
            rows = self.store.rows("id = ? AND state = 'running' AND pid = ?", job, os.getpid())
            for row in rows:
                engine.record(self.store, row, code, time.time())
        engine.schedule(self.store)

    def clean_up(self, grace: float = 5.0) -> None:
        """End all jobs, with KILL after `grace` seconds, and remove the root; no process of it is left."""
        with self.store.locked() as db:
            db.execute("UPDATE about SET closed = 1")
            pids = [
                job["pid"] for job in self.store.rows("state = 'running'") if process.born(job["pid"]) == job["born"]
            ]
            process.send(pids, signal.SIGKILL)  # the wrappers first: none of them is to write down an end
            process.end_marked(f"{self.store.id}:", grace=grace)
        import shutil

        self.store.close()
        shutil.rmtree(self.store.root, ignore_errors=True)

    def _queues(self) -> list[sqlite3.Row]:
        return self.store.db.execute("SELECT name, nodes, cores, memory, gpus FROM queues ORDER BY name").fetchall()

    def _check(self, name: str, size: Size, walltime: int) -> sqlite3.Row:
        row = next((queue for queue in self._queues() if queue["name"] == name), None)
        if row is None:
            raise Refused(f"there is no queue {name!r}")
        if not fits(size, engine.size_of(row)) or row["nodes"] < 1:
            raise Refused(
                f"no node of queue {name} can ever hold {size.cores} cores, {size.memory} MiB, "
                f"{size.gpus} GPUs: it has {row['cores']} cores, {row['memory']} MiB, {row['gpus']} GPUs"
            )
        if walltime < 1 or size.cores < 1 or min(size) < 0:
            raise Refused("a job has a core, a walltime, and nothing below zero")
        return row

    def _queue_shown(self, queue: sqlite3.Row) -> Job:
        running = self.store.rows("state = 'running' AND queue = ?", queue["name"])
        cores = queue["nodes"] * queue["cores"]
        return Job(
            name=queue["name"],
            cores=cores,
            cores_free=max(0, cores - sum(job["cores"] for job in running)),
            running=len(running),
            queued=len(self.store.rows("state = 'queued' AND queue = ?", queue["name"])),
        )


def _shown(job: sqlite3.Row, reason: str, expected: float | None = None) -> Job:
    keys = ("name", "queue", "cores", "memory", "gpus", "walltime", "submitted", "started", "ended", "restarts")
    ending = job["state"] == "running" and job["cancelled"] is not None
    return Job(
        {key: job[key] for key in keys},
        id=str(job["array"] or job["id"]),
        task=job["task"],
        state="ending" if ending else job["state"],
        reason=reason,
        expected=expected,
        node="127.0.0.1" if job["node"] is not None else None,
        slot=job["node"],
        exit_code=job["exit_code"],
        signal=job["signal"],
    )


def _options(words: Sequence[str]) -> dict[str, str]:
    if len(words) % 2 or not all(word.startswith("--") for word in words[::2]):
        raise ValueError("options are pairs of --NAME VALUE")
    return {name[2:]: value for name, value in zip(words[::2], words[1::2], strict=True)}


def _described(text: str) -> list[tuple[str, int, Size]]:
    rows = [entry.split(":") for entry in text.split(",") if entry]
    return [(name, int(nodes), Size(int(cores), int(memory), int(gpus))) for name, nodes, cores, memory, gpus in rows]


def _run(verb: str, options: Mapping[str, str]) -> object:
    queue = LocalQueue(options["root"], _described(options.get("queues", "")))
    jobs = [job for job in options.get("jobs", "").split(",") if re.fullmatch(r"[0-9]{1,18}(_[0-9]{1,18})?", job)]
    if verb in ("submit", "estimate"):
        size = Size(int(options["cores"]), int(options["memory"]), int(options.get("gpus", "0")))
        walltime = int(options["walltime"])
        if verb == "estimate":
            return {"start": queue.estimate(options["queue"], size, walltime)}
        job = queue.submit(
            options["name"],
            options["queue"],
            size,
            walltime,
            sys.stdin.read(LONGEST + 1),
            os.getcwd(),  # noqa: PTH109
            output=options.get("output", "log"),
            grace=int(options.get("grace", str(GRACE))),
            tasks=int(options.get("tasks", "0")),
        )
        return {"id": str(job)}
    if verb == "finish":
        queue.finish(int(options["job"]), options["code"])
        return {}
    if verb == "cancel":
        return {"jobs": [str(job) for job in queue.cancel(jobs)]}
    if verb == "queues":
        return {"queues": queue.queues()}
    if verb == "ended":
        found = queue.ended(float(options["since"]), float(options["until"]))
    else:
        found = queue.status() if verb == "status" else queue.history(jobs)
    return {"jobs": found}


VERBS = ("submit", "status", "history", "ended", "cancel", "queues", "estimate", "finish")


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not words or words[0] not in VERBS:
            raise ValueError(f"the first word is one of {', '.join(VERBS)}")
        answer = _run(words[0], _options(words[1:]))
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    except (ValueError, KeyError) as error:
        print(f"wrong command line: {error}", file=sys.stderr)
        return 64
    except (OSError, sqlite3.Error) as error:
        print(f"the queue cannot be used: {error}", file=sys.stderr)
        return 75
    json.dump(answer, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
