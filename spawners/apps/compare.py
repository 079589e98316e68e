"""Whether two runs' results agree: numbers within the manifest's tolerance, files by checksum, tables by their rows.

Pure and light: it works on the `results` of two reports, so the broker can say it without reaching a centre. Tables are
held against each other by the rows that the reports carry, and their count: longer ones are the same for certain only
when their files are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.parts import Output, Tolerance

Results = Mapping[str, Any]
#: Kinds of results in a report, and what the manifest calls them.
_KINDS = {"numbers": "number", "tables": "table", "figures": "figure", "files": "file"}


def compare(app: App, here: Results | None, there: Results | None) -> dict[str, Any]:
    """The agreement of two runs of `app`: {"verdict", "rows"}.

    The verdict is "same" (every value and file equal), "agrees" (within the tolerances), "differs", or "unknown" (a run
    has no results, or there is nothing that the manifest lets be compared).
    """
    if not here or not there:
        return {"verdict": "unknown", "rows": []}
    rows = list(_rows(app, here, there))
    judged = [row for row in rows if row["agrees"] is not None]
    if not judged:
        verdict = "unknown"
    elif not all(row["agrees"] for row in judged):
        verdict = "differs"
    else:
        verdict = "same" if all(row["here"] == row["there"] for row in judged) else "agrees"
    return {"verdict": verdict, "rows": rows}


def _rows(app: App, here: Results, there: Results) -> Iterator[dict[str, Any]]:
    for name, output in app.outputs.items():
        one, other = _find(output, name, here), _find(output, name, there)
        if one is None and other is None:
            continue
        sums = _sum(name, here), _sum(name, there)
        yield {
            "name": name,
            "title": output.title.model_dump(),
            "kind": output.kind,
            "here": _shown(output, one, sums[0]),
            "there": _shown(output, other, sums[1]),
            "tolerance": output.tolerance.model_dump() if output.comparison == "value" else None,
            "agrees": _agree(output, one, other, sums),
        }


def _find(output: Output, name: str, results: Results) -> Mapping[str, Any] | None:
    kind = next(key for key, value in _KINDS.items() if value == output.kind)
    return next((one for one in results.get(kind) or () if one["name"] == name), None)


def _sum(name: str, results: Results) -> str | None:
    """The checksum of a result's file."""
    return next((one["sha256"] for one in results.get("files") or () if one["name"] == name), None)


def _shown(output: Output, one: Mapping[str, Any] | None, checksum: str | None) -> Any:
    if one is None:
        return None
    return {"number": one.get("value"), "table": one.get("count")}.get(output.kind, checksum)


def _agree(
    output: Output,
    one: Mapping[str, Any] | None,
    other: Mapping[str, Any] | None,
    sums: tuple[str | None, str | None],
) -> bool | None:
    """Whether one result agrees; None if it is not to be compared."""
    if output.comparison == "none":
        return None
    if one is None or other is None:
        return False
    if output.comparison == "value":
        return within(one["value"], other["value"], output.tolerance)
    if sums[0] is not None and sums[0] == sums[1]:
        return True
    if output.comparison == "sha256" or output.kind != "table":
        return False
    return (one["columns"], one["count"]) == (other["columns"], other["count"]) and _same_rows(one, other, output)


def _same_rows(one: Mapping[str, Any], other: Mapping[str, Any], output: Output) -> bool:
    if [len(row) for row in one["rows"]] != [len(row) for row in other["rows"]]:
        return False
    cells = zip(chain.from_iterable(one["rows"]), chain.from_iterable(other["rows"]), strict=True)
    return all(_same_cell(a, b, output.tolerance) for a, b in cells)


def _same_cell(one: str, other: str, tolerance: Tolerance) -> bool:
    if one == other:
        return True
    try:
        return within(float(one), float(other), tolerance)
    except ValueError:
        return False


def within(one: float, other: float, tolerance: Tolerance) -> bool:
    """Whether two numbers lie within either tolerance of each other."""
    if not (math.isfinite(one) and math.isfinite(other)):
        return False
    far = abs(one - other)
    return far <= tolerance.absolute or far <= tolerance.relative * max(abs(one), abs(other))
