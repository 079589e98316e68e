"""A gateway with prices, and what its books say: for the tests of the ledger in the broker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from broker.harness import Gateway
from perijove.hub.broker.records import Record
from perijove.hub.ledger import books
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.records import Balance, Hold, Subject
from perijove.hub.ledger.tables import holds, ledger_accounts
from perijove.hub.limits import LedgerSettings
from perijove.spawners.job import Reason
from perijove.spawners.session import Stage
from sqlalchemy import Connection, func, select

T = TypeVar("T")
HOUR = timedelta(hours=1)
#: A credit for each core and hour.
PRICED = [{"name": "cpu", "cores": 64, "memory": "256G", "max_time": "2d", "price": {"core_hour": "1"}}]
CREDIT = 1_000_000


def priced(gateway: Gateway, **settings: Any) -> None:
    """The centre wants money; the gateway's settings are these."""
    described = gateway.centre.described
    queues = [type(described.queues[0]).model_validate(queue) for queue in PRICED]
    gateway.centre.described = described.model_copy(update={"queues": tuple(queues)})
    gateway.ledger = LedgerSettings(**settings)


async def read(gateway: Gateway, work: Callable[[Connection], T]) -> T:
    return await gateway.broker.parts.database.read(work)


async def sound(gateway: Gateway) -> None:
    """The books balance."""
    assert await read(gateway, books.check) == []


async def hold_of(gateway: Gateway, session: str, kind: str = "session") -> Hold:
    found = await read(gateway, lambda c: one_hold(c, Subject(kind, session)))
    assert found is not None
    return found


async def balance(gateway: Gateway, person: str = "ada") -> Balance:
    now = gateway.broker.parts.clock()
    return await read(gateway, lambda c: books.balance(c, f"person:{person}", now))


async def count(gateway: Gateway, table: Any) -> int:
    return int(await read(gateway, lambda c: c.scalar(select(func.count()).select_from(table))) or 0)


async def income(gateway: Gateway) -> int:
    query = select(func.coalesce(func.sum(ledger_accounts.c.balance), 0)).where(ledger_accounts.c.kind == "centre")
    return int(await read(gateway, lambda c: c.scalar(query)) or 0)


async def ran_for(gateway: Gateway, record: Record, lasted: timedelta, reason: Reason = Reason.COMPLETED) -> Record:
    """Its job ends; the batch system says that it ran for so long."""
    job = next(job for job in gateway.centre.live() if job.session == record.id)
    gateway.centre.end(job, reason)
    assert job.ended is not None
    job.started = job.ended - lasted
    return await gateway.at(record.id, Stage.ENDED)


async def out_of_touch(gateway: Gateway) -> None:
    """Hours pass in which nothing is heard of the centre; then it knows none of its jobs."""
    context = gateway.broker.keepers["alpha"].context
    clock = context.clock
    context.clock = lambda: clock() + 3 * HOUR
    gateway.centre.jobs.clear()


def workers_holds() -> Any:
    return select(holds).where(holds.c.kind == "workers")
