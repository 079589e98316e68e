"""Job arrays, at all batch systems: Slurm and Grid Engine against what they really printed, the others as modelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from perijove.spawners.batch.base import BatchSystem, Output
from perijove.spawners.batch.gridengine import GridEngine
from perijove.spawners.batch.htcondor import HTCondor
from perijove.spawners.batch.lsf import LSF
from perijove.spawners.batch.oar import OAR
from perijove.spawners.batch.pbs import PBS
from perijove.spawners.batch.slurm import Slurm
from perijove.spawners.centre import Scheduler
from perijove.spawners.job import JobSpec, JobState, JobStatus, Reason

Read = Callable[[str], Output]
SLURM = Slurm(Scheduler(system="slurm"))
SGE = GridEngine(Scheduler(system="gridengine"))
PRO = PBS(Scheduler(system="pbs"))
TORQUE = PBS(Scheduler(system="pbs", dialect="torque"))
BSUB = LSF(Scheduler(system="lsf"))
CONDOR = HTCondor(Scheduler(system="htcondor"))
OARSUB = OAR(Scheduler(system="oar"))
Q, R, X = JobState.QUEUED, JobState.RUNNING, JobState.ENDED
SYSTEMS = [SLURM, SGE, PRO, TORQUE, BSUB, CONDOR, OARSUB]


def tasks(jobs: list[JobStatus], job_id: str) -> dict[int | None, tuple[JobState, Reason]]:
    return {job.task: (job.state, job.reason) for job in jobs if job.job_id == job_id}


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        (SLURM, {"#SBATCH --array=1-20", "#SBATCH --output=log.%a"}),
        (SGE, {"#$ -t 1-20", "#$ -o log.$TASK_ID"}),
        (PRO, {"#PBS -J 1-20", 'exec >>"log.$PBS_ARRAY_INDEX" 2>&1'}),
        (TORQUE, {"#PBS -t 1-20", 'exec >>"log.$PBS_ARRAYID" 2>&1'}),
        (BSUB, {'#BSUB -J "pjabcdefghij234[1-20]"', 'exec >>"log.$LSB_JOBINDEX" 2>&1'}),
        (CONDOR, {"queue 20", "output = log.$INT(PerijoveTask)", 'environment = "PERIJOVE_TASK=$INT(PerijoveTask)"'}),
        (OARSUB, {"#OAR --array 20", "#OAR -O batch.20.log", 'exec >>"log.$OAR_ARRAY_INDEX" 2>&1'}),
    ],
)
def test_one_script_asks_for_all_tasks_and_gives_each_its_log(
    system: BatchSystem, wanted: set[str], job: JobSpec
) -> None:
    lines = system.submit(replace(job, tasks=20)).stdin or system.script(replace(job, tasks=20))
    assert wanted <= set(lines.splitlines())
    assert not wanted & set(system.script(job).splitlines())


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("number", [-1, 10_001, True, "3"])
def test_a_number_of_tasks_that_is_none_is_refused(system: BatchSystem, number: int, job: JobSpec) -> None:
    with pytest.raises(ValueError, match="tasks"):
        system.submit(replace(job, tasks=number))


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_asked_for_is_asked_for_each_task_and_an_estimate_is_of_one(system: BatchSystem, job: JobSpec) -> None:
    def resources(script: str) -> list[str]:
        words = ("--mem", "--cpus", "h_rt", "walltime", "select", "rusage", "request_", "ppn", "core=")
        return [line for line in script.splitlines() if any(word in line for word in words)]

    assert resources(system.script(replace(job, tasks=20))) == resources(system.script(job)) != []
    assert system.estimate(replace(job, tasks=20)) == system.estimate(job)


def test_oar_and_pbs_have_an_array_of_one() -> None:
    assert "#PBS -J 1-2:2" in PRO.script(JobSpec("abcdefghij234", "q", 1, 1, 0, 60, "~/x", ("/bin/true",), tasks=1))


@pytest.mark.parametrize(
    ("system", "answer", "array", "task"),
    [
        (SLURM, "35\n", "35", "35_4"),
        (SLURM, "35;tianjin\n", "35", "35_4"),
        (SGE, "7.1-20:1\n", "7", "7.4"),
        (PRO, "1234[].pbs1\n", "1234[].pbs1", "1234[4].pbs1"),
        (TORQUE, "77[].mgt.example.org\n", "77[].mgt.example.org", "77[4].mgt.example.org"),
        (BSUB, "Job <5678> is submitted to queue <normal>.\n", "5678", "5678[4]"),
        (CONDOR, "12.0 - 12.19\n", "12", "12.3"),
        (OARSUB, "OAR_JOB_ID=43\nOAR_JOB_ID=44\nOAR_ARRAY_ID=43\n", "43[]", "46"),
    ],
)
def test_an_array_and_its_tasks_have_ids_that_cancel_together_with_jobs(
    system: BatchSystem, answer: str, array: str, task: str
) -> None:
    assert system.parse_submit(Output(0, answer)) == array
    assert system.task_id(array, 4) == task
    plain = array.replace("[]", "").replace("12", "12.0") if system is CONDOR else array.replace("[]", "")
    words = " ".join(system.cancel([array, task, plain]).argv)
    assert all(identifier.rstrip("[]") in words for identifier in (array, task, plain))
    for wrong in (0, 10_001):
        with pytest.raises(ValueError, match="task"):
            system.task_id(array, wrong)
    with pytest.raises(ValueError, match="job_id"):
        system.task_id("1; rm", 4)


def test_oar_ends_arrays_and_jobs_with_one_condition() -> None:
    assert OARSUB.cancel(["43[]", "51", "60[]", "52"]).argv == (
        "oardel", "--sql", "job_id IN (51,52) OR array_id IN (43,60)",
    )  # fmt: skip
    assert OARSUB.cancel(["43[]"]).argv[-1] == "job_id IN (0) OR array_id IN (43)"
    assert OARSUB.cancel(["51", "52"]).argv == ("oardel", "51", "52")


def test_the_identifiers_of_arrays_are_not_an_opening() -> None:
    for system in SYSTEMS:
        for wrong in ("1_2;x", "1[2]x", "1.2.3.4 ", "1_[2-3]", "1[2", "-f"):
            with pytest.raises(ValueError, match="job_ids"):
                system.cancel([wrong])


def test_slurms_line_of_waiting_tasks_becomes_one_status_each(transcript: Read) -> None:
    jobs = SLURM.parse_status(transcript("slurm-array-status.txt"))
    told = tasks(jobs, "12")
    waiting = [7, 8, 10, 11, *range(13, 40, 2)]
    assert told == {
        1: (X, Reason.FAILED),
        **dict.fromkeys((2, 4, 5, 6), (R, Reason.NONE)),
        3: (X, Reason.CANCELLED),
        **dict.fromkeys(waiting, (Q, Reason.RESOURCES)),
    }
    assert {job.name for job in jobs if job.job_id == "12"} == {"pjabcdddddddddd"}
    failed, running = (next(job for job in jobs if (job.job_id, job.task) == ("12", n)) for n in (1, 6))
    assert (failed.exit_code, running.node, running.core_seconds) == (3, "asl", 1)
    assert running.started == datetime(2026, 11, 24, 10, 45, 52, tzinfo=UTC)
    assert tasks(jobs, "13") == {1: (Q, Reason.PRIORITY)}
    assert tasks(jobs, "14") == {None: (Q, Reason.PRIORITY)}


def test_the_array_of_another_person_is_one_status(transcript: Read) -> None:
    jobs = SLURM.parse_status(transcript("slurm-array-status.txt"))
    assert tasks(jobs, "15") == {None: (Q, Reason.PRIORITY)}


def test_a_listing_with_one_line_a_task_says_the_same(transcript: Read) -> None:
    assert "--array" in SLURM.status(["ann"]).argv and "--array" not in SLURM.status().argv
    each = tasks(SLURM.parse_status(transcript("slurm-array-status-each.txt")), "12")
    assert each == tasks(SLURM.parse_status(transcript("slurm-array-status.txt")), "12")


def test_the_tasks_of_an_array_that_was_cancelled_are_cancelled(transcript: Read) -> None:
    jobs = [job for job in SLURM.parse_status(transcript("slurm-array-status-cancelled.txt")) if job.job_id == "12"]
    assert {job.reason for job in jobs if job.task != 1} == {Reason.CANCELLED}
    assert [job.started for job in jobs if job.task == 39] == [None]
    assert {job.task for job in jobs if job.started is not None} == {1, 2, 3, 4, 5, 6}


def test_slurms_history_tells_of_tasks(transcript: Read) -> None:
    assert "--jobs=123,124_7" in SLURM.history(["123", "124_7"]).argv
    jobs = SLURM.parse_history(transcript("slurm-array-history-modelled.txt"))
    assert tasks(jobs, "123") == {
        1: (X, Reason.FAILED),
        2: (X, Reason.COMPLETED),
        **dict.fromkeys((3, 4, 5, 8), (X, Reason.CANCELLED)),
    }
    assert [(job.task, job.core_seconds, job.exit_code) for job in jobs[:2]] == [(1, 80, 3), (2, 480, 0)]
    assert tasks(jobs, "124") == {None: (X, Reason.COMPLETED)}


def test_a_heterogeneous_job_of_another_is_read_by_its_first_number() -> None:
    answer = SLURM.status().argv[-1]
    mark = answer.split(":")[1].split(",")[0]
    header, row = ["JOBID", *["X"] * 13, ""], ["90+1", "ann", "RUNNING", *["0"] * 10, "other", ""]
    (job,) = SLURM.parse_status(Output(0, f"{mark.join(header)}\n{mark.join(row)}\n"))
    assert (job.job_id, job.task) == ("90", None)


def test_grid_engine_lists_tasks(transcript: Read) -> None:
    jobs = SGE.parse_status(transcript("gridengine-array-status.txt"))
    assert tasks(jobs, "1") == {
        **dict.fromkeys((2, 4, 5, 6), (R, Reason.NONE)),
        **dict.fromkeys((7, 8, 10, 11, 12), (Q, Reason.NONE)),
    }
    assert tasks(jobs, "2") == {1: (Q, Reason.NONE)} and tasks(jobs, "4") == {None: (Q, Reason.NONE)}
    assert {job.node for job in jobs if job.state is R} == {"asl"}


def test_grid_engine_cancels_and_remembers_tasks(transcript: Read) -> None:
    assert SGE.parse_submit(transcript("gridengine-array-submit.txt")) == "1"
    assert SGE.cancel(["2", "1.8", "4"]).argv == ("qdel", "2,1.8,4")
    SGE.parse_cancel(transcript("gridengine-array-cancel.txt"))
    SGE.parse_cancel(transcript("gridengine-array-cancel-unknown.txt"))
    assert SGE.history(["1.3"]).argv == ("qacct", "-j", "1")
    jobs = SGE.parse_history(transcript("gridengine-array-history.txt"))
    assert {job.task: (job.exit_code, job.signal, job.core_seconds) for job in jobs} == {
        1: (3, None, 0), 3: (None, 9, 4), **{number: (None, 9, seconds) for number, seconds in
        ((2, 8), (4, 8), (5, 7), (6, 3))},
    }  # fmt: skip
    assert {(job.job_id, job.restarts) for job in jobs} == {("1", 0)}


def test_pbs_lists_tasks_beside_their_array(transcript: Read) -> None:
    assert "-t" in PRO.status().argv and "-t" in TORQUE.status().argv
    jobs = PRO.parse_status(transcript("pbs-array-status.txt"))
    assert tasks(jobs, "201[].pbs1") == {
        1: (X, Reason.COMPLETED),
        2: (X, Reason.FAILED),
        3: (R, Reason.NONE),
        4: (Q, Reason.RESOURCES),
        5: (Q, Reason.NONE),
        6: (Q, Reason.NONE),
    }
    assert len(jobs) == 6
    running = next(job for job in jobs if job.task == 3)
    assert (running.node, running.core_seconds, running.name) == ("cn24", 400, "pjabcaaaaaaaaaa")


def test_torque_lists_tasks(transcript: Read) -> None:
    jobs = TORQUE.parse_status(transcript("torque-array-status.txt"))
    assert tasks(jobs, "300[].mgt") == {1: (R, Reason.NONE), 2: (X, Reason.CANCELLED)}
    assert {job.name for job in jobs} == {"pjabcaaaaaaaaaa"}


def test_lsf_lists_tasks(transcript: Read) -> None:
    jobs = BSUB.parse_status(transcript("lsf-array-status.txt"))
    assert tasks(jobs, "301") == {1: (X, Reason.FAILED), 2: (R, Reason.NONE), 3: (Q, Reason.LIMIT_PERSON)}
    assert tasks(jobs, "302") == {None: (R, Reason.NONE)}
    assert {job.name for job in jobs} == {"pjabcaaaaaaaaaa", "pjabcbbbbbbbbbb"}


def test_condor_counts_from_nought_and_we_from_one(transcript: Read) -> None:
    jobs = CONDOR.parse_status(transcript("htcondor-array-status.txt"))
    assert tasks(jobs, "401") == {1: (R, Reason.NONE), 2: (Q, Reason.NONE), 3: (Q, Reason.NONE)}
    assert tasks(jobs, "402.0") == {1: (Q, Reason.NONE)} and tasks(jobs, "403.0") == {None: (Q, Reason.NONE)}
    assert CONDOR.parse_submit(Output(0, "402.0 - 402.0\n")) == "402.0" == CONDOR.task_id("402.0", 1)
    assert CONDOR.history(["401", "403.0"]).argv[-4:] == ("-limit", "10001", "401", "403.0")


def test_oar_tells_our_arrays_from_jobs(transcript: Read) -> None:
    jobs = OARSUB.parse_status(transcript("oar-array-status.txt"))
    assert tasks(jobs, "501[]") == {1: (R, Reason.NONE), 2: (Q, Reason.NONE), 3: (Q, Reason.NONE)}
    assert tasks(jobs, "504") == {1: (Q, Reason.NONE)} == tasks(jobs, OARSUB.parse_submit(Output(0, "OAR_JOB_ID=504")))
    assert tasks(jobs, "505") == {None: (Q, Reason.NONE)} == tasks(jobs, "506")
    assert OARSUB.history(["501[]", "505"]).argv[-2:] == ("--sql", "job_id IN (505) OR array_id IN (501)")


def test_a_job_that_is_not_to_run_again_says_so_where_that_can_be_said() -> None:
    once = JobSpec("abcdefghij234", "q", 1, 64, 0, 60, "~/x", ("/bin/true",), tasks=3, requeue=False)
    for found, word in ((SLURM, "#SBATCH --no-requeue"), (SGE, "#$ -r n"), (BSUB, "#BSUB -rn")):
        assert word in found.script(once).splitlines()
        assert word not in found.script(replace(once, requeue=True)).splitlines()
