"""How fast are the books? Holds and settles a second, and what balances and statements take over a long journal.

A made-up year of one gateway: people with budgets of their own and a few projects, sessions and worker arrays at nine
centres, written through the broker's own writer (so many changes in one commit), on SQLite and, with `--url`, on a
PostgreSQL that has an empty database.

    python deploy/bench/ledger.py [--entries 100000] [--url postgresql://...]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from perijove.hub.broker.database import Database
from perijove.hub.ledger import books, budgets, statements
from perijove.hub.ledger.books import Holding, Subject
from perijove.hub.ledger.tables import ledger_entries
from sqlalchemy import Connection, func, select

PEOPLE, PROJECTS, CENTRES, TOGETHER = 100, 10, 9, 50
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)


def people(c: Connection) -> None:
    """Everybody has money, and is in one project."""
    for number in range(PROJECTS):
        key = budgets.create_project(c, f"p{number}", "A project", "root", BEGUN).key
        books.grant(c, key, 10**14, BEGUN, None, "root", "", BEGUN)
    for number in range(PEOPLE):
        budgets.ensure_person(c, f"u{number}", 10**13, BEGUN)
        budgets.add_member(c, f"project:p{number % PROJECTS}", f"u{number}", "member", BEGUN, limit=10**13)


def job(chance: random.Random) -> Holding:
    """What somebody asks for."""
    who, where = chance.randrange(PEOPLE), chance.randrange(CENTRES)
    budget = f"person:u{who}" if chance.random() < 0.5 else f"project:p{who % PROJECTS}"
    hourly, hours = chance.randrange(10**5, 10**7), chance.randrange(1, 24)
    return Holding(budget, f"u{who}", f"centre{where}", f"q{chance.randrange(3)}", hourly, hourly * hours, None)


async def one(database: Database, number: int, chance: random.Random) -> None:
    """A session: held, and settled in another transaction."""
    subject, holding, now = Subject("session", f"s{number}"), job(chance), BEGUN + STEP * number
    charge, evidence = int(holding.amount * chance.random()), {"core_seconds": 7200, "job_id": str(number)}
    await database.write(lambda c: books.hold(c, subject, holding, now))
    await database.write(lambda c: books.settle(c, subject, "", charge, now + STEP, evidence=evidence))


def size(c: Connection) -> int:
    """How many entries there are."""
    return int(c.scalar(select(func.count()).select_from(ledger_entries)) or 0)


async def fill(database: Database, entries: int) -> None:
    """Sessions, so many at a time, until there are that many entries."""
    chance, done = random.Random(1), 0  # noqa: S311
    while (now := await database.read(size)) < entries:
        begun, count = time.perf_counter(), min(2000, 1 + (entries - now) // 3)
        for first in range(done, done + count, TOGETHER):
            last = min(first + TOGETHER, done + count)
            await asyncio.gather(*(one(database, number, chance) for number in range(first, last)))
        done += count
        if count == 2000:
            pace = 2 * count / (time.perf_counter() - begun)
            print(f"{now:7d} entries: {pace:5.0f} holds and settles a second, {TOGETHER} at a time")


async def alone(database: Database) -> None:
    """One after the other, each with a commit of its own, as when one person starts one session."""
    chance, begun = random.Random(2), time.perf_counter()  # noqa: S311
    for number in range(200):
        await one(database, 10**6 + number, chance)
    print(f"one at a time: {400 / (time.perf_counter() - begun):.0f} holds and settles a second")


async def reads(database: Database) -> None:
    """Each question several times."""
    now, month = BEGUN + timedelta(days=300), timedelta(days=30)
    questions: dict[str, Callable[[Connection], Any]] = {
        "balance of a person": lambda c: books.balance(c, "person:u7", now),
        "balance of a project": lambda c: books.balance(c, "project:p7", now),
        "burn of a project": lambda c: books.burn(c, "project:p7", now),
        "statement, first page": lambda c: statements.entries(c, budget="project:p7"),
        "use by day, one person": lambda c: statements.usage(c, "day", person="u7"),
        "use by day, a project's month": lambda c: statements.usage(c, "day", budget="project:p7", since=now - month),
        "use by queue, all": lambda c: statements.usage(c, "queue"),
        "use by day, all": lambda c: statements.usage(c, "day"),
        "owed, all": statements.owed,
        "owed, a month": lambda c: statements.owed(c, now - month, now),
    }
    for name, question in questions.items():
        taken = []
        for _ in range(20):
            begun = time.perf_counter()
            await database.read(question)
            taken.append(1000 * (time.perf_counter() - begun))
        print(f"{name:32s} median {median(taken):7.1f} ms, 95 % {quantiles(taken, n=20)[-1]:7.1f} ms")
    begun = time.perf_counter()
    found = await database.read(books.check)
    print(f"the whole check: {time.perf_counter() - begun:.1f} s, {found or 'the books balance'}")


async def run(url: str, entries: int) -> None:
    """All of it on one store."""
    database = Database(url)
    try:
        await database.migrate()
        await database.write(people)
        await fill(database, entries)
        await alone(database)
        await reads(database)
    finally:
        await database.close()


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--url", help="an empty database; without it a new SQLite file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(given.url or f"sqlite:///{Path(folder) / 'ledger.sqlite'}", given.entries))


if __name__ == "__main__":
    main()
