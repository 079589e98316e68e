"""A request from outside is either served or refused in words: nothing else comes of it, whatever is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perijove.spawners.centre import Centre, Price, Queue, parse
from perijove.spawners.request import BadRequest, Placement, Request, fit, place

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CENTRE: dict[str, Any] = {
    "id": "here",
    "name": {"en": "Here", "zh": "这里"},
    "scheduler": {"system": "local"},
    "environment": {"python": "/usr/bin/python3"},
    "queues": [
        {"name": "small", "cores": 4, "memory": "8G", "max_time": "4h", "price": {"core_hour": "0.1"}},
        {"name": "large", "cores": 64, "memory": "256G", "gpus": 4, "max_time": "2d"},
    ],
    "maintenance": [{"start": "2026-02-01T00:00:00Z", "end": "2026-02-02T00:00:00Z"}],
}
FIELDS = sorted(Request.model_fields)
NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["x" * 1_000_000, "\u202eabc", "a\x00b", "\ud800", "9" * 5000, "1e999", "-1", "４", "0x10", "nan"]),
)
ANYTHING = st.recursive(
    NASTY, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
)


def centre(**changes: Any) -> Centre:
    return parse(CENTRE | changes)


def bounded(bad: BadRequest) -> None:
    """Messages are short, can be shown, and name a field."""
    assert 0 < len(bad.faults) <= 100
    for fault in bad.faults:
        assert len(fault.message) < 300
        assert len(fault.field) < 100
        assert fault.message.isprintable() and fault.field.isprintable()
        json.dumps(dict(fault.values)).encode("ascii")


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=20), ANYTHING, max_size=10))
def test_any_options_are_taken_or_refused_in_words(raw: dict[str, Any]) -> None:
    try:
        request = Request.parse(raw)
    except BadRequest as bad:
        bounded(bad)
        return
    assert 1 <= request.cores <= 100_000
    assert request.memory is None or request.memory >= 64


@given(ANYTHING)
def test_what_is_no_table_is_refused(raw: Any) -> None:
    if not isinstance(raw, dict):
        with pytest.raises(BadRequest, match="must be a table"):
            Request.parse(raw)


@pytest.mark.parametrize("field", FIELDS)
def test_a_number_of_thousands_of_digits_is_refused(field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Request.parse({"centre": "here", field: 10**5000})
    bounded(caught.value)


def test_ten_thousand_options_are_refused_with_a_bounded_answer() -> None:
    with pytest.raises(BadRequest) as caught:
        Request.parse({f"option{n}": "x" * 1000 for n in range(10_000)})
    bounded(caught.value)
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"cores": 0}, "cores", "must be at least 1 core"),
        ({"cores": -3}, "cores", "must be at least 1 core"),
        ({"cores": 10**9}, "cores", "must be at most 100000 cores"),
        ({"cores": 1.5}, "cores", "must be a whole number"),
        ({"cores": True}, "cores", "must be a whole number"),
        ({"cores": "4 "}, None, ""),
        ({"cores": ["4"]}, None, ""),
        ({"memory": 1}, "memory", "must be at least 64 MiB"),
        ({"memory": "a lot"}, "memory", "memory is a number of MiB or a text"),
        ({"walltime": "1s"}, "walltime", "must be at least 1 minute"),
        ({"walltime": "1000d"}, "walltime", "must be at most 366 days"),
        ({"centre": "\u202ehere"}, "centre", "must be a lower-case letter"),
        ({"project": "a b"}, "project", "must be a word of letters"),
        ({"coers": 1}, "coers", "is not an option of a session"),
        ({"options": {"a": 1}}, "options", "must be a table of texts"),
    ],
)
def test_each_fault_names_its_field_in_plain_words(options: dict[str, Any], field: str | None, words: str) -> None:
    raw = {"centre": "here"} | options
    if field is None:
        assert Request.parse(raw).cores == 4
        return
    with pytest.raises(BadRequest) as caught:
        Request.parse(raw)
    (fault,) = caught.value.faults
    assert fault.field == field
    assert fault.message.startswith(words)


def test_a_request_without_a_centre_says_so() -> None:
    with pytest.raises(BadRequest, match="centre: is missing"):
        Request.parse({"centre": "", "cores": None})


REQUESTS = st.builds(
    Request,
    centre=st.just("here"),
    queue=st.sampled_from([None, "small", "large"]),
    cores=st.integers(1, 200),
    memory=st.none() | st.integers(64, 2**20),
    gpus=st.integers(0, 9),
    walltime=st.none() | st.integers(60, 3 * 86400),
)


@given(REQUESTS)
def test_a_placement_never_exceeds_its_queue(request: Request) -> None:
    try:
        placed = place(request, {"here": centre()}, NOW)
    except BadRequest as bad:
        bounded(bad)
        return
    queue = placed.queue
    assert request.queue in (None, queue.name)
    assert request.cores == placed.cores <= queue.cores
    assert request.gpus == placed.gpus <= queue.gpus
    assert 0 < placed.memory <= queue.memory
    assert request.walltime in (None, placed.walltime)
    assert 0 < placed.walltime <= queue.max_time


RATES = st.integers(0, 10**9)


@given(RATES, RATES, RATES, REQUESTS, st.sampled_from(["cores", "memory", "gpus", "walltime"]), st.integers(1, 1000))
def test_a_price_is_never_negative_and_grows_with_what_is_asked(
    core: int, gpu: int, memory: int, request: Request, more: str, by: int
) -> None:
    price = Price.model_construct(core_hour=core, gpu_hour=gpu, memory_hour=memory)
    queue = Queue(name="q", cores=4096, memory=2**30, gpus=64, max_time=366 * 86400).model_copy(update={"price": price})
    given = {"cores": request.cores, "memory": request.memory or 64, "gpus": request.gpus, "walltime": 3600}
    cheap = Placement(centre(), queue, **given)
    dear = Placement(centre(), queue, **{**given, more: given[more] + by})
    assert 0 <= cheap.price <= dear.price


def test_a_job_that_would_reach_into_a_maintenance_is_refused_with_its_times() -> None:
    request = Request(centre="here", queue="large", walltime=2 * 86400)
    before = datetime(2026, 1, 31, tzinfo=UTC)
    faults = fit(request, centre(), centre().queues[1], before)
    assert isinstance(faults, list)
    assert [fault.code for fault in faults] == ["maintenance"]
    assert "2026-02-01 00:00" in faults[0].message


def test_what_is_unknown_or_too_much_is_refused_in_words() -> None:
    centres = {"here": centre()}
    with pytest.raises(BadRequest, match="there is no centre 'there'"):
        place(Request(centre="there"), centres, NOW)
    with pytest.raises(BadRequest, match="here has no queue 'huge'; it has small, large"):
        place(Request(centre="here", queue="huge"), centres, NOW)
    with pytest.raises(BadRequest, match="at most 4 cores in queue small of here"):
        place(Request(centre="here", queue="small", cores=5), centres, NOW)
    with pytest.raises(BadRequest, match="takes no new sessions"):
        place(Request(centre="here"), {"here": centre(enabled=False)}, NOW)


@pytest.mark.parametrize("path", ["notes.ipynb", "papers/图 1.ipynb", "a b/c?d#e.py"])
def test_a_file_below_the_home_directory_may_be_opened_first(path: str) -> None:
    assert Request.parse({"centre": "alpha", "open": path, "language": "zh"}).open == path


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "a//b", "a\\b", "a\nb", "a\x00", "./a", "x" * 301, "a/"]
)
def test_no_other_path_is_taken(path: str) -> None:
    with pytest.raises(BadRequest) as bad:
        Request.parse({"centre": "alpha", "open": path})
    assert [fault.field for fault in bad.value.faults] == ["open"]
