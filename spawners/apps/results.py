"""What a run's functions returned, merged with the manifest into the results that people see.

The functions name numbers, figures, tables, files and a reading; titles, units and limits come from the manifest,
sizes and checksums from the files. A number that is none (NaN, infinite) ends the run: it must not stand as a result.
"""

from __future__ import annotations

import csv
import math
import mimetypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perijove.spawners.apps.checks import NotMade, measure
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.steps import RESULTS, BadPipeline, relative

#: Rows of a table that the report shows, columns, and characters of a cell.
ROWS, COLUMNS, CELL = 20, 50, 200
_KEYS = {"numbers", "figures", "tables", "files", "reading"}
_MEDIA = {
    ".nc": "application/netcdf",
    ".vcf": "text/plain",
    ".bam": "application/octet-stream",
    ".fa": "text/plain",
    ".md": "text/markdown",
}


class BadResult(Exception):
    """A result is no good; the message says which and why, in words for the person and the author."""


def results(app: App, returned: Iterable[Any], folder: Path) -> dict[str, Any]:
    """The results of a run whose last steps returned `returned` and whose files lie in `folder`.

    Raises:
        BadPipeline: what was returned does not fit the manifest.
        BadResult: a number is not finite, a file is missing or empty, a figure is no PNG.
    """
    merged = _merge(returned)
    unknown = [f"{kind} {name}" for kind in _KEYS - {"reading"} for name in merged[kind] if name not in app.outputs]
    if unknown:
        raise BadPipeline(f"{', '.join(sorted(unknown))}: not in the manifest's [outputs]")
    reading = merged["reading"]
    if reading and not (isinstance(reading, Mapping) and {"en", "zh"} <= reading.keys()):
        raise BadPipeline("the reading must have words in en and zh")
    found = {
        "numbers": [_number(app, name, value) for name, value in merged["numbers"].items()],
        "figures": [_figure(app, name, value, folder) for name, value in merged["figures"].items()],
        "tables": [_table(app, name, value, folder) for name, value in merged["tables"].items()],
    }
    files = {str(one["file"]): str(one["name"]) for kind in ("figures", "tables") for one in found[kind]}
    files |= {_name(value): name for name, value in merged["files"].items()}
    return found | {
        "files": [_file(app, name, file, folder) for file, name in files.items()],
        "reading": {"en": str(reading["en"]), "zh": str(reading["zh"])} if reading else {"en": "", "zh": ""},
        "limits": app.limits.model_dump(),
    }


def _merge(returned: Iterable[Any]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {key: {} for key in _KEYS}
    for one in returned:
        if not isinstance(one, Mapping):
            continue
        if one.keys() - _KEYS:
            raise BadPipeline(
                f"results have no {', '.join(sorted(map(str, one.keys() - _KEYS)))}, only {sorted(_KEYS)}"
            )
        for key, value in one.items():
            if not isinstance(value, Mapping):
                raise BadPipeline(f"the results' {key} must be a mapping from names")
            if double := merged[key].keys() & value.keys():
                raise BadPipeline(f"two steps give the results' {key} {sorted(double)[0]}")
            merged[key].update(value)
    return merged


def _title(app: App, name: str, kind: str) -> dict[str, Any]:
    output = app.outputs[name]
    if output.kind != kind:
        raise BadPipeline(f"the pipeline returns {name} as a {kind}; the manifest says it is a {output.kind}")
    return {"name": name, "title": output.title.model_dump()}


def _name(value: Any) -> str:
    """A file's name below the results."""
    if not isinstance(value, str):
        raise BadPipeline(f"{value!r} is no name of a file in the results")
    return relative(value.removeprefix(RESULTS))


def _number(app: App, name: str, value: Any) -> dict[str, Any]:
    head = _title(app, name, "number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadPipeline(f"{name} is {value!r}, which is no number")
    if not math.isfinite(value):
        raise BadResult(f"{name} is {value}, which is no number")
    return head | {"value": value, "unit": app.outputs[name].unit}


def _figure(app: App, name: str, value: Any, folder: Path) -> dict[str, Any]:
    head = _title(app, name, "figure")
    given = value if isinstance(value, Mapping) else {"file": value}
    file = _name(given.get("file"))
    alt = given.get("alt") or (app.outputs[name].alt.model_dump() if app.outputs[name].alt else None)  # type: ignore[union-attr]
    if not isinstance(alt, Mapping) or not {"en", "zh"} <= alt.keys():
        raise BadPipeline(f"the figure {name} needs a text alternative (alt) in en and zh")
    width, height = png_size(folder / file)
    alt = {"en": str(alt["en"])[:2000], "zh": str(alt["zh"])[:2000]}
    return head | {"file": file, "alt": alt, "width": width, "height": height}


def png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, from its header (PNG specification, 11.2.2 IHDR).

    Raises:
        BadResult: it is missing or no PNG.
    """
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError:
        raise BadResult(f"the figure {path.name} is not there") from None
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n") or head[12:16] != b"IHDR":
        raise BadResult(f"{path.name} is no PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _table(app: App, name: str, value: Any, folder: Path) -> dict[str, Any]:
    head = _title(app, name, "table")
    file = _name(value)
    try:
        with (folder / file).open(encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines)
            columns = [cell[:CELL] for cell in next(reader, [])[:COLUMNS]]
            rows, count = [], 0
            for row in reader:
                if count < ROWS:
                    rows.append([cell[:CELL] for cell in row[:COLUMNS]])
                count += 1
    except OSError:
        raise BadResult(f"the table {file} is not there") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadResult(f"the table {file} is no CSV in UTF-8: {error}") from None
    return head | {"file": file, "columns": columns, "rows": rows, "count": count}


def _file(app: App, name: str, file: str, folder: Path) -> dict[str, Any]:
    try:
        made = measure(folder / file, file)
    except NotMade as error:
        raise BadResult(f"the result {error.name} is not there, or is no file") from None
    if not made.bytes:
        raise BadResult(f"the result {file} is empty")
    media = "inode/directory" if (folder / file).is_dir() else media_type(file)
    title = app.outputs[name].title.model_dump()
    return {"name": name, "file": file, "title": title, "bytes": made.bytes, "sha256": made.sha256, "media": media}


def media_type(file: str) -> str:
    """The media type of a file by its name."""
    return _MEDIA.get(Path(file).suffix.lower()) or mimetypes.guess_type(file)[0] or "application/octet-stream"
