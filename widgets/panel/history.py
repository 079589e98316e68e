"""How many workers were in which state over the last minutes: what the panel's plot shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Seconds that the plot shows.
SPAN = 600.0
#: Points that are kept at most; beyond it the oldest go.
MOST = 400
#: The states of the plot, from the bottom up.
STATES = ("running", "queued", "requested", "lost")


def counts(status: Mapping[str, Any]) -> dict[str, int]:
    """Workers by state, and under "connected" those of the running ones that the scheduler has.

    Who is connected runs, whatever the batch system was last heard to say; a worker that a silent centre says nothing
    of counts as what it was before.
    """
    found = dict.fromkeys((*STATES, "connected"), 0)
    rows = status.get("workers")
    if not isinstance(rows, list):
        given = status.get("counts") or {}
        found |= {name: int(given.get(name) or 0) for name in found}
        return found | {"running": max(found["running"], found["connected"])}
    for row in rows:
        state = state_of(row)
        if state in found:
            found[state] += 1
        found["connected"] += bool(row.get("connected"))
    return found


def state_of(row: Mapping[str, Any]) -> str:
    """The state of one worker as people are told: one of `STATES`, or "ended"."""
    if row.get("connected"):
        return "running"
    state = str(row.get("state") or "requested")
    return str(row.get("before") or "requested") if state == "unknown" else state


class History:
    """Points `[seconds since 1970, running, queued, requested, lost, target]`, one at each change."""

    def __init__(self) -> None:
        self.points: list[list[float]] = []

    def add(self, now: float, status: Mapping[str, Any]) -> bool:
        """Note the state at `now`; whether it differs from the one before."""
        found = counts(status)
        point = [now, *(found[state] for state in STATES), int(status.get("target") or 0)]
        if self.points and self.points[-1][1:] == point[1:]:
            return False
        self.points.append(point)
        # The last point before the span says where the plot begins.
        first = next((n for n, each in enumerate(self.points) if each[0] > now - SPAN), len(self.points) - 1)
        self.points = self.points[max(0, first - 1) :][-MOST:]
        return True
