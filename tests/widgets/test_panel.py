"""The panel's Python side over a cluster that is none: what it shows, asks, and says of failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from doubles.panel_cluster import PanelCluster, Refused, worker
from perijove.widgets.panel import history, panel, widget


def eventually(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while not (value := what()):
        assert time.monotonic() < deadline, "did not happen in time"
        threading.Event().wait(0.01)
    return value


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widget, "EVERY", 0.01)
    monkeypatch.setattr(widget, "AFTER_FAILURE", 0.01)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What panels sent to browsers as answers."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(widget.Panel, "send", lambda _self, content, _buffers=None: found.append(content))
    yield found


def test_it_shows_what_the_head_says_and_each_change_once() -> None:
    cluster = PanelCluster("running", "queued")
    shown = panel(cluster)
    eventually(lambda: shown.seen)
    assert shown.seen["target"] == 2
    eventually(lambda: cluster.asked > 3)
    assert [point[1:] for point in shown.history] == [[1, 1, 0, 0, 2]]
    cluster.rows[1] = worker(2, "running")
    eventually(lambda: len(shown.history) == 2)
    assert shown.history[-1][1:] == [2, 0, 0, 0, 2]
    assert panel(cluster) is shown


def test_a_press_is_done_and_answered(said: list[dict[str, Any]]) -> None:
    cluster = PanelCluster("running")
    shown = panel(cluster)
    shown._pressed(shown, {"id": "a", "action": "scale", "n": 3, "confirmed": False}, [])
    eventually(lambda: said)
    assert said.pop()["id"] == "a"
    eventually(lambda: shown.seen.get("target") == 3)
    shown._pressed(shown, {"id": "b", "action": "adapt", "minimum": 1, "maximum": 500}, [])
    eventually(lambda: said)
    assert said.pop() == {
        "id": "b",
        "error": "limit-workers",
        "message": "too many",
        "values": {"most": 200, "asked": 500, "used": 3},
    }
    shown._pressed(shown, {"id": "c", "action": "log", "worker": "abcdefghijklm-1"}, [])
    eventually(lambda: said)
    assert [name for name, _text in said.pop()["done"]] == ["abcdefghijklm-1"]


@pytest.mark.parametrize(
    "message",
    [
        {"action": "scale", "n": -1},
        {"action": "scale", "n": "9; rm"},
        {"action": "scale", "n": True},
        {"action": "adapt", "minimum": 0},
        {"action": "run"},
        {},
    ],
    ids=str,
)
def test_whatever_a_browser_sends_reaches_the_cluster_as_a_number_or_not_at_all(
    said: list[dict[str, Any]], message: dict[str, Any]
) -> None:
    cluster = PanelCluster()
    shown = panel(cluster)
    shown._pressed(shown, message | {"id": "x"}, [])
    eventually(lambda: said)
    assert said[0]["error"] == "ValueError"
    assert not cluster.calls


def test_a_cluster_that_does_not_answer_is_said_and_then_read_again() -> None:
    cluster = PanelCluster("running")
    cluster.failing = ConnectionError("refused")
    shown = panel(cluster)
    first = eventually(lambda: shown.problem)
    assert (first["error"], first["message"]) == ("ConnectionError", "refused")
    asked = cluster.asked
    eventually(lambda: cluster.asked > asked + 3)
    assert shown.problem["since"] == first["since"]
    cluster.failing = None
    eventually(lambda: not shown.problem)
    assert not shown.ended


def test_a_cluster_that_is_gone_is_not_asked_any_more() -> None:
    cluster = PanelCluster("running")
    cluster.failing = Refused("not-found", "there is no such cluster")
    shown = panel(cluster)
    eventually(lambda: shown.ended)
    eventually(lambda: shown._reading is not None and shown._reading.done())


def test_it_stops_reading_when_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widget, "LEASE", 0.1)
    cluster = PanelCluster("running")
    shown = panel(cluster)
    eventually(lambda: shown._reading is not None and shown._reading.done())
    asked = cluster.asked
    shown._pressed(shown, {"action": "look"}, [])
    eventually(lambda: cluster.asked > asked)


def test_stopping_is_seen_at_once_and_a_refusal_takes_it_back(said: list[dict[str, Any]]) -> None:
    cluster = PanelCluster("running")
    shown = panel(cluster)
    shown._pressed(shown, {"id": "s", "action": "stop"}, [])
    eventually(lambda: said)
    assert shown.ended
    assert cluster.calls == [("close",)]

    class Stubborn(PanelCluster):
        async def _close(self) -> None:
            raise Refused("forbidden", "not yours")

    other = panel(Stubborn("running"))
    other._pressed(other, {"id": "t", "action": "stop"}, [])
    eventually(lambda: len(said) == 2)
    assert said[1]["error"] == "forbidden"
    assert not other.ended


def test_who_is_connected_runs_and_who_a_silent_centre_says_nothing_of_is_what_it_was() -> None:
    rows = [worker(1, "queued", connected=True), worker(2, "unknown", before="running"), worker(3, "unknown")]
    rows += [worker(4, "lost"), worker(5, "ended")]
    assert history.counts({"workers": rows}) == {"running": 2, "queued": 0, "requested": 1, "lost": 1, "connected": 1}
    assert history.counts({"counts": {"running": 1, "connected": 2}})["running"] == 2


def test_the_history_keeps_ten_minutes_and_the_point_before_them() -> None:
    kept = history.History()
    for second in range(0, 1200, 100):
        kept.add(float(second), {"workers": [], "target": second})
    assert kept.points[0][0] == 500.0
    assert kept.points[-1][0] == 1100.0
    for second in range(5000):
        kept.add(1200 + second / 100, {"target": second})
    assert len(kept.points) == history.MOST


def test_the_script_is_made_of_every_file_and_has_one_way_in() -> None:
    assert set(widget.PARTS) == {path.name for path in widget._HERE.glob("*.js")}
    assert widget.SCRIPT.count("export ") == 1
    assert "import " not in widget.SCRIPT
