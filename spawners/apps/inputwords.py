"""What can be wrong with an input, in words: each fault once, in both languages.

A fault travels as code and values (`perijove.spawners.request.Fault`); `words` says it in a person's language.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from perijove.spawners.described import Text
from perijove.spawners.request import Fault

#: The codes of faults, and their words; `{...}` are the fault's values.
WORDS = {
    "unknown-input": Text(en="is no input of this app; it has {known}", zh="不是本应用的参数；它的参数有：{known}"),
    "missing": Text(en="is needed", zh="必须填写"),
    "not-a-number": Text(en="must be a number", zh="必须是数字"),
    "not-whole": Text(en="must be a whole number", zh="必须是整数"),
    "too-small": Text(en="must be at least {least}", zh="不得小于 {least}"),
    "too-large": Text(en="must be at most {most}", zh="不得大于 {most}"),
    "too-narrow": Text(en="must be at least {least} wide", zh="宽度不得小于 {least}"),
    "reversed": Text(en="begins after its end", zh="起点在终点之后"),
    "not-a-range": Text(en="must be two numbers, such as 1961..1990", zh="必须是两个数，例如 1961..1990"),
    "not-a-box": Text(
        en="must be four numbers: west, south, east and north in degrees", zh="必须是四个数：西、南、东、北（度）"
    ),
    "outside": Text(
        en="must lie within {west} to {east} degrees east and {south} to {north} degrees north",
        zh="必须在东经 {west} 至 {east} 度、北纬 {south} 至 {north} 度之内",
    ),
    "no-area": Text(
        en="has no area: west must be less than east, south less than north", zh="面积为零：西须小于东，南须小于北"
    ),
    "not-yes-or-no": Text(en="must be yes or no", zh="必须为“是”或“否”"),
    "not-a-choice": Text(en="{given} is none of the choices: {known}", zh="{given} 不在可选范围内：{known}"),
    "too-many": Text(en="has more than {most} values", zh="超过 {most} 个值"),
    "not-a-text": Text(en="must be a text", zh="必须是文字"),
    "too-long": Text(en="is longer than {most} characters", zh="超过 {most} 个字符"),
    "unseen": Text(en="has characters in it that cannot be seen", zh="含有不可见字符"),
    "wrong-form": Text(en="has a form that is not allowed here", zh="格式不符合要求"),
    "not-a-path": Text(
        en="must be the path of a file below your home, such as work/data.nc, or data:NAME",
        zh="必须是主目录下文件的路径（例如 work/data.nc），或 data:名称",
    ),
    "wrong-format": Text(en="must be a file that ends in {formats}", zh="文件名必须以 {formats} 结尾"),
    "unknown-data": Text(
        en="there is no data set {given} here; there are {known}", zh="没有数据集 {given}；可用：{known}"
    ),
    "data-elsewhere": Text(
        en="{data} does not lie at this centre; it lies at {known}: run there, or choose other data",
        zh="该中心没有数据集“{data_zh}”；以下中心有：{known_zh}。请改在那里运行，或选择其他数据",
    ),
    "data-nowhere": Text(
        en="{data} lies at no centre of this gateway: choose other data",
        zh="本网关的各中心都没有数据集“{data_zh}”：请选择其他数据",
    ),
}


class Wrong(Exception):
    """A value that is none: the code of a fault, and the values of its words."""

    def __init__(self, code: str, **values: Any) -> None:
        self.code, self.values = code, {key: value for key, value in values.items() if value != ""}
        super().__init__(code)


def fault(name: str, wrong: Wrong) -> Fault:
    """The fault of the input `name`."""
    return Fault(name, wrong.code, WORDS[wrong.code].en.format(**wrong.values), wrong.values)


def words(one: Fault, language: str) -> str:
    """The fault in words of `language`; its English where it is none of ours."""
    known = WORDS.get(one.code)
    if known is None or not language.lower().startswith("zh"):
        return one.message
    return known.zh.format(**one.values)


def many(names: Iterable[str]) -> str:
    """Names in a row, cut where there are very many; "-" for none."""
    known = list(names)
    return ", ".join([*known[:20], *(["…"] if len(known) > 20 else [])]) or "-"
