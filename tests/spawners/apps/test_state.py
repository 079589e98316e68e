"""What a run says of itself while it goes on: how much is done, how long it takes, and never half a file."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from doubles.tinyapp import app_in, run
from hypothesis import given
from hypothesis import strategies as st
from perijove.spawners.apps.graph import graph
from perijove.spawners.apps.progress import Meter, Progress
from perijove.spawners.apps.state import Part, State, write_json
from perijove.spawners.apps.steps import BadPipeline, Call, Command, Pipe, Step


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A run of one long step and four parts of another, on two cores."""
    state = State(app_in(tmp_path), "node", 2, time.time())
    one = Step("one", Command(["a"]))
    state.take(graph([one, *(Step("two", Command(["a"]), part=p, after=["one"]) for p in "abcd")], ["one", "two"]))
    return state


def test_progress_goes_by_the_steps_weights(state: State) -> None:
    assert state.progress() == 0
    state.parts["one"] = Part("running", 0.5)
    assert state.progress() == pytest.approx(0.375)  # half of a weight of 3 in 4
    state.parts["one"] = Part("done")
    state.parts["two@a"] = Part("kept")
    assert state.progress() == pytest.approx(0.75 + 0.25 / 4)
    report = state.report()
    assert report["steps"][1]["parts"] == {"total": 4, "done": 1, "running": 0, "failed": 0}
    assert [step["state"] for step in report["steps"]] == ["done", "running"]


def test_time_left_comes_from_the_estimate_and_then_from_finished_parts(state: State) -> None:
    assert state.left() is None
    state.expected = 40.0
    assert state.left() == pytest.approx(40.0)
    state.parts["one"] = Part("done", seconds=60.0)  # thought to take 30
    assert state.left() == pytest.approx(20.0)
    state.parts["two@a"] = Part("done", seconds=4.0)
    assert state.left() == pytest.approx(6.0)  # three of 4 s on two cores
    state.parts["two@b"] = Part("running", 0.5, began=time.time() - 3)
    assert state.left() == pytest.approx(5.5, abs=0.1)


def test_time_left_is_unknown_without_any_ground(state: State) -> None:
    state.parts["one"] = Part("running", began=time.time())
    assert state.left() is None


def test_json_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_a_disk_that_is_full_when_results_are_moved_keeps_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def full(self: Path, target: Any) -> Any:
        if Path(target).name == "rows.csv":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    report = run(tmp_path, app_in(tmp_path))
    assert (report["state"], report["failure"]["code"], report["results"]) == ("failed", "disk-full", None)
    assert not (tmp_path / "run/steps/last.json").exists()
    monkeypatch.undo()
    again = run(tmp_path, app_in(tmp_path))
    assert again["state"] == "done", again["failure"]
    assert [step["state"] for step in again["steps"]] == ["kept", "kept", "done"]


@pytest.mark.parametrize(
    ("progress", "lines", "fractions"),
    [
        (Progress(r"(?P<percent>[\d.]+)%"), ["10%", "x", "100.0%", "250%"], [0.1, None, 1.0, 1.0]),
        (Progress(r"shot (?P<done>\d+)/(?P<total>\d+)"), ["shot 1/4", "shot 4/4", "shot 1/0"], [0.25, 1.0, None]),
        (Progress(r"Processed (?P<done>\d+)", total=10, adds=True), ["Processed 4", "Processed 4"], [0.4, 0.8]),
        (Progress(r"(?P<done>\S+)", total=10), ["nan", "word", "5"], [0.0, None, 0.5]),
    ],
)
def test_lines_tell_progress(progress: Progress, lines: list[str], fractions: list[float | None]) -> None:
    meter = Meter(progress)
    assert [meter.fraction(line) for line in lines] == fractions


@given(st.text(max_size=100))
def test_no_line_takes_progress_out_of_its_bounds(line: str) -> None:
    fraction = Meter(Progress(r"(?P<done>.*)", total=3)).fraction(line)
    assert fraction is None or 0 <= fraction <= 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Command([]),
        lambda: Command("rm -rf /"),  # type: ignore[arg-type]
        lambda: Command(["a", None]),  # type: ignore[list-item]
        lambda: Command(["a", "b\0c"]),
        lambda: Command(["a"], stdout="../out"),
        lambda: Pipe(()),
        lambda: Pipe((Command(["a"], stdout="x"), Command(["b"]))),
        lambda: Call(lambda case: None),
        lambda: Call(print, what=object()),
        lambda: Step("Bad Name", Command(["a"])),
        lambda: Step("one", Command(["a"]), part="../x"),
        lambda: Step("one", Command(["a"]), makes=["/etc/passwd"]),
        lambda: Step("one", Command(["a"]), makes="x"),
        lambda: Step("one", Command(["a"]), cores=0),
        lambda: Step("one", "ls"),  # type: ignore[arg-type]
    ],
)
def test_what_makes_no_sense_is_refused_at_once(make: Any) -> None:
    with pytest.raises(BadPipeline):
        make()
