"""The same chain as cdo's, in Python: for machines without cdo, and to hold the two against each other.

Numbers in double precision. Methods are cdo's: a year is the mean of its months weighted by their days (`yearmonmean
-monmean`), the field mean is weighted by the cells' areas on a sphere (`fldmean`), the trend is a least-squares line
(`trend`), the map is bilinear in longitude and latitude (`remapbil`). Beside missing values cdo's map takes the nearest
cells, this one leaves a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from .region import Box, around, inside
from .source import Source

Array = np.ndarray[Any, np.dtype[np.float64]]


def yearly(source: Source, box: Box, tell: Callable[[float], None]) -> xr.DataArray:
    """Mean of each complete year in °C over `box`, with dimensions year, lat and lon; one year in memory at a time."""
    rows, columns = inside(source, box)
    years = range(source.first, source.last + 1)
    with xr.open_dataset(source.path, engine="netcdf4", decode_timedelta=False) as data:
        field = data[source.variable].squeeze(
            [d for d in data[source.variable].dims if d not in (source.time, source.latitude, source.longitude)]
        )
        field = field.transpose(source.time, source.latitude, source.longitude)
        when = data[source.time].dt
        of_year, of_month, days = when.year.values, when.month.values, when.days_in_month.values
        means = []
        for year in years:
            steps = np.flatnonzero(of_year == year)
            values = field[steps[0] : steps[-1] + 1, rows].values[..., columns].astype(float)
            months = np.unique(of_month[steps])
            monthly = np.stack([_mean(values[of_month[steps] == month]) for month in months])
            weights = np.array([days[steps][of_month[steps] == month][0] for month in months], dtype=float)
            means.append(_mean(monthly, weights))
            tell((year - source.first + 1) / len(years))
    coordinates = {
        "year": np.array(years),
        "lat": np.asarray(source.latitudes)[rows],
        "lon": around(source.longitudes, box[0])[columns],
    }
    return xr.DataArray(
        np.stack(means) + source.offset, coordinates, ("year", "lat", "lon"), "temperature", {"units": "degC"}
    )


def _mean(values: Array, weights: Array | None = None) -> Array:
    """Mean over the first axis of what is there; NaN where nothing is."""
    there = np.isfinite(values)
    weight = (np.ones(len(values)) if weights is None else weights).reshape(-1, *[1] * (values.ndim - 1)) * there
    total = weight.sum(axis=0)
    sums = (np.where(there, values, 0.0) * weight).sum(axis=0)
    means: Array = np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)
    return means


def field_mean(field: xr.DataArray, box: Box) -> xr.DataArray:
    """Mean over the cells whose centres are in `box`, weighted by their areas on a sphere."""
    west, south, east, north = box
    part = field.sel(lat=(field.lat >= south) & (field.lat <= north), lon=(field.lon >= west) & (field.lon <= east))
    edges = _edges(part.lat.values)
    weights = np.abs(np.diff(np.sin(np.deg2rad(np.clip(edges, -90.0, 90.0)))))
    return part.weighted(xr.DataArray(weights, {"lat": part.lat}, ("lat",))).mean(("lat", "lon"))


def _edges(centres: Array) -> Array:
    middle = (centres[:-1] + centres[1:]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def slope(field: xr.DataArray) -> xr.DataArray:
    """Least-squares slope per year, of what is there."""
    years = field.year.astype(float).where(field.notnull())
    away = years - years.mean("year")
    slopes: xr.DataArray = (away * (field - field.mean("year"))).sum("year") / (away**2).sum("year")
    return slopes.where(field.notnull().sum("year") > 1)


def centres(low: float, high: float, step: float, origin: float) -> Array:
    """Centres of the cells of cdo's grid `global_STEP` (they begin at `origin`) between `low` and `high`."""
    first = np.ceil((low - origin) / step - 0.5 - 1e-9)
    last = np.floor((high - origin) / step - 0.5 + 1e-9)
    return origin + (np.arange(first, last + 1) + 0.5) * step


def regrid(field: xr.DataArray, box: Box, step: float) -> xr.DataArray:
    """Bilinear onto cells of `step` degrees whose centres are in `box`, within the outermost centres of `field`."""
    west, south, east, north = box
    field = _round(field.sortby("lat"))
    latitudes = centres(max(south, float(field.lat[0])), min(north, float(field.lat[-1])), step, -90.0)
    longitudes = centres(max(west, float(field.lon[0])), min(east, float(field.lon[-1])), step, -180.0)
    row, up = _between(field.lat.values, latitudes)
    column, right = _between(field.lon.values, longitudes)
    values, up, right = field.values, up[:, None], right[None, :]
    low = values[np.ix_(row, column)] * (1 - right) + values[np.ix_(row, column + 1)] * right
    high = values[np.ix_(row + 1, column)] * (1 - right) + values[np.ix_(row + 1, column + 1)] * right
    return xr.DataArray(
        low * (1 - up) + high * up, {"lat": latitudes, "lon": longitudes}, ("lat", "lon"), field.name, field.attrs
    )


def _round(field: xr.DataArray) -> xr.DataArray:
    """A field that goes round the globe, with its last column before the first and its first behind the last."""
    longitudes = field.lon.values
    if abs(longitudes[-1] + (longitudes[1] - longitudes[0]) - longitudes[0] - 360.0) > 1e-3:
        return field
    before, behind = field.isel(lon=[-1]), field.isel(lon=[0])
    parts = [before.assign_coords(lon=before.lon - 360.0), field, behind.assign_coords(lon=behind.lon + 360.0)]
    return xr.concat(parts, "lon")


def _between(points: Array, wanted: Array) -> tuple[Any, Array]:
    """For each wanted value the index of the point below, and how far it is towards the next, 0 to 1."""
    index = np.clip(np.searchsorted(points, wanted, side="right") - 1, 0, len(points) - 2)
    return index, (wanted - points[index]) / (points[index + 1] - points[index])
