"""What a run's folder says about the run while it goes on: `state.json`, whole at any time, and how it is counted."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from perijove.spawners.apps.graph import Graph
from perijove.spawners.apps.manifest import App

#: Format of the report.
VERSION = 1
#: The report's file in the run's folder, and the least seconds between two writings.
FILE, PAUSE = "state.json", 0.5

PartState = Literal["waiting", "running", "done", "kept", "failed", "cancelled"]


def write_json(path: Path, value: Any) -> None:
    """Writes JSON so that a reader sees the old or the new, never a part; readable by the owner only."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, allow_nan=False)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@dataclass
class Part:
    """One step of the graph, as far as it is."""

    state: PartState = "waiting"
    fraction: float = 0.0
    words: str = ""
    began: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    tries: int = 0

    @property
    def share(self) -> float:
        """How much of it is done."""
        return 1.0 if self.state in ("done", "kept") else self.fraction if self.state == "running" else 0.0


@dataclass
class State:
    """The run's state: the runner changes it, `report` says it."""

    app: App
    node: str
    cores: int
    started: float
    state: str = "running"
    way: str | None = None
    ended: float | None = None
    #: The manifest's estimate for the whole run on these cores (seconds).
    expected: float | None = None
    parts: dict[str, Part] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    failure: dict[str, Any] | None = None
    codes: list[dict[str, str]] = field(default_factory=list)
    data: list[dict[str, str]] = field(default_factory=list)
    results: dict[str, Any] | None = None
    _written: float = 0.0

    def take(self, graph: Graph) -> None:
        """Begins with the steps of the pipeline, all waiting."""
        self.parts = {key: Part() for key in graph.steps}
        self.names = {key: step.name for key, step in graph.steps.items()}

    def of(self, name: str) -> list[Part]:
        """All parts of a step."""
        return [part for key, part in self.parts.items() if self.names[key] == name]

    def _weights(self) -> dict[str, float]:
        names = dict.fromkeys(self.names.values())
        weights = {name: self.app.steps[name].weight for name in names}
        total = sum(weights.values()) or 1.0
        return {name: weight / total for name, weight in weights.items()}

    def progress(self) -> float:
        """How much of the run is done, 0 to 1, by the steps' weights."""
        if self.state == "done":
            return 1.0
        shares = {name: [part.share for part in self.of(name)] for name in dict.fromkeys(self.names.values())}
        return sum(weight * sum(shares[name]) / len(shares[name]) for name, weight in self._weights().items())

    def left(self) -> float | None:
        """Seconds until the end, as far as one can tell: from the parts that have finished here, and for steps of
        which none has, from the manifest's estimate, corrected by how right it was so far. None: no ground yet."""
        if self.state != "running" or not self.parts:
            return None
        weights, now = self._weights(), time.time()
        known = {name: [p.seconds for p in self.of(name) if p.state == "done"] for name in weights}
        expected = {
            name: self.expected * weight / self._rounds(len(self.of(name))) if self.expected else None
            for name, weight in weights.items()
        }
        ratios = [sum(secs) / (len(secs) * e) for name, secs in known.items() if secs and (e := expected[name])]
        right = sum(ratios) / len(ratios) if ratios else 1.0
        total = 0.0
        for name in weights:
            unfinished = [part for part in self.of(name) if part.share < 1]
            if not unfinished:
                continue
            guess = expected[name]
            one = sum(known[name]) / len(known[name]) if known[name] else guess * right if guess else None
            rests = [rest for part in unfinished if (rest := _rest(part, one, now)) is not None]
            if len(rests) < len(unfinished):
                return None
            total += max(*rests, sum(rests) / min(self.cores, len(rests)))
        return round(total, 1)

    def _rounds(self, parts: int) -> float:
        return max(parts / max(min(self.cores, parts), 1), 1.0)

    def report(self) -> dict[str, Any]:
        """The report: what the broker and the pages show."""
        left = self.left()
        return {
            "version": VERSION,
            "state": self.state,
            "progress": round(self.progress(), 4),
            "left": left,
            "way": self.way,
            "node": self.node,
            "cores": self.cores,
            "started": self.started,
            "ended": self.ended,
            "steps": [self._step(name) for name in dict.fromkeys(self.names.values())],
            "failure": self.failure,
            "codes": self.codes,
            "data": self.data,
            "results": self.results,
        }

    def _step(self, name: str) -> dict[str, Any]:
        parts = self.of(name)
        running = [part for part in parts if part.state == "running"]
        begun = [part.began for part in parts if part.began]
        # By the clock, over all parts: the sum would count what ran side by side twice.
        spent = max((p.began + (p.seconds or time.time() - p.began) for p in parts if p.began), default=0.0)
        return {
            "name": name,
            "title": self.app.steps[name].title.model_dump(),
            "state": _together(parts),
            "progress": round(sum(part.share for part in parts) / len(parts), 4),
            "parts": {
                "total": len(parts),
                "done": sum(part.state in ("done", "kept") for part in parts),
                "running": len(running),
                "failed": sum(part.state == "failed" for part in parts),
            },
            "seconds": round(spent - min(begun), 3) if begun else 0.0,
            "cpu": round(sum(part.cpu for part in parts), 3),
            "memory": max(part.memory for part in parts),
            "tries": max(part.tries for part in parts),
            "words": next((part.words for part in running if part.words), ""),
        }

    def write(self, folder: Path, *, now: bool = False) -> bool:
        """Writes the report, at most every `PAUSE` seconds unless it must be `now`; whether it did."""
        if not now and time.monotonic() - self._written < PAUSE:
            return False
        self._written = time.monotonic()
        write_json(folder / FILE, self.report())
        return True


def _rest(part: Part, one: float | None, now: float) -> float | None:
    """Seconds that a part still takes if one takes `one`."""
    if part.state == "running":
        spent = now - part.began
        if part.fraction > 0.05:
            return spent * (1 - part.fraction) / part.fraction
        return None if one is None else max(one - spent, 0.0)
    return one


def _together(parts: list[Part]) -> PartState:
    states = {part.state for part in parts}
    for state in ("failed", "running", "cancelled"):
        if state in states:
            return state
    if states == {"kept"}:
        return "kept"
    if states <= {"done", "kept"}:
        return "done"
    return "running" if states & {"done", "kept"} else "waiting"


def text(value: Mapping[str, str]) -> dict[str, str]:
    """English and Chinese of a mapping."""
    return {"en": value["en"], "zh": value["zh"]}
