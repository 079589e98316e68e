"""The reference of all keys of a centre's description, written from the models so that it cannot be wrong."""

from __future__ import annotations

from collections.abc import Iterator
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


def reference() -> str:
    """The page, in Markdown."""
    return _HEAD + "".join(_section(name, model) for name, model in _tables("", Centre))


def _tables(name: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table of a description: its name in the file, and its model; texts for people are no table of their own."""
    yield name, model
    for key, field in model.model_fields.items():
        inner = next((m for m in _models(field.annotation) if "zh" not in m.model_fields), None)
        if inner:
            path = f"{name}.{key}" if name else key
            yield from _tables(path + ("[]" if "tuple" in str(field.annotation) else ""), inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _section(name: str, model: type[BaseModel]) -> str:
    if not name:
        title = "Top level"
    else:
        title = f"`[[{name.removesuffix('[]')}]]`" if name.endswith("[]") else f"`[{name.replace('[]', '')}]`"
    rows = "".join(
        f"| `{key}` | {_default(field)} | {_purpose(field)} |\n" for key, field in model.model_fields.items()
    )
    about = " ".join((model.__doc__ or "").split())
    return f"\n## {title}\n\n{about}\n\n| key | if left out | what it is |\n|---|---|---|\n{rows}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", (), {}) or value is PydanticUndefined:
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`".replace("|", "\\|")


def _purpose(field: FieldInfo) -> str:
    words = " ".join((field.description or "").split())
    choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
    limits = [f"One of {', '.join(choices)}." if choices else ""]
    for entry in field.metadata:
        for name, text in (("ge", "At least"), ("le", "At most")):
            limit = getattr(entry, name, None)
            if limit is not None:
                limits.append(f"{text} {limit:,}.")
        pattern = PATTERNS.get(str(getattr(entry, "pattern", "")))
        limits.append(f"{pattern[0].upper()}{pattern[1:]}." if pattern else "")
    return " ".join([words, *filter(None, limits)]).replace("|", "\\|")
