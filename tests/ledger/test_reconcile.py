"""What we charged for against a centre's accounting, job by job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perijove.hub.ledger.reconcile import TOLERANCE, Difference, Ours, Window, compare, differ
from perijove.hub.ledger.records import Subject
from perijove.spawners.job import Accounting, JobUsage, job_name, session_of

DAY = Window(datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC))
NOON = DAY.since + timedelta(hours=12)


def named(letter: str) -> str:
    return "abc" + letter * 10


def ours(letter: str = "a", seconds: int = 3600, **other: object) -> Ours:
    kind = "workers" if other.get("task") else "session"
    found = Ours(Subject(kind, named(letter)), "7", None, seconds, NOON)
    return replace(found, **other)  # type: ignore[arg-type]


def theirs(letter: str = "a", elapsed: int | None = 3600, **other: object) -> JobUsage:
    found = JobUsage("7", job_name(named(letter)), ended=NOON, elapsed=elapsed, cores=1, state="COMPLETED")
    return replace(found, **other)  # type: ignore[arg-type]


def found(
    mine: list[Ours], there: list[JobUsage], *, complete: bool = True, known: tuple[str, ...] = ()
) -> list[Difference]:
    accounting = Accounting(tuple(there), "sacct", complete)
    return compare(mine, accounting, DAY, lambda name: session_of(name, "abc"), known)


def kinds(differences: list[Difference]) -> list[str]:
    return [one.kind for one in differences]


def test_the_same_jobs_with_the_same_times_are_no_difference() -> None:
    assert found([ours(), ours("b")], [theirs("b"), theirs()]) == []


def test_a_job_that_we_charged_for_and_the_centre_does_not_know_is_reported() -> None:
    (one,) = found([ours()], [])
    assert (one.kind, one.ours, one.theirs, one.subject.id) == ("not-at-centre", 3600, None, named("a"))
    assert found([ours()], [], complete=False) == [], "where the centre forgets jobs, that one is missing says nothing"
    assert found([ours(seconds=0)], []) == [], "a job that never ran is nowhere"


def test_a_job_with_our_mark_that_the_store_lacks_is_reported() -> None:
    (one,) = found([], [theirs(user="ann", queue="normal")])
    assert (one.kind, one.job_id, one.ours, one.theirs) == ("not-ours", "7", None, 3600)
    assert {"ann", "normal", "COMPLETED"} <= set(one.detail.split(", "))
    assert found([], [theirs(elapsed=0)]) == []
    assert found([], [theirs()], known=(f"{named('a')}/7",)) == [], "it has not ended here, or only just"


def test_jobs_of_other_gateways_are_none_of_ours() -> None:
    assert found([], [theirs(name="pjxyz" + "a" * 10), theirs(name="thesis")]) == []


def test_a_second_job_of_the_same_session_is_not_ours_either() -> None:
    (one,) = found([ours()], [theirs(), theirs(job_id="8")], known=(f"{named('a')}/7",))
    assert (one.kind, one.job_id) == ("not-ours", "8")


def test_other_hours_are_reported_beyond_what_two_clocks_may_differ() -> None:
    assert found([ours(seconds=3600)], [theirs(elapsed=3660)]) == []
    (one,) = found([ours(seconds=3600)], [theirs(elapsed=3661, runs=2)])
    assert (one.kind, one.ours, one.theirs) == ("hours", 3600, 3661) and one.detail.startswith("2 runs")
    assert found([ours(seconds=99_000)], [theirs(elapsed=100_000)]) == [], "one per cent of a long job"
    assert kinds(found([ours(seconds=98_999)], [theirs(elapsed=100_000)])) == ["hours"]
    assert found([ours()], [theirs(elapsed=None)]) == [], "it did not say"


def test_tasks_are_told_apart() -> None:
    mine = [ours(task=1), ours(task=2)]
    (one,) = found(mine, [theirs(task=1), theirs(task=2, elapsed=60)])
    assert (one.kind, one.job_id, one.subject.kind) == ("hours", "7/2", "workers")


def test_what_nobody_knew_the_cost_of_is_named_with_what_the_centre_says() -> None:
    (one,) = found([ours(seconds=0, undecided=True)], [theirs(elapsed=90)])
    assert (one.kind, one.ours, one.theirs) == ("undecided", None, 90) and one.usage is not None
    (still,) = found([ours(seconds=0, undecided=True)], [])
    assert (still.kind, still.theirs, still.usage) == ("undecided", None, None)


@pytest.mark.parametrize(("mine", "there", "count"), [(-5, 5, 1), (5, -5, 1), (-5, -5, 0), (5, 5, 1)])
def test_an_end_at_midnight_belongs_to_the_day_of_either_clock(mine: int, there: int, count: int) -> None:
    """Seconds after midnight at the day's begin: no job is missed between two days, and none is missing at one side."""
    first, last = (DAY.since + timedelta(seconds=number) for number in (mine, there))
    differences = found([ours(ended=first)], [theirs(ended=last, elapsed=9)])
    assert len(differences) == count and all(one.kind == "hours" for one in differences)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_difference_is_beyond_a_minute_and_a_hundredth(mine: int, there: int) -> None:
    assert differ(mine, there) == (abs(mine - there) > TOLERANCE and abs(mine - there) * 100 > there)
