"""What the batch system modules say and read, at the real Slurm and Grid Engine of the testbed.

Each command is the argument list of the module and nothing else, run at the login node as a person, in UTC as the
launcher runs it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from perijove.spawners.batch import BatchError, BatchProblem, BatchSystem, Command, Output, batch_system
from perijove.spawners.batch.slurm import reason_in_log
from perijove.spawners.job import JobSpec, JobState, JobStatus, Reason, new_session_id
from perijove.testbed import Testbed
from perijove.testbed.state import wait_for

CENTRES = ["alpha", "beta", "gamma"]


class Site:
    """A person at a centre of the testbed."""

    def __init__(self, bed: Testbed, name: str, person: str = "alice") -> None:
        centre = bed.centre_description(name)
        self.bed, self.name, self.person, self.queue = bed, name, person, centre.queues[0].label
        self.system: BatchSystem = batch_system(centre)
        self.home = f"/home/{bed.account(name, person)}"
        self.submitted: list[str] = []

    def run(self, command: Command, directory: str = "/tmp", person: str = "") -> Output:
        words = ["env", "-C", directory, "TZ=UTC", "LC_ALL=C", "SLURM_BITSTR_LEN=0", *command.argv]
        done = self.bed.exec(self.name, "login", words, person or self.person, stdin=command.stdin)
        return Output(done.returncode, done.stdout, done.stderr)

    def job(self, *command: str, walltime: int = 600) -> JobSpec:
        session = new_session_id("tst")
        directory = f"{self.home}/tst/{session}"
        self.bed.exec(self.name, "login", ["mkdir", "-p", directory], self.person).check_returncode()
        return JobSpec(session, self.queue, 1, 200, 0, walltime, directory, command)

    def submit(self, job: JobSpec) -> str:
        job_id = self.system.parse_submit(self.run(self.system.submit(job), job.directory))
        self.submitted.append(job_id)
        return job_id

    def listed(self, job_id: str) -> JobStatus | None:
        jobs = self.system.parse_status(self.run(self.system.status()))
        return next((job for job in jobs if job.job_id == job_id), None)

    def ended(self, *job_ids: str) -> list[JobStatus]:
        """How jobs ended, by the listing or by history; those of which neither says it are left out."""
        jobs = [job for job_id in job_ids if (job := self.listed(job_id)) and job.state is JobState.ENDED]
        if len(jobs) < len(job_ids) and (command := self.system.history(job_ids)):
            jobs += self.system.parse_history(self.run(command))
        return [job for job in jobs if job.job_id in job_ids]

    def tasks(self, array: str, accounts: Sequence[str] = ()) -> dict[int | None, JobStatus]:
        """The tasks of `array` that are listed, by their number."""
        jobs = self.system.parse_status(self.run(self.system.status(accounts)))
        return {job.task: job for job in jobs if job.job_id == array}

    def ended_tasks(self, array: str) -> dict[int | None, JobStatus]:
        """The tasks of `array` that ended, by the listing or by history."""
        command = self.system.history([array])
        past = self.system.parse_history(self.run(command)) if command else []
        found = {job.task: job for job in past if job.job_id == array}
        return found | {task: job for task, job in self.tasks(array).items() if job.state is JobState.ENDED}

    def wait_for_state(self, job_id: str, state: JobState) -> JobStatus:
        def there() -> bool:
            return (job := self.listed(job_id)) is not None and job.state is state

        wait_for(there, f"job {job_id} at {self.name} is {state}", 60, 0.3)
        job = self.listed(job_id)
        assert job is not None
        return job

    def wait_for_end(self, job_id: str, seconds: float = 60) -> JobStatus:
        wait_for(lambda: bool(self.ended(job_id)), f"job {job_id} at {self.name} ends", seconds, 0.5)
        return self.ended(job_id)[0]


@pytest.fixture(params=CENTRES)
def site(request: pytest.FixtureRequest, testbed: Testbed) -> Iterator[Site]:
    site = Site(testbed, request.param)
    yield site
    if site.submitted:
        site.run(site.system.cancel(site.submitted))


def test_a_job_runs_is_listed_and_cancelled(site: Site) -> None:
    job = site.job("/bin/sleep", "300")
    before = datetime.now(UTC) - timedelta(seconds=5)
    job_id = site.submit(job)
    status = site.wait_for_state(job_id, JobState.RUNNING)
    assert status.name == job.name and status.user == site.bed.account(site.name, "alice")
    assert status.node in (f"{site.name}-c1", f"{site.name}-c2")
    assert status.started is not None and before <= status.started <= datetime.now(UTC) + timedelta(seconds=5)
    site.system.parse_cancel(site.run(site.system.cancel([job_id])))
    wait_for(lambda: (now := site.listed(job_id)) is None or now.state is JobState.ENDED, "it is cancelled", 60, 0.3)
    end = site.wait_for_end(job_id)
    # Grid Engine's record of a deleted job is that of any SIGKILL.
    assert end.reason is (Reason.FAILED if site.name == "gamma" else Reason.CANCELLED)
    site.system.parse_cancel(site.run(site.system.cancel([job_id])))


def test_output_goes_to_the_log_in_the_sessions_folder(site: Site) -> None:
    job = replace(
        site.job("/bin/ls", "/no/such/place"), prolog=("echo the-prolog; pwd; env | grep -c ^TZ=UTC || true",)
    )
    end = site.wait_for_end(site.submit(job))
    assert (end.reason, end.exit_code) == (Reason.FAILED, 2)
    log = site.bed.exec(site.name, "login", ["cat", f"{job.directory}/log"], "alice").stdout
    assert "no/such/place" in log
    # The working directory is the session's folder, and the time zone of the submission has not reached the job.
    assert log.splitlines()[:3] == ["the-prolog", job.directory, "0"]


def test_several_ends_are_told_in_one_go(site: Site) -> None:
    good, bad = site.submit(site.job("/bin/true")), site.submit(site.job("/bin/false"))
    wait_for(lambda: len(site.ended(good, bad)) >= 2, "both ended", 60, 0.5)
    ends = {job.job_id: (job.reason, job.exit_code) for job in site.ended(good, bad)}
    assert ends == {good: (Reason.COMPLETED, 0), bad: (Reason.FAILED, 1)}


def test_a_refusal_names_its_reason(site: Site) -> None:
    with pytest.raises(BatchError, match=r"(?i)queue|partition") as caught:
        site.submit(replace(site.job("/bin/true"), queue="nosuch"))
    assert caught.value.problem is BatchProblem.REFUSED


def test_the_job_of_another_cannot_be_cancelled(site: Site) -> None:
    job_id = site.submit(site.job("/bin/sleep", "300"))
    with pytest.raises(BatchError) as caught:
        site.system.parse_cancel(site.run(site.system.cancel([job_id]), person="bob"))
    assert caught.value.problem is BatchProblem.NOT_ALLOWED
    assert site.listed(job_id) is not None


def test_unknown_jobs_are_no_error(site: Site) -> None:
    site.system.parse_cancel(site.run(site.system.cancel(["99999999"])))
    command = site.system.history(["99999998", "99999999"])
    assert command is not None
    assert not [job for job in site.system.parse_history(site.run(command)) if job.job_id.startswith("9999999")]


def test_queues_and_estimates(site: Site) -> None:
    queues = {queue.name: queue for queue in site.system.parse_queues(site.run(site.system.queues()))}
    assert queues[site.queue].open and (queues[site.queue].cores or 0) >= 16
    command = site.system.estimate(site.job("/bin/true"))
    assert command is not None
    expected = site.system.parse_estimate(site.run(command))
    assert expected is None if site.name == "gamma" else expected is not None
    never = site.system.estimate(replace(site.job("/bin/true"), cores=4000))
    assert never is not None
    with pytest.raises(BatchError) as caught:
        site.system.parse_estimate(site.run(never))
    assert caught.value.problem is BatchProblem.REFUSED


def test_an_array_is_one_submission_of_many_tasks_that_are_listed_and_cancelled_one_by_one(site: Site) -> None:
    account, count = site.bed.account(site.name, "alice"), 60
    job = replace(site.job("/bin/sleep", "300"), tasks=count)
    array = site.submit(job)

    def alive() -> set[int | None]:
        return {task for task, found in site.tasks(array).items() if found.state is not JobState.ENDED}

    wait_for(lambda: site.tasks(array)[1].state is JobState.RUNNING, f"task 1 of {array} runs", 60, 0.3)
    assert set(site.tasks(array)) == set(range(1, count + 1)) == set(site.tasks(array, [account]))
    assert {found.name for found in site.tasks(array).values()} == {job.name}
    waiting = [task for task, found in site.tasks(array).items() if found.state is JobState.QUEUED and task]
    assert waiting, "the testbed has more room than this test thinks"
    # Every second one of those that wait, so that their list has as many parts as can be; and one that runs.
    gone = {1, *sorted(waiting)[-1:0:-2]}
    other = site.submit(site.job("/bin/sleep", "300"))
    ids = [*(site.system.task_id(array, task) for task in gone), other]
    site.system.parse_cancel(site.run(site.system.cancel(ids)))
    wait_for(lambda: not alive() & gone, "they are cancelled", 60, 0.3)
    assert alive() == set(range(1, count + 1)) - gone
    wait_for(lambda: (now := site.listed(other)) is None or now.state is JobState.ENDED, "the job, too", 60, 0.3)
    site.system.parse_cancel(site.run(site.system.cancel([array, site.system.task_id(array, 1)])))
    wait_for(lambda: not alive(), "the array is cancelled", 60, 0.3)
    site.system.parse_cancel(site.run(site.system.cancel([site.system.task_id(array, 2), array])))


@pytest.mark.parametrize("count", [1, 3])
def test_each_task_has_its_number_its_log_and_its_end(site: Site, count: int) -> None:
    number = "${SLURM_ARRAY_TASK_ID:-$SGE_TASK_ID}"
    prolog = (f'echo "task {number}"; [ "{number}" != 2 ] || exit 3',)
    job = replace(site.job("/bin/true"), tasks=count, prolog=prolog)
    array = site.submit(job)
    wait_for(lambda: len(site.ended_tasks(array)) == count, f"all {count} tasks of {array} ended", 60, 0.5)
    ends = {task: found.exit_code for task, found in site.ended_tasks(array).items()}
    assert ends == {task: 3 if task == 2 else 0 for task in range(1, count + 1)}
    for task in range(1, count + 1):
        log = site.bed.exec(site.name, "login", ["cat", f"{job.directory}/log.{task}"], "alice").stdout
        assert log == f"task {task}\n"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_reaching_the_walltime_is_told(site: Site) -> None:
    job_id = site.submit(site.job("/bin/sleep", "600", walltime=20))
    end = site.wait_for_end(job_id, 240)
    assert end.reason is Reason.WALLTIME


def test_a_listing_of_one_query_is_quick(site: Site) -> None:
    began = time.monotonic()
    site.system.parse_status(site.run(site.system.status([site.bed.account(site.name, "alice")])))
    assert time.monotonic() - began < 10


def test_a_log_is_read_for_evidence_only_from_slurmstepd() -> None:
    assert reason_in_log("memory limit exceeded, said the job itself") is Reason.NONE
