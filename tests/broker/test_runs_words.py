"""Whatever a session says and whatever a file is called: headers stay headers, and a run stays what a run can be."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from broker.runworld import write_app
from hypothesis import given, settings
from hypothesis import strategies as st
from perijove.hub.broker import runviews
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.runcompare import agreement, compare
from perijove.hub.broker.rundesk import plain
from perijove.hub.broker.runfiles import MEDIA, SAVED, headers, media_of
from perijove.hub.broker.runrecords import Run, RunState, reported
from perijove.spawners.apps.catalogue import Catalogue

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)
KEYS = st.sampled_from(["progress", "started", "ended", "steps", "results", "failure", "node", "cores"])
RESULTS = st.dictionaries(st.sampled_from(["numbers", "figures", "tables", "files"]), ANY, max_size=4)
REPORTS = st.dictionaries(KEYS, ANY | RESULTS, max_size=6)


def run(**values: Any) -> Run:
    given: dict[str, Any] = {"title": {"en": "a", "zh": "a"}, "inputs": {"file": "x/y"}, "needs": {}, "request": {}}
    given |= {"app": "sums", "app_version": "1", "digest": "", "language": "en", "own_session": True}
    given |= {"centre": "alpha", "queue": "cpu", "created": NOW, "session": "s"}
    return Run(id="a" * 13, owner="ada", key="k", **(given | values))


@given(st.text(max_size=400))
def test_a_file_name_never_leaves_its_header(name: str) -> None:
    said = headers(name)
    place = said["Content-Disposition"]
    assert place.isascii() and place.isprintable() and place.count('"') == 2 and len(place) < 150
    assert media_of(name) in {*MEDIA.values(), SAVED} and "html" not in media_of(name)
    assert said["Content-Security-Policy"].startswith("sandbox;") and said["X-Content-Type-Options"] == "nosniff"


@given(REPORTS, st.sampled_from(["running", "done", "failed", "cancelled"]))
def test_any_report_leaves_a_run_that_can_be_shown_compared_and_shared(said: dict[str, Any], state: str) -> None:
    try:
        report = plain(said | {"state": state}, 512 << 10, "report")
    except Refusal:
        return
    later = NOW + timedelta(hours=1)
    values = reported(report, "", None, later)(run())
    assert values is not None
    after = run(**values)
    assert 0 <= after.progress <= 1 and after.started is not None and NOW <= after.started <= later
    assert after.ended is None or after.started <= after.ended <= later
    assert (after.ended is None) == after.state.live
    view = runviews.run(after, None, [], later)
    runviews.brief(view)
    shown = runviews.shared(view, "view", ["file"])
    assert shown["inputs"] == {"file": "y"} and "owner" not in shown and "folder" not in shown
    assert compare(None, after, after)["agreement"]["verdict"] == "unknown" == agreement(None, after, after)["verdict"]


SUM = st.fixed_dictionaries({"name": st.just("sum"), "value": ANY}) | ANY
TABLE = st.fixed_dictionaries({"name": st.just("table"), "columns": ANY, "count": ANY, "rows": ANY}) | ANY


@settings(deadline=None, max_examples=50)
@given(st.fixed_dictionaries({"numbers": st.lists(SUM, max_size=2), "tables": st.lists(TABLE, max_size=2)}), RESULTS)
def test_any_results_are_held_against_any_others(one: dict[str, Any], other: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_app(Path(folder))
        app = Catalogue([folder]).apps()["sums"]
    for a, b in ((one, other), (one, one)):
        said = agreement(app, run(report={"results": a}), run(report={"results": b}))
        assert said["verdict"] in ("same", "agrees", "differs", "unknown")


@given(st.sampled_from(RunState), st.sampled_from(["running", "done", "failed", "cancelled"]), st.booleans())
def test_what_has_ended_is_not_alive_again_by_a_report(state: RunState, told: str, other: bool) -> None:
    before = run(state=state)
    values = reported({"state": told}, "", "another" if other else "s", NOW)(before)
    if other or state in (RunState.DONE, RunState.FAILED, RunState.CANCELLED):
        assert values is None
    elif state is RunState.INTERRUPTED:
        assert (values is None) == (told == "running")
    else:
        assert values is not None and values["state"] == told


@pytest.mark.parametrize("value", [None, [], "x", 5, {"a": float("nan")}, {"a": "\ud800"}, {1: {2, 3}}])
def test_what_is_no_plain_table_is_refused(value: Any) -> None:
    with pytest.raises(Refusal):
        plain(value, 1000, "report")
