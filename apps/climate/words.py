"""What the climate app says: labels of its figures, their text alternatives, and the reading, in English and Chinese.

A number stands in the words as it was computed; a word for its direction (warmer, cooler) follows from its sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .region import Box

Both = dict[str, str]

#: Labels of figures: English, Chinese.
LABELS: Mapping[str, tuple[str, str]] = {
    "anomaly": ("Warming, {window} against {baseline} (°C)", "升温幅度：{window} 年相对 {baseline} 年（°C）"),
    "mean": ("Mean temperature, {window} (°C)", "平均气温：{window} 年（°C）"),
    "trend": ("Trend, {window} (°C per decade)", "变化趋势：{window} 年（°C/10 年）"),
    "line": ("Temperature against the mean of {baseline} (°C)", "相对 {baseline} 年平均的气温距平（°C）"),
    "line-mean": ("Temperature (°C)", "气温（°C）"),
    "title-map": ("Where it warms", "哪里在变暖"),
    "title-map-mean": ("How warm it will be", "未来有多暖"),
    "title-map-trend": ("Where it goes on warming", "哪里仍在变暖"),
    "title-line": ("Year by year", "逐年变化"),
    "smoothed": ("bold: {years}-year running mean · thin: single years", "粗线：{years} 年滑动平均 · 细线：逐年值"),
    "single": ("single years", "逐年值"),
    "baseline": ("baseline", "基准期"),
    "window": ("window", "所选时段"),
    "region": ("Region {box}", "区域 {box}"),
    "own": ("your file", "您的文件"),
}


def label(key: str, language: str, **values: object) -> str:
    """The label `key` in "en" or "zh"."""
    return LABELS[key][language == "zh"].format(**values)


@dataclass(frozen=True)
class Finding:
    """What was found for one scenario, °C.

    Attributes:
        scenario: "A1B", "E1" or "own".
        before: Mean of the baseline.
        warming: Mean of the window minus `before`.
        pace: Trend in the window, °C per decade.
        year, latest: The last year of the smoothed line, and its value against the baseline.
        low, high: Smallest and largest value of the map; `place` is where the largest is (latitude, longitude).
    """

    scenario: str
    before: float
    warming: float
    pace: float
    year: int
    latest: float
    low: float
    high: float
    place: tuple[float, float]


def place(latitude: float, longitude: float) -> str:
    """A point on the globe: "42.5°N 90°W"."""
    return f"{parallel(latitude)} {meridian(longitude)}"


def parallel(latitude: float) -> str:
    """A latitude with its letter."""
    return f"{abs(latitude):g}°{'N' if latitude > 0 else 'S' if latitude < 0 else ''}"


def meridian(longitude: float) -> str:
    """A longitude with its letter, whatever its convention was."""
    east = (longitude + 180.0) % 360.0 - 180.0
    return f"{abs(east):g}°{'' if east in (0.0, -180.0) else 'E' if east > 0 else 'W'}"


def where(box: Box) -> str:
    """A region: "49°N-41°N, 93°W-76°W"."""
    west, south, east, north = box
    return f"{parallel(south)}–{parallel(north)}, {meridian(west)}–{meridian(east)}"


def span(years: Sequence[int]) -> str:
    """Years: "1961–1990"."""
    return f"{int(years[0])}–{int(years[1])}"


def name(scenario: str, language: str) -> str:
    """A scenario's name."""
    return label("own", language) if scenario == "own" else scenario


def alt_map(found: Sequence[Finding], statistic: str, box: Box, baseline: str, window: str) -> Both:
    """The map in words."""
    words: Both = {}
    for language in ("en", "zh"):
        what = label(statistic, language, baseline=baseline, window=window)
        parts = [
            f"{name(one.scenario, language)}: {one.low:.1f} to {one.high:.1f}, most at {place(*one.place)}"
            if language == "en"
            else f"{name(one.scenario, language)}：{one.low:.1f} 至 {one.high:.1f}，最大值位于 {place(*one.place)}"
            for one in found
        ]
        words[language] = (
            f"Map of the region {where(box)}. {what}. {'; '.join(parts)}."
            if language == "en"
            else f"区域 {where(box)} 的地图。{what}。{'；'.join(parts)}。"
        )
    return words


def alt_line(found: Sequence[Finding], years: tuple[int, int], smoothing: int, baseline: str) -> Both:
    """The line in words."""
    en = "; ".join(f"{name(one.scenario, 'en')} ends in {one.year} at {one.latest:+.2f} °C" for one in found)
    zh = "；".join(f"{name(one.scenario, 'zh')} 在 {one.year} 年达到 {one.latest:+.2f} °C" for one in found)
    return {
        "en": f"Line chart of the region's temperature in the years {span(years)}, smoothed over {smoothing} "
        f"{'year' if smoothing == 1 else 'years'}, against the mean of {baseline}: {en}.",
        "zh": f"折线图：{span(years)} 年区域平均气温（{smoothing} 年滑动平均），相对 {baseline} 年平均：{zh}。",
    }


def reading(found: Sequence[Finding], box: Box, baseline: str, window: str, covered: float = 1.0) -> Both:
    """The result in a few plain sentences, with its limits; `covered` is the part of the region that the data have."""
    en, zh = [], []
    for one in found:
        way = ("warmer", "高") if one.warming >= 0 else ("cooler", "低")
        under = (
            ("In your file", "在您的文件中")
            if one.scenario == "own"
            else (f"Under {one.scenario}", f"在 {one.scenario} 情景下")
        )
        en.append(
            f"{under[0]}, the years {window} are on average {abs(one.warming):.1f} °C {way[0]} than {baseline}"
            f" ({one.before:.1f} °C then), and go on changing by {one.pace:+.2f} °C per decade."
        )
        zh.append(
            f"{under[1]}，{window} 年的平均气温比 {baseline} 年（{one.before:.1f} °C）{way[1]} "
            f"{abs(one.warming):.1f} °C，该时段内每 10 年变化 {one.pace:+.2f} °C。"
        )
    if len(found) == 2:
        apart = found[0].warming - found[1].warming
        en.append(
            f"The two runs differ by {abs(apart):.1f} °C here: partly by what people emit, partly by the model's own "
            "ups and downs, and two single runs cannot tell how much of it is which."
        )
        zh.append(
            f"两次试验在这里相差 {abs(apart):.1f} °C：既有排放路径不同的作用，也有模式自身的起伏，"
            "仅凭两次单独的试验无法区分各占多少。"
        )
    if covered < 0.9:
        en.append(f"The data cover only {covered:.0%} of the region.")
        zh.append(f"数据只覆盖该区域的 {covered:.0%}。")
    if found[0].scenario == "own":
        en.append(
            "What the file is - measured, or one run of one model - only its author can tell; so read its limits there."
        )
        zh.append("该文件是观测资料还是某个模式的一次试验，只有其作者知道；请据此理解结果的局限。")
    else:
        en.append(
            "This is a projection of one model, run once: another model or run differs, single cells most of all."
        )
        zh.append("这是单一模式、单次试验的预估：换一个模式或试验，结果会不同，单个格点尤其如此。")
    return {"en": f"Region {where(box)}: " + " ".join(en), "zh": f"区域 {where(box)}：" + "".join(zh)}
