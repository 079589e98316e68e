"""Money and sessions: held with the intent, settled with the end, whatever is killed in between."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from broker.harness import Gateway, until
from broker.ledgerworld import (
    CREDIT,
    HOUR,
    balance,
    count,
    hold_of,
    income,
    out_of_touch,
    priced,
    ran_for,
    read,
    sound,
)
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.records import Record
from perijove.hub.broker.sessions import TooMany
from perijove.hub.ledger import books
from perijove.hub.ledger.records import Balance, Subject
from perijove.hub.ledger.tables import holds, ledger_entries, refusals
from perijove.spawners.request import BadRequest
from perijove.spawners.session import Stage
from sqlalchemy import func, select


async def test_a_session_holds_the_most_it_can_cost_and_pays_for_what_it_used(gateway: Gateway) -> None:
    priced(gateway)
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open(cores=2, walltime="3h")
    held = await hold_of(gateway, record.id)
    assert (held.amount, held.hourly, held.state, held.budget) == (6 * CREDIT, 2 * CREDIT, "open", "person:ada")
    assert held.amount == record.price
    assert await balance(gateway) == Balance(994 * CREDIT, 6 * CREDIT, 0, 1000 * CREDIT, None)
    await gateway.at(record.id, Stage.READY)
    money = (await gateway.broker.meters.sessions([await gateway.get_session(record.id)]))[record.id]
    assert money is not None and money["held"] == 6 * CREDIT and money["hourly"] == 2 * CREDIT
    await ran_for(gateway, record, HOUR)
    assert await balance(gateway) == Balance(998 * CREDIT, 0, 2 * CREDIT, 1000 * CREDIT, None)
    ended = await gateway.get_session(record.id)
    money = (await gateway.broker.meters.sessions([ended]))[record.id]
    assert money is not None and (money["spent"], money["held"], money["state"]) == (2 * CREDIT, 0, "settled")
    assert await income(gateway) == 2 * CREDIT
    await sound(gateway)


async def test_what_never_started_costs_nothing(gateway: Gateway) -> None:
    priced(gateway)
    await gateway.start()
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.QUEUED)
    await gateway.broker.ask_to_stop(record, "ada")
    await gateway.at(record.id, Stage.ENDED)
    assert await balance(gateway) == Balance(1000 * CREDIT, 0, 0, 1000 * CREDIT, None)
    await sound(gateway)


POINTS = ["intent", "before-submission", "after-submission", "submitted", "queued", "granted", "server-started"]


@pytest.mark.parametrize("point", POINTS)
async def test_killed_while_starting_nothing_is_held_twice_or_lost(gateway: Gateway, point: str) -> None:
    priced(gateway)
    gateway.point = point
    await gateway.start()
    gateway.centre.auto = point in ("granted", "server-started")
    record = await gateway.open(walltime="1h")
    await until(gateway.reached.is_set, what=point)
    await gateway.restart()
    gateway.centre.auto = True
    await gateway.at(record.id, Stage.STARTING, Stage.READY)
    assert await count(gateway, holds) == 1
    assert (await balance(gateway)).held == CREDIT
    await ran_for(gateway, record, HOUR / 2)
    assert await balance(gateway) == Balance(999 * CREDIT + CREDIT // 2, 0, CREDIT // 2, 1000 * CREDIT, None)
    await sound(gateway)


@pytest.mark.parametrize("point", ["before-cancel", "ending"])
async def test_killed_while_ending_it_is_charged_once(gateway: Gateway, point: str) -> None:
    priced(gateway)
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open(walltime="1h")
    ready = await gateway.at(record.id, Stage.READY)
    gateway.point = point
    await gateway.broker.ask_to_stop(ready, "ada")
    await until(gateway.reached.is_set, what=point)
    assert (await hold_of(gateway, record.id)).state == "open"
    await gateway.restart()
    await gateway.at(record.id, Stage.ENDED)
    settled = await hold_of(gateway, record.id)
    assert settled.state == "settled" and settled.charged == await income(gateway)
    settles = select(func.count()).where(ledger_entries.c.kind == "settle")
    assert await read(gateway, lambda c: c.scalar(settles)) == 1
    await sound(gateway)


async def test_a_request_that_is_refused_leaves_nothing_but_the_word_of_it(gateway: Gateway) -> None:
    priced(gateway, starting_grant="1.5")
    await gateway.start()
    with pytest.raises(Refusal) as caught:
        await gateway.open(cores=2, walltime="1h")
    said = caught.value
    assert (said.status, said.code) == (409, "balance") and said.values is not None
    assert (said.values["missing"], said.values["available"]) == (CREDIT // 2, CREDIT + CREDIT // 2)
    assert said.faults[0]["field"] == "budget" and "0.5 are missing" in said.message
    assert await gateway.broker.sessions.listing() == [] and await count(gateway, holds) == 0
    (row,) = await read(gateway, lambda c: c.execute(select(refusals)).all())
    assert (row.person, row.centre, row.queue, row.code, row.missing) == ("ada", "alpha", "cpu", "balance", CREDIT // 2)
    await sound(gateway)


async def test_of_two_requests_at_once_with_money_for_one_one_is_served(gateway: Gateway) -> None:
    priced(gateway, starting_grant="1.5")
    await gateway.start()
    answers = await asyncio.gather(
        *(gateway.open(server=name, walltime="1h") for name in ("a", "b")), return_exceptions=True
    )
    assert sum(isinstance(answer, Record) for answer in answers) == 1
    assert sum(isinstance(answer, Refusal) and answer.code == "balance" for answer in answers) == 1
    assert (await balance(gateway)).held == CREDIT
    await sound(gateway)


async def test_other_refusals_at_a_centre_are_counted(gateway: Gateway) -> None:
    priced(gateway)
    await gateway.start()
    gateway.broker.parts.per_person = 1
    await gateway.open(walltime="1h")
    with pytest.raises(TooMany):
        await gateway.open(server="b")
    with pytest.raises(BadRequest):
        await gateway.open(server="c", cores=1000)
    codes = await read(gateway, lambda c: list(c.scalars(select(refusals.c.code).order_by(refusals.c.id))))
    assert codes == ["too-many", "too-much"]


async def test_without_enforcement_nothing_is_refused_and_the_gateway_pays(gateway: Gateway) -> None:
    priced(gateway, starting_grant="0.25", enforce=False)
    await gateway.start()
    gateway.centre.auto = True
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.READY)
    await ran_for(gateway, record, HOUR)
    assert await income(gateway) == CREDIT
    assert (await balance(gateway)).available == 0
    await sound(gateway)


async def test_an_end_that_nobody_can_tell_stays_on_hold_until_an_operator_says(gateway: Gateway) -> None:
    priced(gateway)
    await gateway.start()
    gateway.centre.auto, gateway.centre.has_history = True, False
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.READY)
    for tunnel in list(gateway.centre.tunnels):
        await tunnel.close()
    gateway.centre.jobs.clear()
    ended = await gateway.at(record.id, Stage.ENDED)
    assert ended.outcome == "other"
    assert (await hold_of(gateway, record.id)).state == "undecided"
    assert (await balance(gateway)).held == CREDIT
    now, about = gateway.broker.parts.clock(), Subject("session", record.id)
    await gateway.broker.parts.database.write(lambda c: books.decide(c, about, 250_000, "root", now, "seen in a log"))
    assert await balance(gateway) == Balance(999_750_000, 0, 250_000, 1000 * CREDIT, None)
    await sound(gateway)


@pytest.mark.parametrize("outcome", ["cancelled", "walltime"])
async def test_an_end_in_a_long_silence_is_not_charged_until_now_whatever_it_is_called(
    gateway: Gateway, outcome: str
) -> None:
    priced(gateway)
    await gateway.start()
    gateway.centre.has_history = False
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.QUEUED)
    (job,) = gateway.centre.of(record.id)
    job.started = gateway.broker.parts.clock() - (HOUR - timedelta(minutes=1) if outcome == "walltime" else HOUR / 4)
    gateway.centre.run(job)
    await gateway.at(record.id, Stage.READY)
    gateway.centre.cancel_fails = 1000
    if outcome == "cancelled":
        await gateway.broker.ask_to_stop(record, "ada")
        await gateway.at(record.id, Stage.ENDING)
    for tunnel in list(gateway.centre.tunnels):
        await tunnel.close()
    await out_of_touch(gateway)
    gateway.centre.cancel_fails = 0
    assert (await gateway.at(record.id, Stage.ENDED)).outcome == outcome
    held = await hold_of(gateway, record.id)
    assert (held.state, held.charged, held.open) == ("undecided", 0, CREDIT)
    await sound(gateway)


async def test_a_cancelled_job_that_is_forgotten_at_once_is_settled(gateway: Gateway) -> None:
    priced(gateway)
    await gateway.start()
    gateway.centre.auto, gateway.centre.has_history = True, False
    record = await gateway.open(walltime="1h")
    await gateway.at(record.id, Stage.READY)
    gateway.centre.cancel_fails = 1000
    await gateway.broker.ask_to_stop(record, "ada")
    await gateway.at(record.id, Stage.ENDING)
    for tunnel in list(gateway.centre.tunnels):
        await tunnel.close()
    gateway.centre.jobs.clear()
    assert (await gateway.at(record.id, Stage.ENDED)).outcome == "cancelled"
    held = await hold_of(gateway, record.id)
    assert held.state == "settled" and 0 < held.charged < CREDIT // 10
