"""The API's JSON for runs, and for those to whom one is shown by a link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from perijove.hub.broker.charges import charge
from perijove.hub.broker.records import Record
from perijove.hub.broker.runfiles import Kept
from perijove.hub.broker.runrecords import Run, RunState
from perijove.hub.broker.views import iso

_SAME = (
    *("id", "app", "app_version", "digest", "title", "label", "owner", "centre", "queue", "session", "server"),
    *("own_session", "inputs", "language", "needs", "progress", "price", "most", "parent", "relation", "agreement"),
    *("folder", "wanted", "version", "problem", "resumed"),
)
#: What of a run is shown to whoever has a link: nothing of who and where its owner is, nor of money.
_SHARED = ("app", "app_version", "digest", "title", "label", "centre", "inputs", "language", "progress", "relation")
#: Files of a run that tell who its owner is, and where they keep what: for nobody who merely has a link.
PRIVATE = frozenset({"inputs.json", "log.txt", "ro-crate-metadata.json"})


def hourly(record: Record) -> int:
    """Micro-credits an hour of a session: its price is that of its whole walltime."""
    return round(record.price * 3600 / max(record.walltime, 1))


def window(run: Run, record: Record | None, now: datetime) -> tuple[datetime, datetime] | None:
    """From when to when a run is charged for the session that it is in; None: it is not yet, or is settled.

    Its own session from its start to its end, whatever the run did meanwhile. In a session with other work: from the
    run's start to its end.
    """
    if run.settled or record is None:
        return None
    end = record.ended or now
    if run.own_session:
        if record.started is None:
            return None
        begun = max(record.started, record.taken or record.started)  # what was kept warm before is nobody's cost
        return begun, max(end, begun)
    return None if run.started is None else (run.started, max(min(run.ended or end, end), run.started))


def cost_in(run: Run, record: Record | None, now: datetime) -> int:
    """What the session that it is in has cost it so far; `run.price` is its share of the session's price."""
    span = window(run, record, now)
    if span is None or record is None:
        return 0
    cost = charge(run.price, span[1] - span[0])
    return min(cost, record.price) if run.own_session else cost  # never more than was held for its session


def run(
    found: Run, record: Record | None, kept: Iterable[Kept], now: datetime, *, workers: int = 0, known: bool = True
) -> dict[str, Any]:
    """A run. `workers`: micro-credits of its Dask workers so far; `known`: its app is still there."""
    waits = found.state is RunState.STARTING and found.session is None and found.waits_for_files
    silent = record.unknown_since if record is not None and found.state.live else None
    return {
        **{key: getattr(found, key) for key in _SAME},
        "state": found.state.value,
        "report": found.report,
        "cost": found.spent + cost_in(found, record, now) + (0 if found.settled else workers),
        **{key: iso(getattr(found, key)) for key in ("created", "started", "ended", "seen")},
        "kept": [one.view() for one in kept],
        "unknown_since": iso(silent),
        "stage": "files" if waits else record.stage.value if record is not None else None,
        "staging": [_on_its_way(one) for one in found.staging or ()],
        "can": can(found, known),
    }


def _on_its_way(one: Mapping[str, Any]) -> dict[str, Any]:
    """A file that is brought to where the run is to be; sizes in bytes."""
    source = {"centre": one["centre"], "path": one["path"]}
    return {key: one[key] for key in ("input", "state", "total", "moved")} | {"from": source, "to": one["to"] or None}


def can(found: Run, known: bool) -> list[str]:
    """What its person may do with it now."""
    if found.state.live:
        return [] if found.wanted else ["cancel"]
    again = ["rerun", "replay"] if found.state is RunState.DONE else ["resume", "rerun"]
    return [*(again if known else []), "share", "delete"]


def brief(view: dict[str, Any]) -> dict[str, Any]:
    """As in lists: without the rows of tables and the last lines of failures."""
    report = view["report"]
    if not isinstance(report, Mapping):
        return view
    short = dict(report)
    if isinstance(results := short.get("results"), Mapping):
        tables = results.get("tables")
        short["results"] = dict(results) | {"tables": [_but(one, "rows") for one in _list(tables)]}
    if isinstance(failure := short.get("failure"), Mapping):
        short["failure"] = _but(failure, "lines")
    return view | {"report": short}


def shared(
    view: Mapping[str, Any], mode: str, files: Sequence[str], titles: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """A run for whoever has a link to it; `files` are names of inputs that are the owner's own files, `titles` those
    of all inputs: whoever is not signed in cannot ask for the app's words."""
    report = view["report"]
    if isinstance(report, Mapping):
        report = _but(report, "node")
        if isinstance(failure := report.get("failure"), Mapping):
            report["failure"] = _but(failure, "command", "lines")  # they tell of the owner's folders
        if isinstance(results := report.get("results"), Mapping):
            listed = [one for one in _list(results.get("files")) if _but(one).get("file") not in PRIVATE]
            report["results"] = {**results, "files": listed}
        report["steps"] = [_but(step, "words") for step in _list(report.get("steps"))]
    inputs = {name: _hidden(value) if name in files else value for name, value in view["inputs"].items()}
    return {
        **{key: view[key] for key in _SHARED},
        **{key: view[key] for key in ("state", "created", "started", "ended")},
        "kept": [one for one in view["kept"] if one["file"] not in PRIVATE],
        "titles": dict(titles or {}),
        "inputs": inputs,
        "report": report,
        "agreement": view["agreement"],
        "mode": mode,
        "can": ["rerun"] if mode == "rerun" else [],
    }


def _hidden(value: Any) -> Any:
    """Of a person's own file the name alone; a data set that comes with the app as it is."""
    return value if not isinstance(value, str) or value.startswith("data:") else value.rsplit("/", 1)[-1]


def _but(table: Any, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys} if isinstance(table, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


__all__ = ["PRIVATE", "brief", "cost_in", "hourly", "run", "shared", "window"]
