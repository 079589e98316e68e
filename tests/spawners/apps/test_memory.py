"""The memory of steps: bounded by what they declare or what the run has, told in words, measured in real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doubles.tinyapp import HEAD, app_in, run
from perijove.spawners.apps.memory import family, held
from perijove.spawners.apps.pool import Here

#: Fills 300 MB, page by page, and stays.
FILL = "import time; x = bytearray(300 << 20); x[::4096] = b'x' * len(x[::4096]); time.sleep(600)"


def fails(tmp_path: Path, body: str, memory: int = 4000) -> dict[str, Any]:
    report = run(tmp_path, app_in(tmp_path, HEAD + body), Here(2, memory))
    assert report["state"] == "failed"
    assert 200 << 20 < report["steps"][-1]["memory"] < 2 << 30
    found: dict[str, Any] = report["failure"]
    assert found["code"] == "out-of-memory"
    return found


def test_a_step_that_holds_more_than_it_declares_is_ended_and_says_so(tmp_path: Path) -> None:
    found = fails(
        tmp_path, f"def steps(case): return [Step('one', Command([PY, '-c', {FILL!r}]), memory=200, retries=2)]"
    )
    assert json.loads((tmp_path / "run" / "state.json").read_text())["steps"][-1]["tries"] == 1, "it would be the same"
    assert "of memory and may have 200 MB" in found["message"]["en"]
    assert "上限为 200 MB" in found["message"]["zh"]
    assert "tell the app's authors" in found["advice"]["en"]
    assert found["command"][1] == "-c"


def test_without_a_declaration_the_run_s_memory_is_the_bound(tmp_path: Path) -> None:
    found = fails(tmp_path, f"def steps(case): return [Step('one', Command([PY, '-c', {FILL!r}]))]", 250)
    assert "may have 250 MB" in found["message"]["en"]
    assert "more memory" in found["advice"]["en"] and "内存更大的会话" in found["advice"]["zh"]


def test_what_a_command_starts_counts_and_of_a_pipe_the_largest_is_named(tmp_path: Path) -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {FILL!r}])"
    pipe = f"Pipe((Command(['sleep', '600']), Command([PY, '-c', {child!r}])))"
    found = fails(tmp_path, f"def steps(case): return [Step('one', {pipe}, memory=200)]")
    assert found["command"][1] == "-c"


def test_a_function_that_holds_too_much_is_named_by_its_step(tmp_path: Path) -> None:
    body = f"""
def steps(case): return [Step('one', Call(fill), memory=200)]
def fill(case):
    {FILL}
"""
    assert fails(tmp_path, body)["message"]["en"].startswith("one took ")


def test_what_processes_share_is_counted_once() -> None:
    """A parent with 200 MB and two forks that read them hold 200 MB and not 600."""
    code = (
        "import os, sys, time\nx = bytearray(200 << 20); x[::4096] = b'x' * len(x[::4096])\n"
        "for _ in range(2):\n    if not os.fork():\n        print('up', flush=True); time.sleep(600)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as parent:
        try:
            assert parent.stdout is not None
            assert [parent.stdout.readline() for _ in range(2)] == [b"up\n", b"up\n"]
            pids = family(parent.pid)
            assert len(pids) == 3
            assert 200 << 20 < held(parent.pid, 1 << 20) < 300 << 20
        finally:
            for pid in family(parent.pid):
                subprocess.run(["kill", "-9", str(pid)], check=True)
    assert held(parent.pid, 1) == 0


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_steps_that_say_nothing_share_the_memory_by_their_cores(cores: int) -> None:
    pool = Here(4, 1000)
    pool._busy["a"] = (1, 600)
    assert pool.room(cores, 0) is (cores == 1)
    pool._busy["a"] = (1, 250)
    assert pool.room(cores, 0) is (cores < 4)
    assert Here(4).room(cores, 0)
