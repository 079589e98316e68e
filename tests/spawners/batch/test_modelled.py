"""PBS, LSF, HTCondor and OAR, against transcripts that were NOT recorded: each file says what it is modelled on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Output
from perijove.spawners.batch.htcondor import HTCondor
from perijove.spawners.batch.lsf import LSF, time_of
from perijove.spawners.batch.oar import OAR
from perijove.spawners.batch.pbs import PBS
from perijove.spawners.centre import Scheduler
from perijove.spawners.job import JobSpec, JobState, JobStatus, Reason

Read = Callable[[str], Output]
PRO = PBS(Scheduler(system="pbs"))
TORQUE = PBS(Scheduler(system="pbs", dialect="torque"))
BSUB = LSF(Scheduler(system="lsf"))
CONDOR = HTCondor(Scheduler(system="htcondor"))
OARSUB = OAR(Scheduler(system="oar"))
Q, R, S, E, X = JobState.QUEUED, JobState.RUNNING, JobState.STARTING, JobState.ENDING, JobState.ENDED


def told(jobs: list[JobStatus]) -> dict[str, tuple[JobState, Reason]]:
    return {job.name.removeprefix("pjabc")[0]: (job.state, job.reason) for job in jobs}


def test_pbs_asks_for_a_chunk_and_torque_for_a_node(job: JobSpec) -> None:
    lines = PRO.script(replace(job, gpus=2)).splitlines()
    assert "#PBS -l select=1:ncpus=4:mem=4097mb:ngpus=2" in lines and "#PBS -l walltime=1:00:01" in lines
    assert "exec >>log 2>&1" in lines and "#PBS -o batch.log" in lines
    assert {"#PBS -l nodes=1:ppn=4", "#PBS -l mem=4097mb"} <= set(TORQUE.script(job).splitlines())


def test_pbs_listing(transcript: Read) -> None:
    jobs = PRO.parse_status(transcript("pbs-status.txt"))
    assert told(jobs) == {
        "a": (R, Reason.NONE),
        "b": (Q, Reason.RESOURCES),
        "c": (Q, Reason.HELD_PERSON),
        "d": (Q, Reason.NEVER),
        "e": (E, Reason.NONE),
    }
    assert (jobs[0].node, jobs[0].user, jobs[0].restarts, jobs[0].core_seconds) == ("cn24", "ann", 1, 400)
    assert jobs[0].started == datetime(2026, 11, 3, 21, 23, 33, tzinfo=UTC)
    assert jobs[1].expected == datetime(2026, 11, 3, 23, tzinfo=UTC) and jobs[1].node is None


def test_pbs_history(transcript: Read) -> None:
    assert told(PRO.parse_history(transcript("pbs-history.txt"))) == {
        "a": (X, Reason.COMPLETED),
        "b": (X, Reason.WALLTIME),
        "c": (X, Reason.MEMORY),
        "d": (X, Reason.CANCELLED),
        "e": (X, Reason.CANCELLED),
        "f": (X, Reason.FAILED),
        "g": (X, Reason.LAUNCH_FAILED),
    }
    assert PRO.parse_history(Output(1, "", "qstat: PBS is not configured to maintain job history\n")) == []
    assert PRO.parse_history(Output(153, "", "qstat: Unknown Job Id 9.pbs1\n")) == []


def test_torque_lists_ended_jobs_too(transcript: Read) -> None:
    jobs = TORQUE.parse_status(transcript("torque-status.txt"))
    assert told(jobs) == {
        "a": (R, Reason.NONE),
        "b": (Q, Reason.RESOURCES),
        "c": (X, Reason.COMPLETED),
        "d": (X, Reason.WALLTIME),
        "e": (X, Reason.CANCELLED),
        "f": (X, Reason.WALLTIME),
        "g": (X, Reason.MEMORY),
    }
    assert jobs[0].node == "comp014" and jobs[2].core_seconds == 14
    assert TORQUE.parse_status(Output(0, "")) == [] and TORQUE.history(["1.mgt"]) is None


def test_a_forged_job_makes_a_listing_unreadable() -> None:
    forged = '{"Jobs":{"1.a":{"job_state":"R"},"1.a":{"job_state":"F"}}}'
    with pytest.raises(BatchError) as caught:
        PRO.parse_status(Output(0, forged))
    assert caught.value.problem is BatchProblem.UNREADABLE


def test_pbs_queues(transcript: Read) -> None:
    work, debug = PRO.parse_queues(transcript("pbs-queues.txt"))
    assert (work.name, work.open, work.jobs_running, work.jobs_queued) == ("work", True, 805, 165)
    assert not debug.open


def test_lsf_asks_with_units_and_in_minutes(job: JobSpec) -> None:
    lines = BSUB.script(replace(job, gpus=1)).splitlines()
    wanted = {"#BSUB -W 61", "#BSUB -M 4097MB", '#BSUB -gpu "num=1"', "#BSUB -env none", "#BSUB -P climate"}
    assert wanted | {'#BSUB -R "span[hosts=1] rusage[mem=4097MB]"'} <= set(lines)


def test_lsf_listing(transcript: Read) -> None:
    jobs = BSUB.parse_status(transcript("lsf-status.txt"))
    assert told(jobs) == {
        "a": (R, Reason.NONE),
        "b": (Q, Reason.LIMIT_PERSON),
        "c": (Q, Reason.NEVER),
        "d": (X, Reason.COMPLETED),
        "e": (X, Reason.WALLTIME),
        "f": (X, Reason.MEMORY),
        "g": (X, Reason.FAILED),
    }
    assert jobs[0].node == "cn020" and jobs[0].core_seconds == 244 and jobs[-1].exit_code == 3
    assert BSUB.parse_status(Output(255, "", "No job found\n")) == []


def test_lsf_times_are_in_the_nearest_year() -> None:
    new_year = datetime(2027, 1, 1, 0, 10, tzinfo=UTC)
    assert time_of("Dec 31 23:50", new_year) == datetime(2026, 12, 31, 23, 50, tzinfo=UTC)
    assert time_of("Jan  1 00:20 E", new_year) == datetime(2027, 1, 1, 0, 20, tzinfo=UTC)
    assert time_of("Dec 20 16:25:01 2024", new_year) == datetime(2024, 12, 20, 16, 25, 1, tzinfo=UTC)
    assert time_of("-", new_year) is None


def test_lsf_queues(transcript: Read) -> None:
    normal, night = BSUB.parse_queues(transcript("lsf-queues.txt"))
    assert (normal.name, normal.open, normal.jobs_queued) == ("normal", True, 12) and not night.open


def test_condor_listing(transcript: Read) -> None:
    jobs = CONDOR.parse_status(transcript("htcondor-status.txt"))
    assert told(jobs) == {
        "a": (R, Reason.NONE),
        "b": (Q, Reason.NONE),
        "c": (Q, Reason.MEMORY),
        "d": (Q, Reason.HELD_PERSON),
    }
    assert (jobs[0].job_id, jobs[0].node, jobs[0].restarts) == ("301.0", "cn11.example.org", 1)
    assert CONDOR.parse_status(Output(0, "")) == []


def test_condor_history(transcript: Read) -> None:
    jobs = CONDOR.parse_history(transcript("htcondor-history.txt"))
    assert told(jobs) == {
        "a": (X, Reason.COMPLETED),
        "b": (X, Reason.WALLTIME),
        "c": (X, Reason.CANCELLED),
        "d": (X, Reason.FAILED),
    }
    assert jobs[0].core_seconds == 400 and jobs[3].signal == 9


def test_condor_pool(transcript: Read) -> None:
    (pool,) = CONDOR.parse_queues(transcript("htcondor-queues.txt"))
    assert (pool.cores, pool.cores_free) == (18, 6)


def test_oar_listing(transcript: Read) -> None:
    jobs = OARSUB.parse_status(transcript("oar-status.txt"))
    assert told(jobs) == {
        "a": (R, Reason.NONE),
        "b": (Q, Reason.NONE),
        "c": (X, Reason.WALLTIME),
        "d": (X, Reason.CANCELLED),
        "e": (X, Reason.FAILED),
        "f": (X, Reason.COMPLETED),
        "g": (E, Reason.NONE),
    }
    assert (jobs[0].node, jobs[1].node) == ("gengar-1", None)
    assert jobs[1].expected == datetime.fromtimestamp(1751990000, UTC)
    assert jobs[2].core_seconds == 120 and jobs[4].exit_code == 3
    assert OARSUB.parse_status(Output(0, "null\n")) == []


def test_oar_pool(transcript: Read) -> None:
    (pool,) = OARSUB.parse_queues(transcript("oar-queues.txt"))
    assert (pool.cores, pool.cores_free, pool.cores_down) == (3, 1, 1)


@pytest.mark.parametrize(
    ("system", "answer", "job_id"),
    [
        (PRO, "1234.pbs1\n", "1234.pbs1"),
        (TORQUE, "77.mgt.example.org\n", "77.mgt.example.org"),
        (BSUB, "Job <5678> is submitted to queue <normal>.\n", "5678"),
        (CONDOR, "12.0 - 12.0\n", "12.0"),
        (OARSUB, '[ADMISSION RULE] Modify...\n{\n   "job_id" : 42\n}\n', "42"),
        (OARSUB, "OAR_JOB_ID=43\n", "43"),
    ],
)
def test_a_submission_gives_the_id(system: BatchSystem, answer: str, job_id: str) -> None:
    assert system.parse_submit(Output(0, answer)) == job_id
    assert system.cancel([job_id]).argv[-1] == job_id


@pytest.mark.parametrize(
    ("system", "status", "words"),
    [
        (PRO, 1, "qstat: cannot connect to server pbs1 (errno=15010)"),
        (TORQUE, 111, "pbs_iff: cannot connect to mgt:15001 - fatal error, errno=111 (Connection refused)"),
        (BSUB, 255, "LSF is down. Please wait ..."),
        (BSUB, 255, "batch daemon not responding ... still trying"),
        (CONDOR, 1, "-- Failed to fetch ads from: <10.0.0.1:9618> : ap1"),
        (OARSUB, 1, "DB connection error, exiting."),
    ],
)
def test_a_server_that_is_down_is_no_answer(system: BatchSystem, status: int, words: str) -> None:
    for parse in (system.parse_status, system.parse_submit, system.parse_cancel, system.parse_queues):
        with pytest.raises(BatchError) as caught:
            parse(Output(status, "", words))
        assert caught.value.problem is BatchProblem.UNAVAILABLE


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (PRO, "qsub: Unknown queue"),
        (TORQUE, "qsub: submit error (Unknown queue MSG=cannot locate queue)"),
        (BSUB, "nosuch: No such queue. Job not submitted."),
        (CONDOR, "ERROR: Failed to commit job submission into the queue."),
        (OARSUB, "Admission Rule ERROR : queue nosuch does not exist"),
    ],
)
def test_a_refusal_says_why(system: BatchSystem, words: str) -> None:
    with pytest.raises(BatchError) as caught:
        system.parse_submit(Output(1, "", words))
    assert (caught.value.problem, caught.value.detail) == (BatchProblem.REFUSED, words)


@pytest.mark.parametrize(
    ("system", "gone", "forbidden"),
    [
        (PRO, "qdel: Unknown Job Id 9.pbs1", "qdel: Unauthorized Request  9.pbs1"),
        (PRO, "qdel: Job has finished 9.pbs1", "qdel: Unauthorized Request  9.pbs1"),
        (TORQUE, "qdel: Unknown Job Id Error 9.mgt", "qdel: Unauthorized Request  MSG=operation not permitted 9.mgt"),
        (BSUB, "Job <9>: No matching job found", "Job <9>: User permission denied"),
        (BSUB, "Job <9>: Job has already finished", "Job <9>: User permission denied"),
        (CONDOR, "Job 9.0 not found", "Permission denied to remove job 9.0"),
        (OARSUB, "Cannot frag 9 ; this job was already killed", "Cannot frag 9 ; You are not the right user"),
    ],
)
def test_cancelling_what_is_gone_is_fine_and_of_another_is_not(system: BatchSystem, gone: str, forbidden: str) -> None:
    system.parse_cancel(Output(1, "", gone))
    with pytest.raises(BatchError) as caught:
        system.parse_cancel(Output(1, "", forbidden))
    assert caught.value.problem is BatchProblem.NOT_ALLOWED
