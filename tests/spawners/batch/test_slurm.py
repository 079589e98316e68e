"""Slurm, against what Slurm 22.05 really printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from perijove.spawners.batch.base import BatchError, BatchProblem, Output
from perijove.spawners.batch.slurm import Slurm, reason_in_log
from perijove.spawners.batch.slurm_rows import first_node
from perijove.spawners.batch.slurm_words import reason_of
from perijove.spawners.centre import Scheduler
from perijove.spawners.job import JobSpec, JobState, JobStatus, Reason

Read = Callable[[str], Output]
SLURM = Slurm(Scheduler(system="slurm"))


def by_name(jobs: list[JobStatus]) -> dict[str, JobStatus]:
    return {job.name.removeprefix("pjabc")[:1] if job.name.startswith("pj") else job.name: job for job in jobs}


def test_the_script_asks_for_one_node_and_rounds_time_up(job: JobSpec) -> None:
    lines = SLURM.script(replace(job, gpus=2, gpu_type="a100")).splitlines()
    assert lines[0] == "#!/bin/bash"
    options = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    assert {"--nodes=1", "--ntasks=1", "--cpus-per-task=4", "--mem=4097M", "--time=61"} <= set(options)
    assert {"--gres=gpu:a100:2", "--account=climate", "--output=log", "--export=NONE"} <= set(options)
    assert f"--comment=perijove/{job.session}" in options
    assert lines[-1].startswith("exec /opt/py/bin/python -m perijove.spawners.agent ")


def test_a_site_can_rename_commands_and_add_options(job: JobSpec) -> None:
    slurm = Slurm(Scheduler(system="slurm", commands={"sbatch": "yhbatch"}, extra=("--qos=normal",)))
    assert slurm.submit(job).argv[0] == "yhbatch"
    assert "#SBATCH --qos=normal" in slurm.submit(job).stdin


def test_the_separator_of_a_query_cannot_be_guessed() -> None:
    assert SLURM.status().argv != SLURM.status().argv
    assert "--user=a,b" in SLURM.status(["a", "b"]).argv


def test_a_submission_gives_the_id(transcript: Read) -> None:
    assert SLURM.parse_submit(transcript("slurm-submit.txt")) == "35"
    assert SLURM.parse_submit(Output(0, "77;tianjin\n")) == "77"


@pytest.mark.parametrize("name", ["slurm-refused-partition.txt", "slurm-refused-memory.txt"])
def test_a_refused_submission_says_why(transcript: Read, name: str) -> None:
    with pytest.raises(BatchError, match=r"Batch job submission failed: \w+") as caught:
        SLURM.parse_submit(transcript(name))
    assert caught.value.problem is BatchProblem.REFUSED


@pytest.mark.parametrize("answer", ["submit", "status", "cancel", "queues", "estimate"])
def test_a_controller_that_is_down_is_no_answer(transcript: Read, answer: str) -> None:
    with pytest.raises(BatchError) as caught:
        getattr(SLURM, f"parse_{answer}")(transcript(f"slurm-down-{answer}.txt"))
    assert caught.value.problem is BatchProblem.UNAVAILABLE


def test_one_listing_tells_how_all_jobs_are(transcript: Read) -> None:
    jobs = by_name(SLURM.parse_status(transcript("slurm-status.txt")))
    assert {name: (job.state, job.reason) for name, job in jobs.items() if job.state is not JobState.ENDED} == {
        "a": (JobState.RUNNING, Reason.NONE),
        "c": (JobState.RUNNING, Reason.NONE),
        "e": (JobState.QUEUED, Reason.RESOURCES),
        "f": (JobState.QUEUED, Reason.PRIORITY),
        "g": (JobState.QUEUED, Reason.PRIORITY),
        "h": (JobState.QUEUED, Reason.QUEUE_CLOSED),
        "j": (JobState.QUEUED, Reason.REQUEUED),
        "k": (JobState.QUEUED, Reason.NEVER),
        "l": (JobState.QUEUED, Reason.PRIORITY),
        "m": (JobState.QUEUED, Reason.PRIORITY),
        "n": (JobState.QUEUED, Reason.HELD_PERSON),
        "o": (JobState.QUEUED, Reason.BEGIN_TIME),
        "p": (JobState.QUEUED, Reason.DEPENDENCY),
        "line": (JobState.RUNNING, Reason.NONE),
    }
    assert jobs["a"].node == "n1" and jobs["a"].user == "pjbatch"
    assert jobs["a"].submitted == jobs["a"].started == datetime(2026, 11, 24, 1, 43, 36, tzinfo=UTC)
    assert jobs["a"].core_seconds == 18  # 2 cores, 9 seconds
    assert jobs["e"].expected == datetime(2026, 11, 24, 1, 48, 36, tzinfo=UTC) and jobs["e"].started is None
    assert jobs["j"].restarts == 1


def test_the_listing_tells_how_jobs_ended(transcript: Read) -> None:
    jobs = by_name(SLURM.parse_status(transcript("slurm-status.txt")))
    assert (jobs["b"].reason, jobs["b"].exit_code) == (Reason.FAILED, 1)
    assert (jobs["d"].reason, jobs["d"].signal) == (Reason.FAILED, 9)  # over memory; see reason_in_log
    assert (jobs["i"].reason, jobs["i"].started) == (Reason.CANCELLED, None)
    assert jobs["q"].reason is Reason.LAUNCH_FAILED
    later = by_name(SLURM.parse_status(transcript("slurm-status-later.txt")))
    assert later["a"].reason is Reason.CANCELLED and later["a"].started is not None
    assert later["c"].reason is Reason.WALLTIME and later["c"].ended is not None
    assert (later["d"].reason, later["d"].exit_code) == (Reason.COMPLETED, 0)


def test_the_log_tells_a_memory_kill_from_any_other() -> None:
    recorded = (
        "slurmstepd-n2: error: StepId=6.batch exceeded memory limit (535195648 > 209715200), being killed\n"
        "slurmstepd-n2: error: Exceeded job memory limit\n"
        "slurmstepd-n2: error: *** JOB 6 ON n2 CANCELLED AT 2026-11-24T00:32:27 ***\n"
    )
    assert reason_in_log(recorded) is Reason.MEMORY
    late = "slurmstepd-n1: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-24T00:33:51 DUE TO TIME LIMIT ***\n"
    assert reason_in_log(late) is Reason.WALLTIME
    assert reason_in_log("my own memory limit\n") is Reason.NONE


def test_a_name_cannot_forge_a_line(transcript: Read) -> None:
    real = transcript("slurm-status.txt").stdout
    forged = "x\n35=pjbatch=COMPLETED=None=0=0=0=0:00=1=n/a==0=0=pjabcaaaaaaaaaa="
    jobs = SLURM.parse_status(Output(0, real.replace("line\nbreak|=", forged)))
    assert [job.state for job in jobs if job.job_id == "35"] == [JobState.RUNNING]


def test_a_listing_without_header_is_unreadable() -> None:
    with pytest.raises(BatchError) as caught:
        SLURM.parse_status(Output(0, "<html>login</html>"))
    assert caught.value.problem is BatchProblem.UNREADABLE


def test_history_without_accounting_knows_nothing(transcript: Read) -> None:
    assert SLURM.parse_history(transcript("slurm-history-disabled.txt")) == []


def test_history_reads_sacct(transcript: Read) -> None:
    jobs = {job.job_id: job for job in SLURM.parse_history(transcript("slurm-history-modelled.txt"))}
    assert {job_id: job.reason for job_id, job in jobs.items()} == {
        "101": Reason.COMPLETED,
        "102": Reason.MEMORY,
        "103": Reason.CANCELLED,
        "104": Reason.NODE_FAILED,
    }
    assert jobs["102"].signal == 125 and jobs["102"].core_seconds == 480
    assert jobs["101"].node == "cn03"


def test_cancelling_what_is_gone_is_fine(transcript: Read) -> None:
    for name in ("slurm-cancel.txt", "slurm-cancel-unknown.txt", "slurm-cancel-ended.txt"):
        SLURM.parse_cancel(transcript(name))
    SLURM.parse_cancel(Output(1, "", "scancel: error: Kill job error on job id 9: Invalid job id specified\n"))


def test_cancelling_the_job_of_another_is_not_allowed(transcript: Read) -> None:
    with pytest.raises(BatchError) as caught:
        SLURM.parse_cancel(transcript("slurm-cancel-not-allowed.txt"))
    assert caught.value.problem is BatchProblem.NOT_ALLOWED


@pytest.mark.parametrize("job_id", ["", "-f", "1 2", "1;2", "abc", "--user=root", "1\n"])
def test_only_numbers_are_cancelled(job_id: str) -> None:
    with pytest.raises(ValueError, match="job_ids"):
        SLURM.cancel([job_id])


def test_queues_with_their_cores(transcript: Read) -> None:
    queues = {queue.name: queue for queue in SLURM.parse_queues(transcript("slurm-queues.txt"))}
    assert set(queues) == {"small", "gpu", "closed"}
    assert queues["small"].cores == 8 and queues["small"].cores_free == 4 and queues["small"].open
    assert not queues["closed"].open


def test_an_estimate_or_never(transcript: Read) -> None:
    assert SLURM.parse_estimate(transcript("slurm-estimate.txt")) == datetime(2026, 11, 24, 4, 48, 45, tzinfo=UTC)
    with pytest.raises(BatchError) as caught:
        SLURM.parse_estimate(transcript("slurm-estimate-never.txt"))
    assert caught.value.problem is BatchProblem.REFUSED


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n[1-2]", "n1"),
        ("n[01,03-07],m2", "n01"),
        ("r[1-2]c[3-4]", "r1c3"),
        ("a,b", "a"),
        ("", None),
        ("(null)", None),
        ("None assigned", None),
        ("n[1-2", None),
    ],
)
def test_the_first_node_of_a_host_list(nodes: str, first: str | None) -> None:
    assert first_node(nodes) == first


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("None", Reason.NONE),
        ("AssocGrpCPUMinutesLimit", Reason.LIMIT_ACCOUNT),
        ("QOSMaxJobsPerUserLimit", Reason.LIMIT_PERSON),
        ("QOSGrpCpuLimit", Reason.LIMIT_QUEUE),
        ("QOSMaxWallDurationPerJobLimit", Reason.NEVER),
        ("MaxCpuPerAccount", Reason.LIMIT_ACCOUNT),
        ("ReqNodeNotAvail, Reserved for maintenance", Reason.MAINTENANCE),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-5]", Reason.NODES_DOWN),
        ("launch failed requeued held", Reason.LAUNCH_FAILED),
        ("Nodes required for job are DOWN, DRAINED or reserved", Reason.NODES_DOWN),
        ("SomethingNew", Reason.OTHER),
    ],
)
def test_reasons(word: str, reason: Reason) -> None:
    assert reason_of(word) is reason
