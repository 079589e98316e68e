"""Which offer is best for what matters to the person, and why: a stated order, with reasons that are true.

The balance counts in doublings: an offer that costs twice as much is as bad as one whose wait (by the median and the
upper end, beyond ten minutes) is twice as long; each wanted data set that lies elsewhere is as bad as both together.
Whatever matters, a centre that answers comes before one that is silent; of equal ones the data decides, then the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any, Literal, get_args

from perijove.hub.offers.ranges import Range

Prefer = Literal["start", "price", "data", "balanced"]
PREFERENCES: tuple[Prefer, ...] = get_args(Prefer)
#: Seconds of wait that nobody minds.
SHORT = 600.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is weighed of an offer that fits. `price` in micro-credits."""

    price: int
    start: Range
    data: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an offer is recommended: a code for catalogues, and the values of its words."""

    code: Literal["soonest", "cheapest", "data-here", "only-fit", "best-balance"]
    values: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """For the API."""
        return {"code": self.code, "values": self.values}


Key = tuple[float, ...]


def ranking(candidates: Sequence[Candidate], prefer: Prefer) -> Callable[[Candidate], Key]:
    """The sort key under which the best of `candidates` comes first."""
    unit = min((one.price for one in candidates if one.price > 0), default=1)

    def start(one: Candidate) -> Key:
        return one.start.likely, one.start.middle[1], one.start.high

    def balance(one: Candidate) -> float:
        wait = log2(1 + one.start.likely / SHORT) + log2(1 + one.start.high / SHORT)
        return wait / 2 + log2(1 + one.price / unit) + 2 * len(one.missing)

    def key(one: Candidate) -> Key:
        first: dict[Prefer, Key] = {
            "start": start(one),
            "price": (one.price,),
            "data": (len(one.missing), balance(one)),
            "balanced": (balance(one),),
        }
        return float(one.silent), *first[prefer], len(one.missing), *start(one), one.price

    return key


def reasons(best: Candidate, others: Sequence[Candidate]) -> list[Reason]:
    """What speaks for `best`, which was chosen among it and `others`; each is true of all that fit."""
    if not others:
        return [Reason("only-fit", {})]
    found: list[Reason] = []
    waits, prices = [one.start.likely for one in others], [one.price for one in others]
    if best.start.likely <= min(waits) and best.start.likely < max(waits):
        found.append(Reason("soonest", {"likely": best.start.likely, "next": min(waits)}))
    if best.price <= min(prices) and best.price < max(prices):
        found.append(Reason("cheapest", {"price": best.price, "next": min(prices)}))
    if best.data and not best.missing:
        found.append(Reason("data-here", {"data": list(best.data)}))
    return found or [Reason("best-balance", {"likely": best.start.likely, "price": best.price})]


__all__ = ["PREFERENCES", "Candidate", "Prefer", "Reason", "ranking", "reasons"]
