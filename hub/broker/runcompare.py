"""Two runs side by side, and whether a replay came to what its parent had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perijove.hub.broker.runrecords import Run
from perijove.spawners.apps.compare import compare as held_against

if TYPE_CHECKING:
    from perijove.spawners.apps.manifest import App

#: What is said where there is nothing to compare.
UNKNOWN: Mapping[str, Any] = {"verdict": "unknown", "rows": []}


def results(run: Run, key: str) -> dict[str, Mapping[str, Any]]:
    """The results of one kind ("numbers", "figures", "tables", "files") by name."""
    listed = (_results(run) or {}).get(key)
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
    """Whether two runs came to the same; see `perijove.spawners.apps.compare`.

    Reports are what sessions sent: one that is not as it should be agrees with nothing.
    """
    try:
        return held_against(app, _results(here), _results(there)) if app is not None else dict(UNKNOWN)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return dict(UNKNOWN)


def _results(run: Run) -> Mapping[str, Any] | None:
    found = (run.report or {}).get("results")
    return found if isinstance(found, Mapping) else None


__all__ = ["agreement", "compare", "results"]
