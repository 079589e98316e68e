"""The job of workers: its command, folder and account, in the words of every batch system."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from broker.simulated import centre
from perijove.hub.broker.clusterrecords import Batch, Cluster, Worker, WorkerJob
from perijove.hub.broker.clustershape import usual_cores
from perijove.hub.broker.sessions import utc_now
from perijove.hub.broker.workersubmission import job_spec
from perijove.spawners.batch import batch_system
from perijove.spawners.centre import Queue, System

WHO = {"name": "", "key_file": "", "run_as": "chen"}


def batch(count: int = 3, *, array: bool = True, **changes: Any) -> Batch:
    given = ("abcdefghijklm", "ada", "dask-1", "s", "", True, "alpha", "cpu", 2, 2048, 0, 3600, 7, WHO, utc_now())
    job = WorkerJob("abcnopqrstuvw", "abcdefghijklm", "k", 0, count, array, 7, {}, utc_now())
    tasks = tuple(Worker(job.id, task) for task in range(1, count + 1))
    return Batch(replace(Cluster(*given), **changes), job, tasks)


def test_the_job_names_its_cluster_and_itself_and_nothing_that_is_secret() -> None:
    described = centre(
        environment={"python": "/opt/{account}/bin/python", "prolog": ["module load x"]},
        paths={"base": "/data/{account}/.pj/"},
        queues=[{"name": "cpu", "at_centre": "batch", "account": "acc", "cores": 8, "memory": "8G"}],
    )
    spec = job_spec(described, batch())
    assert spec.command == (
        "/opt/chen/bin/python", "-m", "perijove.spawners.dask.worker", "abcdefghijklm", "abcnopqrstuvw"
    )  # fmt: skip
    assert spec.directory == "/data/chen/.pj/abcnopqrstuvw" and spec.name == "pjabcnopqrstuvw"
    assert (spec.queue, spec.account, spec.tasks, spec.prolog) == ("batch", "acc", 3, ("module load x",))
    assert job_spec(described, batch(project="mine")).account == "mine"
    assert job_spec(described, batch(1, array=False)).tasks == 0


@pytest.mark.parametrize("system", get_args(System))
def test_every_batch_system_takes_it(system: str) -> None:
    more: dict[str, Any] = {"login": {}} if system == "local" else {}
    described = centre(scheduler={"system": system}, **more)
    command = batch_system(described).submit(job_spec(described, batch()))
    assert "perijove.spawners.dask.worker abcdefghijklm abcnopqrstuvw" in " ".join([*command.argv, command.stdin])


@pytest.mark.parametrize(("cores", "usual"), [(1, 1), (3, 1), (4, 1), (16, 4), (64, 8)])
def test_a_worker_has_a_quarter_of_a_node_and_at_most_eight_cores(cores: int, usual: int) -> None:
    assert usual_cores(Queue(name="q", cores=cores, memory=1024)) == usual
