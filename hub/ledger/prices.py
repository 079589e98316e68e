"""Versions of prices: what a queue cost from when on. A hold keeps the version that it was made with until its end.

A description has a queue's price, and perhaps later ones with their `start`. Whenever descriptions are read, what holds
now is held against the newest version that does; if it differs there is a new one. What is told ahead is there with its
own date until that has come, and follows the description until then: nothing was held with it yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from perijove.hub.ledger.tables import prices
from perijove.spawners.centre import Centre, Price, Queue
from sqlalchemy import Connection, Row, Select, delete, insert, select

_NEWEST = (prices.c.valid_from.desc(), prices.c.id.desc())


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """One row of `prices`: micro-credits for an hour of a core, of a GPU, of a GiB of memory."""

    id: int
    centre: str
    queue: str
    valid_from: datetime
    core_hour: int
    gpu_hour: int
    memory_hour: int

    @classmethod
    def of(cls, row: Row[tuple[object, ...]]) -> PriceVersion:
        """From a row of the store."""
        return cls(**row._mapping)

    @property
    def same_as(self) -> tuple[int, int, int]:
        """Its amounts."""
        return self.core_hour, self.gpu_hour, self.memory_hour


def record(c: Connection, centres: Iterable[Centre], now: datetime) -> list[PriceVersion]:
    """Write down what the descriptions say that is not yet written; what was written now."""
    return [made for centre in centres for queue in centre.queues for made in _record(c, centre.id, queue, now)]


def version_at(c: Connection, centre: str, queue: str, when: datetime) -> PriceVersion | None:
    """The version that holds at `when`; None for a queue that had none then."""
    query = _of(centre, queue).where(prices.c.valid_from <= when).order_by(*_NEWEST).limit(1)
    row = c.execute(query).first()
    return PriceVersion.of(row) if row else None


def version(c: Connection, number: int) -> PriceVersion | None:
    """The version of this number."""
    row = c.execute(select(prices).where(prices.c.id == number)).first()
    return PriceVersion.of(row) if row else None


def listing(c: Connection, centre: str | None = None, queue: str | None = None) -> list[PriceVersion]:
    """All versions by centre and queue, the newest first; also those told ahead."""
    query = select(prices).order_by(prices.c.centre, prices.c.queue, *_NEWEST)
    query = query if centre is None else query.where(prices.c.centre == centre)
    query = query if queue is None else query.where(prices.c.queue == queue)
    return [PriceVersion.of(row) for row in c.execute(query)]


def _of(centre: str, queue: str) -> Select[tuple[object, ...]]:
    return select(prices).where(prices.c.centre == centre, prices.c.queue == queue)


def _amounts(price: Price) -> tuple[int, int, int]:
    return price.core_hour, price.gpu_hour, price.memory_hour


def _record(c: Connection, centre: str, queue: Queue, now: datetime) -> list[PriceVersion]:
    made = []
    current = version_at(c, centre, queue.name, now)
    if current is None or current.same_as != _amounts(queue.price_at(now)):
        made.append(_insert(c, centre, queue.name, now, queue.price_at(now)))
    ahead = {price.start: _amounts(price) for price in queue.prices if price.start > now}
    rows = c.execute(_of(centre, queue.name).where(prices.c.valid_from > now))
    for told in map(PriceVersion.of, rows):
        if ahead.get(told.valid_from) == told.same_as:
            del ahead[told.valid_from]
        else:
            c.execute(delete(prices).where(prices.c.id == told.id))
    by_start = {price.start: price for price in queue.prices}
    return made + [_insert(c, centre, queue.name, start, by_start[start]) for start in sorted(ahead)]


def _insert(c: Connection, centre: str, queue: str, start: datetime, price: Price) -> PriceVersion:
    core, gpu, memory = _amounts(price)
    row = {"centre": centre, "queue": queue, "valid_from": start}
    row |= {"core_hour": core, "gpu_hour": gpu, "memory_hour": memory}
    result = c.execute(insert(prices).values(**row))
    return PriceVersion(int((result.inserted_primary_key or (0,))[0]), centre, queue, start, core, gpu, memory)


__all__ = ["PriceVersion", "listing", "record", "version", "version_at"]
