"""The store: one session per server, changes with their events, leases, migrations; on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from perijove.hub.broker import store as tables
from perijove.hub.broker.database import Database, engine_for
from perijove.hub.broker.events import MESSAGES, Bulletin, message
from perijove.hub.broker.leases import Leases
from perijove.hub.broker.migrations import upgrade
from perijove.hub.broker.records import Change, News, Record
from perijove.hub.broker.sessions import NoPort, Sessions, TooMany, utc_now
from perijove.hub.broker.store import metadata
from perijove.hub.ledger import tables as ledger
from perijove.spawners.session import Stage
from sqlalchemy import insert, select

PORTS = (20000, 20009)


@pytest_asyncio.fixture
async def sessions(url: str) -> AsyncIterator[Sessions]:
    database = Database(url)
    await database.migrate()
    yield Sessions(database, Bulletin(), ports=PORTS)
    await database.close()


def draft(owner: str = "ada", server: str = "") -> Record:
    return Record("", owner, server, True, "lab", "alpha", "cpu", {}, 1, 1024, 0, 3600, 5, {}, utc_now())


async def opened(sessions: Sessions, owner: str = "ada", server: str = "", most: int = 20) -> Record:
    record, _ = await sessions.open(draft(owner, server), "abc", [News.of("checked")], most)
    return record


async def test_a_server_has_one_live_session_whoever_asks_how_often(sessions: Sessions) -> None:
    records = await asyncio.gather(*(opened(sessions) for _ in range(20)))
    assert len({record.id for record in records}) == 1
    await sessions.change(records[0].id, lambda r: Change({"live": None, "stage": Stage.ENDING}))
    assert (await opened(sessions)).id != records[0].id


async def test_ports_are_held_once_and_given_back(sessions: Sessions) -> None:
    records = [await opened(sessions, server=f"s{n}") for n in range(10)]
    assert {record.local_port for record in records} == set(range(20000, 20010))
    with pytest.raises(NoPort):
        await opened(sessions, server="more")
    await sessions.change(records[3].id, lambda r: Change({"local_port": None}))
    assert (await opened(sessions, server="more")).local_port == records[3].local_port


async def test_a_person_has_so_many_and_no_more(sessions: Sessions) -> None:
    for name in ("a", "b"):
        await opened(sessions, server=name, most=2)
    with pytest.raises(TooMany):
        await opened(sessions, server="c", most=2)
    await opened(sessions, owner="bob", server="c", most=2)


async def test_a_change_that_fails_leaves_those_beside_it(sessions: Sessions) -> None:
    record = await opened(sessions)

    def fail(record: Record) -> Change:
        raise ValueError("no")

    changes = [sessions.change(record.id, lambda r, n=n: Change({"attempt": r.attempt + 1})) for n in range(5)]
    results = await asyncio.gather(*changes, sessions.change(record.id, fail), return_exceptions=True)
    assert [type(result) for result in results].count(ValueError) == 1
    found = await sessions.get(record.id)
    assert found is not None and found.attempt == 5


async def test_times_and_stages_come_back_as_they_were(sessions: Sessions) -> None:
    record = await opened(sessions)
    moment = datetime(2026, 3, 1, 12, 30, 1, 250000, tzinfo=UTC)
    await sessions.change(record.id, lambda r: Change({"submitted": moment, "stage": Stage.QUEUED}))
    found = await sessions.get(record.id)
    assert found is not None and found.submitted == moment and found.stage is Stage.QUEUED


async def test_events_come_with_words_and_wake_those_who_wait(sessions: Sessions) -> None:
    record = await opened(sessions)
    news = sessions.bulletin.listen(record.id)
    await sessions.tell(record.id, News.of("submitted", job_id="7"), News.of("ready"))
    await asyncio.wait_for(news, 5)
    first, second, third = await sessions.events(record.id)
    assert second["message"] == "The batch system has the job: 7." and third["code"] == "ready"
    assert [event["id"] for event in await sessions.events(record.id, second["id"])] == [third["id"]]
    found = await sessions.get(record.id)
    assert found is not None and found.last_event == third["id"] and first["values"] == {}


async def test_the_latest_session_of_a_server_is_found_and_the_live_one_before_it(sessions: Sessions) -> None:
    first = await opened(sessions)
    await sessions.change(first.id, lambda r: Change({"live": None, "stage": Stage.ENDED, "local_port": None}))
    second = await opened(sessions)
    found = await sessions.by_name("ada", "")
    assert found is not None and found.id == second.id
    assert [record.id for record in await sessions.listing("ada", live=True)] == [second.id]
    assert [record.id for record in await sessions.unfinished("alpha")].count(first.id) == 1


async def test_two_gateways_on_one_store_have_one_mark(sessions: Sessions, url: str) -> None:
    other = Database(url)
    assert await sessions.tag() == await Sessions(other, Bulletin()).tag()
    await other.close()


async def test_one_of_two_has_the_lease_until_it_runs_out(sessions: Sessions) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    one, two = (Leases(sessions.database, name, lambda: now[0], 30) for name in ("one", "two"))
    assert await one.take("alpha") and await one.take("alpha")
    assert not await two.take("alpha")
    assert await two.take("beta")
    now[0] += timedelta(seconds=31)
    assert await two.take("alpha")
    assert not await one.take("alpha")
    await two.release("alpha")
    assert await one.take("alpha")
    assert await Leases(sessions.database, "one", lambda: now[0], 30).take("alpha")  # the same one, started again


async def test_the_migrations_make_the_tables_that_the_code_has(sessions: Sessions, url: str) -> None:
    engine = engine_for(url, writes=True)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert ledger.holds.metadata is metadata
    engine.dispose()


def test_a_store_of_the_first_version_keeps_its_sessions_and_learns_to_forecast(url: str) -> None:
    engine = engine_for(url, writes=True)
    upgrade(engine, "0001")
    old = {key: value for key, value in draft().row().items() if key not in ("situation", "forecast", "taken")}
    with engine.begin() as connection:
        connection.execute(insert(tables.sessions).values(**old | {"id": "abcdefghijklm", "stage": "ended"}))
    upgrade(engine)
    with engine.begin() as connection:
        record = Record.of(connection.execute(select(tables.sessions)).one())
        assert (record.id, record.situation, record.forecast, record.taken) == ("abcdefghijklm", None, None, None)
        assert connection.scalar(select(tables.sessions.c.id).where(tables.sessions.c.forecast.is_(None)))
    engine.dispose()


def test_every_event_has_words_for_any_values() -> None:
    values: dict[str, Any] = {"detail": "{0.__class__}", "reason": "x" * 10}
    for code in MESSAGES:
        assert message(code, values)
    assert message("nothing-we-know", {}) == "nothing-we-know"


def test_a_store_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="outlive"):
        engine_for("sqlite://", writes=True)
