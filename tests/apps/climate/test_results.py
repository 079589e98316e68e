"""The climate app on the real scenario runs, by both ways."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from harness.climate import APART, OWN, WAYS, Quick, execute, write
from perijove.spawners.apps.manifest import App


@pytest.fixture(scope="module")
def done(app: App, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[dict[str, Any], Path]]:
    """The run with all inputs as they are at first, one way; each is run once."""
    kept: dict[str, tuple[dict[str, Any], Path]] = {}

    def of(way: str) -> tuple[dict[str, Any], Path]:
        if way not in kept:
            kept[way] = execute(app, tmp_path_factory.mktemp(way), way)
        return kept[way]

    return of


def numbers(report: dict[str, Any]) -> dict[str, float]:
    assert report["state"] == "done", report["failure"]
    return {one["name"]: one["value"] for one in report["results"]["numbers"]}


def mapped(folder: Path, name: str) -> tuple[Any, Any, Any]:
    with xr.open_dataset(folder / f"results/map-{name}.nc", decode_times=False) as data:
        return data["lat"].values, data["lon"].values, np.squeeze(data["temperature"].values)


@pytest.mark.parametrize("way", WAYS)
def test_it_finds_the_warming_that_a_check_by_hand_found(done: Any, way: str) -> None:
    report, folder = done(way)
    found = numbers(report)
    assert found["latest-a1b"] == pytest.approx(4.83, abs=0.005)
    assert found["latest-e1"] == pytest.approx(2.35, abs=0.005)
    with (folder / "results/years.csv").open(encoding="utf-8") as file:
        smoothed = [row["year"] for row in csv.DictReader(file) if row["A1B smoothed"]]
    assert (smoothed[0], smoothed[-1]) == ("1865", "2094")
    assert (
        "2094" in report["results"]["figures"][1]["alt"]["en"]
        and "+4.83" in report["results"]["figures"][1]["alt"]["zh"]
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_report_says_what_it_is_and_what_it_is_not(done: Any, way: str) -> None:
    report, _ = done(way)
    results = report["results"]
    assert report["way"] == way
    assert "one model, run once" in results["reading"]["en"] and "单次试验" in results["reading"]["zh"]
    # Two single runs show a difference, and not what causes it.
    assert "two single runs cannot tell" in results["reading"]["en"] and "无法区分" in results["reading"]["zh"]
    assert [figure["name"] for figure in results["figures"]] == ["map", "line"]
    assert all(figure["width"] > 900 and figure["alt"]["en"] != figure["alt"]["zh"] for figure in results["figures"])
    assert {one["name"] for one in report["data"]} >= {"a1b", "e1"}


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"region": [-94, 40, -75, 50], "statistic": "trend", "smoothing": 1, "grid": 1},
        {"region": [235, 31, 258, 42], "statistic": "mean", "scenario": "E1", "baseline": [1900, 1920], "smoothing": 5},
    ],
    ids=["all", "great-lakes-trend", "southwest-mean-0-360"],
)
def test_both_ways_agree(quick: Quick, inputs: dict[str, Any]) -> None:
    runs = [quick(way, **inputs) for way in WAYS]
    by_cdo, by_python = (found for found, _ in runs)
    assert by_cdo.keys() == by_python.keys()
    for name, value in by_cdo.items():
        assert by_python[name] == pytest.approx(value, abs=APART), name
    for name in ("E1",) if "scenario" in inputs else ("A1B", "E1"):
        (lat, lon, one), (lat2, lon2, two) = (mapped(folder, name) for _, folder in runs)
        np.testing.assert_allclose(lat, lat2)
        np.testing.assert_allclose(lon % 360, lon2 % 360)
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("region", [[-180, 40, 180, 60], [160, 40, 230, 60]], ids=["globe", "dateline"])
def test_both_ways_agree_round_the_globe(quick: Quick, tmp_path: Path, region: list[float]) -> None:
    noise = np.random.default_rng(5)
    file = write(tmp_path / "own.nc", change=lambda values: values + noise.normal(size=values.shape))
    runs = [quick(way, **OWN | {"file": file, "region": region, "grid": 2}) for way in WAYS]
    assert runs[1][0] == pytest.approx(runs[0][0], abs=APART)
    (_, lon, one), (_, lon2, two) = (mapped(folder, "own") for _, folder in runs)
    assert len(lon) == (region[2] - region[0]) // 2
    np.testing.assert_allclose(lon % 360, lon2 % 360)
    np.testing.assert_allclose(one, two, atol=1e-5)
