"""The figures: depth along the genome, quality along the reads, and where the variants are.

Colours are those of Okabe and Ito (2008), which colour-blind people tell apart; kinds of variants differ in shape, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .genome import KINDS, Quality, Variant
from .regions import Region

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, FAINT = "#1c2127", "#8a919b"
MARKS = {"snp": ("o", BLUE), "insertion": ("^", VERMILION), "deletion": ("v", GREEN), "other": ("D", PURPLE)}
#: Letters for Chinese, where one of these is installed.
FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
    "Noto Sans CJK JP",
    "Droid Sans Fallback",
)
WORDS = {
    "position": ("Position in {name} ({unit})", "在 {name} 中的位置（{unit}）"),
    "genome": ("Position in all sequences, one after the other ({unit})", "所有序列首尾相接的位置（{unit}）"),
    "depth": ("Reads over a base", "覆盖碱基的读段数"),
    "mean": ("mean {value:.1f}", "平均 {value:.1f}"),
    "least": ("least depth asked for: {value}", "要求的最低深度：{value}"),
    "range": ("lowest to highest of each window", "每个窗口的最低值到最高值"),
    "window": ("mean of {width} bases", "{width} 个碱基的平均"),
    "each": ("each base", "逐碱基"),
    "thin": ("less than asked for", "低于要求"),
    "cycle": ("Position in the read (bases)", "读段内位置（碱基）"),
    "phred": ("Mean quality (Phred)", "平均质量（Phred）"),
    "before": ("mate {mate}, as given", "配对 {mate}，原始"),
    "after": ("mate {mate}, kept reads", "配对 {mate}，保留的读段"),
    "single_before": ("reads as given", "原始读段"),
    "single_after": ("kept reads", "保留的读段"),
    "asked": ("quality asked for: {value}", "要求的质量：{value}"),
    "wrong": ("1 in {value} wrong", "{value} 个中错 1 个"),
    "quality": ("Quality of the variant (Phred)", "变异质量（Phred）"),
    "filter": ("least quality asked for: {value}", "要求的最低质量：{value}"),
    "snp": ("single base ({count})", "单碱基（{count}）"),
    "insertion": ("insertion ({count})", "插入（{count}）"),
    "deletion": ("deletion ({count})", "缺失（{count}）"),
    "other": ("several bases ({count})", "多碱基（{count}）"),
    "none": ("No variant passed the filters.", "没有变异通过筛选。"),
    "density": ("Variants\nper window", "每窗口\n变异数"),
}


class Labels:
    """Words in the person's language; English where no letters for Chinese are installed, rather than boxes."""

    def __init__(self, language: str) -> None:
        self.font = chinese_font() if language == "zh" else None
        self._at = 1 if self.font else 0

    def __call__(self, key: str, **values: Any) -> str:
        return WORDS[key][self._at].format(**values)


def chinese_font() -> str | None:
    """The name of an installed font that has the letters of our words, or None."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    needed = {ord(letter) for words in WORDS.values() for letter in words[1] if ord(letter) > 0x2E80}
    there = {font.name: font.fname for font in font_manager.fontManager.ttflist}
    for name in FONTS:
        if name in there and needed <= set(FT2Font(there[name]).get_charmap()):
            return name
    return None


@contextmanager
def _figure(labels: Labels, path: Path, rows: tuple[int, ...] = (1,), height: float = 3.6) -> Iterator[Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.family": [labels.font, "DejaVu Sans"] if labels.font else ["DejaVu Sans"],
        "font.size": 10,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e6e6e6",
        "legend.frameon": False,
        "legend.fontsize": 9,
        "axes.unicode_minus": False,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(9, height), dpi=150, layout="constrained")
        axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
        yield axes
        figure.savefig(path, facecolor="white", metadata={"Software": None})


class Axis:
    """Positions along all regions, one after the other, in bases, thousands or millions."""

    def __init__(self, regions: list[Region]) -> None:
        self.regions = regions
        self.total = sum(end - start for _, start, end in regions)
        self.single = len(regions) == 1
        self.first = regions[0][1] if self.single else 0
        largest = self.first + self.total
        self.scale, self.unit = (1e6, "Mb") if largest >= 2e6 else (1e3, "kb") if largest >= 2e3 else (1.0, "b")
        self._offsets: list[tuple[Region, int]] = []
        at = self.first
        for region in regions:
            self._offsets.append((region, at))
            at += region[2] - region[1]

    def of(self, sequence: str, position: int) -> float | None:
        """The place of a position (from 1), in the axis' unit."""
        for (name, start, end), offset in self._offsets:
            if name == sequence and start < position <= end:
                return (offset + position - start) / self.scale
        return None

    def dress(self, axes: Any, labels: Labels) -> None:
        """Limits, name, and a line where a sequence or region ends."""
        axes.set_xlim((self.first + 1) / self.scale, (self.first + self.total) / self.scale)
        name = self.regions[0][0]
        short = name if len(name) <= 40 else f"{name[:37]}..."
        axes.set_xlabel(
            labels("position", name=_plain(short), unit=self.unit) if self.single else labels("genome", unit=self.unit)
        )

    def ends(self, axes: Any) -> None:
        """Lines between regions."""
        for _, offset in self._offsets[1:] if len(self._offsets) <= 60 else []:
            axes.axvline(offset / self.scale, color=FAINT, linewidth=0.6, linestyle=":")

    def names(self, axes: Any) -> None:
        """The sequences' names at their beginnings, where there are few."""
        for (name, _, _), offset in self._offsets if 1 < len(self._offsets) <= 6 else []:
            short = _plain(name if len(name) <= 16 else f"{name[:14]}..")
            spot = offset / self.scale
            axes.annotate(short, (spot, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                          fontsize=8, color="#59616b", va="top")  # fmt: skip


def _plain(text: str) -> str:
    """Dollar signs would be read as mathematics."""
    return text.replace("$", r"\$")


def coverage(path: Path, labels: Labels, axis: Axis, depth: list[Any], least: int) -> None:
    """Depth along the genome: mean and range of at most 500 windows."""
    import numpy as np

    values = np.concatenate(depth)
    width = max(-(-len(values) // 500), 1)
    starts = np.arange(0, len(values), width)
    means = np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values)))
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    middles = (axis.first + np.minimum(starts + (width + 1) / 2, len(values))) / axis.scale
    with _figure(labels, path) as (axes,):
        if width > 1:
            axes.fill_between(middles, low, high, color=SKY, alpha=0.5, linewidth=0, label=labels("range"))
            axes.plot(middles, means, color=BLUE, linewidth=1.2, label=labels("window", width=width))
        else:
            axes.fill_between(middles, means, color=SKY, alpha=0.35, linewidth=0)
            axes.plot(middles, means, color=BLUE, linewidth=1.2, label=labels("each"))
        axes.axhline(values.mean(), color=INK, linestyle="--", linewidth=1, label=labels("mean", value=values.mean()))
        axes.axhline(least, color=VERMILION, linestyle=":", linewidth=1.4, label=labels("least", value=least))
        top = max(float(high.max()), least, 1.0) * 1.12
        thin = low < least
        if thin.any():
            edges = np.append(starts, len(values))
            sides = (axis.first + np.repeat(edges, 2)[1:-1]) / axis.scale
            axes.fill_between(
                sides,
                -0.045 * top,
                -0.01 * top,
                where=np.repeat(thin, 2),
                color=VERMILION,
                linewidth=0,
                label=labels("thin"),
            )
        axes.set_ylim(-0.05 * top if thin.any() else 0, top)
        axes.set_ylabel(labels("depth"))
        axis.names(axes)
        axis.ends(axes)
        axis.dress(axes, labels)
        _legend(axes)


def quality(path: Path, labels: Labels, found: Quality, least: int | None) -> None:
    """Mean quality along the reads, before and after the filter; long reads in windows of 100 bases."""
    import numpy as np

    mates = sorted({mate for mate, _ in found.curves})
    with _figure(labels, path) as (axes,):
        highest = 0.0
        for mate in mates:
            for when, style, thickness in (("before", ":", 1.6), ("after", "-", 1.8)):
                curve = np.array(found.curves.get((mate, when), []))
                if not len(curve):
                    continue
                step = 100 if len(curve) > 1000 else 1
                # Few reads are longest: the end of the curve would be noise.
                curve = curve[: len(curve) // step * step].reshape(-1, step).mean(axis=1)
                highest = max(highest, float(curve.max()))
                places = np.arange(len(curve)) * step + (step + 1) / 2
                name = labels(when, mate=mate) if len(mates) > 1 else labels(f"single_{when}")
                axes.plot(places, curve, style, linewidth=thickness, color=(BLUE, ORANGE)[mate - 1], label=name)
        top = max(highest * 1.12, (least or 0) * 1.1, 10)
        for level, wrong in ((10, "10"), (20, "100"), (30, "1000")):
            if level < top:
                axes.text(
                    1.008, level, labels("wrong", value=wrong), transform=axes.get_yaxis_transform(), fontsize=8,
                    color="#59616b", va="center", ha="left",
                )  # fmt: skip
        if least is not None:
            axes.axhline(least, color=VERMILION, linestyle="--", linewidth=1.2, label=labels("asked", value=least))
        axes.set_ylim(0, top)
        axes.set_xlim(left=0)
        axes.set_xlabel(labels("cycle"))
        axes.set_ylabel(labels("phred"))
        _legend(axes)


def places(path: Path, labels: Labels, axis: Axis, found: list[Variant], least: int) -> None:
    """Each variant at its place, as high as its quality, and below how many there are in each window."""
    import numpy as np

    with _figure(labels, path, rows=(4, 1), height=4.4) as (axes, strip):
        every: list[float] = []
        for kind in KINDS:
            spots = [
                (x, one.quality) for one in found if one.kind == kind and (x := axis.of(one.sequence, one.position))
            ]
            if not spots:
                continue
            xs, ys = zip(*spots, strict=True)
            every += xs
            mark, colour = MARKS[kind]
            if len(found) <= 400:
                axes.vlines(xs, 0, ys, color=colour, linewidth=0.8, alpha=0.35)
            axes.scatter(
                xs, ys, s=34 if len(found) <= 400 else 12, marker=mark, color=colour, edgecolor="white", linewidth=0.5,
                zorder=3, label=labels(kind, count=len(spots)), clip_on=False,
            )  # fmt: skip
        highest = max((one.quality for one in found), default=0.0)
        axes.axhline(least, color=INK, linestyle="--", linewidth=1, label=labels("filter", value=least))
        axes.set_ylim(0, max(highest * 1.12, least * 4))
        axes.set_ylabel(labels("quality"))
        axis.names(axes)
        low, high = (axis.first + 1) / axis.scale, (axis.first + axis.total) / axis.scale
        counts, edges = np.histogram(every, bins=60, range=(low, high))
        strip.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=FAINT, linewidth=0)
        strip.set_ylim(0, max(int(counts.max()), 1) * 1.1)
        strip.yaxis.get_major_locator().set_params(integer=True, nbins=2)
        strip.set_ylabel(labels("density"), fontsize=8)
        strip.grid(axis="x", visible=False)
        if not found:
            axes.text(0.5, 0.6, labels("none"), transform=axes.transAxes, ha="center", va="center", fontsize=13)
        for one in (axes, strip):
            axis.ends(one)
        axis.dress(strip, labels)
        _legend(axes)


def _legend(axes: Any) -> None:
    """Above the plot, in lines that do not become wider than it."""
    names = axes.get_legend_handles_labels()[1]
    columns = len(names) if sum(len(name) + 6 for name in names) <= 110 else -(-len(names) // 2)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.3, columnspacing=1.4)
