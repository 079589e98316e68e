"""What is wrong with the description of a centre (or of an app), in words an operator can act on.

pydantic knows what is wrong; this module says where it stands (file and line), what was given (shortened, with
control and bidi characters made visible), what is allowed, and which key or value was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from perijove.spawners.fields import PATTERNS
from perijove.spawners.visible import visible
from pydantic import BaseModel

Key = tuple[str | int, ...]

#: No report is longer: a file of 10,000 wrong keys is not described by 10,000 lines.
MOST_FAULTS = 50


@dataclass(frozen=True, slots=True)
class CentreFault:
    """One fault of one file. `line` counts from 1; texts are empty where there is nothing to say."""

    file: str
    line: int
    key: str  # "queues[1].cores"; "" for the file as a whole
    message: str  # what is wrong
    given: str = ""  # what stands there, fit to be shown
    allowed: str = ""  # what may stand there
    nearest: str = ""  # what was probably meant

    def __str__(self) -> str:
        text = f"{visible(self.file, 500)}:{self.line}: {self.key + ': ' if self.key else ''}{self.message}"
        text += f"\n    given: {self.given}" if self.given else ""
        text += f"\n    allowed: {self.allowed}" if self.allowed else ""
        return text + (f"\n    did you mean: {self.nearest}" if self.nearest else "")

    def as_dict(self) -> dict[str, str | int]:
        """The fault for programs (`--json`)."""
        return asdict(self)


class CentreFaults(ValueError):
    """Descriptions that cannot be used; `faults` has every fault of every file, and the text lists them."""

    def __init__(self, faults: Iterable[CentreFault]) -> None:
        self.faults = tuple(faults)
        count, files = len(self.faults), len({fault.file for fault in self.faults})
        head = f"{count} fault{'s'[: count != 1]} in {files} file{'s'[: files != 1]}"
        shown = [str(fault) for fault in self.faults[: 4 * MOST_FAULTS]]
        more = [f"... and {count - len(shown)} more"] if count > len(shown) else []
        super().__init__("\n".join([head, *shown, *more]))


def key_text(key: Key) -> str:
    """A key path as people write it: `queues[1].cores` (entries count from 1, as people count)."""
    text = ""
    for part in key:
        name = f"[{part + 1}]" if isinstance(part, int) else visible(part, 60)
        text += name if isinstance(part, int) or not text else "." + name
    return text[:400]


def nearest(word: Any, known: Iterable[str]) -> str:
    """The one of `known` that `word` is probably a misspelling of, or ""."""
    if not isinstance(word, str) or len(word) > 64:
        return ""
    by_folded = {name.lower().replace("-", "_"): name for name in known}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else ""


def explain(file: str, line: int, error: Mapping[str, Any], root: type[BaseModel]) -> CentreFault:
    """One error of pydantic's, in words. `error` is an entry of `ValidationError.errors()` of the model `root`."""
    key, kind, context = tuple(error["loc"]), str(error["type"]), error.get("ctx") or {}
    if key and key[-1] == "[key]":
        key = key[:-1]
    if kind == "extra_forbidden":
        known = sorted(field.alias or name for name, field in _model(root, key[:-1]).model_fields.items())
        message = f"is not a key of {_table(key[:-1])}"
        return CentreFault(file, line, key_text(key), message, "", ", ".join(known), nearest(key[-1], known))
    if kind == "missing":
        return CentreFault(file, line, key_text(key), "is missing", "", _purpose(root, key))
    given = visible(error.get("input"), 80)
    if kind == "literal_error":
        known = _choices(root, key)
        message = "is none of the words allowed here"
        return CentreFault(file, line, key_text(key), message, given, ", ".join(known), nearest(error["input"], known))
    return CentreFault(file, line, key_text(key), _message(kind, context, error["msg"]), given, _purpose(root, key))


def _message(kind: str, context: Mapping[str, Any], default: str) -> str:
    pattern = PATTERNS.get(str(context.get("pattern")))
    if kind.startswith("datetime"):
        return "must be a date and time with its zone, as in 2026-12-01T08:00:00+08:00"
    words = {
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "too_short": "needs at least {min_length}",
        "too_long": "has {actual_length} entries, at most {max_length} are allowed",
        "string_too_short": "needs some text",
        "string_too_long": "is longer than {max_length} characters",
        "string_type": "must be a text in quotes",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "int_parsing_size": "is far too large a number",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "tuple_type": "must be a list in [ ]",
        "model_type": "must be a table",
        "model_attributes_type": "must be a table",
        "mapping_type": "must be a table",
        "timezone_aware": "needs its zone, as in 2026-12-01T08:00:00+08:00",
        "string_pattern_mismatch": f"must be {pattern}" if pattern else "has a form that is not allowed",
    }.get(kind)
    return words.format(**context) if words else visible(default.removeprefix("Value error, "), 400)


def _table(key: Key) -> str:
    return f"[{key_text(key)}]" if key else "the file's top level"


def _purpose(root: type[BaseModel], key: Key) -> str:
    """What the field at `key` is for, from its own description."""
    names = [part for part in key if isinstance(part, str)]
    field = _model(root, key[:-1]).model_fields.get(names[-1]) if names else None
    return " ".join((field.description or "").split()) if field else ""


def _model(root: type[BaseModel], key: Key) -> type[BaseModel]:
    """The model of the table at `key`; of the nearest one around it that has a model."""
    model = root
    for part in key:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        model = next(_models(field.annotation), model) if field else model
    return model


def _models(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _choices(root: type[BaseModel], key: Key) -> list[str]:
    field = _model(root, key[:-1]).model_fields.get(str(key[-1]))
    return [str(choice) for choice in get_args(field.annotation)] if field else []
