"""A session as everybody sees it: its stages, and the view of it that the broker's HTTP API gives.

The broker owns sessions (`perijove.hub.broker`); the spawner, pages, widgets and commands read this view and nothing
else. Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Self


class Stage(StrEnum):
    """How far a session has come. It goes forward only, but for a requeued job, which goes back to `QUEUED`."""

    CHECKED = "checked"  # the intent is written; nothing is known to be submitted
    SUBMITTED = "submitted"  # the batch system has the job
    QUEUED = "queued"  # the batch system lists it as waiting
    GRANTED = "granted"  # it has its node
    STARTING = "starting"  # the agent answered; the server is being started
    READY = "ready"  # the server answers through the tunnel
    ENDING = "ending"  # somebody asked that it be stopped
    ENDED = "ended"  # positive evidence of the end

    @property
    def before_server(self) -> bool:
        """The server has not been started: an environment that is handed over now will be used."""
        return self in (Stage.CHECKED, Stage.SUBMITTED, Stage.QUEUED, Stage.GRANTED)

    @property
    def pending(self) -> bool:
        """It is on its way to `READY`."""
        return self.before_server or self is Stage.STARTING


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session in the API's JSON. Times are ISO 8601 texts (UTC), memory in MiB, price in micro-credits."""

    id: str
    owner: str
    server: str
    kind: str
    centre: str
    queue: str
    cores: int
    memory: int
    gpus: int
    walltime: int
    price: int
    stage: Stage
    reason: str = ""
    raw_reason: str = ""
    job_id: str | None = None
    node: str | None = None
    url: str | None = None
    connected: bool = False
    unknown_since: str | None = None
    needs_environment: bool = False
    created: str | None = None
    submitted: str | None = None
    started: str | None = None
    ready: str | None = None
    ended: str | None = None
    ends_by: str | None = None
    expected: str | None = None
    taken: str | None = None
    outcome: str | None = None
    exit_code: int | None = None
    asked_by: str | None = None
    detail: str = ""
    log_tail: str = ""
    last_event: int = 0
    #: What was asked for, fit to start again; the forecast that was given then; jobs ahead in the queue, where known.
    request: Mapping[str, Any] | None = None
    forecast: Mapping[str, Any] | None = None
    ahead: int | None = None
    #: What it costs, in micro-credits: `budget`, `held`, `spent` so far, `hourly`, and the `state` of its hold.
    money: Mapping[str, Any] | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """A view from the API's JSON; keys of a newer broker are ignored.

        Raises:
            KeyError, ValueError, TypeError: this is no session.
        """
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        return cls(**known | {"stage": Stage(data["stage"])})

    @property
    def live(self) -> bool:
        """Neither ended nor asked to end."""
        return self.stage not in (Stage.ENDING, Stage.ENDED)


__all__ = ["SessionView", "Stage"]
