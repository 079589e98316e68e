"""Runs in the store, on SQLite and PostgreSQL: once per key, changed together with their version, removed whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from perijove.hub.broker.appplaces import Places
from perijove.hub.broker.database import Database, engine_for
from perijove.hub.broker.events import Bulletin
from perijove.hub.broker.migrations import upgrade
from perijove.hub.broker.runfiles import MOST_FILE, RunFiles, TooLarge
from perijove.hub.broker.runrecords import Run, RunState, reported, settled
from perijove.hub.broker.runs import MOST_LIVE, KeyUsed, Runs, TooManyRuns
from perijove.hub.broker.runshares import Shares
from perijove.hub.broker.sessions import Sessions, utc_now


@pytest_asyncio.fixture
async def runs(url: str) -> AsyncIterator[Runs]:
    database = Database(url)
    await database.migrate()
    yield Runs(Sessions(database, Bulletin()))
    await database.close()


def draft(owner: str = "ada", key: str = "k", **values: Any) -> Run:
    given: dict[str, Any] = {"app_version": "1.0", "digest": "d" * 64, "title": {"en": "Sums", "zh": "求和"}}
    given |= {"inputs": {"count": 3}, "language": "zh", "needs": {}, "own_session": True, "request": {}}
    given |= {"centre": "alpha", "queue": "cpu", "created": utc_now()}
    return Run(id="", owner=owner, key=key, app="sums", **(given | values))


async def test_a_key_makes_one_run_however_often_it_is_asked(runs: Runs) -> None:
    made = await asyncio.gather(*(runs.add(draft(), "abc") for _ in range(20)))
    assert len({run.id for run, _ in made}) == 1 and sum(new for _, new in made) == 1
    with pytest.raises(KeyUsed):
        await runs.add(draft(inputs={"count": 4}), "abc")
    assert (await runs.add(draft("bob"), "abc"))[1]


async def test_two_brokers_that_hear_the_same_request_at_once_make_one_run(runs: Runs, url: str) -> None:
    other = Runs(Sessions(Database(url), Bulletin()))
    try:
        for n in range(20):
            made = await asyncio.gather(runs.add(draft(key=f"k{n}"), "abc"), other.add(draft(key=f"k{n}"), "abc"))
            assert len({run.id for run, _ in made}) == 1 and sum(new for _, new in made) == 1
    finally:
        await other.database.close()


async def test_a_person_has_so_many_live_runs(runs: Runs) -> None:
    await asyncio.gather(*(runs.add(draft(key=str(n)), "abc") for n in range(MOST_LIVE)))
    with pytest.raises(TooManyRuns):
        await runs.add(draft(key="more"), "abc")
    assert (await runs.add(draft("bob"), "abc"))[1]


async def test_what_is_written_is_read_and_each_change_is_a_version(runs: Runs) -> None:
    made, _ = await runs.add(draft(label="标签", key="x"), "abc")
    said = {"state": "done", "progress": 1, "words": "\x00 图", "results": {"numbers": [{"value": 1e-300}]}}
    after = await runs.change(made.id, reported(said, "/f", None, utc_now()))
    assert after is not None and after.version == 1 and after.report == said and await runs.get(made.id) == after
    assert await runs.change(made.id, reported(said, "/f", None, utc_now())) == after, "the end is told once"
    assert await runs.change("nothing", reported(said, "/f", None, utc_now())) is None
    assert [run.id for run, _ in await runs.unsettled(utc_now())] == [made.id]
    await runs.change(made.id, settled(None, 5))
    assert await runs.unsettled(utc_now()) == [] and (await runs.history())["sums"][0][1] == 5
    assert await runs.counts() == {}
    assert [run.id for run, _ in await runs.listing("ada", app="sums", state=RunState.DONE)] == [made.id]


async def test_kept_files_are_bytes_of_one_run_and_bounded_together(runs: Runs) -> None:
    files = RunFiles(runs.database, utc_now, 3 * MOST_FILE)
    ids = [(await runs.add(draft(key=str(n)), "abc"))[0].id for n in range(3)]
    content = bytes(range(256)) * 4
    kept = await files.keep(ids[0], "a/图 b.png", content)
    assert await files.read(ids[0], "a/图 b.png") == content and kept.media == "image/png" and kept.bytes == 1024
    assert await files.read(ids[1], "a/图 b.png") is None
    with pytest.raises(LookupError):
        await files.keep("none", "a", b"")
    with pytest.raises(TooLarge):
        await files.keep(ids[0], "b", b"x" * (MOST_FILE + 1))
    for run in ids[1:]:
        await files.keep(run, "big", b"x" * MOST_FILE)
    await files.keep(ids[2], "more", b"x" * MOST_FILE)
    listed = await files.listing(*ids)
    assert [[one.file for one in listed[run]] for run in ids] == [[], ["big"], ["big", "more"]]
    with pytest.raises(TooLarge):
        for n in range(9):
            await files.keep(ids[2], f"x{n}", b"x" * MOST_FILE)


async def test_a_link_is_known_by_its_hash_alone(runs: Runs) -> None:
    made, _ = await runs.add(draft(), "abc")
    now = [utc_now()]
    shares = Shares(runs.database, lambda: now[0])
    link, token = await shares.make(made.id, "view", 1, "ada")
    assert await shares.find(token) == link and token not in repr(await shares.listing(made.id))
    assert await shares.find(link.token) is None and await shares.find("\ud800") is None
    now[0] += timedelta(days=2)
    assert await shares.find(token) is None
    assert not await shares.revoke("other", link.id) and await shares.revoke(made.id, link.id)


async def test_the_last_word_on_a_place_counts(runs: Runs) -> None:
    places = Places(runs.database, utc_now)
    words = ({"way": "one"}, {"way": None}) * 5
    await asyncio.gather(*(places.put("alpha", "sums", "d", found, "ada") for found in words))
    await places.put("alpha", "sums", "d", {"way": "one", "missing": []}, "ada")
    assert (await places.known())["sums"]["alpha"].state == "ready"


def test_a_store_of_the_version_before_gets_the_tables_of_runs(url: str) -> None:
    from alembic import command
    from perijove.hub.broker.migrations import config
    from sqlalchemy import inspect

    engine = engine_for(url, writes=True)
    upgrade(engine, "0004")
    assert "runs" not in inspect(engine).get_table_names()
    upgrade(engine)
    assert {"runs", "run_files", "shares", "app_places"} <= set(inspect(engine).get_table_names())
    settings = config()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0004")
    assert "runs" not in inspect(engine).get_table_names()
    engine.dispose()
