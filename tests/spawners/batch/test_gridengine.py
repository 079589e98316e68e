"""Grid Engine, against what Grid Engine 8.1.9 really printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from perijove.spawners.batch.base import BatchError, BatchProblem, Output
from perijove.spawners.batch.gridengine import GridEngine, state_of
from perijove.spawners.centre import Scheduler
from perijove.spawners.job import JobSpec, JobState, Reason

Read = Callable[[str], Output]
ENGINE = GridEngine(Scheduler(system="gridengine", memory_resource="memory"))


def options(engine: GridEngine, job: JobSpec) -> set[str]:
    return {line.removeprefix("#$ ") for line in engine.script(job).splitlines() if line.startswith("#$ ")}


def test_memory_is_asked_for_per_slot_and_rounded_up(job: JobSpec) -> None:
    assert {"-pe smp 4", "-l memory=1025M", "-l h_rt=1:00:01", "-P climate", "-o log", "-j y"} <= options(ENGINE, job)
    single = options(ENGINE, replace(job, cores=1))
    assert "-l memory=4097M" in single and not any(option.startswith("-pe") for option in single)


def test_a_site_without_memory_resource_is_not_asked_for_memory(job: JobSpec) -> None:
    plain = GridEngine(Scheduler(system="gridengine", extra=("-p=-10",)))
    assert not any("M" in option for option in options(plain, job))
    assert "-p -10" in options(plain, job)


def test_a_submission_gives_the_id(transcript: Read) -> None:
    assert ENGINE.parse_submit(transcript("gridengine-submit.txt")) == "24"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("queue", "unknown queue"),
        ("cores", "no suitable queues"),
        ("memory", "no suitable queues"),
        ("time", "no suitable queues"),
        ("project", "project .* does not exist"),
    ],
)
def test_a_refused_submission_says_why(transcript: Read, what: str, words: str) -> None:
    with pytest.raises(BatchError, match=words) as caught:
        ENGINE.parse_submit(transcript(f"gridengine-refused-{what}.txt"))
    assert caught.value.problem is BatchProblem.REFUSED


@pytest.mark.parametrize("answer", ["submit", "status", "cancel", "queues", "estimate"])
def test_a_qmaster_that_is_down_is_no_answer(transcript: Read, answer: str) -> None:
    with pytest.raises(BatchError) as caught:
        getattr(ENGINE, f"parse_{answer}")(transcript(f"gridengine-down-{answer}.txt"))
    assert caught.value.problem is BatchProblem.UNAVAILABLE


def test_one_listing_tells_how_all_jobs_are(transcript: Read) -> None:
    jobs = {job.job_id: job for job in ENGINE.parse_status(transcript("gridengine-status.txt"))}
    assert {job_id: (job.state, job.reason) for job_id, job in jobs.items()} == {
        "24": (JobState.RUNNING, Reason.NONE),
        "29": (JobState.QUEUED, Reason.HELD_CENTRE),
        "30": (JobState.QUEUED, Reason.DEPENDENCY),
        "31": (JobState.QUEUED, Reason.LAUNCH_FAILED),
        "32": (JobState.QUEUED, Reason.NONE),
        "34": (JobState.QUEUED, Reason.REQUEUED),
    }
    running = jobs["24"]
    assert (running.name, running.node, running.user) == ("pjabcaaaaaaaaaa", "sge1", "pjbatch")
    assert running.started == datetime(2026, 11, 24, 1, 53, 3, tzinfo=UTC)
    assert jobs["32"].submitted == datetime(2026, 11, 24, 1, 53, 4, tzinfo=UTC)


def test_the_accounting_tells_how_jobs_ended(transcript: Read) -> None:
    jobs = {job.job_id: job for job in ENGINE.parse_history(transcript("gridengine-history.txt"))}
    assert (jobs["25"].reason, jobs["25"].exit_code) == (Reason.FAILED, 1)
    assert (jobs["26"].reason, jobs["26"].signal) == (Reason.WALLTIME, 9)
    assert (jobs["27"].reason, jobs["27"].exit_code) == (Reason.COMPLETED, 0)
    assert (jobs["28"].reason, jobs["28"].signal) == (Reason.FAILED, 9)
    assert (jobs["34"].reason, jobs["34"].restarts) == (Reason.COMPLETED, 1)
    assert jobs["24"].core_seconds == 60 and jobs["24"].node == "sge1"
    assert jobs["24"].ended == datetime(2026, 11, 24, 1, 53, 33, tzinfo=UTC)
    assert [job.job_id for job in ENGINE.parse_history(transcript("gridengine-history-one.txt"))] == ["26"]
    assert ENGINE.parse_history(transcript("gridengine-history-unknown.txt")) == []


def test_one_job_is_asked_for_by_id_and_several_by_our_name() -> None:
    assert ENGINE.history(["26"]).argv == ("qacct", "-j", "26")
    assert ENGINE.history(["26", "27"]).argv[-2:] == ("-j", "pj*")


def test_cancelling_what_is_gone_is_fine(transcript: Read) -> None:
    ENGINE.parse_cancel(transcript("gridengine-cancel.txt"))
    ENGINE.parse_cancel(transcript("gridengine-cancel-unknown.txt"))


def test_cancelling_the_job_of_another_is_not_allowed(transcript: Read) -> None:
    with pytest.raises(BatchError) as caught:
        ENGINE.parse_cancel(transcript("gridengine-cancel-not-allowed.txt"))
    assert caught.value.problem is BatchProblem.NOT_ALLOWED


def test_queues_with_their_slots(transcript: Read) -> None:
    queues = {queue.name: queue for queue in ENGINE.parse_queues(transcript("gridengine-queues.txt"))}
    assert queues["small.q"].open and (queues["small.q"].cores, queues["small.q"].cores_free) == (4, 2)
    assert not queues["tiny.q"].open and queues["tiny.q"].cores_down == 4


def test_a_dry_run_says_never_or_nothing(transcript: Read, job: JobSpec) -> None:
    assert "-w e" not in ENGINE.estimate(job).stdin
    assert ENGINE.parse_estimate(transcript("gridengine-estimate.txt")) is None
    with pytest.raises(BatchError, match="no suitable queues") as caught:
        ENGINE.parse_estimate(transcript("gridengine-estimate-never.txt"))
    assert caught.value.problem is BatchProblem.REFUSED


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        ("qw", JobState.QUEUED),
        ("hRwq", JobState.QUEUED),
        ("Eqw", JobState.QUEUED),
        ("t", JobState.STARTING),
        ("r", JobState.RUNNING),
        ("Rr", JobState.RUNNING),
        ("ts", JobState.SUSPENDED),
        ("S", JobState.SUSPENDED),
        ("T", JobState.SUSPENDED),
        ("dr", JobState.ENDING),
        ("dRt", JobState.ENDING),
        ("", JobState.UNKNOWN),
        ("?", JobState.UNKNOWN),
    ],
)
def test_states(letters: str, state: JobState) -> None:
    assert state_of(letters)[0] is state
