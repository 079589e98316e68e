"""What batch systems say that jobs used: Slurm and Grid Engine as they really answered, the others as modelled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from perijove.spawners import localqueue
from perijove.spawners.batch import BatchError, BatchSystem, Output
from perijove.spawners.batch.gridengine import GridEngine
from perijove.spawners.batch.htcondor import HTCondor
from perijove.spawners.batch.local import Local
from perijove.spawners.batch.lsf import LSF
from perijove.spawners.batch.oar import OAR
from perijove.spawners.batch.pbs import PBS
from perijove.spawners.batch.slurm import Slurm
from perijove.spawners.centre import Scheduler, System
from perijove.spawners.job import JobUsage
from perijove.spawners.localqueue_plan import Size

Read = Callable[[str], Output]
SINCE, UNTIL = datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)
SLURM = Slurm(Scheduler(system="slurm"))
ENGINE = GridEngine(Scheduler(system="gridengine"))
EMPTY = Output(0)


def used(jobs: tuple[JobUsage, ...]) -> dict[str, tuple[int | None, int | None, int]]:
    """Elapsed seconds, cores and runs by the sixth letter of the name and the task."""
    return {f"{job.name[5]}{job.task or ''}": (job.elapsed, job.cores, job.runs) for job in jobs}


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-24T{clock}+00:00")


def test_sacct_is_asked_for_every_run_in_a_window_of_time() -> None:
    first, listing = SLURM.accounting(SINCE, UNTIL)
    assert {"--duplicates", "--allocations", "--allusers", "--starttime=2026-11-24T00:00:00"} <= set(first.argv)
    assert listing.argv[0] == "squeue"
    narrow, _ = SLURM.accounting(SINCE.astimezone(), UNTIL, ["ann", "bob"])
    assert {"--user=ann,bob", "--starttime=2026-11-24T00:00:00"} <= set(narrow.argv) and "--allusers" not in narrow.argv
    with pytest.raises(ValueError, match="account"):
        SLURM.accounting(SINCE, UNTIL, ["ann --format"])


def test_sacct_sums_up_the_runs_of_a_job_that_was_requeued(transcript: Read) -> None:
    found = SLURM.parse_accounting([transcript("slurm-accounting.txt"), EMPTY])
    assert (found.source, found.complete) == ("sacct", True)
    requeued = next(job for job in found.jobs if job.job_id == "15")
    assert (requeued.elapsed, requeued.cores, requeued.core_seconds, requeued.runs) == (10, 2, 20, 2)
    assert (requeued.started, requeued.ended) == (at("18:55:02"), at("18:55:13"))
    assert (requeued.queue, requeued.user, requeued.state) == ("normal", "al1001", "COMPLETED")


def test_sacct_tells_tasks_apart_and_leaves_out_what_is_none_of_ours_or_not_over(transcript: Read) -> None:
    found = SLURM.parse_accounting([transcript("slurm-accounting.txt"), EMPTY])
    tasks = {job.task: job.elapsed for job in found.jobs if job.job_id == "6"}
    assert tasks == {1: 3, 2: 3, 3: 3}
    assert "17" in transcript("slurm-accounting.txt").stdout and not any(job.job_id == "17" for job in found.jobs)
    assert all(job.name.startswith("pj") for job in found.jobs)
    cancelled = next(job for job in found.jobs if job.job_id == "10")
    assert (cancelled.elapsed, cancelled.started) == (0, None)


def test_without_slurmdbd_the_controllers_listing_is_all_there_is_and_not_complete(transcript: Read) -> None:
    found = SLURM.parse_accounting([transcript("slurm-accounting-disabled.txt"), transcript("slurm-status-later.txt")])
    assert (found.source, found.complete) == ("squeue", False)
    assert found.jobs and all(job.ended is not None for job in found.jobs)


def test_a_database_that_does_not_answer_is_no_answer(transcript: Read) -> None:
    silent = Output(1, "", "sacct: error: Problem talking to the database: Connection refused")
    with pytest.raises(BatchError, match="unavailable"):
        SLURM.parse_accounting([silent, EMPTY])


def test_qacct_is_asked_for_ends_in_a_window_and_in_universal_time() -> None:
    (command,) = ENGINE.accounting(SINCE, UNTIL)
    assert command.argv == ("qacct", "-E", "-b", "202611240000", "-e", "202611250001", "-j", "pj*")


def test_qacct_tells_what_jobs_and_tasks_used(transcript: Read) -> None:
    found = ENGINE.parse_accounting([transcript("gridengine-accounting.txt")])
    assert (found.source, found.complete) == ("qacct", True)
    assert used(found.jobs) == {
        "a": (3, 2, 1),
        "b1": (3, 1, 1),
        "b2": (3, 1, 1),
        "b3": (2, 1, 1),
        "c": (6, 2, 1),
        "e": (2, 1, 1),
    }
    job = next(job for job in found.jobs if job.name.startswith("pjabcc"))
    assert (job.started, job.ended, job.queue) == (at("18:55:26"), at("18:55:32"), "all.q")


def test_the_runs_of_a_job_that_was_rescheduled_are_one(transcript: Read) -> None:
    again = Output(0, transcript("gridengine-accounting.txt").stdout.replace("failed       0 ", "failed       25 "))
    whole = Output(0, again.stdout + transcript("gridengine-accounting.txt").stdout)
    first = ENGINE.parse_accounting([again])
    assert {job.name[5] for job in first.jobs} == {"e"}, "what was rescheduled and did not run again is not over"
    assert used(ENGINE.parse_accounting([whole]).jobs)["c"] == (12, 2, 2)


def test_a_window_without_jobs_is_an_answer(transcript: Read) -> None:
    found = ENGINE.parse_accounting([transcript("gridengine-accounting-none.txt")])
    assert (found.jobs, found.complete) == ((), True)


@pytest.mark.parametrize(
    ("system", "file", "complete"),
    [
        (PBS(Scheduler(system="pbs")), "pbs-history.txt", True),
        (PBS(Scheduler(system="pbs", dialect="torque")), "torque-status.txt", False),
        (LSF(Scheduler(system="lsf")), "lsf-status.txt", False),
        (HTCondor(Scheduler(system="htcondor")), "htcondor-history.txt", True),
        (OAR(Scheduler(system="oar")), "oar-status.txt", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_modelled_answers_of_the_others(transcript: Read, system: BatchSystem, file: str, complete: bool) -> None:
    assert len(system.accounting(SINCE, UNTIL)) == 1
    found = system.parse_accounting([transcript(file)])
    assert found.complete is complete
    ran = [job for job in found.jobs if job.elapsed]
    assert ran and all(job.ended is not None and (job.core_seconds or 0) >= 0 for job in ran)


def test_a_site_of_pbs_that_keeps_no_history_says_so(transcript: Read) -> None:
    said = Output(0, "", "qstat: PBS is not configured to maintain job history")
    assert PBS(Scheduler(system="pbs")).parse_accounting([said]).complete is False


@pytest.mark.parametrize("system", ["htcondor", "oar"])
def test_conditions_have_nothing_but_numbers_of_ours(system: System) -> None:
    kinds = {"htcondor": HTCondor, "oar": OAR}
    (command,) = kinds[system](Scheduler(system=system)).accounting(SINCE, UNTIL, ["x' OR 1"])
    assert any(str(int(SINCE.timestamp())) in word for word in command.argv)
    assert not any("OR 1" in word for word in command.argv)


def test_the_embedded_batch_system_has_its_own_records(tmp_path: Path) -> None:
    queue = localqueue.LocalQueue(str(tmp_path), [("main", 1, Size(2, 1024, 0))])
    job = queue.submit("pjabcaaaaaaaaaa", "main", Size(2, 512, 0), 60, "#!/bin/sh\ntrue\n", str(tmp_path))
    other = queue.submit("other", "main", Size(1, 512, 0), 60, "#!/bin/sh\ntrue\n", str(tmp_path))
    system = Local(Scheduler(system="local", root=str(tmp_path)))
    begin = int(time.time()) - 1000
    with queue.store.locked():
        for number in (job, other):
            queue.store.change(number, state="ended", started=begin, ended=begin + 90, reason="completed")

    def told(since: int, until: int) -> tuple[JobUsage, ...]:
        first, last = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
        (command,) = system.accounting(first, last)
        options = {key[2:]: value for key, value in pairwise(command.argv[2:]) if key.startswith("--")}
        answer = {"jobs": queue.ended(float(options["since"]), float(options["until"]))}
        return system.parse_accounting([Output(0, json.dumps(answer))]).jobs

    (usage,) = told(begin, begin + 100)
    assert (usage.job_id, usage.elapsed, usage.cores, usage.core_seconds, usage.queue) == (str(job), 90, 2, 180, "main")
    assert told(begin, begin + 90) == () and len(told(begin + 90, begin + 91)) == 1
    queue.clean_up()
