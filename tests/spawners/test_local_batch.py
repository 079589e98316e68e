"""The words of the embedded batch system, against the program itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perijove.spawners.batch import BatchError, BatchProblem, BatchSystem, Command, Output, batch_system
from perijove.spawners.centre import parse
from perijove.spawners.job import JobSpec, JobState, Reason
from perijove.spawners.localqueue import LocalQueue
from perijove.spawners.localqueue_process import this_python


def centre_at(root: str | None) -> Any:
    scheduler = {"system": "local", **({"root": root} if root else {})}
    return parse(
        {
            "id": "here",
            "name": {"en": "Here", "zh": "这里"},
            "scheduler": scheduler,
            "environment": {"python": "/usr/bin/python3"},
            "queues": [{"name": "batch", "nodes": 1, "cores": 2, "memory": "4G"}],
        }
    )


def spec(directory: Path, *command: str, cores: int = 2) -> JobSpec:
    return JobSpec("abc0123456789", "batch", cores, 100, 0, 60, str(directory), command)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[Command], Output]:
    def run(command: Command) -> Output:
        assert command.argv[0] == "perijove-localqueue"
        done = subprocess.run(
            this_python(*command.argv[1:]),
            input=command.stdin,
            text=True,
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        return Output(done.returncode, done.stdout, done.stderr)

    return run


def test_the_five_questions_are_answered(tmp_path: Path, ask: Callable[[Command], Output]) -> None:
    root = str(tmp_path / "root")
    system = batch_system(centre_at(root))
    try:
        first, second = (system.parse_submit(ask(system.submit(spec(tmp_path, "/bin/sleep", "100")))) for _ in range(2))
        one, two = system.parse_status(ask(system.status()))
        assert (one.job_id, one.state, one.node) == (first, JobState.RUNNING, "127.0.0.1")
        assert (two.job_id, two.state, two.reason) == (second, JobState.QUEUED, Reason.RESOURCES)
        assert two.expected == one.started + timedelta(seconds=60) if one.started else False
        assert two.name == spec(tmp_path).name
        third = system.parse_submit(ask(system.submit(spec(tmp_path, "/bin/sleep", "100"))))
        assert [job.ahead for job in system.parse_status(ask(system.status()))] == [None, 0, 1]
        system.parse_cancel(ask(system.cancel([third])))
        (there,) = system.parse_queues(ask(system.queues()))
        assert (there.cores, there.cores_free, there.jobs_running, there.jobs_queued) == (2, 0, 1, 1)
        estimate = system.estimate(spec(tmp_path))
        assert estimate is not None
        expected = system.parse_estimate(ask(estimate))
        assert expected is not None and expected > datetime.now(UTC) + timedelta(seconds=100)
        system.parse_cancel(ask(system.cancel([second])))
        history = system.history([first, second])
        assert history is not None
        (gone,) = system.parse_history(ask(history))
        assert (gone.job_id, gone.state, gone.reason) == (second, JobState.ENDED, Reason.CANCELLED)
        with pytest.raises(BatchError) as refused:
            system.parse_submit(ask(system.submit(spec(tmp_path, "/bin/true", cores=3))))
        assert refused.value.problem is BatchProblem.REFUSED
    finally:
        LocalQueue(root).clean_up(0)


def test_a_renamed_command_and_a_root_of_its_own() -> None:
    system = batch_system(centre_at(None))
    assert system.status().argv[:4] == ("perijove-localqueue", "status", "--root", "~/.perijove-local/here")
    assert "batch:1:2:4096:0" in system.status().argv


@given(st.one_of(st.text(max_size=50), st.sampled_from(["[]", "{}", '{"jobs": 1}', '{"jobs": [1, {}]}', "[" * 9999])))
def test_an_answer_that_makes_no_sense_is_unreadable_never_a_crash(text: str) -> None:
    system: BatchSystem = batch_system(centre_at("/r"))
    for read in (system.parse_submit, system.parse_status, system.parse_queues, system.parse_history):
        try:
            read(Output(0, text))
        except BatchError as error:
            assert error.problem is BatchProblem.UNREADABLE


@pytest.mark.parametrize(
    ("status", "problem"), [(1, BatchProblem.REFUSED), (75, BatchProblem.UNAVAILABLE), (127, BatchProblem.UNAVAILABLE)]
)
def test_only_the_programs_own_no_is_a_refusal(status: int, problem: BatchProblem) -> None:
    with pytest.raises(BatchError) as error:
        batch_system(centre_at("/r")).parse_status(Output(status, "", "words"))
    assert error.value.problem is problem
