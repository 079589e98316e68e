"""Steps on the workers of a real Dask cluster of processes."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubles.tinyapp import HEAD, app_in, order, run
from harness.basics import until
from perijove.spawners.apps.daskpool import OnDask
from perijove.spawners.apps.marks import mark, marked
from perijove.spawners.apps.runner import Runner

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of two workers, each a process of one thread."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_the_same_pipeline_runs_on_workers_and_is_measured_there(tmp_path: Path, client: Any) -> None:
    report = run(tmp_path, app_in(tmp_path), OnDask(client))
    assert report["state"] == "done", report["failure"]
    assert report["cores"] == 2
    assert report["results"]["numbers"][0]["value"] == 4
    assert report["steps"][2]["cpu"] > 0
    assert {step["state"] for step in run(tmp_path, app_in(tmp_path), OnDask(client))["steps"]} == {"kept"}


WAIT = '''
WAIT = """
import os, sys, time
open(f"{sys.argv[1]}/ready-{sys.argv[2]}", "a").write("x")
while not os.path.exists(f"{sys.argv[1]}/go"): time.sleep(0.02)
open("x" + sys.argv[2], "w").write("1")
"""
def steps(case):
    return [Step("one", Command([PY, "-c", WAIT, case.here, n]), part=n, makes=["x" + n], limit=60) for n in "ab"]
'''


def test_a_lost_worker_s_step_is_done_again_and_is_no_failure(tmp_path: Path, client: Any) -> None:
    app = app_in(tmp_path, HEAD + WAIT)
    folder = order(tmp_path, app)
    runner = Runner(folder, app, OnDask(client), pause=0.05)
    reports: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: reports.append(runner.run()))
    thread.start()
    try:
        until(lambda: len(marked(mark(folder))) == 2, 60)
        (victim, *_) = marked(mark(folder)).values()
        os.kill(int(victim.split(":")[1]), signal.SIGKILL)
        until(lambda: sum(len(path.read_text()) for path in app.folder.glob("ready-*")) == 3, 60)
        (app.folder / "go").touch()
    finally:
        (app.folder / "go").touch()
        thread.join(60)
    assert reports[0]["state"] == "done", reports[0]["failure"]
    assert reports[0]["steps"][0]["tries"] == 1
    assert {path.name for path in (folder / "work").iterdir()} == {"xa", "xb"}


def test_a_cancelled_run_ends_what_its_workers_do(tmp_path: Path, client: Any) -> None:
    app = app_in(tmp_path, HEAD + WAIT)
    folder = order(tmp_path, app)
    runner = Runner(folder, app, OnDask(client), pause=0.05)
    thread = threading.Thread(target=runner.run)
    thread.start()
    until(lambda: len(marked(mark(folder))) == 2, 60)
    runner.cancel()
    thread.join(60)
    assert json.loads((folder / "state.json").read_text())["state"] == "cancelled"
    until(lambda: not marked(mark(folder)))


def test_progress_comes_from_the_worker(tmp_path: Path, client: Any) -> None:
    code = "import time; print('done 1', flush=True); time.sleep(0.7); print('done 2', flush=True); time.sleep(600)"
    app = app_in(tmp_path, HEAD + f"def steps(case): return [Step('one', Command([PY, '-c', {code!r}]))]")
    folder = order(tmp_path, app)
    runner = Runner(folder, app, OnDask(client))
    thread = threading.Thread(target=runner.run)
    thread.start()

    def progress() -> Any:
        try:
            return json.loads((folder / "state.json").read_text())["progress"] > 0.6
        except FileNotFoundError:
            return None

    try:
        until(progress, 60)
    finally:
        runner.cancel()
        thread.join(60)


def test_a_worker_that_does_not_see_the_run_s_folder_says_so(
    tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_in(tmp_path, HEAD + "def steps(case): return [Step('one', Command(['true']))]")

    def blind() -> None:
        from perijove.spawners.apps import daskpool

        daskpool.SEEN_WITHIN = 0.1
        daskpool.KEEPER = "nowhere.json"

    client.run(blind)
    found = run(tmp_path, app, OnDask(client))["failure"]
    assert found["code"] == "internal"
    assert "does not see the run's folder" in found["message"]["en"]
    assert "share" in found["message"]["en"]
