"""What happens to temperature in a region: yearly means, their anomaly, field mean, running mean, trend and map.

Each scenario goes its own way until the figures. With `cdo` each step is one of its commands (`chain.py`); without it
Python does the same (`compute.py`). Both leave the same files:

| file | holds |
|---|---|
| yearly-S.nc | mean of each year around the region |
| line-S.nc, smooth-S.nc | mean over the region against the baseline, each year, and its running mean |
| numbers-S.nc | `before`, `warming` (°C) and `pace` (°C a year) of the region |
| results/map-S.nc | the chosen statistic on the output grid |
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from perijove.apps import Call, Case, Step, Unfit, report

from . import compute, words
from .chain import all_missing, has_values, with_cdo
from .region import box_of, covered, fit, wider
from .source import Source, look

__all__ = ["analyse", "draw_line", "draw_map", "has_values", "steps", "tell", "yearly"]

SCENARIOS = ("A1B", "E1")


def steps(case: Case) -> list[Step]:
    """The graph for one run; looks into the files first.

    Raises:
        Unfit: a file, the years or the region cannot be used.
    """
    found = {name: _source(case, name) for name in scenarios(case)}
    for source in found.values():
        fit(source, case.inputs)
    chain = with_cdo if case.way == "cdo" else with_python
    ends = ("smooth", "numbers", "map") if case.way == "cdo" else ("analyse",)
    return [
        *(step for name, source in found.items() for step in chain(case, name, source)),
        Step("draw", Call(draw_map), "map", ends, ["results/map.png"]),
        Step("draw", Call(draw_line), "line", ends, ["results/line.png"]),
        Step("tell", Call(tell), after=ends, makes=["results/years.csv", "results/summary.csv"]),
    ]


def scenarios(case: Case) -> list[str]:
    """What is looked at: scenarios, or "own"."""
    if case.inputs["source"] == "own":
        return ["own"]
    return [name for name in SCENARIOS if case.inputs["scenario"] in ("both", name)]


def _source(case: Case, name: str) -> Source:
    if name != "own":
        return look(case.data(name.lower()), name="source")
    if not case.inputs["file"]:
        raise Unfit("Choose a file, or the scenario data.", "请选择一个文件，或使用情景数据。", "file")
    return look(Path(case.inputs["file"]), case.inputs["variable"] or "")


def with_python(case: Case, name: str, source: Source) -> list[Step]:
    """The two steps for scenario `name` where there is no cdo."""
    made = [f"line-{name}.nc", f"smooth-{name}.nc", f"numbers-{name}.nc", f"results/map-{name}.nc"]
    return [
        Step("yearly", Call(yearly, name=name), name, makes=[f"yearly-{name}.nc"], check=has_values),
        Step("analyse", Call(analyse, name=name), name, [f"yearly@{name}"], made),
    ]


def yearly(case: Case, name: str) -> None:
    """Yearly means around the region: yearly-S.nc."""
    field = compute.yearly(_source(case, name), wider(box_of(case.inputs)), report)
    field.to_netcdf(f"yearly-{name}.nc", engine="netcdf4")


def analyse(case: Case, name: str) -> None:
    """All that follows from the yearly means, as cdo's commands do it."""
    box, (low, high) = box_of(case.inputs), case.inputs["window"]
    with xr.open_dataset(case.file(f"yearly-{name}.nc"), engine="netcdf4") as data:
        field = data["temperature"].load()
    window = field.sel(year=slice(low, high))
    before = field.sel(year=slice(*case.inputs["baseline"])).mean("year")
    line = compute.field_mean(field - before, box)
    smooth = line.rolling(year=case.inputs["smoothing"], center=True).mean().dropna("year")
    pace = compute.slope(window)
    warming = (window - before).mean("year")
    numbers = {"before": before, "warming": warming, "pace": pace}
    change = {"anomaly": warming, "mean": window.mean("year"), "trend": pace * 10}[case.inputs["statistic"]]
    change.attrs = {"units": "degC/decade" if case.inputs["statistic"] == "trend" else "degC"}
    compute.regrid(change.rename("temperature"), box, case.inputs["grid"]).to_netcdf(
        f"results/map-{name}.nc", engine="netcdf4"
    )
    line.rename("temperature").to_netcdf(f"line-{name}.nc", engine="netcdf4")
    smooth.rename("temperature").to_netcdf(f"smooth-{name}.nc", engine="netcdf4")
    means = xr.Dataset({what: compute.field_mean(one, box) for what, one in numbers.items()})
    means.to_netcdf(f"numbers-{name}.nc", engine="netcdf4")


def draw_map(case: Case) -> dict[str, Any]:
    """The map, and its words."""
    from . import drawing

    language, box = drawing.spoken(case.language), box_of(case.inputs)
    periods = _periods(case)
    panels = [drawing.Panel(name, *_map(case, name)) for name in scenarios(case)]
    outlines = case.here / "data" / "outlines.json"
    statistic = case.inputs["statistic"]
    drawing.draw_map(panels, statistic, box, periods, outlines, language, Path("results/map.png"))
    alt = words.alt_map(_findings(case), statistic, box, **periods)
    return {"figures": {"map": {"file": "map.png", "alt": alt}}}


def draw_line(case: Case) -> dict[str, Any]:
    """The years as lines, and their words."""
    from . import drawing

    found, absolute = _findings(case), case.inputs["statistic"] == "mean"
    lines = []
    for one in found:
        years, values = _series(case.file(f"line-{one.scenario}.nc"))
        smooth_years, smooth = _series(case.file(f"smooth-{one.scenario}.nc"))
        shift = one.before if absolute else 0.0
        lines.append(drawing.Line(one.scenario, years, values + shift, smooth_years, smooth + shift))
    smoothing = case.inputs["smoothing"]
    drawing.draw_line(
        lines,
        absolute=absolute,
        box=box_of(case.inputs),
        smoothing=smoothing,
        baseline=case.inputs["baseline"],
        window=case.inputs["window"],
        language=drawing.spoken(case.language),
        to=Path("results/line.png"),
    )
    first, last = int(lines[0].years[0]), int(lines[0].years[-1])
    alt = words.alt_line(found, (first, last), smoothing, _periods(case)["baseline"])
    return {"figures": {"line": {"file": "line.png", "alt": alt}}}


def tell(case: Case) -> dict[str, Any]:
    """Numbers, tables and the reading."""
    found = _findings(case)
    _write_years(case, found)
    with Path("results/summary.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["scenario", "baseline degC", "window degC", "warming degC", "trend degC/decade"])
        for one in found:
            values = (one.before, one.before + one.warming, one.warming, one.pace)
            table.writerow([one.scenario, *(f"{value:.3f}" for value in values)])
    numbers: dict[str, float] = {}
    for one in found:
        key = one.scenario.lower()
        numbers |= {f"warming-{key}": one.warming, f"latest-{key}": one.latest, f"trend-{key}": one.pace}
        numbers[f"before-{key}"] = one.before
    return {
        "numbers": numbers,
        "tables": {"summary": "summary.csv", "years": "years.csv"},
        "files": {f"map-{one.scenario.lower()}": f"map-{one.scenario}.nc" for one in found},
        "reading": words.reading(
            found,
            box_of(case.inputs),
            **_periods(case),
            covered=covered(_source(case, found[0].scenario), box_of(case.inputs)),
        ),
    }


def _write_years(case: Case, found: list[words.Finding]) -> None:
    columns: dict[str, dict[int, float]] = {}
    for one in found:
        for kind, title in (("line", one.scenario), ("smooth", f"{one.scenario} smoothed")):
            years, values = _series(case.file(f"{kind}-{one.scenario}.nc"))
            columns[title] = dict(zip(years.tolist(), values.tolist(), strict=True))
    with Path("results/years.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["year", *columns])
        for year in sorted(set().union(*columns.values())):
            table.writerow([year, *(f"{column[year]:.3f}" if year in column else "" for column in columns.values())])


def _periods(case: Case) -> dict[str, str]:
    return {name: words.span(case.inputs[name]) for name in ("baseline", "window")}


def _findings(case: Case) -> list[words.Finding]:
    """What was found for each scenario, read from the files of the steps before."""
    found = []
    for name in scenarios(case):
        with xr.open_dataset(case.file(f"numbers-{name}.nc"), engine="netcdf4", decode_times=False) as data:
            before, warming, pace = (float(np.squeeze(data[what].values)) for what in ("before", "warming", "pace"))
        years, smooth = _series(case.file(f"smooth-{name}.nc"))
        latitudes, longitudes, values = _map(case, name)
        if not np.isfinite([before, warming, pace, smooth[-1]]).all() or not np.isfinite(values).any():
            raise all_missing()
        row, column = np.unravel_index(np.nanargmax(values), values.shape)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        where = (float(latitudes[row]), float(longitudes[column]))
        found.append(
            words.Finding(name, before, warming, pace * 10, int(years[-1]), float(smooth[-1]), low, high, where)
        )
    return found


def _series(path: Path) -> tuple[Any, Any]:
    """Years and values of a series; cdo writes times, the Python way years."""
    with xr.open_dataset(path, engine="netcdf4", decode_timedelta=False) as data:
        values = np.squeeze(data["temperature"].values).reshape(-1)
        years = data["year"].values if "year" in data.coords else data[data["temperature"].dims[0]].dt.year.values
        return years.astype(int), values


def _map(case: Case, name: str) -> tuple[Any, Any, Any]:
    """Latitudes, longitudes and values of the map."""
    with xr.open_dataset(case.file(f"results/map-{name}.nc"), engine="netcdf4", decode_times=False) as data:
        return data["lat"].values, data["lon"].values, np.squeeze(data["temperature"].values)
