"""Runs of real small programs: what succeeds, what is kept, what is tried again, who may run."""

from __future__ import annotations

import json
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from doubles.tinyapp import HEAD, app_in, order, run
from harness.basics import until
from harness.pipelines import failure, one, python, report_of
from perijove.spawners.apps.manifest import load
from perijove.spawners.apps.marks import mark, marked
from perijove.spawners.apps.pool import Here
from perijove.spawners.apps.runner import AlreadyRunning, Runner


def test_a_whole_run_has_numbers_figures_tables_and_files(tmp_path: Path) -> None:
    report = run(tmp_path, app_in(tmp_path))
    assert report["state"] == "done", report["failure"]
    results = report["results"]
    assert [(one["name"], one["value"], one["unit"]) for one in results["numbers"]] == [("lines", 4, "1")]
    assert (results["figures"][0]["width"], results["figures"][0]["height"]) == (1, 1)
    assert results["figures"][0]["alt"] == {"en": "A dot", "zh": "一个点"}
    assert results["tables"][0]["columns"] == ["word", "length"]
    assert results["tables"][0]["rows"] == [["pear", "4"], ["fig", "3"]]
    assert results["limits"]["en"] == "Counts only."
    assert {one["file"] for one in results["files"]} == {"dot.png", "rows.csv", "text.txt"}
    assert [step["parts"]["total"] for step in report["steps"]] == [1, 2, 1]
    assert [code["version"] != "" for code in report["codes"]] == [True]
    assert [data["name"] for data in report["data"]] == ["words"]
    assert (tmp_path / "run/results/workflow/app.toml").is_file()


def test_finished_steps_are_kept_and_only_what_changed_runs_again(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    run(tmp_path, app)
    again = run(tmp_path, app)
    assert {step["state"] for step in again["steps"]} == {"kept"}
    assert again["state"] == "done"
    (tmp_path / "run" / "work" / "1.txt").write_text("damaged")
    third = run(tmp_path, app)
    assert [step["state"] for step in third["steps"]] == ["kept", "done", "kept"]
    assert (tmp_path / "run" / "work" / "1.txt").read_text() == "pear\n"


def test_other_inputs_or_another_pipeline_are_not_taken_for_the_same(tmp_path: Path) -> None:
    run(tmp_path, app_in(tmp_path))
    assert {s["state"] for s in run(tmp_path, app_in(tmp_path), inputs={"count": 4})["steps"]} == {"done"}
    app = app_in(tmp_path, words="kiwi\nplum\n")
    assert {s["state"] for s in run(tmp_path, app, inputs={"count": 4})["steps"]} == {"done"}


def test_a_data_set_that_changed_is_read_again(tmp_path: Path) -> None:
    pipeline = """
    def steps(case):
        return [Step("one", Call(count))]

    def count(case):
        return {"numbers": {"lines": len(case.data("words").read_text().split())}}
    """
    folder = app_in(tmp_path, HEAD + textwrap.dedent(pipeline)).folder
    text = (folder / "app.toml").read_text()
    (folder / "app.toml").write_text(text.replace('app = "data/words.txt"', f'path = "{tmp_path}/words.txt"'))
    (tmp_path / "mine.txt").write_text("plum\n")
    app = load(folder)
    for words in ("fig\n", "fig\npear\n"):
        (tmp_path / "words.txt").write_text(words)
        report = run(tmp_path, app, inputs={"words": "mine.txt"}, home=str(tmp_path))
        assert report["state"] == "done", report["failure"]
        assert report["results"]["numbers"][0]["value"] == len(words.split())


def test_a_step_is_tried_again_only_as_often_as_it_says(tmp_path: Path) -> None:
    code = f"import os, sys; p = {str(tmp_path / 'count')!r}; open(p, 'a').write('x'); sys.exit(os.path.getsize(p) < 3)"
    assert failure(tmp_path, one(python(code), more=", retries=1"))["code"] == "command-failed"
    (tmp_path / "count").unlink()
    report = report_of(tmp_path, one(python(code), more=", retries=2"))
    assert report["state"] == "done", report["failure"]
    assert report["steps"][0]["tries"] == 3


def test_progress_is_read_from_lines_carriage_returns_and_reports(tmp_path: Path) -> None:
    code = "import sys, time; sys.stderr.write('done 1\\rdone 2\\r'); sys.stderr.flush(); time.sleep(600)"
    app = app_in(tmp_path, HEAD + one(python(code)))
    folder = order(tmp_path, app)
    runner = Runner(folder, app, Here(1))
    thread = threading.Thread(target=runner.run)
    thread.start()

    def step() -> Any:
        try:
            steps = json.loads((folder / "state.json").read_text())["steps"]
        except FileNotFoundError:
            return None
        return steps and steps[0]["progress"] > 0.5 and steps[0]

    try:
        found = until(step)
    finally:
        runner.cancel()
        thread.join(20)
    assert found["progress"] == pytest.approx(2 / 3, abs=0.01)
    assert found["state"] == "running"
    report = json.loads((folder / "state.json").read_text())
    assert (report["state"], report["steps"][0]["state"]) == ("cancelled", "cancelled")


def test_steps_see_no_tokens_and_know_their_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret-1")
    monkeypatch.setenv("MY_PASSWORD", "secret-2")
    report_of(tmp_path, one("Command(['env'], stdout='env.txt')", "['env.txt']", ", cores=2"))
    text = (tmp_path / "run" / "work" / "env.txt").read_text()
    assert "secret" not in text
    assert "OMP_NUM_THREADS=2" in text
    assert "PATH=" in text


def test_a_flood_of_output_fills_neither_disk_nor_report(tmp_path: Path) -> None:
    code = "for n in range(200000): print('warning', n, 'x' * 20)"
    report = report_of(tmp_path, one(python(code)))
    assert report["state"] == "done", report["failure"]
    log = (tmp_path / "run/log/one.txt").read_bytes()
    assert log.startswith(b"warning 0 ")
    assert b"warning 199999" in log
    assert b"bytes left out" in log
    assert len(log) < 1 << 20


def test_parts_run_side_by_side_within_the_cores(tmp_path: Path) -> None:
    """Each of two parts waits for the other to begin: it works only side by side, and a third must wait."""
    code = (
        "import os, sys, time; me = sys.argv[1]; open(sys.argv[2] + me, 'w');\n"
        "while not all(os.path.exists(sys.argv[2] + n) for n in 'ab'): time.sleep(0.01)\n"
        "assert me != 'c' or len(os.listdir(os.path.dirname(sys.argv[2]))) == 3"
    )
    place = tmp_path / "begun"
    place.mkdir()
    command = f"Command([PY, '-c', {code!r}, p, {str(place) + '/'!r}])"
    body = f"def steps(case): return [Step('one', {command}, part=p, limit=30) for p in 'abc']"
    report = report_of(tmp_path, body)
    assert report["state"] == "done", report["failure"]


def test_memory_bounds_what_runs_side_by_side() -> None:
    pool = Here(4, 1000)
    assert pool.room(1, 5000)  # too large for the pool, but nothing else runs
    pool._busy["a"] = (1, 600)
    assert pool.room(1, 400)
    assert not pool.room(1, 401)
    assert not pool.room(4, 0)


def test_a_second_runner_is_refused(tmp_path: Path) -> None:
    app = app_in(tmp_path, HEAD + one(python("import time; time.sleep(600)")))
    folder = order(tmp_path, app)
    first = Runner(folder, app, Here(1))
    thread = threading.Thread(target=first.run)
    thread.start()
    try:
        until(lambda: marked(mark(folder)))
        with pytest.raises(AlreadyRunning):
            Runner(folder, app, Here(1)).run()
    finally:
        first.cancel()
        thread.join(20)
    assert not marked(mark(folder))


def test_measures_are_those_of_the_step(tmp_path: Path) -> None:
    code = (
        "import time; x = bytearray(90 << 20); end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    )
    step = report_of(tmp_path, one(python(code)))["steps"][0]
    assert 90 << 20 < step["memory"] < 140 << 20
    assert step["cpu"] >= 0.3
    assert step["seconds"] >= 0.3
