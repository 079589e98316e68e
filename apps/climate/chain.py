"""The chain as cdo's operators, one step each, for one scenario.

cdo 2.1 hands every file name to wordexp(3): a space ends it, and `$(command)` in it is executed. So a name that a
person chose never reaches it: that file comes as `/dev/stdin`. All others are names of ours, in the run's folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from perijove.apps import Case, Command, Step, Unfit

from .region import Box, box_of, wider
from .source import Source

_PLAIN = re.compile(r"[A-Za-z0-9._/+@-]+")


def operator(name: str, *arguments: float | str) -> str:
    """An operator with its arguments: "sellonlatbox,-93,-76,41,49"."""
    return ",".join([name, *(f"{one:.10g}" if isinstance(one, int | float) else one for one in arguments)])


def years(case: Case, period: str) -> str:
    """The operator that takes the years of "baseline" or "window"."""
    low, high = case.inputs[period]
    return operator("selyear", f"{int(low)}/{int(high)}")


def lonlatbox(box: Box) -> str:
    """The operator that takes the cells whose centres are in a region."""
    west, south, east, north = box
    return operator("sellonlatbox", west, east, south, north)


def with_cdo(case: Case, name: str, source: Source) -> list[Step]:
    """The steps for scenario `name`; every number in double precision.

    Raises:
        Unfit: the run's folder has a name that cdo would take apart.
    """
    if not _PLAIN.fullmatch(str(case.work)):
        raise Unfit(
            f"cdo cannot work in {case.work}: its name has characters other than letters, digits and . _ - / + @.",
            f"cdo 无法在 {case.work} 中工作：路径含有字母、数字和 . _ - / + @ 以外的字符。",
        )
    box = box_of(case.inputs)
    window, region = years(case, "window"), lonlatbox(box)
    yearly, baseline, anomaly, line, smooth, slope, numbers = (
        f"{what}-{name}.nc" for what in ("yearly", "baseline", "anomaly", "line", "smooth", "slope", "numbers")
    )
    made = f"results/map-{name}.nc"

    def cdo(*words: str | Path, stdin: Path | None = None) -> Command:
        return Command([case.program("cdo"), "-s", "-O", "--no_history", *words], stdin=stdin)

    def after(*steps: str) -> list[str]:
        return [f"{step}@{name}" for step in steps]

    def mean_of(what: str, *chain: str | Path) -> tuple[str | Path, ...]:
        return (f"-setname,{what}", "-fldmean", f"-{region}", *chain)

    prepare = [
        f"-{operator('addc', source.offset)}",
        *("-yearmonmean", "-monmean"),
        f"-{operator('selyear', f'{source.first}/{source.last}')}",
        f"-{lonlatbox(wider(box))}",
        f"-selname,{source.variable}",
    ]
    change: dict[str, tuple[str | Path, ...]] = {
        "anomaly": ("-timmean", f"-{window}", case.file(anomaly)),
        "mean": ("-timmean", f"-{window}", case.file(yearly)),
        "trend": ("-mulc,10", case.file(slope)),
    }
    statistic = case.inputs["statistic"]
    unit = "degC/decade" if statistic == "trend" else "degC"
    grid = operator("remapbil", f"global_{case.inputs['grid']:g}")
    return [
        Step(
            "yearly",
            cdo(
                *("-b", "F64", "-f", "nc4"),
                *("setattribute,temperature@units=degC", "-setname,temperature", *prepare),
                *("/dev/stdin", yearly),
                stdin=source.path,
            ),
            name,
            makes=[yearly],
            check=has_values,
        ),
        Step(
            "baseline",
            cdo("timmean", f"-{years(case, 'baseline')}", case.file(yearly), baseline),
            name,
            after("yearly"),
            [baseline],
        ),
        Step(
            "anomaly", cdo("sub", case.file(yearly), case.file(baseline), anomaly), name, after("baseline"), [anomaly]
        ),
        Step("mean", cdo("fldmean", f"-{region}", case.file(anomaly), line), name, after("anomaly"), [line]),
        Step(
            "smooth",
            cdo(operator("runmean", case.inputs["smoothing"]), case.file(line), smooth),
            name,
            after("mean"),
            [smooth],
        ),
        Step("trend", cdo("trend", f"-{window}", case.file(yearly), "start.nc", slope), name, after("yearly"), [slope]),
        Step(
            "numbers",
            cdo(
                "merge",
                *mean_of("before", case.file(baseline)),
                *mean_of("warming", "-timmean", f"-{window}", case.file(anomaly)),
                *mean_of("pace", case.file(slope)),
                numbers,
            ),
            name,
            after("anomaly", "trend"),
            [numbers],
        ),
        Step(
            "map",
            cdo(f"setattribute,temperature@units={unit}", f"-{region}", f"-{grid}", *change[statistic], made),
            name,
            after("anomaly", "trend"),
            [made],
        ),
    ]


def has_values(case: Case, folder: Path) -> None:
    """Holds that the region has values at all: over the sea a file of the land has none.

    Raises:
        Unfit: they are all missing.
    """
    import numpy as np
    import xarray as xr

    for path in folder.glob("yearly-*.nc"):
        with xr.open_dataset(path, engine="netcdf4", decode_times=False) as data:
            if not np.isfinite(data["temperature"].values).any():
                raise all_missing()


def all_missing() -> Unfit:
    """What is said of a region without values."""
    return Unfit(
        "The data have no values in this region in these years: move the region.",
        "该区域在这些年份内没有数据：请移动区域。",
        "region",
    )
