"""Two runs' results are held against each other: same, within the tolerance, or not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from doubles.tinyapp import app_in
from hypothesis import given
from hypothesis import strategies as st
from perijove.spawners.apps.compare import compare, within
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.parts import Tolerance

RESULTS: dict[str, Any] = {
    "numbers": [{"name": "lines", "value": 4.0}],
    "figures": [],
    "tables": [{"name": "rows", "file": "rows.csv", "columns": ["a"], "rows": [["1.0"], ["x"]], "count": 2}],
    "files": [{"name": "rows", "file": "rows.csv", "sha256": "1"}, {"name": "text", "file": "t", "sha256": "2"}],
}


@pytest.fixture
def app(tmp_path: Path) -> App:
    return app_in(tmp_path)


def test_equal_results_are_the_same(app: App) -> None:
    agreement = compare(app, RESULTS, copy.deepcopy(RESULTS))
    assert agreement["verdict"] == "same"
    assert [row["name"] for row in agreement["rows"]] == ["lines", "rows", "text"]


def test_a_number_within_the_tolerance_agrees(app: App) -> None:
    other = copy.deepcopy(RESULTS)
    other["numbers"][0]["value"] = 4.0 * (1 + 5e-7)
    assert compare(app, RESULTS, other)["verdict"] == "agrees"
    other["numbers"][0]["value"] = 4.1
    assert compare(app, RESULTS, other)["verdict"] == "differs"


def test_a_table_in_another_file_agrees_by_its_rows(app: App) -> None:
    other = copy.deepcopy(RESULTS)
    other["files"][0]["sha256"] = "3"
    other["tables"][0]["rows"][0] = ["1.0000001"]
    row = compare(app, RESULTS, other)["rows"][1]
    assert row["agrees"] is True
    other["tables"][0]["rows"][1] = ["y"]
    assert compare(app, RESULTS, other)["rows"][1]["agrees"] is False


def test_another_file_or_a_missing_number_differs(app: App) -> None:
    other = copy.deepcopy(RESULTS)
    other["files"][1]["sha256"] = "9"
    assert compare(app, RESULTS, other)["verdict"] == "differs"
    other = copy.deepcopy(RESULTS)
    other["numbers"] = []
    assert compare(app, RESULTS, other)["verdict"] == "differs"


def test_without_results_nothing_is_known(app: App) -> None:
    assert compare(app, RESULTS, None) == {"verdict": "unknown", "rows": []}


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_within_is_symmetric_and_never_true_of_what_is_no_number(one: float, other: float) -> None:
    tolerance = Tolerance(relative=0.1)
    assert within(one, other, tolerance) == within(other, one, tolerance)
    assert not within(float("nan"), one, tolerance)
