"""The inputs of an app as JSON Schema 2020-12: for REST, for editors, and for whoever writes a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.parts import Input

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(app: App, language: str = "en") -> dict[str, Any]:
    """The schema of what `Inputs(app).parse` takes as JSON, with words in `language`.

    What JSON Schema cannot say (a range that is the right way round, a box within its bounds) is said in words there
    and held by `parse`. `x-unit`, `x-advanced` and `x-shown-if` are notes for forms.
    """
    return {
        "$schema": DIALECT,
        "title": app.title.in_language(language),
        "description": app.question.in_language(language),
        "type": "object",
        "properties": {name: _property(app, one, language) for name, one in app.inputs.items()},
        "required": [
            name
            for name, one in app.inputs.items()
            if one.default is None and not one.optional and one.shown_if is None
        ],
        "additionalProperties": False,
    }


def _property(app: App, one: Input, language: str) -> dict[str, Any]:
    found = {
        "title": one.title.in_language(language),
        "description": one.help.in_language(language),
        **_SHAPES[one.type](app, one, language),
    }
    if one.optional or one.shown_if:
        found = _or_null(found)
    if one.default is not None:
        found["default"] = one.default
    if one.unit:
        found["x-unit"] = one.unit
    if one.advanced:
        found["x-advanced"] = True
    if one.shown_if:
        found["x-shown-if"] = one.shown_if.model_dump()
    return found


def _or_null(found: dict[str, Any]) -> dict[str, Any]:
    if "oneOf" in found:
        return {**found, "oneOf": [*found["oneOf"], {"type": "null"}]}
    return {**found, "type": [found["type"], "null"]}


def _choice(app: App, one: Input, language: str) -> dict[str, Any]:
    return {"oneOf": [{"const": c.value, "title": c.title.in_language(language)} for c in one.choices]}


def _choices(app: App, one: Input, language: str) -> dict[str, Any]:
    least = {} if one.optional else {"minItems": 1}
    return {"type": "array", "items": _choice(app, one, language), "uniqueItems": True, **least}


def _number(app: App, one: Input, language: str) -> dict[str, Any]:
    limits = {"minimum": _plain(one.min), "maximum": _plain(one.max)}
    return {"type": "integer" if one.whole else "number", **{k: v for k, v in limits.items() if v is not None}}


def _range(app: App, one: Input, language: str) -> dict[str, Any]:
    return {"type": "array", "items": _number(app, one, language), "minItems": 2, "maxItems": 2}


def _box(app: App, one: Input, language: str) -> dict[str, Any]:
    west, south, east, north = map(_plain, one.bounds)
    longitude, latitude = (
        {"type": "number", "minimum": low, "maximum": high} for low, high in ((west, east), (south, north))
    )
    return {"type": "array", "prefixItems": [longitude, latitude] * 2, "minItems": 4, "maxItems": 4}


def _text(app: App, one: Input, language: str) -> dict[str, Any]:
    pattern = {"pattern": f"^(?:{one.pattern})$"} if one.pattern else {}
    return {"type": "string", "maxLength": one.max_length, **({} if one.optional else {"minLength": 1}), **pattern}


def _file(app: App, one: Input, language: str) -> dict[str, Any]:
    offered = [f"data:{name}" for name in app.data if not one.data or name in one.data]
    return {"type": "string", "maxLength": 300, "minLength": 1, **({"examples": offered} if offered else {})}


def _plain(number: float | None) -> float | int | None:
    return int(number) if number is not None and float(number).is_integer() else number


_SHAPES: Mapping[str, Callable[[App, Input, str], dict[str, Any]]] = {
    "choice": _choice,
    "choices": _choices,
    "integer": _number,
    "number": _number,
    "boolean": lambda app, one, language: {"type": "boolean"},
    "text": _text,
    "range": _range,
    "box": _box,
    "file": _file,
}
