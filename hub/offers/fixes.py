"""The smallest change of a request that takes a fault away: "ask for at most 4 hours".

A fix is true: with all fixes of an offer in place the request fits, provided that every fault has one. What no change
of the request can mend (a closed centre, a maintenance that has begun) has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perijove.spawners.centre import Centre, Queue
from perijove.spawners.request import Fault, Request

#: Seconds that are left between the end of a session and a maintenance, for whoever does not click at once.
GRACE = 300
#: The least that a request may say, by field.
_LEAST: dict[str, int] = {
    name: limit.ge
    for name, field in Request.model_fields.items()
    for limit in field.metadata
    if getattr(limit, "ge", None) is not None
}


@dataclass(frozen=True, slots=True)
class Fix:
    """Ask for `value` in `field` instead."""

    field: str
    value: int

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        return {"field": self.field, "value": self.value}


def fixes(faults: Sequence[Fault], centre: Centre, queue: Queue, now: datetime) -> list[Fix | None]:
    """A fix for each of `faults` of one request with a queue, in their order; None where there is none.

    Two faults of the walltime (too long for the queue, and reaching into a maintenance) have one fix that mends both.
    """
    most = _longest(faults, centre, queue, now)
    return [_fix(fault, most) for fault in faults]


def _fix(fault: Fault, most: int) -> Fix | None:
    if fault.code == "maintenance" or (fault.code == "too-much" and fault.field == "walltime"):
        return Fix("walltime", most) if most >= _LEAST["walltime"] else None
    if fault.code == "too-much" and fault.values["most"] >= _LEAST[fault.field]:
        return Fix(fault.field, int(fault.values["most"]))
    return None


def _longest(faults: Sequence[Fault], centre: Centre, queue: Queue, now: datetime) -> int:
    """Seconds: the longest walltime that queue and next maintenance allow; in whole minutes before the latter."""
    most = queue.max_time
    window = centre.maintenance_between(now, now + timedelta(seconds=most))
    if window is not None and any(fault.code == "maintenance" for fault in faults):
        left = int((window.start - now).total_seconds()) - GRACE
        most = min(most, left // 60 * 60)
    return most
