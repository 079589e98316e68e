"""When warnings are due, and when a session ends itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perijove.widgets.clock import Plan

USUAL = (30, 10, 2)


def test_a_session_of_hours_is_warned_of_at_thirty_ten_and_two_minutes() -> None:
    plan = Plan.make(10_000.0, 8000, USUAL, 60)
    assert plan.warnings == (1800, 600, 120)
    assert plan.left(10_000 - 1860) == 1800
    assert [plan.due(left) for left in (1801, 1800, 601, 600, 119, 0)] == [None, 1800, 1800, 600, 120, 120]


@pytest.mark.parametrize(("minutes", "warnings"), [(20, (600, 120)), (10, (120,)), (3, (120,)), (1, ())])
def test_a_short_session_does_not_begin_with_a_warning(minutes: int, warnings: tuple[int, ...]) -> None:
    assert Plan.make(0.0, minutes * 60, USUAL, 60).warnings == warnings


def test_a_short_session_gives_little_away_for_its_end() -> None:
    assert Plan.make(0.0, 60, USUAL, 60).margin == 6
    assert Plan.make(0.0, 86400, USUAL, 60).margin == 60


@given(
    walltime=st.floats(60, 1e6),
    minutes=st.lists(st.integers(-5, 600), max_size=6),
    margin=st.floats(0, 600),
    elapsed=st.floats(0, 1),
)
def test_after_each_pause_something_is_due_that_was_not_before(
    walltime: float, minutes: list[int], margin: float, elapsed: float
) -> None:
    plan = Plan.make(walltime, walltime, minutes, margin)
    left = plan.left(elapsed * walltime)
    pause = plan.pause(left)
    assert 0 <= pause <= left
    after = plan.left(walltime - plan.margin - left + pause + 1e-3)
    assert after == 0 or plan.due(after) != plan.due(left) or left == 0
