"""Versions of prices follow the descriptions, and what was told ahead comes into force by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from perijove.hub.ledger import prices
from perijove.spawners.centre import Centre, parse
from pydantic import ValidationError
from sqlalchemy import Connection, Engine

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def centre(core: str = "0.5", **later: str) -> Centre:
    ahead = [{"start": f"{day[1:].replace('_', '-')}T00:00:00Z", "core_hour": price} for day, price in later.items()]
    queue = {"name": "cpu", "cores": 4, "memory": "8G", "price": {"core_hour": core, "memory_hour": 1}, "prices": ahead}
    given = {"id": "here", "name": {"en": "Here", "zh": "这里"}, "scheduler": {"system": "local"}}
    return parse({**given, "environment": {"python": "/usr/bin/python3"}, "queues": [queue]})


def core_at(c: Connection, when: datetime) -> int | None:
    found = prices.version_at(c, "here", "cpu", when)
    return found.core_hour if found else None


def test_a_price_is_written_down_once_and_again_when_it_changes(engine: Engine) -> None:
    with engine.begin() as c:
        (first,) = prices.record(c, [centre()], NOW)
        assert prices.record(c, [centre()], NOW + DAY) == []
        (second,) = prices.record(c, [centre("0.75")], NOW + 2 * DAY)
        assert core_at(c, NOW - DAY) is None
        assert (core_at(c, NOW), core_at(c, NOW + DAY), core_at(c, NOW + 2 * DAY)) == (500_000, 500_000, 750_000)
        assert prices.version(c, first.id) == first and first.memory_hour == 1_000_000
        assert prices.listing(c, "here") == [second, first] and prices.listing(c, "there") == []


def test_a_price_back_to_what_it_was_is_a_version_of_its_own(engine: Engine) -> None:
    with engine.begin() as c:
        for day, price in enumerate(("1", "2", "1")):
            prices.record(c, [centre(price)], NOW + day * DAY)
        assert [found.core_hour for found in prices.listing(c)] == [1_000_000, 2_000_000, 1_000_000]


def test_what_is_told_ahead_holds_from_its_day_without_anybody_reading_it_again(engine: Engine) -> None:
    told = centre(_2027_01_01="2")
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    with engine.begin() as c:
        assert len(prices.record(c, [told], NOW)) == 2
        assert prices.record(c, [told], NOW + DAY) == []
        assert core_at(c, new_year - timedelta(seconds=1)) == 500_000 and core_at(c, new_year) == 2_000_000
        assert prices.record(c, [told], new_year + DAY) == [], "it has come into force as it was told"
        queue = told.queues[0]
        assert queue.price_at(new_year).core_hour == 2_000_000 and queue.price_at(NOW).core_hour == 500_000


def test_what_is_told_ahead_follows_the_description_until_it_holds(engine: Engine) -> None:
    with engine.begin() as c:
        prices.record(c, [centre(_2027_01_01="2")], NOW)
        prices.record(c, [centre(_2027_02_01="3")], NOW + DAY)
        assert core_at(c, datetime(2027, 1, 15, tzinfo=UTC)) == 500_000
        assert core_at(c, datetime(2027, 2, 1, tzinfo=UTC)) == 3_000_000
        assert len(prices.listing(c)) == 2


def test_two_prices_from_the_same_moment_are_a_fault() -> None:
    queue = centre(_2027_01_01="2").queues[0]
    twice = [price.model_dump() for price in queue.prices] * 2
    with pytest.raises(ValidationError, match="same time"):
        type(queue).model_validate({**queue.model_dump(), "prices": twice})
