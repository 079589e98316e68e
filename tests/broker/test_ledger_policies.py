"""What is held by policy: warm jobs, money that is withdrawn or ends, members and their limits, new prices."""

from __future__ import annotations

from datetime import timedelta

import pytest
from broker.harness import Gateway, until
from broker.ledgerworld import (
    CREDIT,
    HOUR,
    balance,
    count,
    hold_of,
    priced,
    ran_for,
    read,
    sound,
)
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.records import Record
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.tables import holds, ledger_entries
from perijove.hub.limits import LedgerSettings
from perijove.spawners.centre import Warm
from perijove.spawners.session import Stage
from sqlalchemy import Connection, func, select


async def test_a_warm_session_is_its_persons_cost_only_from_when_they_took_it_over(gateway: Gateway) -> None:
    priced(gateway)
    described = gateway.centre.described
    gateway.centre.described = described.model_copy(update={"warm": Warm(number=1, walltime=7200)})
    gateway.centre.auto = True
    await gateway.start()

    async def ready() -> Record | None:
        found = await gateway.broker.sessions.listing("", True)
        return next((one for one in found if one.live and one.connected and one.stage is Stage.STARTING), None)

    spare: Record = await until(ready)
    warm = await hold_of(gateway, spare.id, "warm")
    assert (warm.budget, warm.person, warm.amount) == ("", "", 2 * CREDIT)
    taken = await gateway.open("ada", "x", kind="app")
    assert taken.id == spare.id and taken.taken is not None and taken.ends_by is not None
    assert (await hold_of(gateway, spare.id, "warm")).state == "settled"
    held = await hold_of(gateway, taken.id)
    left = (taken.ends_by - taken.taken).total_seconds()
    assert held.budget == "person:ada" and held.amount == taken.price
    assert abs(held.amount - left * CREDIT / 3600) < 2
    await gateway.at(taken.id, Stage.READY)
    ended = await ran_for(gateway, taken, HOUR)
    assert ended.ended is not None
    used = (ended.ended - taken.taken).total_seconds()
    assert abs((await hold_of(gateway, taken.id)).charged - used * CREDIT / 3600) < 2
    await sound(gateway)


async def test_who_cannot_pay_for_the_rest_of_a_warm_job_gets_a_shorter_one_of_their_own(gateway: Gateway) -> None:
    priced(gateway, starting_grant="1.2")
    described = gateway.centre.described
    gateway.centre.described = described.model_copy(update={"warm": Warm(number=1, walltime=7200)})
    gateway.centre.auto = True
    await gateway.start()

    async def ready() -> bool:
        return any(one.live and one.connected for one in await gateway.broker.sessions.listing("", True))

    await until(ready)
    own = await gateway.open("ada", "x", kind="app", walltime="1h")
    assert own.taken is None and (await hold_of(gateway, own.id)).amount == CREDIT
    await sound(gateway)


async def project(gateway: Gateway, amount: int = 10 * CREDIT) -> int:
    """A project of ada's with a grant, whose number is given."""
    now = gateway.broker.parts.clock()

    def work(c: Connection) -> int:
        budgets.create_project(c, "sea", "The sea", "ada", now)
        budgets.add_member(c, "project:sea", "bob", "member", now)
        return books.grant(c, "project:sea", amount, now, None, "root", "", now).id

    return await gateway.broker.parts.database.write(work)


async def withdraw(gateway: Gateway, grant: int, how: str) -> None:
    now = gateway.broker.parts.clock()

    def work(c: Connection) -> None:
        if how == "grant":
            books.withdraw(c, grant, "root", now)
        elif how == "project":
            budgets.close(c, "project:sea", now)
        else:
            budgets.remove_member(c, "project:sea", "bob", now)

    await gateway.broker.parts.database.write(work)


@pytest.mark.parametrize("how", ["grant", "project", "member"])
async def test_a_session_whose_money_is_withdrawn_is_told_and_ended_after_the_notice(
    gateway: Gateway, how: str
) -> None:
    priced(gateway)
    await gateway.start()
    gateway.centre.auto = True
    grant = await project(gateway)
    paid = await gateway.open("bob", "work", budget="project:sea", walltime="1h")
    other = await gateway.open("bob", "own", walltime="1h")
    assert (await hold_of(gateway, paid.id)).budget == "project:sea"
    await gateway.at(paid.id, Stage.READY)
    await withdraw(gateway, grant, how)

    async def told() -> bool:
        return "budget-withdrawn" in await gateway.codes(paid.id)

    await until(told)
    assert (await gateway.get_session(paid.id)).live
    await gateway.restart()
    clock = gateway.broker.parts.clock
    later = LedgerSettings().notice + 1
    gateway.broker.parts.clock = lambda: clock() + timedelta(seconds=later)
    ended = await gateway.at(paid.id, Stage.ENDED)
    assert ended.asked_by == "policy" and (await gateway.codes(paid.id)).count("budget-withdrawn") == 1
    assert (await gateway.get_session(other.id)).live
    await sound(gateway)


async def test_a_grant_that_ends_pays_for_what_it_holds_and_for_nothing_more(gateway: Gateway) -> None:
    priced(gateway, starting_grant="0")
    await gateway.start()
    gateway.centre.auto = True
    clock = gateway.broker.parts.clock
    now = clock()

    def give(c: Connection) -> None:
        budgets.ensure_person(c, "ada", 0, now)
        books.grant(c, "person:ada", 5 * CREDIT, now, now + HOUR, "root", "", now)

    await gateway.broker.parts.database.write(give)
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.READY)
    gateway.broker.parts.clock = lambda: clock() + 2 * HOUR

    async def expired() -> bool:
        found = await read(gateway, lambda c: c.scalar(select(func.count()).where(ledger_entries.c.kind == "expire")))
        return bool(found)

    await until(expired)
    assert (await gateway.get_session(record.id)).live
    assert "budget-withdrawn" not in await gateway.codes(record.id)
    assert (await balance(gateway)).available == 0
    with pytest.raises(Refusal):
        await gateway.open(server="more", walltime="1h")
    await ran_for(gateway, record, HOUR / 2)
    await sound(gateway)


async def test_only_members_spend_a_project_and_no_more_than_their_limit(gateway: Gateway) -> None:
    priced(gateway)
    await gateway.start()
    await project(gateway)
    now = gateway.broker.parts.clock()

    def limit(c: Connection) -> None:
        budgets.ensure_person(c, "ada", CREDIT, now)
        budgets.set_limit(c, "project:sea", 2 * CREDIT, now, person="bob")

    await gateway.broker.parts.database.write(limit)
    for who, server, budget, hours, code in (
        ("eve", "a", "project:sea", 1, "not-member"),
        ("bob", "b", "project:sea", 3, "budget-limit"),
        ("bob", "c", "person:ada", 1, "not-member"),
        ("bob", "d", "project:none", 1, "not-member"),
    ):
        with pytest.raises(Refusal) as caught:
            await gateway.open(who, server, budget=budget, walltime=f"{hours}h")
        assert caught.value.code == code
    assert await count(gateway, holds) == 0
    await sound(gateway)


async def test_a_new_price_is_for_what_is_asked_for_from_then_on(gateway: Gateway) -> None:
    priced(gateway)
    await gateway.start()
    gateway.centre.auto = True
    old = await gateway.open(walltime="1h")
    described = gateway.broker.parts.centres["alpha"]
    (queue,) = described.queues
    dearer = queue.model_copy(update={"price": queue.price.model_copy(update={"core_hour": 3 * CREDIT})})
    gateway.broker.parts.centres = {"alpha": described.model_copy(update={"queues": (dearer,)})}
    new = await gateway.open(server="new", walltime="1h")
    assert (await hold_of(gateway, old.id)).hourly == CREDIT and (await hold_of(gateway, new.id)).hourly == 3 * CREDIT
    await gateway.at(old.id, Stage.READY)
    await ran_for(gateway, old, HOUR)
    assert (await hold_of(gateway, old.id)).charged == CREDIT
    await sound(gateway)
