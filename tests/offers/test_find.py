"""An offer is true: what fits can be placed, what is recommended is best, and what would mend a fault mends it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offers.federation import NOW, OPTIONS, RANGES, centre, dataset, federations, known, queue_now
from perijove.hub.offers.choose import PREFERENCES
from perijove.hub.offers.find import CentreNow, Offer, Offers, find
from perijove.hub.offers.ranges import UNKNOWN, rounded
from perijove.spawners.centre import Centre
from perijove.spawners.request import BadRequest, Fault, Placement, Request, fit, place


@st.composite
def asked(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Centre], Offers]:
    centres = draw(federations())
    options = draw(OPTIONS)
    return options, centres, find(options, centres, draw(known(centres)), NOW)


def fitting(found: Offers) -> list[Offer]:
    return [offer for offer in found.offers if offer.placement is not None]


@settings(max_examples=80, deadline=None)
@given(asked())
def test_every_queue_answers_once_and_those_that_fit_come_first(
    case: tuple[dict[str, Any], dict[str, Centre], Offers],
) -> None:
    _, centres, found = case
    pairs = [(offer.centre.id, offer.queue.name) for offer in found.offers]
    assert sorted(pairs) == sorted((one.id, queue.name) for one in centres.values() for queue in one.queues)
    fits = [offer.placement is not None for offer in found.offers]
    assert fits == sorted(fits, reverse=True)
    assert all(bool(offer.faults) != fit for offer, fit in zip(found.offers, fits, strict=True))


@settings(max_examples=80, deadline=None)
@given(asked())
def test_what_fits_is_what_a_start_would_be_placed_as(
    case: tuple[dict[str, Any], dict[str, Centre], Offers],
) -> None:
    options, centres, found = case
    wanted = {key: value for key, value in options.items() if key != "prefer"}
    for offer in fitting(found):
        request = Request.parse({**wanted, "centre": offer.centre.id, "queue": offer.queue.name})
        assert place(request, centres, NOW) == offer.placement
        here = {one.name for one in offer.centre.datasets}
        assert set(offer.data) <= here and not set(offer.missing) & here
        assert sorted(offer.data + offer.missing) == sorted(options.get("data", []))


@settings(max_examples=250, deadline=None)
@given(asked())
def test_with_all_fixes_in_place_the_request_fits(case: tuple[dict[str, Any], dict[str, Centre], Offers]) -> None:
    options, _, found = case
    for offer in found.offers:
        if not offer.faults or any(fix is None for _, fix in offer.faults):
            continue
        wanted = {key: value for key, value in options.items() if key != "prefer"}
        wanted |= {fix.field: fix.value for _, fix in offer.faults if fix is not None}
        request = Request.parse({**wanted, "centre": offer.centre.id, "queue": offer.queue.name})
        assert isinstance(fit(request, offer.centre, offer.queue, NOW), Placement)


@settings(max_examples=80, deadline=None)
@given(asked())
def test_a_fix_asks_for_less_and_for_no_less_than_a_queue_allows(
    case: tuple[dict[str, Any], dict[str, Centre], Offers],
) -> None:
    _, _, found = case
    for offer in found.offers:
        for fault, fix in offer.faults:
            if fix is None or fault.code != "too-much":
                continue
            assert fix.field == fault.field and fix.value < fault.values["asked"]
            if fix.field != "walltime":
                assert fix.value == fault.values["most"]


@settings(max_examples=80, deadline=None)
@given(asked())
def test_the_recommended_one_is_the_first_and_every_reason_is_true(
    case: tuple[dict[str, Any], dict[str, Centre], Offers],
) -> None:
    _, _, found = case
    good = fitting(found)
    assert [offer.recommended for offer in found.offers] == [bool(good)] * bool(good) + [False] * (
        len(found.offers) - bool(good)
    )
    if not good:
        assert not found.reasons and found.recommended is None
        return
    best, starts = good[0], [offer.start.likely for offer in good if offer.start]
    assert found.reasons
    prices = [offer.placement.price for offer in good if offer.placement]
    for reason in found.reasons:
        if reason.code == "only-fit":
            assert len(good) == 1
        elif reason.code == "soonest":
            assert best.start and best.start.likely == min(starts) < max(starts)
        elif reason.code == "cheapest":
            assert best.placement and best.placement.price == min(prices) < max(prices)
        elif reason.code == "data-here":
            assert best.data and not best.missing


@given(st.lists(st.tuples(RANGES, st.integers(0, 9)), min_size=2, max_size=6))
def test_each_preference_puts_its_own_best_first(drawn: list[tuple[Any, int]]) -> None:
    centres, now = {}, {}
    for number, (start, price) in enumerate(drawn):
        queue = {"name": "cpu", "cores": 8, "memory": "32G", "price": {"core_hour": price}}
        has = [dataset("era5")] if number % 2 else []
        centres[f"c{number}"] = centre(f"c{number}", queues=[queue], datasets=has)
        now[f"c{number}"] = CentreNow({"cpu": queue_now(start, True)}, NOW)
    found = {p: find({"cores": 1, "data": ["era5"], "prefer": p}, centres, now, NOW).offers[0] for p in PREFERENCES}
    assert found["start"].start is not None
    assert found["start"].start.likely == min(start.likely for start, _ in drawn)
    assert found["price"].placement is not None
    assert found["price"].placement.price == min(price * 1_000_000 for _, price in drawn)
    assert found["data"].data == ("era5",)


@settings(deadline=None)
@given(asked(), st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(
    case: tuple[dict[str, Any], dict[str, Centre], Offers], chance: Any
) -> None:
    options, centres, _ = case
    names = list(centres)
    chance.shuffle(names)
    one, other = find(options, centres, {}, NOW), find(options, {name: centres[name] for name in names}, {}, NOW)
    assert one == other


def test_a_silent_centre_is_not_recommended_while_another_answers() -> None:
    quick, slow = rounded((0, 1, 2, 3, 4), "history"), rounded((0, 100, 2000, 30000, 400000), "history")
    now = {
        "a": CentreNow({"cpu": queue_now(quick, True)}, NOW, NOW - timedelta(hours=1)),
        "b": CentreNow({"cpu": queue_now(slow, True)}, NOW),
    }
    centres = {"a": centre("a"), "b": centre("b")}
    found = find({"cores": 1, "prefer": "start"}, centres, now, NOW)
    assert found.recommended is not None and found.recommended.centre.id == "b"
    assert "soonest" not in [reason.code for reason in found.reasons]


def test_nodes_with_gpus_are_not_recommended_to_those_who_want_none_where_all_else_is_equal() -> None:
    queues = [
        {"name": "accelerated", "cores": 8, "memory": "32G", "gpus": 4},
        {"name": "cpu", "cores": 8, "memory": "32G"},
    ]
    alone = centre("a", queues=queues)
    for asked_gpus, best in ((0, "cpu"), (1, "accelerated")):
        found = find({"cores": 2, "gpus": asked_gpus}, {"a": alone}, {}, NOW)
        assert found.recommended is not None
        assert found.recommended.queue.name == best


def test_a_queue_that_takes_no_jobs_and_a_centre_with_a_fault_do_not_fit_and_nothing_mends_them() -> None:
    closed = CentreNow({"cpu": queue_now(rounded(UNKNOWN, "none"), False)}, NOW)
    (offer,) = find({"cores": 1}, {"here": centre()}, {"here": closed}, NOW).offers
    assert [(fault.code, fix) for fault, fix in offer.faults] == [("queue-closed", None)]
    drained = CentreNow(faults=(Fault("centre", "drained", "no new sessions", {}),))
    (offer,) = find({"cores": 99}, {"here": centre()}, {"here": drained}, NOW).offers
    assert [(fault.code, fix and fix.value) for fault, fix in offer.faults] == [("drained", None), ("too-much", 8)]


def test_a_maintenance_ahead_is_mended_by_a_shorter_session_and_one_that_has_begun_by_nothing() -> None:
    window = {"start": NOW + timedelta(hours=2), "end": NOW + timedelta(hours=9)}
    (offer,) = find({"walltime": "3h"}, {"here": centre(maintenance=[window])}, {}, NOW).offers
    ((fault, fix),) = offer.faults
    assert fault.code == "maintenance" and fix is not None and (fix.field, fix.value) == ("walltime", 6900)
    (offer,) = find({"walltime": "9h"}, {"here": centre(maintenance=[window])}, {}, NOW).offers
    assert {fix.value for _, fix in offer.faults if fix} == {6900} and len(offer.faults) == 2
    window["start"] = NOW - timedelta(hours=1)
    (offer,) = find({"walltime": "1h"}, {"here": centre(maintenance=[window])}, {}, NOW).offers
    assert [fix for _, fix in offer.faults] == [None]


@pytest.mark.parametrize(
    ("options", "field", "code"),
    [
        ({"prefer": "luck"}, "prefer", "unknown-choice"),
        ({"prefer": ["start", "price"]}, "prefer", "unknown-choice"),
        ({"centre": "nowhere"}, "centre", "unknown-centre"),
        ({"centre": "here", "queue": "gpu"}, "queue", "unknown-queue"),
        ({"cores": 0}, "cores", "too-small"),
        ({"data": 7}, "data", "wrong-type"),
    ],
)
def test_a_faulty_request_is_refused_by_field(options: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        find(options, {"here": centre()}, {}, NOW)
    assert [(fault.field, fault.code) for fault in caught.value.faults] == [(field, code)]
