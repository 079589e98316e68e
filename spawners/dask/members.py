"""The workers of a cluster as its head sees them: what the batch system says of each, and whether it is connected.

Pure bookkeeping: no I/O, no clock of its own. What the batch system says comes from the broker's rows and is never
replaced by belief; "connected" is the scheduler's word. The decisions (who is lost, who must be replaced, who may be
let go) are here, so that they can be tested without either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from perijove.spawners.dask.config import Config
from perijove.spawners.facts import PROLOGUE

Row = Mapping[str, Any]
#: Seconds by which the clocks of node, centre and gateway may differ.
SKEW = 30.0


def seconds(text: str | None) -> float | None:
    """The time that an ISO text names, in seconds since the epoch; None for none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


@dataclass(slots=True)
class Member:
    """One worker that we asked for and still want (or are letting go in order)."""

    name: str
    asked: float
    row: Row | None = None
    connected: bool = False
    #: When it connected first, and when it was last seen to be connected.
    arrived: float | None = None
    seen: float | None = None
    #: When the batch system was first seen to say that it runs, and whether it was found silent since.
    began: float | None = None
    silent: bool = False
    #: Its end is near: a successor is wanted, and it retires.
    expiring: bool = False
    #: It is being let go: it moves its results away.
    retiring: bool = False

    @property
    def state(self) -> str:
        """The batch system's word; the last one known while the centre is silent."""
        if self.row is None:
            return "requested"
        state = str(self.row.get("state"))
        return str(self.row.get("before") or "requested") if state == "unknown" else state

    @property
    def over(self) -> bool:
        """Its job has ended; that is the batch system's word, never a guess."""
        return self.row is not None and self.row.get("state") in ("lost", "ended")

    def ends(self, config: Config) -> float | None:
        """When its job ends at the latest, in seconds since the epoch; None if nobody knows."""
        known = seconds(self.row.get("ends_by")) if self.row is not None else None
        times = [when for when in (self.began, self.arrived) if when is not None]
        if not times or not config.walltime:
            return known
        # The node's clock alone counts here. The centre's word is better, as its job began before we saw it, but not
        # where it is further off than any prologue takes: then the clocks differ, and every worker would seem to be
        # at its end, or none.
        seen = min(times) + config.walltime
        return known if known is not None and seen - PROLOGUE <= known <= seen + SKEW else seen

    def starts_within(self, now: float, soon: float) -> bool:
        """The batch system has started it, or expects to within `soon` seconds."""
        if self.state == "running":
            return True
        expected = seconds(self.row.get("expected")) if self.row else None
        return expected is not None and expected - now < soon


@dataclass(slots=True)
class Members:
    """All of them, by name."""

    config: Config
    all: dict[str, Member] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    #: Seconds from asking to being connected, as seen so far.
    waits: list[float] = field(default_factory=list)

    def add(self, names: Iterable[str], now: float) -> None:
        """The broker has accepted these."""
        for name in names:
            self.all.setdefault(name, Member(name, now, self.rows.get(name)))

    def take(self, rows: Iterable[Row]) -> None:
        """What the broker lists now, all of it."""
        self.rows = {str(row["name"]): row for row in rows}
        for name, member in self.all.items():
            member.row = self.rows.get(name, member.row)

    def connect(self, names: Iterable[str], now: float) -> list[Member]:
        """These are connected now; the ones that are for the first time."""
        present, new = set(names), []
        for member in self.all.values():
            member.connected = member.name in present
            if member.began is None and member.state == "running":
                member.began = now
            if member.connected:
                member.seen = now
                if member.arrived is None:
                    member.arrived = now
                    self.waits = [*self.waits[-9:], now - member.asked]
                    new.append(member)
        return new

    def active(self) -> list[Member]:
        """Those that count towards the number wanted."""
        return [m for m in self.all.values() if not (m.retiring or m.expiring or m.over)]

    def gone(self, now: float) -> list[Member]:
        """Those that will not work any more: the job has ended, or it runs and its worker is not there any more, or
        has not come for far too long."""
        limit, absent = self.config.times.gone, self.config.times.absent
        return [
            member
            for member in self.all.values()
            if (member.over and not member.connected)
            or (
                member.arrived is not None
                and not member.connected
                and not member.retiring
                and now - (member.seen or now) > limit
            )
            or (member.began is not None and member.arrived is None and now - member.began > absent)
        ]

    def newly_silent(self, now: float) -> list[Member]:
        """Those whose jobs have been running for a while without a connection, each once."""
        found = [
            member
            for member in self.all.values()
            if member.began is not None
            and member.arrived is None
            and not (member.silent or member.over or member.retiring)
            and now - member.began > self.config.times.silent
        ]
        for member in found:
            member.silent = True
        return found

    def mark_expiring(self, now: float) -> list[Member]:
        """Those whose end is near enough that a successor must be asked for now."""
        # A queue that was empty when the first ones came may have filled since.
        lead = max(max(self.waits, default=self.config.times.lead) * 1.5, self.config.times.floor)
        if self.config.walltime is not None:
            lead = min(lead, self.config.walltime / 4)
        found = []
        for member in self.all.values():
            ends = member.ends(self.config)
            if ends and not (member.expiring or member.over) and now > ends - self.config.margin - lead:
                member.expiring = True
                found.append(member)
        return found

    def to_retire(self, now: float, wanted: int) -> list[Member]:
        """Of the expiring ones: those whose successors are there, and those that have no time left."""
        ready = sum(member.connected for member in self.active())
        waiting = sorted(
            (m for m in self.all.values() if m.expiring and m.connected and not m.retiring),
            key=lambda m: m.ends(self.config) or 0.0,
        )
        found: list[Member] = []
        for member in waiting:
            late = now > (member.ends(self.config) or now + 1) - self.config.margin
            staying = len(waiting) - len(found)
            if late or ready + staying > wanted:
                found.append(member)
        return found

    def surplus(self, count: int, idle: Iterable[str]) -> list[Member]:
        """`count` to let go: what has not started (the newest first), then idle workers, then any."""
        order, idle = {"requested": 0, "queued": 1}, set(idle)

        def cost(member: Member) -> tuple[int, bool, float]:
            begun = 3 if member.connected else order.get(member.state, 2)
            return begun, member.connected and member.name not in idle, -member.asked

        return sorted(self.active(), key=cost)[: max(0, count)]

    def strangers(self) -> list[str]:
        """Workers that the broker has for this cluster and nobody here has asked for: an earlier head's, whose job was
        put back into the queue."""
        over = ("lost", "ended")
        rows = self.rows.items()
        return [n for n, row in rows if n not in self.all and row.get("wanted", True) and row.get("state") not in over]

    def counts(self) -> dict[str, int]:
        """The states, in numbers; `lost` is of those still listed by the broker."""
        found = Counter(member.state for member in self.all.values() if not member.over)
        # Those that are being cancelled run until they have ended, and cost.
        found["running"] += sum(
            "running" in (row.get("state"), row.get("before"))
            for name, row in self.rows.items()
            if name not in self.all
        )
        lost = sum(row.get("state") == "lost" for row in self.rows.values())
        connected = sum(member.connected for member in self.all.values())
        return {state: found[state] for state in ("requested", "queued", "running")} | {
            "connected": connected,
            "lost": lost,
        }
