"""The parts of the climate app: what it refuses, its words, labels and colours, its presets and its example."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from harness.climate import FOLDER, refused
from perijove.spawners.apps.case import Case
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App


@pytest.mark.parametrize(
    ("inputs", "blamed", "said"),
    [
        ({"window": [2090, 2120]}, "window", "1860-2099"),
        ({"baseline": [1800, 1830]}, "baseline", "1860-2099"),
        ({"smoothing": 4}, "smoothing", "odd number"),
        ({"region": [0.0, 40.0, 20.0, 55.0]}, "region", "-135..-45°E, 15..60°N"),
        ({"region": [-100.0, 40.0, -99.0, 41.0]}, "region", "make it larger"),
    ],
)
def test_years_and_regions_outside_of_the_data_are_refused(
    pipeline: Any, case: Case, inputs: dict[str, Any], blamed: str, said: str
) -> None:
    words, name = refused(pipeline, case, **inputs)
    assert name == blamed and said in words


def test_a_region_that_the_data_cover_in_part_is_taken_and_said(pipeline: Any, case: Case) -> None:
    from perijove.apps.climate import region, source, words

    file = source.look(case.data("a1b"))
    assert region.covered(file, (-135.0, 15.0, -45.0, 60.0)) == 1.0
    part = region.covered(file, (-90.0, 30.0, 0.0, 60.0))
    assert part == pytest.approx(0.51, abs=0.01)
    found = words.Finding("A1B", 10.0, 4.0, 0.3, 2094, 4.5, 1.0, 9.0, (50.0, -90.0))
    said = words.reading([found], (-90.0, 30.0, 0.0, 60.0), "1961–1990", "2070–2099", part)
    assert "cover only 51% of the region" in said["en"] and "51%" in said["zh"]


def test_chinese_labels_only_where_a_font_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from perijove.apps.climate import drawing

    monkeypatch.setattr(drawing, "chinese", lambda: "")
    assert (drawing.spoken("zh"), drawing.spoken("en")) == ("en", "en")
    monkeypatch.setattr(drawing, "chinese", lambda: "Noto Sans CJK SC")
    assert drawing.spoken("zh") == "zh"


@pytest.mark.parametrize(
    ("low", "high", "reds", "blues"), [(-2.0, 3.0, True, True), (6.0, 7.0, True, False), (-7.0, -6.0, False, True)]
)
def test_colours_tell_warmer_from_cooler_and_near_values_apart(
    low: float, high: float, reds: bool, blues: bool
) -> None:
    from perijove.apps.climate.drawing import _levels

    levels, colours = _levels([np.linspace(low, high, 50)], diverging=True)
    red, _, blue = np.asarray(colours.colors)[:, :3].T
    assert levels[0] <= low and levels[-1] >= high
    assert (bool((red > blue + 0.1).any()), bool((blue > red + 0.1).any())) == (reds, blues)
    assert np.ptp(red + blue) > 0.3


def test_every_preset_can_be_run_with_the_data_that_come_along(app: App, pipeline: Any, case: Case) -> None:
    for preset in app.presets:
        inputs = Inputs(app).parse(preset.inputs)
        assert len(pipeline.steps(replace(case, inputs=inputs))) == 7


def test_the_gallerys_example_is_a_whole_result_of_this_version(app: App) -> None:
    example = FOLDER / "example"
    shown = json.loads((example / "report.json").read_text(encoding="utf-8"))
    assert shown["app_version"] == app.version and shown["report"]["state"] == "done"
    assert all((example / figure["file"]).stat().st_size < 200_000 for figure in shown["report"]["results"]["figures"])
