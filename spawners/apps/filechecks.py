"""The files that a manifest names: there, plain, fit to be shown; a part of `perijove.spawners.apps.consistency`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from perijove.spawners.apps.folder import files_of
from perijove.spawners.apps.manifest import App
from perijove.spawners.tomllines import Key

#: Bytes of a picture, and of a notebook or pipeline.
PICTURE, SOURCE = 1 << 20, 2 << 20
#: What an SVG is refused for: a picture is served from the gateway's own address.
_ACTIVE = re.compile(
    rb"<\s*(script|foreignObject|iframe|!ENTITY)|\son\w+\s*=|javascript:|(href|src)\s*=\s*[\"']\s*(https?:)?//", re.I
)


def files(app: App) -> Iterator[tuple[Key, str]]:
    """The faults of the files that `app` names."""
    there = {path.as_posix() for path in files_of(app.folder)}
    named: list[tuple[Key, str]] = [(("picture",), app.picture), (("notebook",), app.notebook)]
    named.append((("pipeline",), app.pipeline))
    for name, one in app.inputs.items():
        for index, choice in enumerate(one.choices):
            named.append((("inputs", name, "choices", index, "picture"), choice.picture))
    named += [(("data", name, "source"), one.source.app) for name, one in app.data.items()]
    for key, path in named:
        if path and path not in there:
            yield key, f"{path!r} is no file of the app's folder"
        elif path:
            words = _content(key, app.folder / path)
            if words:
                yield key, f"{path}: {words}"


def _content(key: Key, path: Path) -> str:
    """What is wrong with a file that is there, or ""."""
    if key[0] == "data":
        return "" if path.stat().st_size else "is empty"
    limit = PICTURE if key[-1] == "picture" else SOURCE
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        return f"is larger than {limit >> 20} MiB"
    if key[-1] == "picture":
        return _picture(path, content)
    return _notebook(content) if key[0] == "notebook" else _pipeline(content)


def _picture(path: Path, content: bytes) -> str:
    if path.suffix == ".png":
        return "" if content.startswith(b"\x89PNG\r\n\x1a\n") else "is no PNG"
    if path.suffix != ".svg":
        return "must be an SVG or a PNG"
    if b"<svg" not in content[:2000]:
        return "is no SVG"
    return "has scripts, events or links to elsewhere: a picture must have none" if _ACTIVE.search(content) else ""


def _notebook(content: bytes) -> str:
    try:
        notebook = json.loads(content)
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        if notebook["nbformat"] < 4:
            return "is older than nbformat 4"
        if any(cell.get("outputs") or cell.get("execution_count") is not None for cell in cells):
            return "has outputs stored: clear them, an app shows what it computes"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "is no notebook"
    return "" if cells else "has no cell with code"


def _pipeline(content: bytes) -> str:
    try:
        module = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"is no Python{line}"
    named = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "steps"]
    return "" if named else "has no function `steps(case)`"
