"""The reference of all keys of a centre's description, written from the models so that it cannot be wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

from perijove.spawners.centre import Centre
from perijove.spawners.fields import PATTERNS
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_HEAD = """\
# Describing a centre

A centre is one TOML file in the gateway's folder of centres. `example-slurm.toml` shows every key with comments, the
other `example-*.toml` show the other batch systems, and `national/` has nine sketches for a national network.

    perijove config check FILES      every fault at once, with line, what is allowed and what was probably meant
    perijove doctor CENTRE           tries it for real: login, launcher, a tiny job, agent, tunnel

Unknown keys are faults. Memory is written as `"64G"` or a number of MiB, time as `"90m"`, `"2h"`, `"3d"`,
`"1-12:00:00"` or a number of seconds, money in credits with at most six decimal places. Texts for people have an
English and a Chinese version: `{ en = "...", zh = "..." }`.

This page is the output of `perijove config reference`.
"""


Say = Callable[[str], str]


def reference() -> str:
    """The page, in Markdown."""
    return _HEAD + keys(Centre)


def keys(model: type[BaseModel], say: Say = str, comments: Callable[[type[BaseModel], str], str] | None = None) -> str:
    """A section for each table of the file that `model` describes.

    `say` puts a text into another language. `comments` says what a key of a model is, where its field does not.
    """
    return "".join(_section(name, inner, say, comments) for name, inner in _tables("", model))


def _tables(name: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table of a description: its name in the file, and its model; texts for people are no table of their own."""
    yield name, model
    for key, field in model.model_fields.items():
        inner = next((m for m in _models(field.annotation) if "zh" not in m.model_fields), None)
        if inner:
            path = f"{name}.{key}" if name else key
            many = str(field.annotation)
            # A table by name, or one of several.
            yield from _tables(path + (".NAME" if "Mapping" in many else "[]" if "tuple" in many else ""), inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _section(
    name: str, model: type[BaseModel], say: Say, comments: Callable[[type[BaseModel], str], str] | None
) -> str:
    if not name:
        title = say("Top level")
    else:
        title = f"`[[{name.removesuffix('[]')}]]`" if name.endswith("[]") else f"`[{name.replace('[]', '')}]`"

    def said(key: str) -> str:
        return comments(model, key) if comments else ""

    rows = "".join(
        f"| `{field.alias or key}` | {_default(field, say)} | {_purpose(field, say, said(key))} |\n"
        for key, field in model.model_fields.items()
    )
    about = say(" ".join((model.__doc__ or "").split()))
    head = f"| {say('key')} | {say('if left out')} | {say('what it is')} |"
    return f"\n## {title}\n\n{about}\n\n{head}\n|---|---|---|\n{rows}"


def _default(field: FieldInfo, say: Say) -> str:
    if field.is_required():
        return say("required")
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", (), {}) or value is PydanticUndefined:
        return say("none")
    if isinstance(value, BaseModel):
        return say("its defaults")
    return f"`{str(value).lower() if isinstance(value, bool) else value}`".replace("|", "\\|")


def _purpose(field: FieldInfo, say: Say, comment: str) -> str:
    words = say(" ".join((field.description or comment).split()))
    choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
    limits = [say("One of {choices}.").format(choices=", ".join(choices)) if choices else ""]
    for entry in field.metadata:
        for name, text in (("ge", "At least {limit}."), ("le", "At most {limit}.")):
            limit = getattr(entry, name, None)
            if limit is not None:
                limits.append(say(text).format(limit=f"{limit:,}"))
        pattern = PATTERNS.get(str(getattr(entry, "pattern", "")))
        limits.append(say(f"{pattern[0].upper()}{pattern[1:]}.") if pattern else "")
    return " ".join([words, *filter(None, limits)]).replace("|", "\\|")
