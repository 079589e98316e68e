"""How much one person may have: parts of the gateway's settings, and what is refused beyond them.

The limits of clusters are per person and centre. What counts is every worker that has not ended and is still wanted,
or runs: one that waits will cost as soon as its node is free. Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from perijove.spawners.fields import Credits, Duration, Memory
from perijove.spawners.units import credits_from, credits_text
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

#: Credits in a file, micro-credits in the program; saved as they are written, so that what is saved can be read.
Cost = Annotated[Credits, PlainSerializer(credits_text, when_used="json")]


class Limits(BaseModel):
    """Immutable, and an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LaunchLimits(Limits):
    """How much may be under way; a request beyond a limit is refused with words, not dropped."""

    #: Live sessions of one person, queued ones too.
    per_person: int = Field(default=20, ge=1, le=10_000)
    #: Submissions at once per centre; further ones wait their turn.
    per_centre: int = Field(default=8, ge=1, le=1000)


class Retention(Limits):
    """For how many days after its end something is kept in the broker's store; 0: for ever."""

    #: A session: how it ended, and what it used.
    sessions: int = Field(default=400, ge=0, le=36_500)
    #: Its events and the last lines of its log; they go with it at the latest.
    events: int = Field(default=90, ge=0, le=36_500)


class AppLimits(Limits):
    """What is kept of runs of apps. A run itself is kept until its owner removes it."""

    #: Copies of files of one person's runs, together: beyond it those of the oldest runs give way.
    kept: Memory = 1024


class LedgerSettings(Limits):
    """What people may spend, and what happens when money ends."""

    #: What a new person may spend of their own, in credits; 0: nothing, until an operator grants it.
    starting_grant: Cost = credits_from("1000")
    #: For so many days; 0: for ever.
    starting_days: int = Field(default=0, ge=0, le=36_500)
    #: Refuse what a budget cannot hold. Otherwise all is recorded, and the gateway's account pays what is missing.
    enforce: bool = True
    #: A session whose money is withdrawn goes on for so long before it is stopped in order.
    notice: Duration = 1800
    #: Compare what was charged with each centre's own accounting, once a day or not at all.
    reconcile: Literal["daily", "off"] = "daily"


class ClusterLimits(Limits):
    """What the Dask workers of one person at one centre may be, together; 0: no limit."""

    #: Workers, those that wait in the queue too.
    workers: int = Field(default=200, ge=0, le=1_000_000)
    #: Their cores.
    cores: int = Field(default=1000, ge=0, le=100_000_000)
    #: What they cost an hour once all of them run, in credits.
    cost_per_hour: Cost = 0
    #: Beyond this many credits an hour the person is asked first.
    confirm_cost_per_hour: Cost = 0

    def view(self) -> dict[str, int | None]:
        """For the API: None where there is no limit; costs in micro-credits."""
        return {key: getattr(self, key) or None for key in type(self).model_fields}


@dataclass(frozen=True, slots=True)
class Used:
    """What a person's workers at a centre are together; cost in micro-credits an hour."""

    workers: int = 0
    cores: int = 0
    cost_per_hour: int = 0

    def view(self) -> dict[str, int]:
        """For the API."""
        return {"workers": self.workers, "cores": self.cores, "cost_per_hour": self.cost_per_hour}


class OverLimit(Exception):
    """More workers than one person may have, or more than was confirmed: a code, and what its words need."""

    def __init__(self, code: str, values: Mapping[str, int]) -> None:
        self.code, self.values = code, values
        super().__init__(f"{code} {dict(values)}")


def check(limits: ClusterLimits, used: Used, count: int, cores: int, price: int, confirmed: bool) -> None:
    """Whether `count` more workers, each of `cores` and `price` (micro-credits an hour), may be asked for.

    Raises:
        OverLimit: "limit-workers", "limit-cores", "limit-cost" (values most, asked, used); "confirm-cost" (values
            cost, limit) where the person is to be asked first and was not.
    """
    more = count * price
    held = (
        ("limit-workers", limits.workers, count, used.workers),
        ("limit-cores", limits.cores, count * cores, used.cores),
        ("limit-cost", limits.cost_per_hour, more, used.cost_per_hour),
    )
    for code, most, asked, has in held:
        if most and asked + has > most:
            raise OverLimit(code, {"most": most, "asked": asked, "used": has})
    cost, limit = used.cost_per_hour + more, limits.confirm_cost_per_hour
    if limit and cost > limit and more and not confirmed:
        raise OverLimit("confirm-cost", {"cost": cost, "limit": limit})


__all__ = ["AppLimits", "ClusterLimits", "LaunchLimits", "LedgerSettings", "OverLimit", "Retention", "Used", "check"]
