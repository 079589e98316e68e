"""What a person filled in, held against the manifest: one way for the form, REST, the command line and links.

`Inputs(app).parse` takes JSON values or texts (forms and queries give texts, or lists of them) and returns values fit
for JSON, every default filled in; or raises `BadRequest` with a fault for each field, in words.

| type | value |
|---|---|
| choice, text | str |
| choices | list of str, in the order of the manifest |
| integer, number, boolean | int, float, bool |
| range | [low, high]; as a text "1961..1990" or "1961,1990" |
| box | [west, south, east, north] in degrees; as a text with commas |
| file | "data:NAME", or a path below the person's home; it need not be there yet |

An optional input that is left empty, and one that is not asked for (`shown_if`), is None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perijove.spawners.apps.inputwords import Wrong, fault, many
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.parts import Input
from perijove.spawners.centrefaults import nearest
from perijove.spawners.request import BadRequest, Fault, below
from perijove.spawners.visible import is_unseen, visible

#: A raw text is never longer, nor a raw list.
LONGEST, MOST = 4000, 500
_NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,3})?", re.ASCII)
_YES, _NO = {"true", "on", "yes", "1"}, {"false", "off", "no", "0"}


class Inputs:
    """The inputs of one app."""

    def __init__(self, app: App) -> None:
        self._app = app

    def parse(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The values of all inputs, in the manifest's order.

        Raises:
            BadRequest: with every fault; each names its input.
        """
        values: dict[str, Any] = {}
        faults = [self._unknown(name) for name in list(raw)[:MOST] if name not in self._app.inputs]
        for name, one in self._app.inputs.items():
            try:
                values[name] = self._one(name, one, raw, values)
            except Wrong as wrong:
                faults.append(fault(name, wrong))
        if faults:
            raise BadRequest(faults)
        return values

    def value(self, name: str, raw: Any) -> Any:
        """The value of the one input `name`.

        Raises:
            BadRequest: with the fault.
        """
        try:
            return self._read(self._app.inputs[name], raw)
        except Wrong as wrong:
            raise BadRequest([fault(name, wrong)]) from None

    def shown(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether the input `name` is asked for when those before it have these `values`."""
        rule = self._app.inputs[name].shown_if
        if rule is None:
            return True
        other = values.get(rule.input)
        if isinstance(other, list):
            return rule.equals in other
        return other == rule.equals and isinstance(other, bool) == isinstance(rule.equals, bool)

    def _one(self, name: str, one: Input, raw: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
        if not self.shown(name, values):
            return None
        given = raw.get(name)
        if name not in raw:
            given = one.default
        return self._read(one, given)

    def _read(self, one: Input, raw: Any) -> Any:
        if isinstance(raw, list | tuple) and len(raw) > MOST:
            raise Wrong("too-many", most=MOST)
        if isinstance(raw, list | tuple) and len(raw) == 1 and one.type != "choices":
            raw = raw[0]  # forms and queries give a list of what they have
        if isinstance(raw, str) and len(raw) > LONGEST:
            raise Wrong("too-long", most=LONGEST)
        if raw is None or raw == "" or (isinstance(raw, list | tuple) and not raw):
            if one.optional:
                return None
            raise Wrong("missing")
        if one.type == "file":
            return self._file(one, raw)
        return _READERS[one.type](one, raw)

    def _file(self, one: Input, raw: Any) -> str:
        if not isinstance(raw, str):
            raise Wrong("not-a-path")
        offered = [name for name in self._app.data if not one.data or name in one.data]
        if raw.startswith("data:"):
            name = raw.removeprefix("data:")
            if name not in offered:
                raise Wrong("unknown-data", given=visible(name, 60), known=many(offered), near=nearest(name, offered))
            return raw
        try:
            path = below(raw)
        except ValueError:
            raise Wrong("not-a-path") from None
        if one.formats and not path.lower().endswith(tuple(f".{ending.lower()}" for ending in one.formats)):
            raise Wrong("wrong-format", formats=many(f".{ending}" for ending in one.formats))
        return path

    def _unknown(self, name: object) -> Fault:
        known = self._app.inputs
        shown = visible(name, 60)
        return fault(shown, Wrong("unknown-input", known=many(known), near=nearest(name, known)))


def _number(raw: Any, *, whole: bool) -> float | int:
    if isinstance(raw, str):
        text = raw.strip()
        if not _NUMBER.fullmatch(text):
            raise Wrong("not-a-number")
        raw = int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise Wrong("not-a-number")
    if not abs(raw) <= 1e15:  # also what is not finite
        raise Wrong("not-a-number")
    if whole and raw != int(raw):
        raise Wrong("not-whole")
    return int(raw) if whole else float(raw)


def _within(one: Input, number: float | int) -> float | int:
    if one.min is not None and number < one.min:
        raise Wrong("too-small", least=amount(one.min, one.unit))
    if one.max is not None and number > one.max:
        raise Wrong("too-large", most=amount(one.max, one.unit))
    return number


def _scalar(one: Input, raw: Any) -> float | int:
    return _within(one, _number(raw, whole=one.whole))


def _boolean(one: Input, raw: Any) -> bool:
    word = raw.strip().lower() if isinstance(raw, str) else raw
    if word is True or word in _YES:
        return True
    if word is False or word in _NO:
        return False
    raise Wrong("not-yes-or-no")


def _choice(one: Input, raw: Any) -> str:
    known = [choice.value for choice in one.choices]
    word = raw.strip() if isinstance(raw, str) else str(raw) if type(raw) in (int, float) else ""
    if word not in known:
        raise Wrong("not-a-choice", given=visible(raw, 60), known=many(known), near=nearest(word, known))
    return word


def _choices(one: Input, raw: Any) -> list[str]:
    words: Sequence[Any] = raw.split(",") if isinstance(raw, str) else raw if isinstance(raw, list | tuple) else [raw]
    if len(words) == 1 and isinstance(words[0], str):
        words = words[0].split(",")
    chosen = {_choice(one, word) for word in words}
    return [choice.value for choice in one.choices if choice.value in chosen]


def _text(one: Input, raw: Any) -> str:
    if not isinstance(raw, str):
        raise Wrong("not-a-text")
    text = raw.strip()
    if any(is_unseen(character) or not character.isprintable() for character in text):
        raise Wrong("unseen")
    if len(text) > one.max_length:
        raise Wrong("too-long", most=one.max_length)
    if one.pattern and not re.fullmatch(one.pattern, text):
        raise Wrong("wrong-form")
    if not text and not one.optional:
        raise Wrong("missing")
    return text


def _range(one: Input, raw: Any) -> list[float | int]:
    parts = re.split(r"\.\.|[,:;]", raw) if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        raise Wrong("not-a-range")
    low, high = (_within(one, _number(part, whole=one.whole)) for part in parts)
    if high < low:
        raise Wrong("reversed")
    if one.least is not None and high - low < one.least:
        raise Wrong("too-narrow", least=amount(one.least, one.unit))
    return [low, high]


def _box(one: Input, raw: Any) -> list[float]:
    parts = re.split(r"[,;]", raw) if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        raise Wrong("not-a-box")
    west, south, east, north = (float(_number(part, whole=False)) for part in parts)
    first, lowest, last, highest = one.bounds
    if not (first <= west and east <= last and lowest <= south and north <= highest):
        west_, south_, east_, north_ = (amount(bound) for bound in one.bounds)
        raise Wrong("outside", west=west_, south=south_, east=east_, north=north_)
    if east <= west or north <= south:
        raise Wrong("no-area")
    if one.least is not None and min(east - west, north - south) < one.least:
        raise Wrong("too-narrow", least=amount(one.least, one.unit or "°"))
    return [west, south, east, north]


def amount(number: float, unit: str = "") -> str:
    """A number as people write it, with its unit: "40 °C", "0.25"."""
    text = f"{int(number)}" if number == int(number) else f"{number:g}"
    return f"{text} {unit}".strip()


_READERS: Mapping[str, Callable[[Input, Any], Any]] = {
    "integer": _scalar,
    "number": _scalar,
    "boolean": _boolean,
    "choice": _choice,
    "choices": _choices,
    "text": _text,
    "range": _range,
    "box": _box,
}
