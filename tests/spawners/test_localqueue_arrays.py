"""Job arrays of the embedded batch system, with real processes."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.basics import until
from perijove.spawners import localqueue_process as process
from perijove.spawners.batch import BatchSystem, Command, Output, batch_system
from perijove.spawners.centre import parse
from perijove.spawners.job import JobSpec, JobState, Reason
from perijove.spawners.localqueue import TASKS, LocalQueue, Refused
from perijove.spawners.localqueue_plan import Size
from perijove.spawners.localqueue_store import REMEMBERED, Store

SMALL = Size(1, 100, 0)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[LocalQueue]:
    made = LocalQueue(str(tmp_path / "root"), [("batch", 2, Size(2, 8000, 0))])
    mark = made.store.id
    yield made
    made.clean_up(0)
    assert process.marked(f"{mark}:") == []


def submit(queue: LocalQueue, tmp_path: Path, script: str, tasks: int) -> int:
    return queue.submit("job", "batch", SMALL, 60, f"#!/bin/bash\n{script}\n", str(tmp_path), grace=1, tasks=tasks)


def states(queue: LocalQueue, array: int) -> dict[Any, Any]:
    listed = [*queue.status(), *queue.history([array])]
    return {job["task"]: job["state"] for job in listed if job["id"] == str(array)}


def test_all_tasks_are_submitted_at_once_and_start_as_places_come_free(queue: LocalQueue, tmp_path: Path) -> None:
    script = f'echo "task $PERIJOVE_LOCAL_TASK"; while [ ! -e {tmp_path}/go.$PERIJOVE_LOCAL_TASK ]; do sleep 0.02; done'
    array = submit(queue, tmp_path, script, 6)
    assert states(queue, array) == {**dict.fromkeys((1, 2, 3, 4), "running"), 5: "queued", 6: "queued"}
    (tmp_path / "go.2").touch()
    until(lambda: states(queue, array)[5] == "running")
    assert (states(queue, array)[2], states(queue, array)[6]) == ("ended", "queued")
    for task in (1, 3, 4, 5, 6):
        (tmp_path / f"go.{task}").touch()
    until(lambda: set(states(queue, array).values()) == {"ended"})
    assert {job["task"]: job["reason"] for job in queue.history([array])} == dict.fromkeys(range(1, 7), "completed")
    logs = {path.name: path.read_text() for path in tmp_path.glob("log*")}
    assert logs == {f"log.{task}": f"task {task}\n" for task in range(1, 7)}


def test_one_task_alone_is_an_array_and_a_job_is_none(queue: LocalQueue, tmp_path: Path) -> None:
    array = submit(queue, tmp_path, "echo ${PERIJOVE_LOCAL_TASK:-none}", 1)
    plain = submit(queue, tmp_path, "echo ${PERIJOVE_LOCAL_TASK:-none}", 0)
    until(lambda: len(queue.history([array, plain])) == 2)
    assert [(job["id"], job["task"]) for job in queue.history([array, plain])] == [(str(array), 1), (str(plain), None)]
    assert (tmp_path / "log.1").read_text() == "1\n" and (tmp_path / "log").read_text() == "none\n"


def test_a_task_and_an_array_and_a_job_are_cancelled_together(queue: LocalQueue, tmp_path: Path) -> None:
    first, second = (submit(queue, tmp_path, "exec sleep 300", 4) for _ in range(2))
    plain = submit(queue, tmp_path, "exec sleep 300", 0)
    queue.cancel([f"{first}_2", f"{first}_99", f"{second}_1", plain, 999])
    until(lambda: len(queue.history([first, second, plain])) == 3)
    until(lambda: states(queue, second)[2] == "running")
    assert states(queue, first) == {1: "running", 2: "ended", 3: "running", 4: "running"}
    assert states(queue, second) == {1: "ended", 2: "running", 3: "queued", 4: "queued"}
    queue.cancel([first, second])
    until(lambda: not queue.status())
    assert {job["reason"] for job in queue.history([first, f"{second}_3"])} == {"cancelled"}
    assert [job["task"] for job in queue.history([f"{second}_3"])] == [3]
    # Numbers inside an array are no names of their own.
    assert queue.history([first + 1]) == [] == queue.cancel([first + 1])


@pytest.mark.parametrize("tasks", [-1, TASKS + 1])
def test_a_number_of_tasks_beyond_bounds_is_refused_whole(queue: LocalQueue, tmp_path: Path, tasks: int) -> None:
    with pytest.raises(Refused, match="10,000"):
        submit(queue, tmp_path, "true", tasks)
    assert queue.status() == []


def test_the_script_is_kept_once_and_as_long_as_a_task_needs_it(queue: LocalQueue, tmp_path: Path) -> None:
    array = submit(queue, tmp_path, "if [ $PERIJOVE_LOCAL_TASK = 1 ]; then exit; fi; exec sleep 300", 5)
    scripts = [row["script"] for row in queue.store.rows("array = ?", array)]
    assert len(scripts) == 5 and [bool(script) for script in scripts] == [True, False, False, False, False]
    until(lambda: states(queue, array)[1] == "ended" and states(queue, array)[5] == "running")
    with queue.store.locked():
        queue.store.change(array, ended=1.0)
        queue.store.forget(REMEMBERED + 2)
    assert states(queue, array)[1] == "ended"
    queue.cancel([array])
    until(lambda: not queue.status())
    with queue.store.locked():
        queue.store.forget(REMEMBERED + 2)
    assert 1 not in states(queue, array)


def test_a_task_whose_wrapper_is_killed_ends_alone(queue: LocalQueue, tmp_path: Path) -> None:
    array = submit(queue, tmp_path, "exec sleep 300", 3)
    pid = queue.store.rows("array = ? AND task = 2", array)[0]["pid"]
    until(lambda: process.children(pid))
    process.send([pid], signal.SIGKILL)
    until(lambda: states(queue, array)[2] == "ended")
    assert [job["reason"] for job in queue.history([f"{array}_2"])] == ["node-failed"]
    assert states(queue, array)[1] == states(queue, array)[3] == "running"


@pytest.mark.parametrize("seed", [1, 2])
def test_an_array_is_there_whole_or_not_at_all_whoever_is_killed(queue: LocalQueue, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    journal = tmp_path / "journal"
    answered: set[int] = set()
    for number in range(8):
        words = ["submit", "--queue", "batch", "--name", str(number), "--cores", "1", "--memory", "10", "--tasks", "5"]
        command = process.this_python(*words, "--walltime", "60", "--root", queue.store.root)
        script = f'#!/bin/bash\necho "{number} $PERIJOVE_LOCAL_TASK" >>{journal}\n'
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as submitter:
            try:
                out, _ = submitter.communicate(script.encode(), timeout=chance.choice([0.04, 0.06, 0.09, 30]))
            except subprocess.TimeoutExpired:
                submitter.kill()
                out = b""
            if out:
                answered.add(int(out.split(b'"')[3]))
        if chance.random() < 0.3 and (alive := queue.store.rows("state = 'running'")):
            process.send([int(chance.choice(alive)["pid"])], signal.SIGKILL)
    until(lambda: not queue.status(), 60)
    counts = {row["array"]: row["n"] for row in queue.store.db.execute("SELECT array, count(*) n FROM jobs GROUP BY 1")}
    assert set(counts.values()) <= {5} and answered <= set(counts)
    ran = journal.read_text().splitlines() if journal.exists() else []
    assert len(ran) == len(set(ran)), "a task ran twice"
    done = {(row["name"], row["task"]) for row in queue.store.rows("reason = 'completed'")}
    assert {f"{name} {task}" for name, task in done} <= set(ran)


def test_a_root_from_before_arrays_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "root"
    store = Store(str(root))
    old = store.id
    for statement in (
        "DROP INDEX jobs_by_array", "ALTER TABLE jobs DROP COLUMN array", "ALTER TABLE jobs DROP COLUMN task",
        "INSERT INTO queues VALUES ('batch', 1, 1, 1000, 0)",
    ):  # fmt: skip
        store.db.execute(statement)
    store.db.execute(
        "INSERT INTO jobs (name, queue, cores, memory, gpus, walltime, grace, directory, output, script, submitted)"
        " VALUES ('before', 'batch', 1, 10, 0, 60, 1, ?, 'log', '#!/bin/sh\necho before\n', 1)",
        (str(tmp_path),),
    )
    store.close()
    queue = LocalQueue(str(root))
    try:
        assert queue.store.id == old
        array = submit(queue, tmp_path, "echo after", 2)
        until(lambda: not queue.status())
        assert [job["task"] for job in queue.history([1, array])] == [None, 1, 2]
        assert [(tmp_path / name).read_text() for name in ("log", "log.2")] == ["before\n", "after\n"]
        with pytest.raises(sqlite3.OperationalError, match="duplicate column"):
            queue.store.db.execute("ALTER TABLE jobs ADD COLUMN task INTEGER")
    finally:
        queue.clean_up(0)


def test_the_gateways_words_for_arrays_are_understood(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    queues = [{"name": "batch", "nodes": 1, "cores": 2, "memory": "4G"}]
    system: BatchSystem = batch_system(
        parse(
            {
                "id": "here",
                "name": {"en": "Here", "zh": "这里"},
                "scheduler": {"system": "local", "root": root},
                "environment": {"python": "/usr/bin/python3"},
                "queues": queues,
            }
        )
    )

    def ask(command: Command) -> Output:
        words = this_command(command)
        done = subprocess.run(words, input=command.stdin, text=True, cwd=tmp_path, capture_output=True, check=False)
        return Output(done.returncode, done.stdout, done.stderr)

    def this_command(command: Command) -> list[str]:
        return process.this_python(*command.argv[1:])

    job = JobSpec("abc0123456789", "batch", 1, 100, 0, 60, str(tmp_path), ("/bin/sleep", "300"), tasks=4)
    try:
        array = system.parse_submit(ask(system.submit(job)))
        jobs = system.parse_status(ask(system.status()))
        assert [(j.job_id, j.name, j.task, j.state) for j in jobs] == [
            (array, job.name, task, JobState.RUNNING if task < 3 else JobState.QUEUED) for task in (1, 2, 3, 4)
        ]
        system.parse_cancel(ask(system.cancel([system.task_id(array, 4)])))
        history = system.history([array])
        assert history is not None
        (gone,) = system.parse_history(ask(history))
        assert (gone.job_id, gone.task, gone.reason) == (array, 4, Reason.CANCELLED)
        system.parse_cancel(ask(system.cancel([array])))
        until(lambda: len(system.parse_history(ask(history))) == 4)
    finally:
        LocalQueue(root).clean_up(0)
