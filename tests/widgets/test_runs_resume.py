"""A run whose process is killed: noticed at once, told as interrupted, and gone on with where it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubles.run_broker import TINY, RunBroker, run_broker
from harness.app_session import AppServer, app_server
from perijove.spawners.apps.manifest import load
from perijove.widgets.runend import died

pytestmark = [pytest.mark.slow]
#: The second step waits while there is a file of this name in the home.
WAITS = "    while (Path.home() / 'wait').exists():\n        time.sleep(0.05)\n    sizes = [float(line)"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunBroker]:
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    pipeline = (folder / "pipeline.py").read_text()
    assert "    sizes = [float(line)" in pipeline
    (folder / "pipeline.py").write_text(pipeline.replace("    sizes = [float(line)", WAITS))
    with run_broker(load(folder)) as made:
        yield made


def states(run: dict[str, Any]) -> list[str]:
    return [step["state"] for step in (run["report"] or {}).get("steps", [])]


def runner_of(server: AppServer, run: str) -> int:
    """The process that executes it, as it wrote itself down."""
    return int(json.loads((server.home / ".perijove/runs" / run / "runner.json").read_bytes())["pid"])


def test_a_run_whose_process_was_killed_is_told_at_once_and_goes_on(broker: RunBroker, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with app_server(home, broker.facts()) as server:
        (home / "wait").touch()
        run = str(server.ask("POST", "perijove/runs", json={"inputs": {}, "key": "a"}).json()["id"])
        at = f"perijove/runs/{run}"
        server.until(at, lambda one: states(one) == ["done", "running"])
        pid, killed = runner_of(server, run), time.time()
        os.kill(pid, signal.SIGKILL)
        failed = server.until(at, lambda one: one["state"] != "running" and not one["live"])
        assert failed["report"]["ended"] >= killed
        assert (failed["state"], failed["report"]["failure"]["code"]) == ("failed", "killed")
        assert "interrupted" in failed["report"]["failure"]["message"]["en"]
        assert "finished steps are kept" in failed["report"]["failure"]["advice"]["en"]
        assert states(failed) == ["done", "cancelled"]
        server.until(at, lambda _: broker.runs[run]["state"] == "failed")  # and the gateway knows

        # Another session was quicker: its folder, and what that one writes there, are left alone.
        kept = (server.home / ".perijove/runs" / run / "run.json").read_bytes()
        broker.runs[run] |= {"state": "running", "session": "s-other"}
        answer = server.ask("POST", f"{at}/resume")
        assert answer.json()["error"] == "elsewhere"
        assert (server.home / ".perijove/runs" / run / "run.json").read_bytes() == kept
        broker.runs[run] |= {"state": "failed"}

        (home / "wait").unlink()
        answer = server.ask("POST", f"{at}/resume")
        assert answer.status_code == 202, answer.text
        assert answer.json()["version"] > failed["version"]
        done = server.until(at, lambda one: one["state"] == "done" and not one["live"])
        assert states(done) == ["kept", "done"]
        assert done["report"]["steps"][0]["tries"] == 0  # not run again
        server.until(at, lambda _: broker.runs[run]["state"] == "done")
        assert server.ask("POST", "perijove/runs/none-such/resume").json()["error"] == "not-found"


@pytest.mark.parametrize(
    ("code", "what", "words"),
    [
        (-9, "killed", "signal 9"),
        (137, "killed", "signal 9"),
        (-11, "internal", "exit code -11"),
        (1, "internal", "exit code 1"),
    ],
)
def test_what_is_said_follows_from_how_the_process_ended(tmp_path: Path, code: int, what: str, words: str) -> None:
    (tmp_path / "process.log").write_text("first\nlast\n")
    failure = died({}, tmp_path, code)["failure"]
    assert (failure["code"], failure["lines"]) == (what, ["first", "last"])
    assert words in failure["message"]["en"]
    assert failure["message"]["zh"] and failure["advice"]["zh"]
