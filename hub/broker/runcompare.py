"""Two runs side by side, and whether a replay came to what its parent had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perijove.hub.broker.runrecords import Run

if TYPE_CHECKING:
    from perijove.spawners.apps.manifest import App


def results(run: Run, key: str) -> dict[str, Mapping[str, Any]]:
    """The results of one kind ("numbers", "figures", "tables", "files") by name."""
    found = (run.report or {}).get("results")
    listed = found.get(key) if isinstance(found, Mapping) else None
    named = (one for one in (listed if isinstance(listed, list) else []) if isinstance(one, Mapping))
    return {str(one.get("name") or one.get("file")): one for one in named}


def compare(app: App | None, a: Run, b: Run) -> dict[str, Any]:
    """Inputs, numbers and figures of two runs; what only one of them has is None for the other."""
    inputs = [
        {"name": name, "title": _title(app, name), "a": a.inputs.get(name), "b": b.inputs.get(name)}
        for name in {**a.inputs, **b.inputs}
    ]
    numbers = [
        {"name": name, "title": _said(one, other, "title"), "unit": _said(one, other, "unit")}
        | {"a": one.get("value"), "b": other.get("value")}
        for name, one, other in _pairs(a, b, "numbers")
    ]
    figures = [
        {"name": name, "title": _said(one, other, "title"), "a": one.get("file"), "b": other.get("file")}
        for name, one, other in _pairs(a, b, "figures")
    ]
    return {"inputs": inputs, "numbers": numbers, "figures": figures, "agreement": agreement(app, a, b)}


def _pairs(a: Run, b: Run, key: str) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    first, second = results(a, key), results(b, key)
    return [(name, first.get(name, {}), second.get(name, {})) for name in {**first, **second}]


def _said(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> Any:
    return one.get(key) if one.get(key) is not None else other.get(key)


def _title(app: App | None, name: str) -> dict[str, str]:
    known = app.inputs.get(name) if app is not None else None
    return known.title.model_dump() if known is not None else {"en": name, "zh": name}


def agreement(app: App | None, here: Run, there: Run) -> dict[str, Any]:
    """Whether two runs came to the same: numbers within the manifest's tolerance, files and tables byte by byte.

    `same`: everything is equal; `agrees`: all is within its tolerance; `differs`: something is not; `unknown`: there
    is nothing to compare.
    """
    rows = [row for kind in ("number", "table", "file") for row in _rows(app, here, there, kind)]
    judged = [row for row in rows if row["agrees"] is not None]
    if not judged:
        verdict = "unknown"
    elif not all(row["agrees"] for row in judged):
        verdict = "differs"
    else:
        verdict = "same" if all(row["here"] == row["there"] for row in judged) else "agrees"
    return {"verdict": verdict, "rows": rows}


def _rows(app: App | None, here: Run, there: Run, kind: str) -> list[dict[str, Any]]:
    found = []
    for name, one, other in _pairs(here, there, f"{kind}s"):
        output = app.outputs.get(name) if app is not None else None
        if output is None and kind != "number":
            continue  # logs and records differ between any two runs: only what the manifest names is compared
        ours, theirs = _value(here, one, kind), _value(there, other, kind)
        tolerance = output.tolerance.model_dump() if output is not None and kind == "number" else None
        row = {"name": name, "title": _said(one, other, "title"), "kind": kind, "here": ours, "there": theirs}
        compared = output is None or output.comparison != "none"
        found.append(row | {"tolerance": tolerance, "agrees": _agree(ours, theirs, tolerance) if compared else None})
    return found


def _value(run: Run, one: Mapping[str, Any], kind: str) -> Any:
    """What is compared of a result: a number's value, else the checksum of its file."""
    if kind == "number":
        return one.get("value")
    sums = {str(file.get("file")): file.get("sha256") for file in results(run, "files").values()}
    return one.get("sha256") or sums.get(str(one.get("file")))


def _agree(ours: Any, theirs: Any, tolerance: Mapping[str, float] | None) -> bool | None:
    if ours is None and theirs is None:
        return None
    if tolerance is None or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in (ours, theirs)):
        return bool(ours == theirs)
    apart = abs(ours - theirs)
    return bool(apart <= tolerance["absolute"] or apart <= tolerance["relative"] * max(abs(ours), abs(theirs)))


__all__ = ["agreement", "compare", "results"]
