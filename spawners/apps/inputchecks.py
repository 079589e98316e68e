"""What does not go together in the inputs of a manifest; a part of `perijove.spawners.apps.consistency`."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator

from perijove.spawners.apps.expressions import FUNCTIONS
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.parts import TYPE_KEYS, Input
from perijove.spawners.request import BadRequest
from perijove.spawners.tomllines import Key

Found = Iterator[tuple[Key, str]]

#: Names that mean something else: in expressions, and as flags of `perijove apps run`.
RESERVED = frozenset(
    {*FUNCTIONS, *keyword.kwlist, "cores", "workers", "seconds"}
    | {"preset", "folder", "way", "dataset_at", "json", "help", "language", "app"}
)
_COMMON = {"type", "title", "help", "default", "optional", "advanced", "group", "shown_if"}


def inputs(app: App) -> Iterator[tuple[Key, str]]:
    """The faults of all inputs."""
    for name, one in app.inputs.items():
        found = list(_one(app, name, one))
        yield from found
        if not found:  # a default is held against an input that is sound
            yield from _default(app, name, one)


def _one(app: App, name: str, one: Input) -> Found:
    key: Key = ("inputs", name)
    if name in RESERVED:
        yield key, f"{name!r} means something else in expressions or on the command line: choose another name"
    for extra in sorted(one.model_fields_set - _COMMON - TYPE_KEYS[one.type]):
        yield (*key, extra), f"does not go with the type {one.type}"
    if one.type in ("choice", "choices"):
        values = [choice.value for choice in one.choices]
        if not values:
            yield key, "needs `choices`"
        if len(set(values)) < len(values):
            yield (*key, "choices"), "has one value twice"
    if one.type in ("integer", "number", "range"):
        yield from _limits(key, one)
    if one.type == "box":
        west, south, east, north = one.bounds
        if not (-360 <= west < east <= 360 and -90 <= south < north <= 90):
            yield (*key, "bounds"), "must be west, south, east and north in degrees"
    if one.pattern:
        yield from _pattern((*key, "pattern"), one.pattern)
    for place, data in enumerate(one.data):
        if data not in app.data:
            yield (*key, "data", place), f"{data!r} is no data set of [data]"
    if one.shown_if:
        yield from _shown_if(app, name, one)


def _limits(key: Key, one: Input) -> Found:
    if one.min is None or one.max is None:
        yield key, "needs `min` and `max`: nothing is unbounded"
        return
    if one.max <= one.min:
        yield (*key, "max"), "must be larger than `min`"
    if one.least is not None and one.least > one.max - one.min:
        yield (*key, "least"), "is wider than everything from `min` to `max`"
    if one.type == "integer" and not (one.min.is_integer() and one.max.is_integer()):
        yield (*key, "min"), "must be whole, as must `max`: it is an integer"


def _pattern(key: Key, pattern: str) -> Found:
    """A pattern is held against what strangers type: it must not take time without end."""
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "x", pattern)
    if re.search(r"\)[*+{]", bare):
        yield key, "repeats a group: such a pattern may take time without end; spell it out"
    if len(re.findall(r"[*+]|\{\d*,\d*\}", bare)) > 2:
        yield key, "has more than two repeats without end: such a pattern may take very long"


def _shown_if(app: App, name: str, one: Input) -> Found:
    key = ("inputs", name, "shown_if")
    rule = one.shown_if
    if rule is None:
        return
    names = list(app.inputs)
    if rule.input not in names[: names.index(name)]:
        yield key, f"{rule.input!r} is no input that stands before this one"
        return
    other = app.inputs[rule.input]
    if other.type in ("range", "box"):
        yield key, f"an input of the type {other.type} is never equal to one value"
        return
    try:
        Inputs(app).value(rule.input, rule.equals)
    except BadRequest as bad:
        yield (*key, "equals"), f"{rule.input} is never that: it {bad.faults[0].message}"


def _default(app: App, name: str, one: Input) -> Found:
    key = ("inputs", name, "default")
    if one.default is None:
        if not one.optional and one.type != "file":
            yield ("inputs", name), "needs a `default` (or optional = true)"
        return
    try:
        Inputs(app).value(name, one.default)
    except BadRequest as bad:
        yield key, bad.faults[0].message
