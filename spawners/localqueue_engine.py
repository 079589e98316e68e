"""The scheduling pass of the embedded batch system: see who ended, and start whom there is room for.

There is no daemon. Each command makes a pass, and so does the wrapper of each job when it ends; nothing else can free
or fill a slot, so the next job starts at once. `localqueue_process` says how a start survives kill -9 at any point.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Collection

from perijove.spawners import localqueue_process as process
from perijove.spawners.localqueue_plan import DEPTH, Running, Size, Start, Waiting, plan
from perijove.spawners.localqueue_store import Store, discard

#: Seconds beyond walltime and grace after which a pass does what `timeout` should have done.
LATE = 10.0
#: A job whose wrapper never got to run it this often is given up.
ATTEMPTS = 5

_ALIVE = "state = 'running'"


def schedule(store: Store, now: float | None = None) -> None:
    """One pass over all queues."""
    with store.locked():
        moment = time.time() if now is None else now
        for job in store.rows(_ALIVE):
            _look_after(store, job, moment)
        store.forget(moment)
        if store.db.execute("SELECT closed FROM about").fetchone()["closed"]:
            return
        for queue in store.db.execute("SELECT * FROM queues").fetchall():
            starts = plan_of(store, queue, moment)
            _start(store, [start for start in starts if start.at <= moment], moment)


def plan_of(store: Store, queue: sqlite3.Row, now: float, further: Waiting | None = None) -> list[Start]:
    """When the first waiting jobs of `queue` will start, and one `further` job behind them."""
    running = [
        Running(job["node"], size_of(job), job["started"] + job["walltime"])
        for job in store.rows(f"{_ALIVE} AND queue = ?", queue["name"])
    ]
    waiting = [
        Waiting(job["id"], size_of(job), float(job["walltime"]))
        for job in store.rows("state = 'queued' AND queue = ?", queue["name"])[:DEPTH]
    ]
    if further:
        waiting.append(further)
    return plan(queue["nodes"], size_of(queue), running, waiting, now, DEPTH + 1)


def size_of(row: sqlite3.Row) -> Size:
    """What a job asks for, or a node of a queue has."""
    return Size(row["cores"], row["memory"], row["gpus"])


def _start(store: Store, starts: list[Start], now: float) -> None:
    wrappers = []
    for start in starts:
        job = store.rows("id = ?", start.id)[0]
        try:
            wrapper = _wrapper(store, job, start.node)
        except OSError:
            break  # no process or file to be had: the next pass tries again
        wrappers.append(wrapper)
        store.change(
            start.id,
            state="running",
            node=start.node,
            started=now,
            pid=wrapper.pid,
            born=wrapper.born,
            boot=process.boot(),
        )
    store.commit()
    for wrapper in wrappers:
        wrapper.go()


def _wrapper(store: Store, job: sqlite3.Row, node: int) -> process.Wrapper:
    folder, script = store.folder(job["id"]), store.script(job)
    discard(folder)
    os.mkdir(folder, 0o700)  # noqa: PTH102
    with open(os.path.join(folder, "script"), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123
        file.write(script)
    program, option = process.interpreter(script)
    arguments = [folder, job["directory"], job["output"], str(job["walltime"]), str(job["grace"]), program, option]
    finish = process.this_python("finish", "--root", store.root, "--job", str(job["id"]))
    known = {
        "PERIJOVE_LOCAL_CORES": str(job["cores"]),
        "PERIJOVE_LOCAL_QUEUE": job["queue"],
        "PERIJOVE_LOCAL_NODE": str(node),
        "OMP_NUM_THREADS": str(job["cores"]),
    }
    if job["task"] is not None:
        known["PERIJOVE_LOCAL_TASK"] = str(job["task"])
    return process.Wrapper(arguments, finish, process.environment(store.mark(job["id"]), known))


def _look_after(store: Store, job: sqlite3.Row, now: float) -> None:
    """Believe in a running job only while its wrapper lives, and see that nobody outstays."""
    same = job["boot"] == process.boot() and job["born"] is not None and process.born(job["pid"]) == job["born"]
    if not same:
        _bury(store, job, now)
        return
    asked = job["cancelled"]
    latest = job["started"] + job["walltime"] if asked is None else asked
    if now > latest + job["grace"] + LATE:
        process.end_marked(store.mark(job["id"]), but=job["pid"])


def terminate(job: sqlite3.Row) -> None:
    """Ask a running job to end, through its `timeout`, which sees to the rest. Its wrapper may only just have begun."""
    deadline = time.monotonic() + 1
    while process.born(job["pid"]) == job["born"] and time.monotonic() < deadline:
        if below := process.children(job["pid"]):
            process.send(below, signal.SIGTERM)
            return
        time.sleep(0.01)


def sweep(store: Store, names: Collection[str]) -> None:
    """Cancel all jobs with one of `names` at once and without grace; what waits behind them does not start yet."""
    with store.locked():
        now = time.time()
        jobs = [job for job in store.rows("state <> 'ended'") if job["name"] in names]
        running = [job for job in jobs if job["state"] == "running"]
        wrappers = [job["pid"] for job in running if process.born(job["pid"]) == job["born"]]
        process.send(wrappers, signal.SIGKILL)  # none of them is to write down an end
        process.end_marked(*(store.mark(job["id"]) for job in running))
        for job in jobs:
            end(store, job["id"], "cancelled", now)


def _bury(store: Store, job: sqlite3.Row, now: float) -> None:
    """A running job whose wrapper is gone: what it left says how it ended."""
    process.end_marked(store.mark(job["id"]))
    code = _left(store, job["id"], "exit")
    if code is not None and code.endswith("\n"):
        record(store, job, code.strip(), now)
    elif _left(store, job["id"], "started") is not None:
        end(store, job["id"], "node-failed", now)
    elif job["cancelled"] is not None:
        end(store, job["id"], "cancelled", now)
    elif job["restarts"] + 1 >= ATTEMPTS:
        end(store, job["id"], "launch-failed", now)
    else:
        store.change(job["id"], state="queued", started=None, node=None, pid=None, restarts=job["restarts"] + 1)


def _left(store: Store, job: int, name: str) -> str | None:
    try:
        with open(os.path.join(store.folder(job), name), encoding="ascii") as file:  # noqa: PTH118, PTH123
            return file.read(100)
    except OSError:
        return None


def record(store: Store, job: sqlite3.Row, code: str, now: float) -> None:
    """How a job ended, from the status its wrapper saw: `launch`, or a number, above 128 for a signal as in a shell."""
    if not code.isdigit():
        end(store, job["id"], "launch-failed", now)
        return
    status = int(code)
    number = status - 128 if status > 128 and status - 128 in signal.valid_signals() else None
    if job["cancelled"] is not None:
        reason = "cancelled"
    elif number is not None and now >= job["started"] + job["walltime"]:
        reason = "walltime"
    else:
        reason = "completed" if status == 0 else "failed"
    end(store, job["id"], reason, now, exit_code=None if number else status, signal=number)


def end(store: Store, job: int, reason: str, now: float, **columns: object) -> None:
    """Write down an end; the job's folder goes once that is committed."""
    store.change(job, state="ended", reason=reason, ended=now, pid=None, **columns)
    store.litter.append(store.folder(job))
