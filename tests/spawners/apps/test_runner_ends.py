"""A runner that is ended from outside: in order by SIGTERM, or killed and followed by another."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from doubles.tinyapp import HEAD, app_in, order
from harness.basics import until
from perijove.spawners.apps.marks import mark, marked


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
