"""What a NetCDF file of temperatures holds, read from its header.

Every fault is found here, before anything heavy runs, and said to the person: `Unfit` with the input that is to blame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from perijove.apps import Unfit

_KELVIN = {"k", "kelvin", "degk", "deg_k", "degree_kelvin", "degrees_kelvin"}
_CELSIUS = {"c", "°c", "celsius", "degc", "deg_c", "degree_c", "degrees_c", "degree_celsius", "degrees_celsius"}
_LATITUDE = {"lat", "latitude", "degrees_north", "degree_north", "degrees_n"}
_LONGITUDE = {"lon", "long", "longitude", "degrees_east", "degree_east", "degrees_e"}
#: What goes into the argument of a cdo operator; a comma would end it, a star would stand for any name.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.+@-]{0,63}")


@dataclass(frozen=True)
class Source:
    """A file's temperatures: `path`, the names in it, and its complete years.

    Attributes:
        offset: What is added for degrees Celsius: -273.15, or 0.
        first, last: Its first and last complete year.
        latitudes, longitudes: Cell centres, degrees, as the file has them.
    """

    path: Path
    variable: str
    latitude: str
    longitude: str
    time: str
    offset: float
    first: int
    last: int
    latitudes: tuple[float, ...]
    longitudes: tuple[float, ...]


def look(path: Path, variable: str = "", name: str = "file") -> Source:
    """What the file at `path` holds.

    Args:
        variable: Its variable; empty: its one temperature.
        name: The input that named the file, for the words of a fault.

    Raises:
        Unfit: it cannot be read, or holds no temperatures over years on a grid of latitudes and longitudes.
    """
    _signature(path, name)
    try:
        with xr.open_dataset(path, engine="netcdf4", decode_times=False, decode_timedelta=False) as data:
            return _read(path, data, variable, name)
    except (OSError, RuntimeError, ValueError) as error:
        raise Unfit(
            f"{path.name} breaks off or is damaged ({_short(error)}). Copy it again, and compare the sizes.",
            f"{path.name} 不完整或已损坏（{_short(error)}）。请重新复制该文件，并与原文件比较大小。",
            name,
        ) from None


def _signature(path: Path, name: str) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise Unfit(
            f"{path.name} cannot be read: {error.strerror}.", f"无法读取 {path.name}：{error.strerror}。", name
        ) from None
    if head.startswith(b"\x89HDF") or head[:3] == b"CDF":
        return
    kinds = {b"": ("empty", "空文件"), b"\x1f\x8b": ("compressed: unpack it first", "压缩文件，请先解压")}
    kinds |= {b"GRIB": ("a GRIB file: `cdo -f nc4 copy` makes it NetCDF", "GRIB 文件，可用 `cdo -f nc4 copy` 转换")}
    en, zh = next(
        (words for start, words in kinds.items() if head == start or (start and head.startswith(start))),
        ("of another kind", "其他格式"),
    )
    raise Unfit(f"{path.name} is no NetCDF file; it is {en}.", f"{path.name} 不是 NetCDF 文件（{zh}）。", name)


def _read(path: Path, data: xr.Dataset, variable: str, name: str) -> Source:
    found = _variable(path, data, variable, name)
    field = data[found]
    latitude, longitude = (_axis(data, field, names) for names in (_LATITUDE, _LONGITUDE))
    if not latitude or not longitude:
        raise Unfit(
            f"{found} in {path.name} lies on no grid of latitudes and longitudes (a rotated or curved one?). Regrid it "
            "first, e.g. `cdo remapbil,global_1`.",
            f"{path.name} 中的 {found} 不在规则经纬度网格上（可能是旋转或曲线网格）。"
            "请先插值，例如 `cdo remapbil,global_1`。",
            name,
        )
    time = next((str(d) for d in field.dims if " since " in str(data.get(d, _NONE).attrs.get("units", ""))), "")
    if not time:
        raise Unfit(
            f"{found} in {path.name} has no time axis with years: it is one map. Give a file that covers many years.",
            f"{path.name} 中的 {found} 没有时间轴，只是一张图。请提供覆盖多年的文件。",
            name,
        )
    more = {str(d): size for d, size in field.sizes.items() if d not in (latitude, longitude, time) and size > 1}
    if more:
        axis, size = next(iter(more.items()))
        raise Unfit(
            f"{found} has {size} values of {axis} at each place. Choose one first, e.g. `cdo sellevidx,1`.",
            f"{found} 在每个格点上有 {size} 个 {axis} 值。请先选取一个，例如 `cdo sellevidx,1`。",
            name,
        )
    first, last = _years(path, data[[time]], time, name)
    latitudes, longitudes = (np.asarray(data[axis].values, dtype=float) for axis in (latitude, longitude))
    offset = _offset(field, found, time, name)
    return Source(
        path,
        found,
        latitude,
        longitude,
        time,
        offset,
        first,
        last,
        tuple(latitudes.tolist()),
        tuple(longitudes.tolist()),
    )


_NONE = xr.DataArray(0)


def _variable(path: Path, data: xr.Dataset, variable: str, name: str) -> str:
    fields = [
        str(n) for n, v in data.data_vars.items() if v.ndim >= 2 and v.dtype.kind == "f" and not _is_bounds(str(n))
    ]
    warm = [n for n in fields if "temperature" in data[n].attrs.get("standard_name", "") or _unit(data[n])]
    names = ", ".join(fields[:12]) or "-"
    if variable and variable not in fields:
        raise Unfit(
            f"{path.name} has no field called {variable}. It has: {names}.",
            f"{path.name} 中没有名为 {variable} 的变量。其中有：{names}。",
            "variable",
        )
    chosen = [variable] if variable else warm
    if len(chosen) != 1:
        en = "no temperature" if not chosen else f"more than one temperature ({', '.join(chosen[:12])})"
        zh = "没有温度变量" if not chosen else f"有多个温度变量（{', '.join(chosen[:12])}）"
        raise Unfit(
            f"{path.name} has {en}. It has: {names}. Say which one in `Variable`.",
            f"{path.name} 中{zh}。其中有：{names}。请在“变量”中指明。",
            "variable" if fields else name,
        )
    if not _VARIABLE.fullmatch(chosen[0]):
        raise Unfit(
            f"The variable's name {chosen[0]!r} has characters that cdo does not take: rename it first.",
            f"变量名 {chosen[0]!r} 含有 cdo 不接受的字符：请先改名。",
            name,
        )
    return chosen[0]


def _is_bounds(name: str) -> bool:
    return name.endswith(("_bnds", "_bounds"))


def _unit(field: xr.DataArray) -> str:
    unit = str(field.attrs.get("units", "")).strip().casefold()
    return "K" if unit in _KELVIN else "C" if unit in _CELSIUS else ""


def _axis(data: xr.Dataset, field: xr.DataArray, names: set[str]) -> str:
    """The dimension of `field` that is a latitude or longitude."""
    for dimension in map(str, field.dims):
        if dimension in data.coords and data[dimension].size > 1:
            attributes = data[dimension].attrs
            marks = (dimension, attributes.get("standard_name", ""), attributes.get("units", ""))
            if names & {str(mark).casefold() for mark in marks} and not str(marks[1]).startswith("grid_"):
                return dimension
    return ""


def _offset(field: xr.DataArray, found: str, time: str, name: str) -> float:
    """What makes it degrees Celsius; reads the first and the last field, so that a file that breaks off is found."""
    unit = _unit(field)
    ends = np.concatenate([np.ravel(field.isel({time: index}).values) for index in (0, -1)])
    ends = ends[np.isfinite(ends)]
    middle = float(np.median(ends)) if ends.size else None
    said = str(field.attrs.get("units", "")) or "-"
    low, high = (150.0, 350.0) if unit == "K" else (-110.0, 75.0)
    if not unit or (middle is not None and not low <= middle <= high):
        value = "-" if middle is None else f"{middle:.1f}"
        raise Unfit(
            f"The unit of {found} is given as {said}, and a typical value is {value}. It must be K or degC, and fit "
            'the values: set it, e.g. `cdo setattribute,NAME@units="K"`.',
            f"{found} 的单位为 {said}，典型值为 {value}。单位必须是 K 或 degC，并与数值相符：请先设置单位，例如 "
            '`cdo setattribute,NAME@units="K"`。',
            name,
        )
    return -273.15 if unit == "K" else 0.0


def _years(path: Path, axis: xr.Dataset, time: str, name: str) -> tuple[int, int]:
    """The first and last complete year: one with all the months, and about as many values, that the others have."""
    try:
        when = xr.decode_cf(axis, decode_timedelta=False)[time].dt
        years, months = when.year.values, when.month.values
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        raise Unfit(
            f"The time axis of {path.name} cannot be read: {_short(error)}.",
            f"无法读取 {path.name} 的时间轴：{_short(error)}。",
            name,
        ) from None
    if years.size and np.any(np.diff(axis[time].values) <= 0):
        raise Unfit(
            f"The times in {path.name} are not in order, or stand there twice: `cdo -sorttimestamp` mends it.",
            f"{path.name} 中的时间没有按顺序排列或有重复：可用 `cdo -sorttimestamp` 修正。",
            name,
        )
    found, counts = np.unique(years, return_counts=True)
    # Without its December a year is too warm, though it has eleven twelfths of its values.
    of_months = np.array([len(np.unique(months[years == year])) for year in found])
    whole = found
    if found.size:
        whole = found[(counts >= 0.9 * np.median(counts)) & (of_months >= np.median(of_months))]
    gaps = sorted(set(range(int(whole.min()), int(whole.max()) + 1)) - set(whole.tolist())) if whole.size else []
    if gaps or whole.size < 10:
        missing = ", ".join(map(str, gaps[:10])) or "-"
        raise Unfit(
            f"{path.name} has {whole.size} complete years; missing in between: {missing}. At least 10 without a "
            "gap are needed.",
            f"{path.name} 有 {whole.size} 个完整年份，其间缺少：{missing}。至少需要连续 10 年。",
            name,
        )
    return int(whole.min()), int(whole.max())


def _short(error: Exception) -> str:
    # Of an OSError its words alone: all of it would show a number and the file's whole path.
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split())[:120]
