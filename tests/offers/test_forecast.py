"""A forecast is a range that holds as often as it says, knows what it rests on, and never looks ahead."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from perijove.hub.offers.forecast import FEWEST, KEPT, Model
from perijove.hub.offers.quantiles import Conformal, survival_quantiles
from perijove.hub.offers.ranges import Range
from perijove.hub.offers.scores import score, waits
from perijove.hub.offers.starts import Situation, Start

DAY = 86400.0


def start(number: int, submitted: float, wait: float, **more: object) -> Start:
    values = {"observed": True, "cores": 4, "walltime": 3600, **more}
    return Start(str(number), submitted, wait, **values)  # type: ignore[arg-type]


def ordered(found: Range) -> bool:
    values = (found.low, found.middle[0], found.likely, found.middle[1], found.high)
    return list(values) == sorted(values) and found.low >= 0


STARTS = st.lists(
    st.builds(
        start,
        st.integers(0, 10**6),
        st.floats(1.7e9, 1.7e9 + 90 * DAY),
        st.floats(0, 10 * DAY),
        observed=st.booleans(),
        cores=st.integers(1, 4096),
        walltime=st.integers(60, 366 * 86400),
        situation=st.builds(
            Situation,
            st.none() | st.integers(0, 10**6),
            st.none() | st.integers(0, 10**6),
            st.none() | st.floats(0, 1e7),
        ),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STARTS, st.integers(1, 4096), st.integers(60, 366 * 86400))
def test_any_history_gives_an_ordered_range_and_the_same_one_again(
    history: list[Start], cores: int, walltime: int
) -> None:
    now = 1.7e9 + 200 * DAY
    situation = Situation(3, 10, 600.0)
    found = Model.of(history).forecast(cores, walltime, situation, now)
    assert ordered(found)
    assert found == Model.of(history).forecast(cores, walltime, situation, now)
    assert found.count == len({one.id for one in history})


def test_without_history_it_says_so_and_is_wide() -> None:
    nothing = Model().forecast(4, 3600, Situation(), 1.7e9)
    assert nothing.evidence == "none" and nothing.count == 0
    assert nothing.low == 0 and nothing.high >= DAY
    free = Model().forecast(4, 3600, Situation(jobs_queued=0, cores_free=64), 1.7e9)
    busy = Model().forecast(4, 3600, Situation(jobs_queued=9, cores_free=0), 1.7e9)
    told = Model().forecast(4, 3600, Situation(jobs_queued=9, cores_free=0, wait=7200.0), 1.7e9)
    assert {free.evidence, busy.evidence, told.evidence} == {"centre"}
    assert free.likely < busy.likely and told.likely == 7200


def test_little_history_moves_the_median_and_leaves_the_range_wide() -> None:
    model, nothing = Model(), Model().forecast(4, 3600, Situation(), 1.7e9)
    for number in range(4):
        model.learn(start(number, 1.7e9 + number * 3600, 40.0))
    found = model.forecast(4, 3600, Situation(), 1.7e9 + DAY / 2)
    assert (found.evidence, found.count, found.days) == ("history", 4, 1)
    assert found.likely == 40 and found.high == nothing.high
    for number in range(4, 3 * FEWEST):
        model.learn(start(number, 1.7e9 + number * 3600, 40.0))
    found = model.forecast(4, 3600, Situation(cores_free=4), 1.7e9 + 3 * DAY)
    assert (found.evidence, found.count, found.days) == ("both", 3 * FEWEST, 3)
    assert found.high < 60


def test_history_from_long_ago_makes_the_range_wide_again() -> None:
    model = Model()
    for number in range(60):
        model.learn(start(number, 1.7e9 + number * 3600, 30.0 + number))
    soon, late = (model.forecast(4, 3600, Situation(), 1.7e9 + days * DAY) for days in (3, 200))
    assert soon.high < 300 and late.high >= DAY


def test_a_model_is_bounded_and_learns_each_start_once() -> None:
    model = Model()
    for number in range(2 * KEPT):
        model.learn(start(number, 1.7e9 + number * 60, 30.0))
        model.learn(start(number, 1.7e9 + number * 60, 9999.0))
    assert len(model.starts) <= KEPT + 10
    assert all(one.wait == 30.0 for one in model.starts)
    # A session that ends long after it has started says again what it taught then.
    model.learn(start(0, 1.7e9, 9999.0))
    assert all(one.wait == 30.0 for one in model.starts)


def queue(seed: int, count: int) -> Iterator[tuple[Situation, int, float]]:
    """Waits that hang on backlog and size, with noise: what a forecast has to find out."""
    chance = random.Random(seed)  # noqa: S311
    level = 0.0
    for _ in range(count):
        level = 0.95 * level + chance.gauss(0, 1)
        backlog = max(0, round(10 + 5 * level))
        cores = chance.choice((1, 4, 16, 64))
        yield Situation(backlog, 64), cores, 20.0 * (1 + backlog) * (1 + cores / 32) * chance.lognormvariate(0, 0.7)


def played(seed: int, count: int = 600, impatient: float = 0.0) -> list[Start]:
    """Each forecast was given before its wait was known, from those whose waits were."""
    chance, model, found = random.Random(seed + 1), Model(), []  # noqa: S311
    for number, (situation, cores, wait) in enumerate(queue(seed, count)):
        now = 1.7e9 + number * 1800.0
        given = model.forecast(cores, 3600, situation, now).as_json()
        leaves = chance.expovariate(1 / impatient) if impatient else math.inf
        one = start(
            number,
            now,
            min(wait, leaves),
            observed=wait <= leaves,
            cores=cores,
            situation=situation,
            forecast=given,
        )
        model.learn(one)
        found.append(one)
    return found


def test_ranges_hold_as_often_as_they_say() -> None:
    covered = [score(played(seed)[50:]) for seed in range(4)]
    assert all(one.cover90 is not None and 0.84 <= one.cover90 <= 0.96 for one in covered)
    assert all(one.cover50 is not None and 0.42 <= one.cover50 <= 0.6 for one in covered)


def test_a_forecast_tells_a_long_queue_from_a_short_one() -> None:
    model = Model.of(played(7))
    now = 1.7e9 + 600 * 1800.0
    short, long = (model.forecast(4, 3600, Situation(n, 64), now) for n in (1, 25))
    assert 3 * short.likely < long.likely
    assert long.high < 20 * DAY / 24


def test_those_who_lost_patience_do_not_make_a_queue_look_quick() -> None:
    """Half of the waits are censored; a median of the rest alone would be far too low."""
    truth = sorted(wait for _, _, wait in queue(3, 600))[300]
    starts = played(3, impatient=truth)
    cancelled = [one for one in starts if not one.observed]
    assert len(cancelled) > 150
    naive = sorted(one.wait for one in starts if one.observed)
    told = waits(starts[-300:], starts[-1].known_at)
    real = sorted(wait for _, _, wait in list(queue(3, 600))[-300:])[150]
    assert naive[len(naive) // 2] < 0.75 * truth
    assert 0.8 * real < told["median"] < 1.25 * real


def test_scores_count_a_cancelled_wait_as_a_miss_only_where_that_is_certain() -> None:
    given = {"low": 10, "high": 100, "middle": [20, 50], "likely": 30}
    cases = [
        start(1, 0, 30, forecast=given),
        start(2, 0, 90, forecast=given),
        start(3, 0, 500, observed=False, forecast=given),
        start(4, 0, 40, observed=False, forecast=given),
        start(5, 0, 40),
    ]
    found = score(cases)
    assert (found.count, found.cover50, found.cover90, found.median_error) == (3, 0.333, 0.667, 30)
    assert score([]).as_json() == {"count": 0, "cover50": None, "cover90": None, "median_error": None}


def test_survival_quantiles_are_those_of_kaplan_and_meier() -> None:
    # Six times, two of them censored: S is 4/6 from 6 on, 4/9 from 7, 0 from 10.
    times = ((6.0, False), (6.0, False), (6.0, True), (7.0, False), (9.0, True), (10.0, False))
    values = [(value, censored, 1.0) for value, censored in times]
    assert survival_quantiles(values, (1 / 3, 0.34, 5 / 9, 0.56, 1.0)) == [6.0, 7.0, 7.0, 10.0, 10.0]
    assert survival_quantiles([(5.0, True, 1.0)], (0.5,)) == [math.inf]
    assert survival_quantiles([], (0.5,)) == [math.inf]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0.01, 0.99))
def test_with_equal_weights_the_conformal_quantile_is_the_usual_one(scores: list[float], level: float) -> None:
    found = Conformal((one, 1.0) for one in scores).quantile(level, 1.0)
    rank = math.ceil(level * (len(scores) + 1) - 1e-9)
    assert found == (sorted(scores)[rank - 1] if rank <= len(scores) else math.inf)


def test_waits_are_those_of_the_last_week() -> None:
    now = 1.7e9
    told = waits([start(n, now - n * DAY, 60.0 * n) for n in range(20, -1, -1)], now)
    assert told["days"] == 7 and told["count"] == 8 and told["recent"][-1] == 0
    assert told["median"] == 180 and told["p90"] == 420
