"""A form for an app's inputs: from the manifest's list to fields, and from the fields back to inputs. Pure.

A form's fields are read one value each, so an input of several values has several fields: `in.years.low`,
`in.box.west`, `in.scenarios.A1B`. Nothing is judged here: the API does that, and its faults stand at the input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perijove.hub.pages.languages import Language
from perijove.hub.pages.views import text_in
from perijove.hub.pages.words import N_

Json = Mapping[str, Any]
PREFIX = "in."
#: What the numbers of a range and of a box are called.
PARTS = {
    "range": (("low", N_("From")), ("high", N_("To"))),
    "box": (("west", N_("West")), ("south", N_("South")), ("east", N_("East")), ("north", N_("North"))),
}
_WHOLE = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][+-]?\d{1,3})?", re.ASCII)


def number_of(text: str) -> Any:
    """The number that `text` writes, or `text` itself, for the API to refuse with words."""
    short = text.strip()
    return int(short) if _WHOLE.fullmatch(short) else float(short) if _NUMBER.fullmatch(short) else short


def plain(value: Any) -> str:
    """A value as one types it."""
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class InputField:
    """One input as the form shows it."""

    data: Json
    value: Any
    language: Language
    faults: tuple[Json, ...] = ()
    #: (name, title) of the app's data sets, for a file.
    datasets: tuple[tuple[str, str], ...] = ()
    #: The field, and its value, with which it is shown; None: always.
    condition: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The input's name."""
        return str(self.data["name"])

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.data.get("type") or "text")

    @property
    def field(self) -> str:
        """The name of its field, or what the names of its fields begin with."""
        return f"{PREFIX}{self.name}"

    def text(self, key: str) -> str:
        """A text of the manifest."""
        return text_in(self.data.get(key), self.language)

    @property
    def label(self) -> str:
        """Title and unit."""
        unit = self.text("unit")
        return f"{self.text('title') or self.name} ({unit})" if unit else self.text("title") or self.name

    @property
    def shown(self) -> str:
        """The value of a single field."""
        return plain(self.value)

    @property
    def parts(self) -> list[tuple[str, str, str]]:
        """The fields of a range or box: name, words, value."""
        values = self.value if isinstance(self.value, Sequence) and not isinstance(self.value, str) else ()
        gettext = self.language.gettext
        pairs = enumerate(PARTS[self.kind])
        return [
            (f"{self.field}.{part}", gettext(words), plain(values[n]) if n < len(values) else "")
            for n, (part, words) in pairs
        ]

    @property
    def choices(self) -> list[tuple[str, str, bool]]:
        """Each choice: value, words, chosen."""
        many = self.kind == "choices"
        chosen = [plain(one) for one in (self.value or ())] if many else [plain(self.value)]
        rows = [
            (plain(one.get("value")), text_in(one.get("title"), self.language))
            for one in self.data.get("choices") or ()
        ]
        return [(value, words or value, value in chosen) for value, words in rows]

    @property
    def own(self) -> str:
        """The path of a file of one's own; "" for a data set of the app."""
        return "" if self.shown.startswith("data:") else self.shown

    @property
    def limits(self) -> str:
        """What it may be, in a sentence."""
        low, high = self.data.get("min"), self.data.get("max")
        gettext = self.language.gettext
        if low is not None and high is not None:
            return gettext("From {low} to {high}.").format(low=plain(low), high=plain(high))
        if low is not None:
            return gettext("At least {low}.").format(low=plain(low))
        return gettext("At most {high}.").format(high=plain(high)) if high is not None else ""

    @property
    def hint(self) -> str:
        """Help, limits and formats, in one line."""
        parts = [self.text("help"), self.limits]
        if self.data.get("formats"):
            parts.append(
                self.language.gettext("Files: {formats}.").format(
                    formats=", ".join(f".{one}" for one in self.data["formats"])
                )
            )
        if self.data.get("optional"):
            parts.append(self.language.gettext("May be left empty."))
        return ("" if self.language.code == "zh" else " ").join(part for part in parts if part)

    @property
    def words(self) -> str:
        """The value in words, for a list of the inputs."""
        unit = f" {self.text('unit')}" if self.text("unit") else ""
        if self.kind in ("choice", "choices"):
            return ", ".join(words for _value, words, chosen in self.choices if chosen) or self.shown or "–"
        if self.kind == "boolean":
            return self.language.gettext("yes") if self.value else self.language.gettext("no")
        if self.kind == "range" and isinstance(self.value, Sequence):
            return " – ".join(plain(one) for one in self.value) + unit
        if self.kind == "box" and isinstance(self.value, Sequence):
            return ", ".join(f"{words} {value}°" for _name, words, value in self.parts)
        if self.shown.startswith("data:"):
            return dict(self.datasets).get(self.shown.removeprefix("data:"), self.shown)
        return f"{self.shown}{unit}" if self.shown else "–"


def datasets_of(app: Json, language: Language) -> tuple[tuple[str, str], ...]:
    """The app's data sets: name and title."""
    return tuple((str(one["name"]), text_in(one.get("title"), language)) for one in app.get("data") or ())


def fields_of(
    app: Json, values: Mapping[str, Any], language: Language, faults: Sequence[Json] = ()
) -> list[InputField]:
    """The fields of a form with `values`; an input without one has its default."""
    sets, rows = datasets_of(app, language), {str(one["name"]): one for one in app.get("inputs") or ()}
    return [
        InputField(
            one,
            values.get(name, one.get("default")),
            language,
            tuple(fault for fault in faults if fault.get("field") == name),
            tuple(pair for pair in sets if not one.get("data") or pair[0] in one["data"]),
            _condition(one.get("shown_if"), rows),
        )
        for name, one in rows.items()
    ]


def _condition(rule: Json | None, rows: Mapping[str, Json]) -> tuple[str, str] | None:
    if not rule:
        return None
    name, equals = f"{PREFIX}{rule['input']}", rule.get("equals")
    if (rows.get(rule["input"]) or {}).get("type") == "choices":
        return f"{name}.{plain(equals)}", "1"
    return name, str(int(equals)) if isinstance(equals, bool) else plain(equals)


def inputs_of(app: Json, form: Mapping[str, str]) -> dict[str, Any]:
    """The inputs that a form's fields say; one that is not asked for is left out, an empty one is ""."""
    rows = {str(one["name"]): one for one in app.get("inputs") or ()}
    read = {name: _value(one, form) for name, one in rows.items()}

    def there(name: str) -> bool:
        rule = rows[name].get("shown_if")
        if not rule:
            return True
        other, equals = read.get(rule["input"]), rule.get("equals")
        return equals in other if isinstance(other, list) else other == equals

    return {name: value for name, value in read.items() if there(name)}


def _value(one: Json, form: Mapping[str, str]) -> Any:
    name, kind = f"{PREFIX}{one['name']}", str(one.get("type") or "text")
    if kind in PARTS:
        given = [form.get(f"{name}.{part}", "").strip() for part, _words in PARTS[kind]]
        return [number_of(text) for text in given] if any(given) else ""
    if kind == "choices":
        rows = [plain(row.get("value")) for row in one.get("choices") or ()]
        return _as_chosen(one, [value for value in rows if form.get(f"{name}.{value}")])
    text = form.get(name, "").strip()
    if kind == "boolean":
        return text == "1"
    if kind == "file":
        return form.get(f"{name}.path", "").strip() if text in ("", "own") else text
    if kind == "choice":
        return _as_chosen(one, [text])[0]
    return number_of(text) if kind in ("integer", "number") else text


def _as_chosen(one: Json, texts: list[str]) -> list[Any]:
    """The choices' own values (which may be numbers) for what the form says."""
    values = {plain(row.get("value")): row.get("value") for row in one.get("choices") or ()}
    return [values.get(text, text) for text in texts]
