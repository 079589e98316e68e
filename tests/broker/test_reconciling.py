"""Reports of what was charged against a centre's accounting, through the whole broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from broker.harness import Gateway, until
from broker.simulated import SimSystem, SimulatedCentre, centre
from perijove.hub.broker import reconcilestore as reports
from perijove.hub.broker.reconciling import NotKept
from perijove.hub.broker.records import Record
from perijove.hub.ledger import books
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.records import Subject
from perijove.spawners.batch import Command, Output
from perijove.spawners.batch.base import usages
from perijove.spawners.centre import Price
from perijove.spawners.job import Accounting
from perijove.spawners.session import Stage


class Accounts:
    """The accounting of the simulated centre; `extra` seconds of each job are a difference."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gateway, self.complete, self.extra, self.lost = gateway, True, 0, set[str]()

        def _told(system: SimSystem, outputs: Sequence[Output]) -> Accounting:
            return self.told(system, outputs)

        monkeypatch.setattr(SimSystem, "accounting", lambda system, *window: [Command(("sim", "accounting"))])
        monkeypatch.setattr(SimSystem, "parse_accounting", _told)

    def told(self, system: SimSystem, outputs: Sequence[Output]) -> Accounting:
        system._check(outputs[0])
        jobs = [job.status() for job in self.gateway.centre.jobs.values() if job.id not in self.lost]
        told = (replace(one, elapsed=(one.elapsed or 0) + self.extra, cores=1) for one in usages(jobs))
        return Accounting(tuple(told), "sim", self.complete)


@pytest.fixture
def accounts(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    queue = gateway.centre.described.queues[0].model_copy(update={"price": Price(core_hour=3600)})
    gateway.centre.described = gateway.centre.described.model_copy(update={"queues": (queue,)})
    gateway.centre.auto = True
    return Accounts(gateway, monkeypatch)


async def one_that_ended(gateway: Gateway, *, forgotten: bool = False) -> Record:
    """A session that cost a credit a second; `forgotten`: of whose end the batch system says nothing."""
    await gateway.start()
    record = await gateway.open(walltime="1m")
    await gateway.at(record.id, Stage.READY)
    (job,) = gateway.centre.of(record.id)
    job.started = datetime.now(UTC) - timedelta(seconds=20)
    gateway.centre.has_history = not forgotten
    gateway.centre.end(job)
    return await gateway.at(record.id, Stage.ENDED)


async def report(gateway: Gateway) -> dict[str, Any]:
    broker = gateway.broker
    await until(lambda: broker.keepers["alpha"].held)
    number = await broker.reconciling.run("alpha", datetime.now(UTC).date())
    found = await broker.parts.database.read(lambda c: reports.listing(c, "alpha"))
    return next(one for one in found if one["id"] == number)


async def hold_of(gateway: Gateway, record: Record) -> Any:
    return await gateway.broker.parts.database.read(lambda c: one_hold(c, Subject("session", record.id)))


async def test_what_was_charged_is_what_the_centre_says(gateway: Gateway, accounts: Accounts) -> None:
    await one_that_ended(gateway)
    made = await report(gateway)
    assert (made["state"], made["jobs_ours"], made["jobs_theirs"], made["differences"]) == ("sound", 1, 1, [])
    accounts.complete = False
    made = await report(gateway)
    assert made["state"] == "partial" and "forgets" in made["detail"]


async def test_other_hours_are_reported_and_nothing_is_changed(gateway: Gateway, accounts: Accounts) -> None:
    record = await one_that_ended(gateway)
    before = await hold_of(gateway, record)
    accounts.extra = 500
    made = await report(gateway)
    (one,) = made["differences"]
    assert (made["state"], one["kind"], one["theirs"] - one["ours"] >= 450) == ("differences", "hours", True)
    assert one["subject"] == record.id and one["decided"] is None
    assert await hold_of(gateway, record) == before


async def test_a_job_that_the_store_lacks_is_reported(gateway: Gateway, accounts: Accounts) -> None:
    record = await one_that_ended(gateway)
    (job,) = gateway.centre.of(record.id)
    gateway.centre.jobs["99"] = replace(job, id="99", name=job.name[:5] + "z" * 10, environment={})
    (one,) = (await report(gateway))["differences"]
    assert (one["kind"], one["job_id"], one["subject"]) == ("not-ours", "99", job.name[2:5] + "z" * 10)


async def test_a_job_that_the_centre_does_not_know_is_reported(gateway: Gateway, accounts: Accounts) -> None:
    record = await one_that_ended(gateway)
    accounts.lost.add(str(record.job_id))
    (one,) = (await report(gateway))["differences"]
    assert (one["kind"], one["theirs"], one["subject"]) == ("not-at-centre", None, record.id)


async def test_what_nobody_knew_the_cost_of_is_settled_once(gateway: Gateway, accounts: Accounts) -> None:
    record = await one_that_ended(gateway, forgotten=True)
    assert (await hold_of(gateway, record)).state == "undecided"
    made = await report(gateway)
    (one,) = made["differences"]
    assert (made["state"], one["kind"], one["decided_by"]) == ("sound", "undecided", "accounting")
    after = await hold_of(gateway, record)
    assert after.state == "settled" and 19 * 10**6 <= after.charged <= 30 * 10**6
    assert (await report(gateway))["differences"] == []
    assert await hold_of(gateway, record) == after
    assert await gateway.broker.parts.database.read(books.check) == []


async def test_a_centre_that_does_not_answer_leaves_a_report_of_that(gateway: Gateway, accounts: Accounts) -> None:
    await one_that_ended(gateway)
    gateway.centre.unavailable = "the controller does not answer"
    made = await report(gateway)
    assert made["state"] == "failed" and "does not answer" in made["detail"] and made["ended"] is not None


async def test_each_day_is_reconciled_once_when_it_is_over(gateway: Gateway, accounts: Accounts) -> None:
    await one_that_ended(gateway)
    broker = gateway.broker
    await broker.reconciling.round()
    await broker.reconciling.round()
    found = await broker.parts.database.read(lambda c: reports.listing(c, None))
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert [(one["centre"], one["day"]) for one in found] == [("alpha", yesterday.isoformat())]


async def test_only_the_broker_that_keeps_a_centre_reconciles_it(gateway: Gateway, accounts: Accounts) -> None:
    await gateway.start()
    with pytest.raises(NotKept):
        await gateway.broker.reconciling.run("nowhere", datetime.now(UTC).date())


async def listed(gateway: Gateway) -> list[dict[str, Any]]:
    return await gateway.broker.parts.database.read(lambda c: reports.listing(c, None))


async def test_the_hourly_look_reports_only_what_it_settles(gateway: Gateway, accounts: Accounts) -> None:
    record = await one_that_ended(gateway, forgotten=True)
    broker = gateway.broker
    gateway.centre.jobs["99"] = replace(gateway.centre.of(record.id)[0], id="99", name="pj" + "z" * 13)
    keeper, now = broker.keepers["alpha"], broker.parts.clock()
    accounts.lost.add(str(record.job_id))
    await broker.reconciling._undecided(keeper, now)
    assert await listed(gateway) == [] and (await hold_of(gateway, record)).state == "undecided"
    accounts.lost.clear()
    await broker.reconciling._undecided(keeper, now + timedelta(days=8))  # it ended too long ago to be looked for
    assert await listed(gateway) == [] and (await hold_of(gateway, record)).state == "undecided"
    await broker.reconciling._undecided(keeper, now)
    (made,) = await listed(gateway)
    (one,) = made["differences"]
    assert (made["state"], one["kind"], one["decided_by"]) == ("sound", "undecided", "accounting")
    assert (await hold_of(gateway, record)).state == "settled"
    await broker.reconciling._undecided(keeper, now)
    assert len(await listed(gateway)) == 1


async def test_an_unexpected_fault_at_one_centre_keeps_no_other_from_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(tmp_path, SimulatedCentre(), SimulatedCentre(centre("beta")))
    accounts = Accounts(gateway, monkeypatch)

    def told(system: SimSystem, outputs: Sequence[Output]) -> Accounting:
        if system is gateway.centre.system:
            raise KeyError("Elapsed")
        return accounts.told(system, outputs)

    monkeypatch.setattr(SimSystem, "parse_accounting", told)
    gateway.centre.auto = True
    broker = await gateway.start()
    try:
        await until(lambda: all(keeper.held for keeper in broker.keepers.values()))
        record = await gateway.open()
        job = (await gateway.at(record.id, Stage.READY)).job_id
        assert job is not None
        gateway.centre.end(gateway.centre.jobs[job])
        await gateway.at(record.id, Stage.ENDED)
        clock = broker.parts.clock
        broker.parts.clock = lambda: clock() + timedelta(days=1)
        await broker.reconciling.round()
        found = {one["centre"]: one for one in await listed(gateway)}
    finally:
        await gateway.stop()
    assert {name: one["state"] for name, one in found.items()} == {"alpha": "failed", "beta": "sound"}
    assert "KeyError" in found["alpha"]["detail"] and "could not be reconciled" in caplog.text
