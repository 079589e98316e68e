"""The region and the years that were asked for, held against those that a file has; degrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from perijove.apps import Unfit

from .source import Source

#: Degrees beyond the region that are read, too, so that the map reaches the region's edges.
MARGIN = 3.0
Box = tuple[float, float, float, float]


def fit(source: Source, inputs: Mapping[str, Any]) -> None:
    """Holds what was asked against what the file has.

    Raises:
        Unfit: the years or the region are not in it.
    """
    have = f"{source.first}-{source.last}"
    for name, en, zh in (("baseline", "baseline", "基准期"), ("window", "future window", "未来时段")):
        low, high = (int(year) for year in inputs[name])
        if low < source.first or high > source.last:
            raise Unfit(
                f"The {en} {low}-{high} is not within the years of the data, {have}. Choose years within them.",
                f"{zh} {low}–{high} 超出了数据的年份范围 {have}。请在该范围内选择。",
                name,
            )
    if int(inputs["smoothing"]) > source.last - source.first + 1:
        raise Unfit(
            f"The data have the years {have}: too few to smooth over {inputs['smoothing']}. Choose a smaller number.",
            f"数据只有 {have} 年，不足以作 {inputs['smoothing']} 年滑动平均。请选择较小的年数。",
            "smoothing",
        )
    if int(inputs["smoothing"]) % 2 == 0:
        # The mean of an even number of years belongs between two of them: cdo names one, xarray the other.
        raise Unfit(
            f"A mean over {inputs['smoothing']} years has no year in its middle: choose an odd number.",
            f"{inputs['smoothing']} 年的滑动平均没有居中的年份：请选择奇数。",
            "smoothing",
        )
    rows, columns = inside(source, box_of(inputs))
    if len(rows) < 2 or len(columns) < 2:
        extent = _extent(source)
        raise Unfit(
            f"The region holds {len(rows)} by {len(columns)} cells of the data, and the map needs 2 by 2. The data "
            f"cover {extent}: move the region there, or make it larger.",
            f"该区域内只有 {len(rows)}×{len(columns)} 个数据格点，绘图至少需要 2×2 个。数据覆盖 {extent}："
            "请移动或扩大该区域。",
            "region",
        )


def box_of(inputs: Mapping[str, Any]) -> Box:
    """The region: west, south, east, north."""
    west, south, east, north = (float(value) for value in inputs["region"])
    return west, south, east, north


def wider(box: Box, margin: float = MARGIN) -> Box:
    """The box with `margin` degrees around it, no more than the globe."""
    west, south, east, north = box
    margin_x = min(margin, max((360.0 - (east - west)) / 2, 0.0))
    return west - margin_x, max(south - margin, -90.0), east + margin_x, min(north + margin, 90.0)


def around(longitudes: Any, west: float) -> Any:
    """Longitudes as values from `west` on eastwards, whether they were written 0..360 or -180..180."""
    return west + np.round((np.asarray(longitudes, dtype=float) - west) % 360.0, 6) % 360.0


def inside(source: Source, box: Box) -> tuple[Any, Any]:
    """Indices of the rows and columns whose centres are in `box`, columns from west to east."""
    west, south, east, north = box
    latitudes, longitudes = np.asarray(source.latitudes), around(source.longitudes, west)
    rows = np.flatnonzero((latitudes >= south) & (latitudes <= north))
    columns = np.argsort(longitudes, kind="stable")
    return rows, columns[longitudes[columns] <= east]


def covered(source: Source, box: Box) -> float:
    """The part of the region, in degrees by degrees, over which the data's cells reach."""
    around_it = wider(box)
    rows, columns = inside(source, around_it)
    latitudes = np.sort(np.asarray(source.latitudes)[rows])
    longitudes = around(source.longitudes, around_it[0])[columns]
    part = 1.0
    for centres, low, high in ((latitudes, box[1], box[3]), (longitudes, box[0], box[2])):
        half = float(np.median(np.diff(centres))) / 2
        reach = min(high, float(centres[-1]) + half) - max(low, float(centres[0]) - half)
        part *= min(max(reach, 0.0) / (high - low), 1.0)
    return part


def _extent(source: Source) -> str:
    longitudes = np.asarray(source.longitudes)
    west, east = float(longitudes.min()), float(longitudes.max())
    if west >= 180.0 or (east > 180.0 and east - west < 300.0):
        west, east = west - 360.0, east - 360.0
    return f"{west:g}..{east:g}°E, {min(source.latitudes):g}..{max(source.latitudes):g}°N"
