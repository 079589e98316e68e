"""The embedded batch system with real processes: what it starts, ends, remembers and survives."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.basics import until
from perijove.spawners import localqueue_process as process
from perijove.spawners.localqueue import LocalQueue, Refused, main
from perijove.spawners.localqueue_plan import Size

SMALL = Size(1, 100, 0)
NODE = Size(4, 8000, 1)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[LocalQueue]:
    made = LocalQueue(str(tmp_path / "root"), [("batch", 2, NODE)])
    mark = made.store.id
    yield made
    made.clean_up(0)
    assert process.marked(f"{mark}:") == []


def submit(
    queue: LocalQueue, tmp_path: Path, script: str, size: Size = SMALL, walltime: int = 60, grace: int = 1
) -> int:
    return queue.submit("job", "batch", size, walltime, f"#!/bin/bash\n{script}\n", str(tmp_path), grace=grace)


def ended(queue: LocalQueue, job: int) -> dict[str, Any]:
    return dict(until(lambda: queue.history([job]))[0])


def running(queue: LocalQueue) -> set[object]:
    return {int(str(job["id"])) for job in queue.status() if job["state"] == "running"}


def wrapper_of(queue: LocalQueue, job: int) -> int:
    return int(queue.store.rows("id = ?", job)[0]["pid"])


def begun(queue: LocalQueue, job: int) -> None:
    until(lambda: (Path(queue.store.folder(job)) / "started").exists() and process.children(wrapper_of(queue, job)))


def test_a_job_runs_in_its_directory_with_its_output_and_exit_code_kept(queue: LocalQueue, tmp_path: Path) -> None:
    job = ended(queue, submit(queue, tmp_path, "pwd; echo bad >&2; exit 7"))
    assert (job["state"], job["reason"], job["exit_code"], job["signal"]) == ("ended", "failed", 7, None)
    assert (tmp_path / "log").read_text() == f"{tmp_path}\nbad\n"


def test_a_job_finds_nothing_of_the_environment_of_who_submitted_it(
    queue: LocalQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    assert ended(queue, submit(queue, tmp_path, "env; kill -0 $$"))["reason"] == "completed"
    assert "secret" not in (tmp_path / "log").read_text()


def test_a_signal_is_recorded(queue: LocalQueue, tmp_path: Path) -> None:
    job = ended(queue, submit(queue, tmp_path, "kill -SEGV $$"))
    assert (job["reason"], job["signal"], job["exit_code"]) == ("failed", signal.SIGSEGV, None)


def test_walltime_ends_a_job_that_ignores_term_and_all_its_processes(queue: LocalQueue, tmp_path: Path) -> None:
    script = "trap '' TERM; setsid sleep 300 & setsid sleep 301 & while true; do sleep 300; done"
    number = submit(queue, tmp_path, script, walltime=1)
    job = ended(queue, number)
    assert (job["reason"], job["signal"]) == ("walltime", signal.SIGKILL)
    assert 0.9 <= job["ended"] - job["started"] <= 8
    until(lambda: not process.marked(queue.store.mark(number)))


def test_the_next_job_starts_when_one_ends_without_any_command(queue: LocalQueue, tmp_path: Path) -> None:
    whole = Size(4, 100, 0)
    for _ in range(2):
        submit(queue, tmp_path, "sleep 0.4", whole)
    submit(queue, tmp_path, "touch third", whole)
    assert queue.waiting("batch") == 1
    until((tmp_path / "third").exists)


def test_reasons_and_expectations_of_waiting_jobs(queue: LocalQueue, tmp_path: Path) -> None:
    whole = Size(4, 100, 0)
    for walltime in (100, 200, 300, 300):
        submit(queue, tmp_path, "sleep 100", whole, walltime)
    first, _, third, fourth = queue.status()
    assert (third["reason"], fourth["reason"]) == ("resources", "priority")
    assert third["expected"] == float(str(first["started"])) + 100
    assert queue.estimate("batch", whole, 60) == pytest.approx(float(str(first["started"])) + 400)
    assert queue.queues()[0] == {"name": "batch", "cores": 8, "cores_free": 0, "running": 2, "queued": 2}


def test_cancel_ends_waiting_and_running_jobs(queue: LocalQueue, tmp_path: Path) -> None:
    whole = Size(4, 100, 0)
    jobs = [submit(queue, tmp_path, "exec sleep 100", whole) for _ in range(3)]
    assert queue.cancel([*jobs, 999]) == jobs
    assert [ended(queue, job)["reason"] for job in jobs] == ["cancelled"] * 3
    assert queue.cancel(jobs) == jobs


def test_what_no_node_can_hold_is_refused(queue: LocalQueue, tmp_path: Path) -> None:
    for size in (Size(5, 1, 0), Size(1, 8001, 0), Size(1, 1, 2), Size(0, 1, 0)):
        with pytest.raises(Refused):
            submit(queue, tmp_path, "true", size)
    with pytest.raises(Refused, match="no queue"):
        queue.submit("job", "other", SMALL, 60, "#!/bin/sh\n", str(tmp_path))


def test_a_directory_that_is_gone_is_a_failed_launch(queue: LocalQueue, tmp_path: Path) -> None:
    job = queue.submit("job", "batch", SMALL, 60, "#!/bin/sh\ntrue\n", str(tmp_path / "gone"))
    assert ended(queue, job)["reason"] == "launch-failed"


def test_a_killed_wrapper_is_noticed_and_leaves_nothing_running(queue: LocalQueue, tmp_path: Path) -> None:
    job = submit(queue, tmp_path, "setsid sleep 300 & exec sleep 300")
    begun(queue, job)
    os.kill(wrapper_of(queue, job), signal.SIGKILL)
    assert ended(queue, job)["reason"] == "node-failed"
    assert process.marked(queue.store.mark(job)) == []


def test_a_process_that_took_over_the_number_is_not_believed(queue: LocalQueue, tmp_path: Path) -> None:
    job = submit(queue, tmp_path, "exec sleep 300")
    begun(queue, job)
    with queue.store.locked():
        queue.store.change(job, pid=os.getpid(), born=1)
    assert ended(queue, job)["reason"] == "node-failed"


def test_a_wrapper_that_never_got_the_word_ran_nothing_and_its_job_waits_again(
    queue: LocalQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(wrapper: process.Wrapper) -> None:
        os.close(wrapper._writing)

    with monkeypatch.context() as patch:
        patch.setattr(process.Wrapper, "go", die)
        job = submit(queue, tmp_path, "echo ran")
    assert until(lambda: [j for j in queue.history([job]) if j["restarts"] == 1])[0]["reason"] == "completed"
    assert (tmp_path / "log").read_text() == "ran\n"


def test_the_root_is_closed_to_others(queue: LocalQueue) -> None:
    assert Path(queue.store.root).stat().st_mode & 0o077 == 0


def test_jobs_outlive_whoever_submitted_them(queue: LocalQueue, tmp_path: Path) -> None:
    command = process.this_python("submit", "--root", queue.store.root, "--queue", "batch", "--name", "x")
    command += ["--cores", "1", "--memory", "10", "--walltime", "60"]
    done = subprocess.run(
        command, input=b"#!/bin/sh\nexec sleep 0.5\n", cwd=tmp_path, capture_output=True, check=True, timeout=30
    )
    assert done.stdout == b'{"id": "1"}\n'
    assert os.getsid(wrapper_of(queue, 1)) == wrapper_of(queue, 1)
    assert ended(queue, 1)["reason"] == "completed"


@pytest.mark.parametrize(
    "words", [[], ["frobnicate"], ["status"], ["status", "--root"], ["submit", "--root", "/nonexistent"]]
)
def test_a_wrong_command_line_is_told_from_a_refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) in (64, 75)
    assert capsys.readouterr().err


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_lost_doubled_or_oversubscribed_whoever_is_killed(
    queue: LocalQueue, tmp_path: Path, seed: int
) -> None:
    """Commands and wrappers are killed at random points; scripts write down when they really ran, and how big."""
    chance = random.Random(seed)  # noqa: S311
    journal = tmp_path / "journal"
    answered: dict[int, str] = {}
    for number in range(25):
        cores = chance.randint(1, 4)
        note = f"{number} {cores} $EPOCHREALTIME $PERIJOVE_LOCAL_NODE"
        script = (
            f'#!/bin/bash\necho "+ {note}" >>{journal}\nsleep 0.{chance.randint(0, 3)}\necho "- {note}" >>{journal}\n'
        )
        words = ["submit", "--queue", "batch", "--name", str(number), "--cores", str(cores), "--memory", "10"]
        command = process.this_python(*words, "--walltime", "60", "--root", queue.store.root)
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
        ) as submitter:
            try:
                out, _ = submitter.communicate(script.encode(), timeout=chance.choice([0.03, 0.05, 0.08, 30]))
            except subprocess.TimeoutExpired:
                submitter.kill()
                out = b""
            if out:
                answered[int(out.split(b'"')[3])] = str(number)
        if chance.random() < 0.15 and (alive := queue.store.rows("state = 'running'")):
            process.send([int(chance.choice(alive)["pid"])], signal.SIGKILL)
    until(lambda: not queue.status(), 60)
    assert answered, "no command was left alive"
    history = {int(str(job["id"])): job for job in queue.history(list(answered))}
    assert {job: row["name"] for job, row in history.items()} == answered
    ran = [line.split() for line in journal.read_text().splitlines()]
    starts = [line[1] for line in ran if line[0] == "+"]
    assert len(starts) == len(set(starts)), "a job ran twice"
    completed = {row["name"] for row in history.values() if row["reason"] == "completed"}
    assert completed <= {line[1] for line in ran if line[0] == "-"}
    killed = {name for name in starts if name not in {line[1] for line in ran if line[0] == "-"}}
    load: dict[str, int] = {}
    for sign, name, cores_, _, node in sorted(ran, key=lambda line: float(line[3])):
        if name not in killed:
            load[node] = load.get(node, 0) + (int(cores_) if sign == "+" else -int(cores_))
            assert load[node] <= NODE.cores
