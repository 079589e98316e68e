"""The climate app on files that people bring: understood whatever their conventions, or refused in words."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from harness.climate import OWN, WAYS, Quick, Run, refused, truncated, write
from perijove.spawners.apps.case import Case


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "made",
    [
        {"units": "K", "calendar": "360_day"},
        {"units": "degC", "calendar": "noleap", "east": True},
        {"units": "celsius", "calendar": "noleap", "kind": "NETCDF3_CLASSIC", "levels": 1},
    ],
    ids=["kelvin-360-day", "celsius-noleap-0-360", "classic"],
)
def test_a_file_of_ones_own_is_understood_whatever_its_conventions(
    quick: Quick, tmp_path: Path, way: str, made: dict[str, Any]
) -> None:
    found, folder = quick(way, file=write(tmp_path / "own.nc", **made), **OWN)
    # 19 years lie between the middles of the two periods; the last five months are no year and are left out.
    assert found["warming-own"] == pytest.approx(19 * 0.05, abs=1e-4)
    assert found["trend-own"] == pytest.approx(0.5, abs=1e-4)
    with (folder / "results/years.csv").open(encoding="utf-8") as file:
        assert [row["year"] for row in csv.DictReader(file)][-1] == "2009"


def test_a_year_without_its_december_is_no_year(quick: Quick, tmp_path: Path) -> None:
    file = write(tmp_path / "own.nc", months=12 * 30 - 1)
    assert "1980-2008" in refused(quick.pipeline, quick.case, file=file, **OWN)[0]
    _, folder = quick("python", file=file, **OWN | {"window": [1999, 2008]})
    with (folder / "results/years.csv").open(encoding="utf-8") as rows:
        assert [row["year"] for row in csv.DictReader(rows)][-1] == "2008"


@pytest.mark.parametrize("way", WAYS)
def test_missing_values_are_left_out_of_means(quick: Quick, tmp_path: Path, way: str) -> None:
    def hole(values: Any) -> Any:
        values[:, 8:10, 40:50] = -999.0
        values[50, :, :] = -999.0
        return values

    found, _ = quick(way, file=write(tmp_path / "own.nc", change=hole), **OWN)
    # May 1984 is missing everywhere: that year, and with it the baseline of ten, lacks a month that is near the mean.
    assert found["warming-own"] == pytest.approx(0.95, abs=0.06)


@pytest.mark.parametrize("way", WAYS)
def test_a_region_where_all_is_missing_is_said_in_words(run: Run, tmp_path: Path, way: str) -> None:
    write(tmp_path / "own.nc", change=lambda values: np.where(np.arange(values.shape[-1]) > 20, -999.0, values))
    report, folder = run(way, file="own.nc", **OWN)
    assert (report["state"], report["failure"]["input"]) == ("failed", "region")
    assert "move the region" in report["failure"]["message"]["en"]
    assert not list((folder / "results").glob("map*"))


@pytest.mark.parametrize(
    "name", ["it's $(touch pwned) [a] *; -O,1 'é\".nc", "a $(touch pwned).nc", "-O `touch pwned`.nc"]
)
@pytest.mark.parametrize("way", WAYS)
def test_a_file_name_is_only_a_name(quick: Quick, tmp_path: Path, way: str, name: str) -> None:
    file = write(tmp_path / name, calendar="noleap")
    found, _ = quick(way, file=file, **OWN)
    assert found["warming-own"] == pytest.approx(0.95, abs=1e-4)
    assert not list(tmp_path.rglob("pwned"))  # cdo runs what stands in $() in a file's name
    assert "your file" in quick.reading


def rotated(path: Path) -> None:
    with netCDF4.Dataset(path, "w") as data:
        for name, size in (("time", 24), ("rlat", 4), ("rlon", 5)):
            data.createDimension(name, size)
        data.createVariable("time", "f8", ("time",))[:] = np.arange(24)
        data["time"].units = "days since 2000-01-01"
        for name in ("lat", "lon"):
            data.createVariable(name, "f8", ("rlat", "rlon"))[:] = np.ones((4, 5))
        data.createVariable("tas", "f4", ("time", "rlat", "rlon"))[:] = 280.0
        data["tas"].units = "K"


def no_unit(path: Path) -> None:
    write(path)
    with netCDF4.Dataset(path, "a") as data:
        data["tas"].delncattr("units")
        data["tas"].standard_name = "air_temperature"


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty", lambda path: path.write_bytes(b""), "it is empty"),
    ("text", lambda path: path.write_text("year,temperature\n1980,10\n"), "no NetCDF file"),
    ("gzip", lambda path: path.write_bytes(gzip.compress(b"CDF")), "unpack it first"),
    ("grib", lambda path: path.write_bytes(b"GRIB\0\0\0\2"), "GRIB"),
    ("truncated", truncated, "breaks off or is damaged"),
    ("head-only", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)), "damaged"),
    ("one-map", lambda path: write(path, time=False), "no time axis"),
    ("levels", lambda path: write(path, levels=3), "3 values of plev"),
    ("rotated", rotated, "Regrid it first"),
    ("no-unit", no_unit, "must be K or degC"),
    ("fahrenheit", lambda path: write(path, units="degF", change=lambda v: v * 1.8 + 32), "no temperature"),
    ("not-kelvin", lambda path: write(path, units="K", change=lambda v: v - 273.15), "given as K"),
    ("no-temperature", lambda path: write(path, units="mm"), "no temperature"),
    ("two", lambda path: write(path, others=("tos",)), "more than one temperature (tas, tos)"),
    ("short", lambda path: write(path, months=60), "5 complete years"),
    ("backwards", lambda path: write(path, moments=lambda v: v[::-1]), "not in order"),
    ("gap", lambda path: write(path, moments=lambda v: v + 2000 * (v > 5000)), "missing in between"),
]


@pytest.mark.parametrize(("make", "said"), [one[1:] for one in BAD], ids=[one[0] for one in BAD])
def test_a_file_that_will_not_do_is_refused_in_words(
    pipeline: Any, case: Case, tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "own.nc"
    make(path)
    words, name = refused(pipeline, case, **OWN | {"file": path, "variable": None})
    assert said in words and name in ("file", "variable")
    assert str(tmp_path) not in words and "Errno" not in words


def test_the_variable_that_a_person_names_is_taken_or_refused_with_what_there_is(
    pipeline: Any, case: Case, tmp_path: Path
) -> None:
    own = OWN | {"file": write(tmp_path / "own.nc", others=("tos",))}
    steps = pipeline.steps(replace(case, inputs={**case.inputs, **own, "variable": "tos", "smoothing": 3}))
    assert [step.key for step in steps] == ["yearly@own", "analyse@own", "draw@map", "draw@line", "tell"]
    words, name = refused(pipeline, case, **own, variable="tasmax")
    assert "It has: tas, tos" in words and name == "variable"
    words, name = refused(pipeline, case, **own, variable="tas", smoothing=31)
    assert "too few" in words and name == "smoothing"


def test_a_run_with_a_bad_file_fails_with_its_input_and_keeps_nothing(run: Run, tmp_path: Path) -> None:
    truncated(tmp_path / "own.nc")
    report, folder = run("python", file="own.nc", **OWN)
    assert (report["state"], report["failure"]["code"]) == ("failed", "bad-input")
    assert report["failure"]["input"] == "file" and "own.nc" in report["failure"]["message"]["zh"]
    assert not list((folder / "work").iterdir())
