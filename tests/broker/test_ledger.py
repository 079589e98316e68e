"""Money and sessions: held with the intent, settled with the end, whatever is killed in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from broker.clusterworld import World
from broker.harness import Gateway, until
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.records import Record
from perijove.hub.broker.sessions import TooMany
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.records import Balance, Hold, Subject
from perijove.hub.ledger.tables import holds, ledger_accounts, ledger_entries, refusals
from perijove.hub.limits import LedgerSettings
from perijove.spawners.centre import Price, Warm
from perijove.spawners.job import Reason
from perijove.spawners.request import BadRequest
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


async def out_of_touch(gateway: Gateway) -> None:
    """Hours pass in which nothing is heard of the centre; then it knows none of its jobs."""
    context = gateway.broker.keepers["alpha"].context
    clock = context.clock
    context.clock = lambda: clock() + 3 * HOUR
    gateway.centre.jobs.clear()


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


@pytest.mark.parametrize("silent", [True, False], ids=["after a long silence", "at once"])
async def test_workers_that_nobody_wants_any_more_are_charged_until_they_were_seen(
    gateway: Gateway, silent: bool
) -> None:
    priced(gateway)
    gateway.centre.has_history = False
    world = World(gateway)
    await world.begin(cores=2, walltime="1h")
    await world.ask(1)
    await until(lambda: len(world.jobs()) == 1)
    (batch,) = await world.desk.clusters.batches(world.id)
    (job,) = world.jobs()
    gateway.centre.run(job)
    await world.until("running")
    gateway.centre.cancel_fails = 1000
    await world.desk.close(await world.cluster(), "ada")
    if silent:
        await out_of_touch(gateway)
    else:
        del gateway.centre.jobs[job.id]
    await world.until("ended")
    held = await hold_of(gateway, batch.job.id, "workers")
    assert (held.state, held.charged > 0) == (("undecided", False) if silent else ("settled", True))
    await sound(gateway)


async def test_workers_of_an_array_are_settled_one_by_one_by_what_pays_for_their_head(gateway: Gateway) -> None:
    priced(gateway)
    world = World(gateway)
    await world.begin(cores=2, walltime="1h")
    await world.ask(3)
    await until(lambda: len(world.jobs()) == 3)
    (batch,) = await world.desk.clusters.batches(world.id)
    held = await hold_of(gateway, batch.job.id, "workers")
    assert (held.amount, held.count, held.hourly, held.budget) == (6 * CREDIT, 3, 2 * CREDIT, "person:ada")
    first, second, third = world.jobs()
    for job in (first, second, third):
        gateway.centre.run(job)
    await world.until("running", "running", "running")
    gateway.centre.end(first, Reason.COMPLETED)
    assert first.ended is not None
    first.started = first.ended - HOUR / 2
    await world.until("ended", "running", "running")
    held = await hold_of(gateway, batch.job.id, "workers")
    assert (held.charged, held.open, held.done, held.state) == (CREDIT, 4 * CREDIT, 1, "open")
    view = await world.desk.view(await world.cluster())
    assert view["money"]["hourly"] == 4 * CREDIT and CREDIT <= view["money"]["spent"] < CREDIT + 10_000
    for job in (second, third):
        gateway.centre.end(job, Reason.COMPLETED)
        assert job.ended is not None
        job.started = job.ended - HOUR / 4
    await world.until("ended", "ended", "ended")
    held = await hold_of(gateway, batch.job.id, "workers")
    assert (held.charged, held.open, held.state) == (2 * CREDIT, 0, "settled")
    await sound(gateway)


@pytest.mark.parametrize(
    "point", ["workers-intent", "workers-before-submission", "workers-after-submission", "workers-submitted"]
)
async def test_killed_while_workers_are_submitted_they_are_held_and_charged_once(gateway: Gateway, point: str) -> None:
    priced(gateway)
    world = World(gateway)
    await world.begin(cores=1, walltime="1h")
    gateway.point = point
    await world.ask(2)
    await until(gateway.reached.is_set, what=point)
    await gateway.restart()
    await world.until("queued", "queued")
    await world.ask(2)
    assert await count(gateway, holds) == 2 and (await balance(gateway)).held == CREDIT + 2 * CREDIT
    for job in world.jobs():
        gateway.centre.run(job)
    await world.until("running", "running")
    gateway.point = "workers-before-cancel"
    gateway.reached.clear()
    await world.desk.close(await world.cluster(), "ada")
    await until(gateway.reached.is_set, what="workers-before-cancel")
    await gateway.restart()
    await world.closed()
    (batch,) = await read(gateway, lambda c: [Hold.of(row) for row in c.execute(workers_holds())])
    assert (batch.state, batch.done) == ("settled", 2) and batch.charged == await income(gateway)
    await sound(gateway)


def workers_holds() -> Any:
    return select(holds).where(holds.c.kind == "workers")


async def test_workers_for_which_there_is_not_the_money_are_refused_and_none_is_asked_for(gateway: Gateway) -> None:
    priced(gateway, starting_grant="50")
    world = World(gateway)
    await world.begin(cores=2, walltime="1h")
    with pytest.raises(Refusal) as caught:
        await world.ask(100)
    assert caught.value.code == "balance"
    assert await world.desk.clusters.batches(world.id) == [] and not world.jobs()
    assert (await world.ask(1)) and await count(gateway, holds) == 2
    await sound(gateway)


async def test_what_no_books_can_hold_is_refused_in_words_for_a_session_and_for_workers(gateway: Gateway) -> None:
    priced(gateway, enforce=False)
    world = World(gateway)
    (queue,) = gateway.centre.described.queues
    dear = queue.model_copy(update={"price": Price(core_hour=100_000_000)})
    gateway.centre.described = gateway.centre.described.model_copy(update={"queues": (dear,)})
    await world.begin(cores=1, walltime="1h")
    with pytest.raises(Refusal) as caught:
        await world.ask(20)
    assert (caught.value.code, caught.value.status) == ("too-dear", 400)
    assert await world.desk.clusters.batches(world.id) == []
    with pytest.raises(Refusal) as caught:
        await gateway.open(server="b", cores=64, walltime="1h")
    assert caught.value.code == "too-dear"
    assert await count(gateway, holds) == 1


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
