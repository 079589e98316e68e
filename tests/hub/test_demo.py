"""The demo's centres and their background load."""

from __future__ import annotations

import os
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from perijove.hub.demo import Load, clean_up, prepare
from perijove.hub.demo.centres import CENTRES, queue_of
from perijove.spawners import localqueue_process as process
from perijove.spawners.batch import Output, batch_system
from perijove.spawners.centre import parse
from perijove.spawners.localqueue import LocalQueue


def marks(state: Path) -> list[str]:
    return [queue_of(state, centre).store.id for centre in CENTRES]


@pytest.mark.parametrize("name", ["state", "演示 目录"])
def test_nine_descriptions_are_valid_wherever_they_lie(tmp_path: Path, name: str) -> None:
    centres = prepare(tmp_path / name)
    try:
        files = sorted(centres.glob("*.toml"))
        read = [parse(tomllib.loads(file.read_text())) for file in files]
        assert len(read) == 9
        assert {centre.name.zh[6:8] for centre in read} >= {"天津", "广州", "无锡"}
        command = batch_system(read[0]).queues()
        done = subprocess.run(command.argv, capture_output=True, text=True, check=True, timeout=30)
        assert batch_system(read[0]).parse_queues(Output(0, done.stdout))
        python = subprocess.run(
            [read[0].environment.python, "-c", "import perijove.spawners.job"], check=False, timeout=30
        )
        assert python.returncode == 0
    finally:
        clean_up(tmp_path / name)


def test_the_load_makes_queues_on_some_centres_and_leaves_others_free_and_goes_at_stop(tmp_path: Path) -> None:
    prepare(tmp_path)
    load = Load(tmp_path)
    load.start()
    mark = marks(tmp_path)
    try:
        queues = {centre.id: queue_of(tmp_path, centre) for centre in CENTRES}
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (
            queues["wuxi"].waiting("compute") and queues["chengdu"].queues()[0]["running"]
        ):
            time.sleep(0.1)
        assert queues["wuxi"].waiting("compute") > 0
        assert int(str(queues["zhengzhou"].queues()[0]["cores_free"])) > 0
        assert queues["zhengzhou"].waiting("compute") == 0
        names = {str(job["name"]) for queue in queues.values() for job in queue.status()}
        assert names and not any(name.startswith("pj") for name in names)
        load.stop()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and any(queue.status() for queue in queues.values()):
            time.sleep(0.1)
        assert not any(queue.status() for queue in queues.values())
    finally:
        load.stop()
        clean_up(tmp_path)
    assert not any(process.marked(f"{one}:") for one in mark)


def test_cleaning_up_leaves_no_process_behind(tmp_path: Path) -> None:
    prepare(tmp_path)
    queue: LocalQueue = queue_of(tmp_path, CENTRES[0])
    from perijove.spawners.localqueue_plan import Size

    script = "#!/bin/sh\nsetsid sleep 300 &\ntrap '' TERM\nsleep 300\nsleep 300\n"
    for _ in range(3):
        queue.submit("pjabc", "compute", Size(8, 1, 0), 600, script, str(tmp_path))
    mark = queue.store.id
    clean_up(tmp_path)
    assert process.marked(f"{mark}:") == []
    assert not os.path.lexists(tmp_path / "local" / CENTRES[0].id)
