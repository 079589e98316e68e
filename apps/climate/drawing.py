"""The figures of the climate app: a map for each scenario, and the years as lines; PNG, for light and for print.

Coasts, borders and lakes come from `data/outlines.json` (Natural Earth). Chinese labels need a font: where the machine
has none, the labels are English.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .region import Box
from .words import label, meridian, name, parallel, span, where

#: Fonts with Simplified Chinese, the most usual first.
CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Droid Sans Fallback",
)
#: Of ColorBrewer's RdBu, apart for all kinds of colour vision; each line has its name at its end, too.
COLOURS = {"A1B": "#b2182b", "E1": "#2166ac", "own": "#b2182b"}
_INK, _QUIET, _PALE = "#222222", "#5f6670", "#d7dbe0"
_DPI = 150


@dataclass(frozen=True)
class Panel:
    """One map: values (°C, latitude by longitude) at cell centres."""

    scenario: str
    latitudes: Any
    longitudes: Any
    values: Any


@dataclass(frozen=True)
class Line:
    """One scenario's years: single ones and the smoothed line, °C."""

    scenario: str
    years: Any
    values: Any
    smooth_years: Any
    smooth: Any


def chinese() -> str:
    """A font of this machine that has Chinese characters; empty if there is none."""
    there = {font.name for font in font_manager.fontManager.ttflist}
    return next((font for font in CHINESE if font in there), "")


def spoken(language: str) -> str:
    """The language of the labels: English where no font has Chinese."""
    return "zh" if language == "zh" and chinese() else "en"


def style(language: str) -> Any:
    """Matplotlib's settings for all figures."""
    fonts = [chinese(), "DejaVu Sans"] if language == "zh" else ["DejaVu Sans"]
    return {
        "font.family": fonts,
        "font.size": 9.5,
        "axes.unicode_minus": False,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _QUIET,
        "xtick.color": _QUIET,
        "ytick.color": _QUIET,
        "figure.facecolor": "white",
    }


def draw_map(
    panels: Sequence[Panel], statistic: str, box: Box, words: Mapping[str, str], outlines: Path, language: str, to: Path
) -> None:
    """One map for each scenario with one scale for all.

    Warming and trend are red above and blue below zero; a mean goes from dark to light.

    Args:
        words: `baseline` and `window`, as they are shown.
    """
    west, south, east, north = box
    stretch = 1 / np.cos(np.deg2rad((south + north) / 2))
    width = 8.6 if len(panels) > 1 else 6.4
    height = (width - 0.6) / len(panels) * (north - south) * stretch / (east - west)
    with mpl.rc_context(style(language)):
        figure = Figure(figsize=(width, min(max(height, 0.9), 7.0) + 1.4), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        levels, colours = _levels([panel.values for panel in panels], diverging=statistic != "mean")
        norm = BoundaryNorm(levels, colours.N)
        lines = json.loads(outlines.read_text(encoding="utf-8"))
        drawn: Any = None
        for axis, panel in zip(axes, panels, strict=True):
            drawn = axis.pcolormesh(
                panel.longitudes,
                panel.latitudes,
                panel.values,
                cmap=colours,
                norm=norm,
                shading="nearest",
                rasterized=True,
            )
            for ring in _rings(lines["countries"], west):
                axis.plot(*ring, color=_INK, linewidth=0.7, alpha=0.85)
            for ring in _rings(lines["lakes"], west):
                axis.plot(*ring, color=_INK, linewidth=0.5, alpha=0.7)
            axis.set(xlim=(west, east), ylim=(south, north), aspect=stretch, facecolor="#eceff2")
            axis.set_title(
                name(panel.scenario, language), fontsize=11, fontweight="bold", color=COLOURS[panel.scenario]
            )
            axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 3, 5, 10]))
            axis.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 3, 5, 10]))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: meridian(round(value, 3))))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: parallel(round(value, 3))))
            axis.grid(color="white", linewidth=0.5, alpha=0.6)
            axis.tick_params(length=0, labelsize=8)
        title = label("title-map" if statistic == "anomaly" else f"title-map-{statistic}", language)
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        bar = figure.colorbar(drawn, ax=list(axes), orientation="horizontal", aspect=45, pad=0.03, shrink=0.85)
        bar.set_label(label(statistic, language, **words))
        bar.ax.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10]))
        bar.ax.tick_params(length=0, labelsize=8)
        bar.outline.set_visible(False)
        figure.savefig(to, dpi=_DPI)


def draw_line(
    lines: Sequence[Line],
    *,
    absolute: bool,
    box: Box,
    smoothing: int,
    baseline: Sequence[int],
    window: Sequence[int],
    language: str,
    to: Path,
) -> None:
    """The years of each scenario: single ones thin, the running mean bold, the two periods shaded."""
    with mpl.rc_context(style(language)):
        figure = Figure(figsize=(8.6, 4.5), layout="constrained")
        axis = figure.subplots()
        near = abs(sum(window) - sum(baseline)) < 0.4 * (lines[0].years[-1] - lines[0].years[0])
        for period, key, height in ((baseline, "baseline", 0.015), (window, "window", 0.065 if near else 0.015)):
            axis.axvspan(period[0] - 0.5, period[1] + 0.5, color="#eef0f3", zorder=0)
            words, middle = f"{label(key, language)} {span(period)}", (period[0] + period[1]) / 2
            axis.text(
                middle, height, words, transform=axis.get_xaxis_transform(), ha="center", fontsize=8, color=_QUIET
            )
        if not absolute:
            axis.axhline(0, color=_QUIET, linewidth=0.8, zorder=1)
        for kind, look in (
            ("values", {"linewidth": 0.7, "alpha": 0.45}),
            ("smooth", {"linewidth": 2.2 if smoothing > 1 else 1.0}),
        ):
            _curves(axis, lines, kind, look)
        low, high = axis.get_ylim()
        axis.set_ylim(low - 0.09 * (high - low), high)  # room for the periods' names
        _ends(axis, lines, absolute=absolute, language=language)
        years = [int(year) for line in lines for year in (line.years[0], line.years[-1])]
        axis.set_xlim(min(years), max(years) + 0.16 * (max(years) - min(years)))
        axis.set_xticks([tick for tick in axis.get_xticks() if min(years) <= tick <= max(years)])
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.grid(axis="y", color=_PALE, linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(length=0)
        axis.set_ylabel(label("line-mean", language) if absolute else label("line", language, baseline=span(baseline)))
        note = label("smoothed", language, years=smoothing) if smoothing > 1 else label("single", language)
        axis.set_title(f"{label('region', language, box=where(box))} · {note}", loc="left", fontsize=8.5, color=_QUIET)
        figure.suptitle(label("title-line", language), x=0.01, ha="left", fontsize=13, fontweight="bold")
        figure.savefig(to, dpi=_DPI)


def _curves(axis: Any, lines: Sequence[Line], kind: str, look: Mapping[str, Any]) -> None:
    """One curve each; a past that all scenarios share is drawn once, in grey."""
    curves = [(line.smooth_years if kind == "smooth" else line.years, getattr(line, kind)) for line in lines]
    values = [value for _, value in curves]
    apart = np.ptp(np.stack(values), axis=0) > 1e-6 if len(values) > 1 else np.array([True])
    first = int(np.argmax(apart)) if apart.any() else len(values[0])
    past = max(first - 1, 0)
    if first:
        axis.plot(curves[0][0][:first], values[0][:first], color=_QUIET, solid_capstyle="round", **look)
    for line, (years, value) in zip(lines, curves, strict=True):
        axis.plot(years[past:], value[past:], color=COLOURS[line.scenario], solid_capstyle="round", **look)


def _ends(axis: Any, lines: Sequence[Line], *, absolute: bool, language: str) -> None:
    """Each line's name and last value beside its end, so that nobody needs a legend; never on top of each other."""
    low, high = axis.get_ylim()
    apart, before = 0.075 * (high - low), float("-inf")
    for line in sorted(lines, key=lambda one: float(one.smooth[-1])):
        value = float(line.smooth[-1])
        height = max(value, before + apart)
        before = height
        number = f"{value:.1f}" if absolute else f"{value:+.1f}"
        axis.annotate(
            f"{name(line.scenario, language)} {number} °C",
            (line.smooth_years[-1], value),
            (line.years[-1] + 0.008 * float(np.ptp(line.years)), height),
            color=COLOURS[line.scenario],
            fontweight="bold",
            va="center",
            fontsize=9,
        )


def _levels(fields: Sequence[Any], *, diverging: bool) -> tuple[Any, Any]:
    """Round steps over all that is there, and as many colours; red and blue meet at zero.

    Values of one sign that lie close together would all be dark: there the colours begin nearer to them than zero.
    """
    values = np.concatenate([np.ravel(field[np.isfinite(field)]) for field in fields])
    low, high = float(values.min()), float(values.max())
    levels: Any = MaxNLocator(14, steps=[1, 2, 2.5, 5, 10], min_n_ticks=4).tick_values(low, max(high, low + 1e-6))
    if not diverging:
        return levels, mpl.colormaps["cividis"].resampled(len(levels) - 1)
    middles, width = (levels[:-1] + levels[1:]) / 2, levels[-1] - levels[0]
    pale = max(levels[0] - width, 0.0) if levels[0] > 0 else min(levels[-1] + width, 0.0)
    most = np.abs(levels - pale).max()
    return levels, mpl.colors.ListedColormap(mpl.colormaps["RdBu_r"](0.5 + (middles - pale) / most / 2))


def _rings(rings: Sequence[Sequence[tuple[float, float]]], west: float) -> list[tuple[Any, Any]]:
    """Outlines as longitudes and latitudes in the turn of the globe that the map shows, broken where it ends."""
    broken = []
    for ring in rings:
        points = np.asarray(ring)
        for turn in (-360.0, 0.0, 360.0):
            longitudes = points[:, 0] + turn
            if longitudes.max() >= west and longitudes.min() <= west + 360.0:
                broken.append((longitudes, points[:, 1]))
    return broken
