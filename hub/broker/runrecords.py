"""Runs of apps as the store has them, and what may become of one. Pure: no I/O.

A run's life is told by three: the person (who starts, cancels, resumes), the session that executes it (its reports) and
the batch system (whether that session is still there). Each change is a function of the run as it is inside the store's
transaction, so that what was decided on an older view cannot undo what happened since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row


class RunState(StrEnum):
    """The life of a run; `INTERRUPTED` can go on, and so can what failed or was cancelled."""

    STARTING = "starting"  # nothing was heard of it yet
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # its session ended before it did

    @property
    def live(self) -> bool:
        """Something may still be told of it by its session."""
        return self in (RunState.STARTING, RunState.RUNNING)


class Relation(StrEnum):
    """What a run is to its parent."""

    RERUN = "rerun"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Run:
    """One row of `runs`. Prices are micro-credits (an hour), `spent` and `most` micro-credits."""

    id: str
    owner: str
    #: What the caller named the request, so that one that is repeated is the same run.
    key: str
    app: str
    app_version: str
    digest: str
    title: Mapping[str, str]
    inputs: Mapping[str, Any]
    language: str
    needs: Mapping[str, Any]
    own_session: bool
    request: Mapping[str, Any]
    centre: str
    queue: str
    created: datetime
    label: str = ""
    state: RunState = RunState.STARTING
    #: "cancel": its person has asked for that, and the session is to bring it about.
    wanted: str | None = None
    asked_by: str | None = None
    #: Faults because of which a session could not be opened for it.
    problem: Sequence[Mapping[str, Any]] | None = None
    progress: float = 0.0
    report: Mapping[str, Any] | None = None
    folder: str = ""
    seen: datetime | None = None
    #: Grows with every change.
    version: int = 0
    attempt: int = 0
    resumed: int = 0
    session: str | None = None
    server: str = ""
    price: int = 0
    #: What sessions that are over have cost it.
    spent: int = 0
    most: int | None = None
    #: It has ended, and so has what it is charged for: `spent` is the whole.
    settled: bool = False
    started: datetime | None = None
    ended: datetime | None = None
    parent: str | None = None
    relation: str | None = None
    agreement: Mapping[str, Any] | None = None
    #: Files of the person that lie at other centres and are brought before it has a session; see `runstaging`.
    staging: Sequence[Mapping[str, Any]] | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> Run:
        """From a row of the store."""
        values = dict(row._mapping)
        return cls(**values | {"state": RunState(values["state"])})

    @property
    def own_server(self) -> str:
        """The server of its own session of this attempt: a name that no other run or attempt has."""
        return f"run-{self.id[3:]}" + (f"-{self.attempt}" if self.attempt > 1 else "")

    @property
    def waits_for_files(self) -> bool:
        """Files of the person are yet to be brought."""
        return any(one["state"] != "done" for one in self.staging or ())

    @property
    def asked(self) -> Mapping[str, Any]:
        """The inputs as they were asked for: with the files where they were then."""
        return {**self.inputs, **{one["input"]: one["path"] for one in self.staging or ()}}

    def row(self) -> dict[str, Any]:
        """Its values for the store."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"state": self.state.value}


#: New values of a run as it is when the change is made, or None to leave it as it is.
RunTransition = Callable[[Run], Mapping[str, Any] | None]
_ENDS = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


def reported(report: Mapping[str, Any], folder: str, session: str | None, now: datetime) -> RunTransition:
    """What the session says of its run.

    The end is told once: a run that is done, failed or cancelled stays so. One that was given up as interrupted is not
    alive again by a word of a session that is over, but what had really come of it is believed.
    """
    told = RunState(report["state"])

    def to(run: Run) -> Mapping[str, Any] | None:
        other = session is not None and session != run.session
        if run.state in _ENDS or other or (run.state is RunState.INTERRUPTED and told not in _ENDS):
            return None
        begun = run.started or _moment(report.get("started"), run.created, now) or now
        values: dict[str, Any] = {"state": told, "report": dict(report), "seen": now, "started": begun}
        values |= {"folder": folder or run.folder, "progress": 1.0 if told is RunState.DONE else _progress(report)}
        if told in _ENDS:
            values |= {"ended": _moment(report.get("ended"), begun, now) or now, "wanted": None}
        return values

    return to


def _progress(report: Mapping[str, Any]) -> float:
    given = report.get("progress")
    return float(min(max(given, 0), 1)) if isinstance(given, int | float) else 0.0


def _moment(epoch: Any, first: datetime, last: datetime) -> datetime | None:
    """A time of the centre's clock, held between two of ours."""
    if isinstance(epoch, bool) or not isinstance(epoch, int | float) or not 0 < epoch < 1e11:
        return None
    return min(max(datetime.fromtimestamp(epoch, UTC), first), last)


def cancel_asked(by: str) -> RunTransition:
    """Its person wants it no more. One that has no session yet is over at once."""

    def to(run: Run) -> Mapping[str, Any] | None:
        return {"wanted": "cancel", "asked_by": by[:255]} if run.state.live and run.wanted is None else None

    return to


def cancelled(now: datetime) -> RunTransition:
    """It was to be cancelled, and nothing executes it any more."""
    over = {"state": RunState.CANCELLED, "ended": now, "wanted": None}
    return lambda run: over if run.state.live and run.wanted == "cancel" else None


def opened(attempt: int, session: str, server: str, queue: str, most: int) -> RunTransition:
    """Its own session is there."""

    def to(run: Run) -> Mapping[str, Any] | None:
        if run.session is not None or run.attempt != attempt or not run.state.live:
            return None
        values = {"session": session, "server": server, "queue": queue}
        return values | {"most": run.spent + most, "problem": None}

    return to


def not_opened(problem: Sequence[Mapping[str, Any]], now: datetime) -> RunTransition:
    """No session can be opened for it: it never began, or cannot go on by itself."""

    def to(run: Run) -> Mapping[str, Any] | None:
        if run.session is not None or not run.state.live:
            return None
        state = RunState.INTERRUPTED if run.report else RunState.FAILED
        return {"state": state, "problem": list(problem), "ended": now, "wanted": None}

    return to


def interrupted(session: str, cost: int, when: datetime) -> RunTransition:
    """Its session is over and the run had not ended; `cost` is what that session has cost it."""

    def to(run: Run) -> Mapping[str, Any] | None:
        if run.session != session or not run.state.live:
            return None
        return {"state": RunState.INTERRUPTED, "ended": when, "spent": run.spent + cost, "settled": True}

    return to


def goes_on(session: str | None, cost: int, *, by_itself: bool = False, **values: Any) -> RunTransition:
    """The same run in another session: finished steps are not run again. `session` is the one it was in."""

    def to(run: Run) -> Mapping[str, Any] | None:
        if run.session != session or run.state is RunState.DONE or (by_itself and not run.state.live):
            return None
        fresh: dict[str, Any] = {"state": RunState.STARTING, "ended": None, "wanted": None, "problem": None}
        # What it cost before is in `spent`: in a session with other work it counts from its new start.
        fresh |= {
            "started": None,
            "session": None,
            "server": "",
            "settled": False,
            "own_session": True,
            "attempt": run.attempt + 1,
        }
        fresh |= {"spent": run.spent + (0 if run.settled else cost), "resumed": run.resumed + 1 if by_itself else 0}
        return fresh | values

    return to


def settled(session: str | None, cost: int) -> RunTransition:
    """It has ended and so has its session: what it has cost is known."""

    def to(run: Run) -> Mapping[str, Any] | None:
        if run.state.live or run.settled or run.session != session:
            return None
        return {"settled": True, "spent": run.spent + cost}

    return to


__all__ = [
    "Relation",
    "Run",
    "RunState",
    "RunTransition",
    "cancel_asked",
    "cancelled",
    "goes_on",
    "interrupted",
    "not_opened",
    "opened",
    "reported",
    "settled",
]
