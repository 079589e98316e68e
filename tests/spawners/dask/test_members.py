"""The decisions about workers: who is lost, silent, expiring, retired or let go. Times are seconds from 0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from perijove.spawners.dask.config import Config
from perijove.spawners.dask.members import Members

WALLTIME = 3600.0


def members(walltime: float | None = WALLTIME, **times: float) -> Members:
    shape = {"cores": 1, "memory": 1024, "walltime": walltime}
    given = {"id": "abc", "name": "one", "socket_dir": "/s", "folder": "/f/abc", "address": "127.0.0.1"}
    return Members(Config.of({**given, "ports": [1, 2], "shape": shape, "api": "http://a", "times": times}))


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def row(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, **more}


def running(found: Members, ends: dict[str, float], now: float = 200.0) -> None:
    """These run, are connected after having waited for 200 s, and end then."""
    found.add(ends, now - 200)
    found.take(row(name, "running", ends_by=iso(end)) for name, end in ends.items())
    found.connect(ends, now)


def names(of: list[Any]) -> list[str]:
    return [member.name for member in of]


def test_a_successor_is_wanted_early_enough_for_what_waiting_has_taken_so_far() -> None:
    found = members()
    found.add(["a"], 0.0)
    found.take([row("a", "running", ends_by=iso(3600))])
    found.connect(["a"], 300.0)  # it took 300 s to come: the next one is given half as much again
    assert not found.mark_expiring(3600 - 45 - 450)
    assert names(found.mark_expiring(3600 - 45 - 450 + 1)) == ["a"]
    assert not found.active() and not found.mark_expiring(3500)


def test_a_short_life_is_not_spent_on_waiting_for_successors() -> None:
    found = members(walltime=100)
    found.add(["a"], 0.0)
    found.take([row("a", "running", ends_by=iso(100))])
    found.connect(["a"], 50.0)
    assert not found.mark_expiring(49)  # margin and lead are a quarter of the walltime at most
    assert names(found.mark_expiring(51)) == ["a"]


@pytest.mark.parametrize("wrong", [-8 * 3600.0, -1800.0, 120.0, 8 * 3600.0])
def test_a_clock_that_differs_from_the_nodes_neither_ends_workers_at_once_nor_keeps_them(wrong: float) -> None:
    found = members()
    found.add(["a"], 0.0)
    found.take([row("a", "running", ends_by=iso(10 * WALLTIME + WALLTIME + wrong))])
    found.connect(["a"], 10 * WALLTIME)  # it came at once: its life is what the node's clock says it is
    assert not found.mark_expiring(10 * WALLTIME + 1)
    assert names(found.mark_expiring(11 * WALLTIME - 46)) == ["a"]


def test_a_job_that_began_a_while_before_it_was_seen_ends_when_the_centre_says() -> None:
    found = members()
    running(found, {"a": 3600 - 500}, now=200.0)
    assert names(found.mark_expiring(3600 - 500 - 45 - 299)) == ["a"]


def test_workers_of_an_earlier_head_are_known_to_be_strangers() -> None:
    found = members()
    found.add(["mine"], 0.0)
    found.take([row("mine", "queued"), row("old", "queued", wanted=True), row("done", "lost"), row("off", "running")])
    assert found.strangers() == ["old", "off"]
    found.take([row("mine", "queued"), row("old", "queued", wanted=False)])
    assert not found.strangers()


def test_what_is_being_cancelled_and_runs_still_counts_as_running() -> None:
    found = members()
    found.take([row("gone", "running", wanted=False), row("silent", "unknown", before="running", wanted=False)])
    assert found.counts()["running"] == 2


def test_without_a_walltime_nothing_expires() -> None:
    found = members(walltime=None)
    found.add(["a"], 0.0)
    found.take([row("a", "running")])
    found.connect(["a"], 0.0)
    assert not found.mark_expiring(1e9)


def test_a_worker_retires_when_its_successor_is_there_and_the_first_to_end_goes_first() -> None:
    found = members()
    running(found, {"late": 3590, "early": 3580})
    assert set(names(found.mark_expiring(3500))) == {"late", "early"}
    assert not found.to_retire(3500, 2)
    found.add(["next"], 3500)
    found.take([*found.rows.values(), row("next", "running", ends_by=iso(7200))])
    assert not found.to_retire(3500, 2)  # it runs, and has not connected yet
    found.connect(["late", "early", "next"], 3505)
    assert names(found.to_retire(3505, 2)) == ["early"]


def test_a_worker_without_a_successor_retires_at_the_margin_all_the_same() -> None:
    found = members()
    running(found, {"a": 3600})
    found.mark_expiring(3500)
    assert not found.to_retire(3554, 1)
    assert names(found.to_retire(3556, 1)) == ["a"]


def test_what_waits_is_let_go_first_then_the_idle_and_the_newest_of_each() -> None:
    found = members()
    for at, name in enumerate(["busy", "idle", "starting", "queued-old", "queued-new", "asked"]):
        found.add([name], float(at))
    states = {"busy": "running", "idle": "running", "starting": "running", "queued-old": "queued"}
    found.take(row(name, state) for name, state in {**states, "queued-new": "queued", "asked": "requested"}.items())
    found.connect(["busy", "idle"], 10.0)
    order = ["asked", "queued-new", "queued-old", "starting", "idle", "busy"]
    assert names(found.surplus(6, ["idle"])) == order
    assert names(found.surplus(2, ["idle"])) == order[:2]
    assert found.surplus(0, []) == found.surplus(-3, []) == []


def test_who_is_let_go_or_over_is_neither_counted_nor_let_go_again() -> None:
    found = members()
    running(found, {"a": 3600, "b": 3600, "c": 3600})
    found.all["a"].retiring = True
    found.take([*found.rows.values(), row("b", "lost")])
    assert names(found.active()) == ["c"] and names(found.surplus(3, [])) == ["c"]


def test_a_job_that_ended_is_gone_but_not_one_of_which_the_centre_says_nothing() -> None:
    found = members()
    found.add(["ended", "unknown"], 0.0)
    found.take([row("ended", "lost"), row("unknown", "unknown", before="running")])
    found.connect([], 1.0)
    assert names(found.gone(1.0)) == ["ended"]
    assert found.all["unknown"].state == "running"


def test_a_worker_out_of_touch_is_gone_after_a_while_unless_it_is_being_let_go() -> None:
    found = members(gone=60)
    running(found, {"a": 3600, "b": 3600})
    found.all["b"].retiring = True
    found.connect([], 250.0)
    assert not found.gone(260.0)
    assert names(found.gone(261.0)) == ["a"]


def test_a_running_job_without_its_worker_is_silent_once_and_gone_at_the_bound() -> None:
    found = members(silent=60, absent=300)
    found.add(["never", "comes", "waits"], 0.0)
    found.take([row("never", "running"), row("comes", "running"), row("waits", "queued")])
    found.connect([], 1000.0)  # the time in the queue does not count
    found.connect(["comes"], 1059.0)
    assert not found.newly_silent(1060.0)
    assert names(found.newly_silent(1061.0)) == ["never"]
    assert not found.newly_silent(1062.0)
    assert not found.gone(1300.0)
    assert names(found.gone(1301.0)) == ["never"]


def test_counts_are_the_batch_systems_states_and_connections() -> None:
    found = members()
    running(found, {"a": 3600, "b": 3600})
    found.add(["c"], 0.0)
    found.connect(["a"], 1.0)
    found.take([*found.rows.values(), row("d", "lost")])
    assert found.counts() == {"requested": 1, "queued": 0, "running": 2, "connected": 1, "lost": 1}
