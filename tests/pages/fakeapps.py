"""Apps and runs of the API's double: what there is of them, shown by the broker's own views.

The apps are real folders (`apps/`), read as the gateway reads them, so that forms and faults are real, too.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from perijove.hub.broker import runviews
from perijove.hub.broker.appviews import app_view
from perijove.hub.broker.runrecords import Run, RunState
from perijove.spawners.apps.manifest import App, load

HERE = Path(__file__).parent / "apps"
#: How a step of a climate run failed.
FAILURE: dict[str, Any] = json.loads((HERE / "failure.json").read_text(encoding="utf-8"))
INPUTS: dict[str, Any] = {
    "scenario": "A1B",
    "baseline": [1961, 1990],
    "region": [-120.0, 30.0, -80.0, 50.0],
    "smooth": 11,
    "trend": True,
    "source": "data:scenarios",
}
#: A run of `climate`, as the store has it.
RUN = Run(
    id="",
    owner="alice",
    key="",
    app="climate",
    app_version="1.0",
    digest="d" * 64,
    title={"en": "Climate scenarios", "zh": "气候情景"},
    inputs=INPUTS,
    language="en",
    needs={},
    own_session=False,
    request={},
    centre="tianjin",
    queue="work",
    created=datetime(2026, 1, 1, tzinfo=UTC),
    server="climate",
    folder="perijove/runs/x",
    price=200_000,
    spent=12_300,
    most=90_000,
    settled=True,
    version=1,
)


@cache
def app(name: str) -> App:
    """One of the double's apps."""
    return load(HERE / name)


def app_json(name: str, places: Mapping[str, dict[str, Any]], root: str = "") -> dict[str, Any]:
    """An app as the API shows it."""
    usual = {"seconds": 20.0, "price_low": 10_000, "price_high": 90_000} if name == "climate" else {}
    return app_view(app(name), root, [{"centre": centre} | place for centre, place in places.items()], usual, ())


def report(seed: int = 0, **more: Any) -> dict[str, Any]:
    """What the runner says of a run that is done: the example's report; `seed` makes its first number another."""
    example = json.loads((HERE / "climate/example/report.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = example["report"]
    found["results"]["numbers"][0]["value"] += seed / 100
    return found | more


def steps(*states: tuple[str, float]) -> list[dict[str, Any]]:
    """The report's three steps in these states, each with the part of it that is done."""
    found = report()["steps"]
    for step, (state, part) in zip(found, states, strict=True):
        step |= {"state": state, "progress": part, "seconds": 3.4 * part, "memory": 210 * 2**20 if part else 0}
        step["parts"]["done"] = int(part * 2)
    return list(found)


def record(row: Mapping[str, Any]) -> Run:
    """The run of which `row` is the view."""
    known = {one.name: row[one.name] for one in fields(Run) if one.name in row}
    return replace(RUN, **known | {"state": RunState(row["state"])})


@dataclass
class FakeApps:
    """Apps and runs; tests change it as they like."""

    names: list[str] = field(default_factory=lambda: ["climate", "variants"])
    places: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    #: Views of runs, by their ids.
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    shares: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: What was asked for, as it came.
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def add(self, owner: str = "alice", state: str = "done", **values: Any) -> dict[str, Any]:
        """A run, done unless `state` says otherwise; `values` replace what its view has."""
        now, live = datetime.now(UTC), RunState(state).live
        run = replace(
            RUN,
            id=f"run{len(self.runs):07}",
            owner=owner,
            state=RunState(state),
            inputs=copy.deepcopy(INPUTS),
            progress=0.4 if live else 1.0,
            report=report() if state == "done" else None,
            created=now - timedelta(minutes=5),
            started=now - timedelta(minutes=4),
            ended=None if live else now,
        )
        row = runviews.run(run, None, [], now) | values
        self.runs[row["id"]] = row
        return row

    def change(self, run: str, **values: Any) -> dict[str, Any]:
        """Something became of a run."""
        row = self.runs[run]
        row |= values | {"version": row["version"] + 1}
        row["can"] = runviews.can(record(row), True)
        return row
