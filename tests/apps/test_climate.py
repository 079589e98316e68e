"""The climate app on the real scenario runs, by both ways, and on files that people bring."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import perijove.apps
import pytest
import xarray as xr
from doubles import tinyapp
from harness.codes import need
from perijove.spawners.apps.call import load as load_pipeline
from perijove.spawners.apps.case import Case
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.probe import look
from perijove.spawners.apps.steps import Command, Step, Unfit

FOLDER = Path(perijove.apps.__file__).parent / "climate"
WAYS = ("cdo", "python")
#: How far the two ways may lie apart, °C: cdo's cells have great circles for edges, Python's have parallels.
APART = 1e-3


@pytest.fixture(scope="module")
def app() -> App:
    return load(FOLDER)


Run = Callable[..., tuple[dict[str, Any], Path]]


@dataclass
class Quick:
    """What the pipeline computes, in this process and without figures: for cases of which only the numbers count."""

    pipeline: Any
    case: Case
    home: Path
    #: Of the last one.
    reading: str = ""

    def __call__(self, way: str, **inputs: Any) -> tuple[dict[str, float], Path]:
        """The numbers, and the folder with `results`."""
        if way == "cdo":
            need("cdo")
        home = self.home / f"quick-{way}"
        (home / "work/results").mkdir(parents=True)
        own = {"file": inputs["file"]} if "file" in inputs else {}
        given = Inputs(load(FOLDER)).parse(inputs | {name: path.name for name, path in own.items()}) | own
        paths = {"work": home / "work", "results": home / "work/results"}
        case = replace(self.case, way=way, inputs=given, programs={"cdo": shutil.which("cdo") or ""}, **paths)
        result: dict[str, Any] = {}
        with chdir(home / "work"):
            for step in in_order([step for step in self.pipeline.steps(case) if step.name != "draw"]):
                if isinstance(step.do, Command):
                    with (step.do.stdin or Path("/dev/null")).open("rb") as stdin:
                        subprocess.run(step.do.argv, check=True, stdin=stdin, stderr=subprocess.DEVNULL)
                else:
                    result = getattr(self.pipeline, step.do.function)(case, **step.do.arguments)
                assert all((home / "work" / name).stat().st_size for name in step.makes)
        self.reading = result["reading"]["en"]
        return result["numbers"], home / "work"


def in_order(steps: list[Step]) -> list[Step]:
    """The steps, each after those that it needs."""
    done: list[Step] = []
    while left := [step for step in steps if step not in done]:
        there = {name for step in done for name in (step.key, step.name)}
        waiting = {step.name for step in left}
        done += [s for s in left if all(name in there and ("@" in name or name not in waiting) for name in s.after)]
    return done


@pytest.fixture
def quick(pipeline: Any, case: Case, tmp_path: Path) -> Quick:
    """The pipeline without engine and figures."""
    return Quick(pipeline, case, tmp_path)


@pytest.fixture
def run(app: App, tmp_path: Path) -> Run:
    """Runs the app one way; the report and the run's folder."""

    def start(way: str, language: str = "en", **inputs: Any) -> tuple[dict[str, Any], Path]:
        return execute(app, tmp_path, way, language, **inputs)

    return start


def execute(app: App, home: Path, way: str, language: str = "en", **inputs: Any) -> tuple[dict[str, Any], Path]:
    if way == "cdo":
        need("cdo")
    chosen = app.model_copy(update={"ways": tuple(one for one in app.ways if one.name == way)})
    shutil.rmtree(home / "run", ignore_errors=True)
    report = tinyapp.run(home, chosen, inputs=inputs, language=language)
    return report, home / "run"


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


def write(
    path: Path,
    *,
    first: int = 1980,
    months: int = 12 * 30 + 5,
    units: str = "degC",
    calendar: str = "standard",
    kind: str = "NETCDF4",
    east: bool = False,
    time: bool = True,
    levels: int = 0,
    others: tuple[str, ...] = (),
    change: Callable[[Any], Any] = lambda values: values,
    moments: Callable[[Any], Any] = lambda values: values,
) -> Path:
    """A small monthly file: 10 °C in 1980, 0.05 °C more each year, the same at each place, with seasons."""
    with netCDF4.Dataset(path, "w", format=kind) as data:
        lats, lons = np.arange(70.0, 29.0, -2.0), np.arange(0.0, 360.0, 4.0) if east else np.arange(-180.0, 180.0, 4.0)
        for name, values, unit in (("lat", lats, "degrees_north"), ("lon", lons, "degrees_east")):
            data.createDimension(name, len(values))
            data.createVariable(name, "f8", (name,))[:] = values
            data[name].units = unit
        axes: tuple[str, ...] = ("lat", "lon")
        steps = np.arange(months)
        values = 10 + 0.05 * (steps // 12) - 12 * np.cos(2 * np.pi * (steps % 12) / 12)
        if levels:
            data.createDimension("plev", levels)
            axes = ("plev", *axes)
        if time:
            data.createDimension("time", None)
            clock = data.createVariable("time", "f8", ("time",))
            clock.units, clock.calendar = f"days since {first}-01-01", calendar
            dates = [
                netCDF4.num2date(0, clock.units, calendar).replace(year=first + s // 12, month=s % 12 + 1, day=15)
                for s in steps
            ]
            clock[:] = moments(netCDF4.date2num(dates, clock.units, calendar))
            axes = ("time", *axes)
        shape = ([months] if time else []) + ([levels] if levels else []) + [len(lats), len(lons)]
        field = values.reshape(-1, *[1] * (len(shape) - 1)) if time else values[:1]
        for name in ("tas", *others):
            data.createVariable(name, "f4", axes, fill_value=-999.0)
            data[name].units = units
            data[name][:] = change(np.broadcast_to(field, shape).copy() + (273.15 if units == "K" else 0))
    return path


OWN = {"source": "own", "region": [-20, 36, 40, 60], "baseline": [1981, 1990], "window": [2000, 2009], "grid": 1}


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


@pytest.fixture
def case(app: App, tmp_path: Path) -> Case:
    """The case with all inputs as they are at first, without a run."""
    found = look(app)
    return Case(
        inputs=Inputs(app).parse({}),
        way="python",
        cores=1,
        here=app.folder,
        work=tmp_path / "work",
        results=tmp_path / "results",
        datasets={name: Path(path) for name, path in found.data.items() if path},
    )


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Any]:
    yield load_pipeline(FOLDER / "pipeline.py")


def refused(pipeline: Any, case: Case, **inputs: Any) -> tuple[str, str]:
    """What is said, before anything runs, and the input that is to blame."""
    with pytest.raises(Exception) as caught:
        pipeline.steps(replace(case, inputs={**case.inputs, **inputs}))
    assert isinstance(caught.value, Unfit), caught.value
    assert caught.value.words["zh"] != caught.value.words["en"]
    return caught.value.words["en"], caught.value.input


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


def truncated(path: Path) -> None:
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


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
