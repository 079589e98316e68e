"""Workers on the embedded batch system: a real launcher, real job arrays, real processes and logs; no agent."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest_asyncio
from broker.clusterworld import World
from broker.harness import FAST, Gateway, until
from broker.simulated import SimulatedCentre
from perijove.hub.broker.broker import Parts
from perijove.hub.broker.context import Context
from perijove.hub.broker.sessions import Sessions
from perijove.spawners.batch import batch_system
from perijove.spawners.centre import Centre, parse
from perijove.spawners.job import JobState
from perijove.spawners.link import Links
from perijove.spawners.localqueue import LocalQueue
from perijove.spawners.session import Stage
from perijove.spawners.watcher import Pace

#: Processes start more slowly than doubles.
PACE = Pace(0.3, 0.2, 0.1, 1000, 1000.0, 5.0, (0.1, 0.5), 2.0, 10.0)
TIMING = replace(FAST, pace=PACE, submit_timeout=20.0, submit_grace=20.0, absent_for=5.0, launch_limit=600.0)
#: In the place of a centre's Python: says what it was told to run, and goes on until it is ended.
PROGRAM = '#!/bin/sh\necho "$@" in "$(basename "$PWD")"\nexec sleep 600\n'


@dataclass
class NoAgent:
    """A tunnel to nowhere."""

    up: bool = False

    def __init__(self, *args: Any, **more: Any) -> None:
        pass

    async def open(self) -> Any:
        raise OSError("there is no agent")

    async def close(self) -> None:
        pass


class LocalGateway(Gateway):
    """A broker with the real link to an embedded centre."""

    def __init__(self, folder: Path, described: Centre) -> None:
        super().__init__(folder, SimulatedCentre(described), timing=TIMING)
        self.links = Links()

    def parts(self) -> Parts:
        return replace(super().parts(), links=self.links)

    def _context(self, centre: Centre, sessions: Sessions) -> Context:
        made = super()._context(centre, sessions)
        made.system, made.links, made.tunnels = batch_system(centre), self.links, NoAgent  # type: ignore[assignment]
        return made


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    program = tmp_path / "python"
    program.write_text(PROGRAM)
    program.chmod(0o700)
    root = tmp_path / "root"
    queues = [{"name": "cpu", "cores": 4, "memory": "8G", "nodes": 1}]
    described = parse(
        {
            "id": "alpha",
            "name": {"en": "Alpha", "zh": "甲"},
            "scheduler": {
                "system": "local",
                "root": str(root),
                "commands": {"perijove-localqueue": str(Path(sys.executable).parent / "perijove-localqueue")},
            },
            "environment": {"python": str(program)},
            "paths": {"base": str(tmp_path / "base"), "home": str(tmp_path)},
            "queues": queues,
        }
    )
    gateway = LocalGateway(tmp_path, described)
    try:
        yield World(gateway)
    finally:
        await gateway.stop()
        await gateway.links.close()
        LocalQueue(str(root)).clean_up(0)


async def test_workers_are_tasks_of_one_array_with_a_log_each(world: World, tmp_path: Path) -> None:
    gateway = world.gateway
    await gateway.start()
    record = await gateway.open(cores=1)
    await gateway.at(record.id, Stage.GRANTED, seconds=60)  # only a session that runs can have a head
    cluster = await world.desk.open(record, "real", {"cores": 1, "memory": "1G", "walltime": "10m"})
    world.id = cluster.id
    names = await world.ask(4)
    job = names[0].partition("-")[0]

    async def three() -> dict[str, Any] | None:
        found = await world.view()
        there = sorted(worker["state"] for worker in found.values())
        return found if there == ["queued", "running", "running", "running"] else None

    workers = await until(three, 60, "one core is the session's, three are workers'")
    assert {worker["job_id"].partition("_")[0] for worker in workers.values()} == {workers[names[0]]["job_id"][:-2]}

    async def log() -> str:
        return await world.desk.log(await world.cluster(), names[1]) or ""

    text = await until(log, 30)
    assert text.split() == ["-m", "perijove.spawners.dask.worker", cluster.id, job, "in", job]
    await world.desk.let_go(await world.cluster(), names[:1])
    await world.until("ended", "running", "running", "running", seconds=60)
    await gateway.broker.ask_to_stop(await gateway.get_session(cluster.session), "ada")
    over = await world.closed()
    assert over.closed_by == "the end of its session"
    assert not (tmp_path / "base" / job).exists()
    queue = LocalQueue(str(tmp_path / "root"))
    assert [job for job in queue.status() if job["state"] != JobState.ENDED] == []
