"""What is remembered of one submission: what was known of its queue then, what was forecast, and how long it waited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Situation:
    """A queue at one moment, as the batch system told it; None: it did not say, or too long ago."""

    jobs_queued: int | None = None
    cores_free: int | None = None
    #: Seconds until the batch system itself would start a job there.
    wait: float | None = None

    @property
    def known(self) -> bool:
        """Anything is known."""
        return (self.jobs_queued, self.cores_free, self.wait) != (None, None, None)

    def as_json(self) -> dict[str, Any]:
        """For the store."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Self:
        """From the store; what is not there is not known."""
        return cls(**{field.name: (data or {}).get(field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Start:
    """One job's wait in a queue. Times are seconds; `submitted` since the epoch."""

    id: str
    submitted: float
    #: From submission to node; of a job that was cancelled while it waited: until then.
    wait: float
    #: False: it was cancelled while it waited, so that the wait would have been longer (right-censored).
    observed: bool
    cores: int
    walltime: int
    situation: Situation = Situation()
    #: The forecast that was given at submission (`perijove.hub.offers.ranges.Range.as_json`).
    forecast: Mapping[str, Any] | None = None

    @property
    def known_at(self) -> float:
        """When the wait was known."""
        return self.submitted + self.wait
