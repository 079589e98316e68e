"""The gateway is killed while it writes, and several write at once: what was promised is there, and once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ledger.bookkeeping import SEA, T0, asked, granted, money, project
from perijove.hub.broker.database import Database, engine_for
from perijove.hub.broker.migrations import upgrade
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.books import Hold, Subject
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.records import LedgerError
from perijove.hub.ledger.tables import budgets as budget_rows
from perijove.hub.ledger.tables import holds
from sqlalchemy import Connection, Engine, func, select

#: Holds and settles one session after another, and says so once it is committed.
WRITER = """
import itertools, sys
from ledger.bookkeeping import T0, asked, session
from perijove.hub.broker.database import engine_for
from perijove.hub.ledger import books

engine = engine_for(sys.argv[1], writes=True)
for number in itertools.count(int(sys.argv[2])):
    name = f"s{number}"
    with engine.begin() as c:
        books.hold(c, session(name), asked(10), T0)
    print("held", name, flush=True)
    with engine.begin() as c:
        books.settle(c, session(name), "", 4, T0, evidence={})
    print("settled", name, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 4, 7])
def test_killed_while_it_writes_it_has_kept_what_it_said(engine: Engine, url: str, lines: int) -> None:
    with engine.begin() as c:
        project(c, 10**6)
    command = [sys.executable, "-c", WRITER, url.replace("+psycopg", ""), "0"]
    folder = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().split() for _ in range(lines)]
        writer.kill()
        said += [line.split() for line in writer.stdout.read().splitlines()]
    with engine.begin() as c:
        assert books.check(c) == []
        for what, name in said:
            found = one_hold(c, Subject("session", name))
            assert found is not None and (what == "held" or found.state == "settled")
        known = c.scalar(select(func.count()).select_from(holds)) or 0
        assert known - len([what for what, _ in said if what == "held"]) in (0, 1)


def together(url: str, works: list[Callable[[Connection], object]]) -> list[object]:
    """Each in a transaction of a writer of its own, at the same time: what it returns, or is refused with."""
    ready = threading.Barrier(len(works))

    def run(work: Callable[[Connection], object]) -> object:
        engine = engine_for(url, writes=True)
        try:
            ready.wait(30)
            with engine.begin() as c:
                return work(c)
        except LedgerError as refused:
            return refused
        finally:
            engine.dispose()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def holding(name: str, amount: int, person: str = "bob") -> Callable[[Connection], Hold]:
    return lambda c: books.hold(c, Subject("session", name), asked(amount, person), T0)


def test_several_who_spend_at_once_spend_no_more_than_there_is(engine: Engine, url: str) -> None:
    with engine.begin() as c:
        project(c, 100)
    found = together(url, [holding(f"s{number}", 30, ("ada", "bob")[number % 2]) for number in range(8)])
    assert [type(one).__name__ for one in found].count("Hold") == 3
    with engine.begin() as c:
        assert money(c) == (10, 90, 0)


def test_limits_hold_for_several_who_ask_at_once(engine: Engine, url: str) -> None:
    with engine.begin() as c:
        project(c, 1000)
        budgets.set_limit(c, SEA, 60, T0, person="bob")
        budgets.set_limit(c, SEA, 100, T0, centre="alpha")
    found = together(url, [holding(f"s{number}", 30, ("ada", "bob")[number % 2]) for number in range(8)])
    assert [type(one).__name__ for one in found].count("Hold") == 3
    with engine.begin() as c:
        assert money(c) == (910, 90, 0)


def test_the_same_asked_by_several_is_done_once(engine: Engine, url: str) -> None:
    with engine.begin() as c:
        project(c, 100)
    held = together(url, [holding("s1", 30)] * 4)
    assert all(isinstance(one, Hold) for one in held) and len({str(one) for one in held}) == 1
    end = [lambda c, n=n: books.settle(c, Subject("session", "s1"), "", 5 + n, T0, evidence={}) for n in range(3)]
    take = [lambda c: books.withdraw(c, 1, "root", T0)] * 3
    give = [lambda c: books.grant(c, SEA, 7, T0, None, "root", "", T0, key="form")] * 3
    found = together(url, [*end, *take, *give])
    assert len({str(one) for one in found[:3]}) == 1 and len({str(one) for one in found[6:]}) == 1
    assert sorted(found[3:6])[:2] == [0, 0]  # type: ignore[type-var]
    with engine.begin() as c:
        available, on_hold, spent = money(c)
        assert (available, on_hold) == (7, 0) and 5 <= spent <= 7


async def test_many_changes_of_two_brokers_balance_and_none_is_lost(engine: Engine, url: str) -> None:
    with engine.begin() as c:
        project(c, 10**6)
        granted(c, 10**6)
    brokers = [Database(url), Database(url)]
    try:

        async def one(number: int) -> None:
            broker, other, subject = brokers[number % 2], brokers[1 - number % 2], Subject("session", f"s{number}")
            await broker.write(lambda c: books.hold(c, subject, asked(10), T0))
            ends = [
                store.write(lambda c: books.settle(c, subject, "", 4, T0, evidence={})) for store in (broker, other)
            ]
            await asyncio.gather(*ends)

        await asyncio.gather(*(one(number) for number in range(40)))
    finally:
        for broker in brokers:
            await broker.close()
    with engine.begin() as c:
        assert money(c) == (2 * 10**6 - 160, 0, 160)


@pytest.mark.real
def test_two_that_wait_for_each_other_are_both_done_in_the_end(postgresql: str) -> None:
    """A deadlock ends one of the two transactions; the broker's writer makes it again."""
    engine = engine_for(postgresql, writes=True)
    upgrade(engine)
    with engine.begin() as c:
        project(c, 100)
    meet = threading.Barrier(2)

    def crossing(mine: str, theirs: str) -> Callable[[Connection], None]:
        tries = iter(range(9))

        def work(c: Connection) -> None:
            c.execute(select(budget_rows).where(budget_rows.c.key == mine).with_for_update()).all()
            if next(tries) == 0:
                meet.wait(30)
            c.execute(select(budget_rows).where(budget_rows.c.key == theirs).with_for_update()).all()

        return work

    async def both() -> None:
        brokers = [Database(postgresql), Database(postgresql)]
        try:
            await brokers[0].write(lambda c: budgets.ensure_person(c, "bob", 0, T0))
            works = crossing(SEA, "person:bob"), crossing("person:bob", SEA)
            await asyncio.gather(*(broker.write(work) for broker, work in zip(brokers, works, strict=True)))
        finally:
            for broker in brokers:
                await broker.close()

    asyncio.run(both())
    engine.dispose()
