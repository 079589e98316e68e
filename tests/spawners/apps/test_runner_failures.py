"""How each kind of failure of a run is found and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from doubles.tinyapp import app_in, run
from harness.pipelines import failure, one, python, report_of
from perijove.spawners.apps.marks import mark, marked


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
    # `yes` dies of the broken pipe, as programs do: whichever end is seen first, its own is nobody's fault.
    body = one(f"Pipe((Command(['yes']), {python('import sys; sys.exit(chr(98))')}, {python('input()')}))")
    found = failure(tmp_path, body)
    assert found["code"] == "command-failed"
    assert "chr(98)" in found["command"][-1]


@pytest.mark.parametrize(
    ("code", "makes", "said"),
    [
        ("pass", ["x"], "no-output"),
        ("open('x', 'w')", ["x"], "empty-output"),
        ("import os; os.mkdir('x')", ["x"], "empty-output"),
        ("import os; os.symlink('/etc/passwd', 'x')", ["x"], "no-output"),
        ("import os; os.mkdir('x'); os.symlink('/etc/passwd', 'x/y')", ["x"], "no-output"),
        ("open('x', 'w').write('1')", ["x", "y"], "no-output"),
    ],
    ids=["nothing", "empty-file", "empty-folder", "link", "link-in-a-folder", "half"],
)
def test_success_without_what_the_step_makes_is_found(tmp_path: Path, code: str, makes: list[str], said: str) -> None:
    assert failure(tmp_path, one(python(code), str(makes)))["code"] == said
    assert not (tmp_path / "run" / "work" / "x").exists()


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
    assert not (tmp_path / "run" / "work" / "a").exists()
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


CIRCLE = """
def steps(case):
    return [Step('one', Command(['a']), after=['two']), Step('two', Command(['a']), after=['one'])]
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def steps(case): return 1 / 0", "line 6 of pipeline.py"),
        ("import no_such_module\ndef steps(case): return []", "pipeline.py cannot be loaded"),
        ("def steps(case): return []", "at least one"),
        (CIRCLE, "circle"),
        (one("Command(['a'])", more=", after=['nowhere']"), "nowhere"),
        (one("Command(['a'])").replace("'one'", "'strange'"), "strange"),
        ("def steps(case): return [Step('one', Command(['a']), part=p, makes=['x']) for p in 'ab']", "both make"),
        ("def steps(case): return [Step('one', Command(['a'])) for p in 'ab']", "two steps"),
    ],
    ids=["error", "import", "no-step", "circle", "after-none", "unknown", "both-make", "twice"],
)
def test_errors_of_the_pipeline_are_said_with_their_place(tmp_path: Path, body: str, words: str) -> None:
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
