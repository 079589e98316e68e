"""What a person reads when a cluster cannot do what was asked: with the broker's own values, in both languages."""

from __future__ import annotations

import pytest
from perijove.hub.limits import ClusterLimits, OverLimit, Used, check
from perijove.widgets.clustererror import ClusterError, words

LIMITS = {
    "limit-workers": (ClusterLimits(workers=3), ("3", "2", "5")),
    "limit-cores": (ClusterLimits(workers=0, cores=10), ("10", "4", "10")),
    "limit-cost": (ClusterLimits(workers=0, cores=0, cost_per_hour=4), ("4.00", "1.00", "5.00")),
    "confirm-cost": (ClusterLimits(workers=0, cores=0, confirm_cost_per_hour=4), ("6.00", "4.00")),
}


@pytest.mark.parametrize("code", LIMITS)
def test_a_limit_is_told_with_the_numbers_that_the_broker_gives(code: str) -> None:
    limits, numbers = LIMITS[code]
    with pytest.raises(OverLimit) as caught:
        check(limits, Used(workers=2, cores=4, cost_per_hour=1_000_000), 5, 2, 1_000_000, False)
    assert caught.value.code == code
    for language in ("en", "zh"):
        told = words(code, caught.value.values, "the broker's own words", language)
        assert told != "the broker's own words"
        for number in numbers:
            assert number in told, told


def test_a_notebook_shows_the_sentence_and_no_code() -> None:
    error = ClusterError.of_answer(409, {"error": "limit-workers", "values": {"most": 3, "used": 2, "asked": 5}})
    assert error._render_traceback_() == [f"ClusterError: {error}"]
    assert "3 workers" in str(error)
