"""What ended long ago goes, in batches; what is not over stays, however old it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest_asyncio
from broker.harness import FAST, Gateway, until
from perijove.hub.broker.database import Database
from perijove.hub.broker.events import Bulletin
from perijove.hub.broker.purge import Purge
from perijove.hub.broker.records import Change, News, Record
from perijove.hub.broker.sessions import Sessions, utc_now
from perijove.hub.ledger import books
from perijove.hub.ledger.records import Holding, Subject
from perijove.hub.limits import Retention
from perijove.spawners.session import Stage
from sqlalchemy import Connection

KEEP = Retention(sessions=400, events=90)


@pytest_asyncio.fixture
async def sessions(url: str) -> AsyncIterator[Sessions]:
    database = Database(url)
    await database.migrate()
    yield Sessions(database, Bulletin())
    await database.close()


async def ended(sessions: Sessions, name: str, days: float, **values: object) -> str:
    """A session that ended so many days ago, with an event and a log."""
    draft = Record("", "ada", name, True, "lab", "alpha", "cpu", {}, 1, 1024, 0, 3600, 5, {}, utc_now())
    record, _ = await sessions.open(draft, "abc", [News.of("checked")], 10_000)
    over = {"stage": Stage.ENDED, "live": None, "local_port": None, "hub_cleared": True, "forgotten": True}
    when: datetime = utc_now() - timedelta(days=days)
    changes = over | {"ended": when, "log_tail": "the last line"} | values
    await sessions.change(record.id, lambda _: Change(changes))
    return record.id


def purge(sessions: Sessions, retention: Retention = KEEP, together: int = 100) -> Purge:
    return Purge(sessions.database, utc_now, retention, together)


async def test_the_old_go_and_the_middle_aged_lose_their_events_and_log(sessions: Sessions) -> None:
    ids = {days: await ended(sessions, f"s{days}", days) for days in (401, 399, 91, 89)}
    assert await purge(sessions).run() == (1, 2)
    assert await sessions.get(ids[401]) is None and await sessions.events(ids[401]) == []
    for days, kept in ((399, False), (91, False), (89, True)):
        found = await sessions.get(ids[days])
        assert found is not None and found.outcome is None
        assert (found.log_tail != "", bool(await sessions.events(ids[days]))) == (kept, kept)
    assert await purge(sessions).run() == (0, 0), "what was trimmed is not looked at again"


async def test_what_is_not_over_stays_however_old(sessions: Sessions) -> None:
    kept = [
        await ended(sessions, "hub", 1000, hub_cleared=False),
        await ended(sessions, "folder", 1000, forgotten=False),
        await ended(sessions, "runs", 1000, stage=Stage.READY),
        await ended(sessions, "open", 1000, stage=Stage.QUEUED, ended=None),
    ]
    assert await purge(sessions).run() == (0, 0)
    for session in kept:
        found = await sessions.get(session)
        assert found is not None and found.log_tail and await sessions.events(session)


async def test_what_money_is_on_hold_for_stays_until_that_is_settled(sessions: Sessions) -> None:
    session = await ended(sessions, "old", 1000)
    about = Subject("session", session)

    def hold(c: Connection) -> None:
        books.hold(c, about, Holding("", "", "alpha", "cpu", 5, 5, None), utc_now())
        books.undecide(c, about, utc_now(), "it vanished")

    await sessions.database.write(hold)
    assert await purge(sessions).run() == (0, 1)
    assert await sessions.get(session) is not None
    await sessions.database.write(lambda c: books.decide(c, about, 3, "root", utc_now(), "") and None)
    assert await purge(sessions).run() == (1, 0)


async def test_a_round_takes_all_that_is_due_in_small_batches(sessions: Sessions) -> None:
    for number in range(7):
        await ended(sessions, f"s{number}", 500)
    young = await ended(sessions, "young", 1)
    batches: list[str] = []
    sessions.database.on_done = lambda kind, seconds: batches.append(kind)
    assert await purge(sessions, together=3).run() == (7, 0)
    assert batches.count("write") == 3
    assert [record.id for record in await sessions.listing()] == [young]


async def test_zero_days_mean_for_ever(sessions: Sessions) -> None:
    one = await ended(sessions, "old", 10_000)
    assert await purge(sessions, Retention(sessions=0, events=0)).run() == (0, 0)
    assert await purge(sessions, Retention(sessions=0, events=90)).run() == (0, 1)
    assert await sessions.get(one) is not None
    assert await purge(sessions, Retention(sessions=400, events=0)).run() == (1, 0)


async def test_the_broker_does_so_by_itself(gateway: Gateway) -> None:
    broker = await gateway.start()
    old, young = await ended(broker.sessions, "old", 500), await ended(broker.sessions, "young", 1)

    async def gone() -> bool:
        return await broker.sessions.get(old) is None

    await until(gone, what=f"a purge every {FAST.purge_every} s")
    assert await broker.sessions.get(young) is not None
