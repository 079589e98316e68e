"""Runs of the climate app, whole or of its pipeline alone, and files such as people bring."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import perijove.apps
import pytest
from doubles import tinyapp
from perijove.spawners.apps.case import Case
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.steps import Command, Step, Unfit

from harness.codes import need

FOLDER = Path(perijove.apps.__file__).parent / "climate"


WAYS = ("cdo", "python")


#: How far the two ways may lie apart, °C: cdo's cells have great circles for edges, Python's have parallels.
APART = 1e-3


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


def execute(app: App, home: Path, way: str, language: str = "en", **inputs: Any) -> tuple[dict[str, Any], Path]:
    if way == "cdo":
        need("cdo")
    chosen = app.model_copy(update={"ways": tuple(one for one in app.ways if one.name == way)})
    shutil.rmtree(home / "run", ignore_errors=True)
    report = tinyapp.run(home, chosen, inputs=inputs, language=language)
    return report, home / "run"


def refused(pipeline: Any, case: Case, **inputs: Any) -> tuple[str, str]:
    """What is said, before anything runs, and the input that is to blame."""
    with pytest.raises(Exception) as caught:
        pipeline.steps(replace(case, inputs={**case.inputs, **inputs}))
    assert isinstance(caught.value, Unfit), caught.value
    assert caught.value.words["zh"] != caught.value.words["en"]
    return caught.value.words["en"], caught.value.input


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


def truncated(path: Path) -> None:
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


OWN = {"source": "own", "region": [-20, 36, 40, 60], "baseline": [1981, 1990], "window": [2000, 2009], "grid": 1}
