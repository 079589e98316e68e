"""Runs of real small programs: what succeeds, what is kept, how each kind of failure is found and said."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from doubles.tinyapp import HEAD, app_in, order, run
from harness.basics import until
from perijove.spawners.apps.manifest import load
from perijove.spawners.apps.marks import mark, marked
from perijove.spawners.apps.pool import Here
from perijove.spawners.apps.runner import AlreadyRunning, Runner


def report_of(tmp_path: Path, body: str, **more: Any) -> dict[str, Any]:
    return run(tmp_path, app_in(tmp_path, HEAD + body), **more)


def failure(tmp_path: Path, body: str, **more: Any) -> dict[str, Any]:
    """The failure of a run with this pipeline; nothing of it may count as a result."""
    report = report_of(tmp_path, body, **more)
    assert report["state"] == "failed"
    assert report["results"] is None
    assert not list((tmp_path / "run/steps/.tries").glob("*"))
    assert json.loads((tmp_path / "run/state.json").read_text()) == report
    found: dict[str, Any] = report["failure"]
    assert found["message"]["en"]
    assert found["message"]["zh"]
    assert found["advice"]["en"]
    assert found["advice"]["zh"]
    return found


def one(do: str, makes: str = "[]", more: str = "") -> str:
    return f"def steps(case):\n    return [Step('one', {do}, makes={makes}{more})]\n"


def python(code: str, more: str = "") -> str:
    return f"Command([PY, '-c', {code!r}]{more})"


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
    (tmp_path / "run/work/1.txt").write_text("damaged")
    third = run(tmp_path, app)
    assert [step["state"] for step in third["steps"]] == ["kept", "done", "kept"]
    assert (tmp_path / "run/work/1.txt").read_text() == "pear\n"


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


def test_a_command_that_fails_is_named_with_its_last_lines(tmp_path: Path) -> None:
    found = failure(
        tmp_path, one(python("import sys; [print('line', n) for n in range(50)]; print('why'); sys.exit(3)"))
    )
    assert found["code"] == "command-failed"
    assert found["step"] == "one"
    assert found["command"][1] == "-c"
    assert found["lines"][-1] == "why"
    assert len(found["lines"]) == 20
    assert found["advice"]["en"] == "Change the count."


def test_a_pipe_fails_with_the_command_that_failed_by_itself(tmp_path: Path) -> None:
    writer = python("while True: print('x' * 9999)")
    body = one(f"Pipe(({writer}, {python('import sys; sys.exit(chr(98))')}, {python('input()')}))")
    found = failure(tmp_path, body)
    assert found["code"] == "command-failed"
    assert "chr(98)" in found["command"][2]


def test_success_without_output_and_with_empty_output_is_found(tmp_path: Path) -> None:
    assert failure(tmp_path, one(python("pass"), "['x.txt']"))["code"] == "no-output"
    assert failure(tmp_path, one(python("open('x.txt', 'w')"), "['x.txt']"))["code"] == "empty-output"
    assert failure(tmp_path, one(python("import os; os.mkdir('d')"), "['d']"))["code"] == "empty-output"
    assert not (tmp_path / "run/work/x.txt").exists()


def test_a_link_is_no_output(tmp_path: Path) -> None:
    found = failure(tmp_path, one(python("import os; os.symlink('/etc/passwd', 'x.txt')"), "['x.txt']"))
    assert found["code"] == "no-output"
    inside = "import os; os.mkdir('d'); os.symlink('/etc/passwd', 'd/x')"
    assert failure(tmp_path, one(python(inside), "['d']"))["code"] == "no-output"


def test_half_of_the_outputs_is_none(tmp_path: Path) -> None:
    assert failure(tmp_path, one(python("open('a', 'w').write('1')"), "['a', 'b']"))["code"] == "no-output"
    assert not (tmp_path / "run/work/a").exists()


def test_a_step_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; subprocess.Popen(['setsid', 'sleep', '600']); time.sleep(600)"
    found = failure(tmp_path, one(python(code), more=", limit=0.5"))
    assert found["code"] == "timed-out"
    assert "0.5" in found["message"]["en"]
    assert not marked(mark(tmp_path / "run"))


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    assert failure(tmp_path, one("Command(['dd', 'if=/dev/zero', 'of=/dev/full', 'count=1'])"))["code"] == "disk-full"
    body = "def steps(case): return [Step('one', Call(fill))]\ndef fill(case):\n    Path('/dev/full').write_text('x')\n"
    assert failure(tmp_path, body)["code"] == "disk-full"


def test_a_step_without_memory_or_killed_from_outside_is_told_apart(tmp_path: Path) -> None:
    body = """
def steps(case): return [Step('one', Call(eat))]
def eat(case):
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
    bytearray(1 << 30)
"""
    assert failure(tmp_path, body)["code"] == "out-of-memory"
    assert failure(tmp_path, one(python("import os; os.kill(os.getpid(), 9)")))["code"] == "killed"


def test_a_missing_program_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    report = run(tmp_path, app_in(tmp_path, codes=("absent",)))
    found = report["failure"]
    assert (report["state"], found["code"]) == ("failed", "missing-code")
    assert found["message"]["en"] == "Absent is not installed here."
    for way in ("apt-get install absent-tools", "module load absent/1", "pip install absent"):
        assert way in found["advice"]["en"]
        assert way in found["advice"]["zh"]
    assert failure(tmp_path, one("Command(['perijove-absent-program'])"))["advice"]["en"] == found["advice"]["en"]
    assert failure(tmp_path, one("Command([case.program('absent')])"))["code"] == "missing-code"


def test_unfit_input_is_said_in_the_words_of_the_pipeline(tmp_path: Path) -> None:
    body = """
def steps(case): return [Step('one', Call(look))]
def look(case): raise Unfit('No time axis.', '没有时间轴。', input='words')
"""
    found = failure(tmp_path, body)
    assert (found["code"], found["input"]) == ("bad-input", "words")
    assert "No time axis." in found["message"]["en"]
    assert "没有时间轴。" in found["message"]["zh"]
    checked = """
def look(case, folder):
    if not (folder / 'a').read_text().startswith('ok'):
        raise Unfit('No rows.', '没有行。')
"""
    bad = failure(tmp_path, checked + one(python("open('a', 'w').write('bad')"), "['a']", ", check=look"))
    assert bad["code"] == "check-failed"
    assert "No rows." in bad["message"]["en"]
    assert not (tmp_path / "run/work/a").exists()
    good = report_of(tmp_path, checked + one(python("open('a', 'w').write('ok')"), "['a']", ", check=look"))
    assert good["state"] == "done"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"count": -1}, "count"),
        ({"words": "absent.txt"}, "absent.txt"),
        ({"words": "out/passwd"}, "your own files"),
    ],
)
def test_bad_inputs_end_the_run_before_it_begins(tmp_path: Path, inputs: dict[str, Any], words: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/out").symlink_to("/etc")
    found = failure(tmp_path, one(python("pass")), inputs=inputs, home=str(tmp_path / "home"))
    assert found["code"] == "bad-input"
    assert found["input"] == next(iter(inputs))
    assert words in found["message"]["en"]


def test_errors_of_the_pipeline_are_said_with_their_place(tmp_path: Path) -> None:
    circle = """
def steps(case):
    return [Step('one', Command(['a']), after=['two']), Step('two', Command(['a']), after=['one'])]
"""
    for body, words in (
        ("def steps(case): return 1 / 0", "line 6 of pipeline.py"),
        ("import no_such_module\ndef steps(case): return []", "pipeline.py cannot be loaded"),
        ("def steps(case): return []", "at least one"),
        (circle, "circle"),
        (one("Command(['a'])", more=", after=['nowhere']"), "nowhere"),
        (one("Command(['a'])").replace("'one'", "'strange'"), "strange"),
        ("def steps(case): return [Step('one', Command(['a']), part=p, makes=['x']) for p in 'ab']", "both make"),
        ("def steps(case): return [Step('one', Command(['a'])) for p in 'ab']", "two steps"),
    ):
        found = failure(tmp_path, body)
        assert found["code"] == "internal"
        assert words in found["message"]["en"], found


def test_a_number_that_is_none_is_no_result(tmp_path: Path) -> None:
    body = """
def steps(case): return [Step('one', Call(give))]
def give(case): return {'numbers': {'lines': float('nan')}}
"""
    found = failure(tmp_path, body)
    assert found["code"] == "check-failed"
    assert "lines" in found["message"]["en"]


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
    text = (tmp_path / "run/work/env.txt").read_text()
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


def process_of(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "perijove.spawners.apps.runner", str(folder)])


TWO = """
WAIT = "import os, sys, time; open('half', 'w').write('1'); time.sleep(0 if os.path.exists(sys.argv[1]) else 600)"
def steps(case):
    return [
        Step('one', Command([PY, '-c', "open('a', 'w').write('1')"]), makes=['a']),
        Step('two', Command([PY, '-c', WAIT, case.here / '../go']), after=['one'], makes=['half']),
    ]
"""


def test_sigterm_cancels_in_order(tmp_path: Path) -> None:
    folder = order(tmp_path, app_in(tmp_path, HEAD + TWO))
    process = process_of(folder)
    until(lambda: (folder / "steps/one.json").exists() and len(marked(mark(folder))) == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 3
    report = json.loads((folder / "state.json").read_text())
    assert report["state"] == "cancelled"
    assert [step["state"] for step in report["steps"]] == ["done", "cancelled"]
    assert not marked(mark(folder))
    assert not (folder / "work/half").exists()


def test_after_kill_9_the_next_runner_ends_orphans_and_keeps_what_was_finished(tmp_path: Path) -> None:
    folder = order(tmp_path, app_in(tmp_path, HEAD + TWO))
    process = process_of(folder)
    until(lambda: (folder / "steps/one.json").exists() and len(marked(mark(folder))) == 1)
    (orphan,) = marked(mark(folder))
    process.kill()
    process.wait(30)
    assert orphan in marked(mark(folder))
    assert list((folder / "steps/.tries").iterdir())
    (tmp_path / "go").touch()
    assert process_of(folder).wait(60) == 0
    report = json.loads((folder / "state.json").read_text())
    assert [step["state"] for step in report["steps"]] == ["kept", "done"]
    assert orphan not in marked(mark(folder))
    assert not (folder / "steps/.tries").exists()


def test_measures_are_those_of_the_step(tmp_path: Path) -> None:
    code = (
        "import time; x = bytearray(90 << 20); end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    )
    step = report_of(tmp_path, one(python(code)))["steps"][0]
    assert 90 << 20 < step["memory"] < 140 << 20
    assert step["cpu"] >= 0.3
    assert step["seconds"] >= 0.3
