"""Sessions that are kept warm: as many as the operator says, taken over by whoever opens an app."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from broker.harness import Gateway, until
from broker.simulated import SimulatedCentre
from perijove.hub.broker import warm
from perijove.hub.broker.records import Record
from perijove.hub.broker.sessions import TooMany
from perijove.spawners.centre import Warm
from perijove.spawners.session import Stage


def keeping(gateway: Gateway, **settings: Any) -> None:
    """The operator writes this into the centre's description."""
    described = gateway.centre.described
    gateway.centre.described = described.model_copy(update={"warm": Warm(**settings)})


async def spares(gateway: Gateway) -> list[Record]:
    return [one for one in await gateway.broker.sessions.listing("", True) if one.live]


async def ready_ones(gateway: Gateway, number: int) -> list[Record]:
    async def there() -> list[Record] | None:
        found = await spares(gateway)
        return found if [one.stage for one in found if one.connected] == [Stage.STARTING] * number else None

    found: list[Record] = await until(there, what=f"{number} warm sessions")
    return found


async def begin(gateway: Gateway, **settings: Any) -> list[Record]:
    keeping(gateway, **settings)
    gateway.centre.auto = True
    await gateway.start()
    return await ready_ones(gateway, settings["number"])


async def test_none_is_kept_unless_the_operator_says_so(gateway: Gateway) -> None:
    await gateway.start()
    await gateway.broker.warm.look()
    assert await spares(gateway) == [] and gateway.centre.live() == []


async def test_the_next_person_takes_one_over_and_another_is_made(gateway: Gateway) -> None:
    (spare,) = await begin(gateway, number=1)
    jobs = len(gateway.centre.live())
    taken = await gateway.open("ada", "climate", kind="app", options={"app": "climate"})
    assert taken.id == spare.id and taken.owner == "ada" and taken.taken is not None
    ready = await gateway.at(taken.id, Stage.READY)
    job = next(job for job in gateway.centre.live() if job.name == ready.job)
    assert job.environment["JUPYTERHUB_SERVICE_PREFIX"] == "/user/ada/climate/"
    assert '"climate"' in job.environment["PERIJOVE_OPTIONS"]
    assert "kept-warm" in await gateway.codes(taken.id)
    (another,) = await ready_ones(gateway, 1)
    assert another.id != spare.id and len(gateway.centre.live()) == jobs + 1


async def test_it_waits_without_being_given_up_and_the_hub_never_hears_of_it(gateway: Gateway) -> None:
    (spare,) = await begin(gateway, number=1)
    await asyncio.sleep(2 * gateway.timing.launch_limit)  # longer than a job may take to come up
    (still,) = await ready_ones(gateway, 1)
    assert still.id == spare.id and gateway.hub.starts == [] and gateway.hub.stops == []
    assert "environment-needed" not in await gateway.codes(spare.id)


async def test_twenty_people_at_once_share_out_three(gateway: Gateway) -> None:
    warm_ones = {one.id for one in await begin(gateway, number=3)}
    people = [f"p{number}" for number in range(20)]
    opened = await asyncio.gather(*(gateway.open(name, "x", kind="app") for name in people))
    assert len({one.id for one in opened}) == 20
    assert len(warm_ones & {one.id for one in opened}) == 3
    ups = await asyncio.gather(*(gateway.at(one.id, Stage.READY) for one in opened))
    assert sorted(one.owner for one in ups) == sorted(people)


async def test_the_same_asked_for_twice_at_once_is_one_session(gateway: Gateway) -> None:
    await begin(gateway, number=2)
    first, second = await asyncio.gather(*(gateway.open("ada", "x", kind="app") for _ in range(2)))
    assert first.id == second.id
    assert (await gateway.open("ada", "x", kind="app")).id == first.id


@pytest.mark.parametrize("options", [{"cores": 2}, {"memory": "64G"}, {"kind": "lab"}, {"walltime": "1d"}])
async def test_who_asks_for_more_or_for_another_kind_gets_a_job_of_their_own(
    gateway: Gateway, options: dict[str, Any]
) -> None:
    (spare,) = await begin(gateway, number=1, memory=2048, walltime=7200)
    other = await gateway.open("ada", "x", **({"kind": "app"} | options))
    assert other.id != spare.id and other.taken is None


async def test_a_person_has_no_more_sessions_for_it(gateway: Gateway) -> None:
    await begin(gateway, number=1)
    gateway.broker.parts.per_person = 1
    await gateway.open("ada", "x", kind="app")
    await ready_ones(gateway, 1)
    with pytest.raises(TooMany):
        await gateway.open("ada", "y", kind="app")


async def test_offers_say_that_one_is_ready_to_whom_it_serves(gateway: Gateway) -> None:
    (spare,) = await begin(gateway, number=1, memory=2048, walltime=7200)

    def evidence(**options: Any) -> list[str]:
        offers = gateway.broker.offers({"centre": "alpha", "queue": spare.queue, "memory": 1024, **options}).offers
        return [offer.start.evidence for offer in offers if offer.start is not None]

    assert evidence(kind="app") == evidence(kind="app", walltime=3600) == ["warm"]
    assert "warm" not in evidence(kind="app", cores=2) + evidence(kind="app", walltime="1d") + evidence(kind="lab")
    # What it can cost is what is held as it is taken over: it lasts to its job's end.
    offers = gateway.broker.offers({"centre": "alpha", "queue": spare.queue, "memory": 1024, "kind": "app"}).offers
    [placement] = [offer.placement for offer in offers if offer.placement is not None]
    taken = await gateway.open("ada", "x", kind="app", memory=1024, queue=spare.queue)
    assert taken.id == spare.id and 7000 < placement.walltime <= 7200
    assert 0 <= placement.price - taken.price <= placement.hourly * 60 // 3600
    assert evidence(kind="app") != ["warm"] or [one.id for one in await spares(gateway)] != [spare.id]


async def test_those_that_are_not_as_described_any_more_are_replaced(gateway: Gateway) -> None:
    (spare,) = await begin(gateway, number=1, memory=2048)
    keeping(gateway, number=1, memory=4096)
    gateway.broker.parts.centres = {"alpha": gateway.centre.described}

    async def replaced() -> bool:
        return [(one.memory, one.connected) for one in await spares(gateway)] == [(4096, True)]

    await until(replaced)
    assert (await gateway.at(spare.id, Stage.ENDED)).outcome == "cancelled"


async def test_those_too_many_go_when_the_operator_keeps_fewer(gateway: Gateway) -> None:
    await begin(gateway, number=3)
    keeping(gateway, number=1)
    gateway.broker.parts.centres = {"alpha": gateway.centre.described}
    await ready_ones(gateway, 1)
    await until(lambda: len(gateway.centre.live()) == 1)
    assert gateway.hub.stops == []


async def test_the_pool_sleeps_when_nobody_comes_and_wakes_with_the_next(gateway: Gateway) -> None:
    keeping(gateway, number=1, idle=60)
    gateway.centre.auto = True
    await gateway.start()
    await ready_ones(gateway, 1)
    gateway.broker.warm._awake_since = gateway.broker.parts.clock().replace(year=2020)
    await until(lambda: not gateway.centre.live())
    assert await spares(gateway) == []
    await gateway.open("ada", "x", kind="app")
    await ready_ones(gateway, 1)


async def test_one_whose_time_runs_out_is_replaced(gateway: Gateway) -> None:
    (spare,) = await begin(gateway, number=1)
    soon = gateway.broker.parts.clock()
    await gateway.broker.sessions.change(spare.id, lambda r: warm.Change({"ends_by": soon}))

    async def another() -> bool:
        return [one.id for one in await spares(gateway)] not in ([spare.id], [])

    await until(another)
    assert (await gateway.at(spare.id, Stage.ENDED)).outcome == "cancelled"


async def test_a_broker_that_was_killed_finds_them_again(gateway: Gateway) -> None:
    before = {one.id for one in await begin(gateway, number=2)}
    await gateway.restart()
    assert {one.id for one in await ready_ones(gateway, 2)} == before
    assert len(gateway.centre.live()) == 2


@pytest.mark.parametrize("point", ["intent", "before-submission", "after-submission", "submitted", "tunnel-open"])
async def test_killed_at_any_step_there_are_still_as_many(gateway: Gateway, point: str) -> None:
    keeping(gateway, number=1)
    gateway.centre.auto = True
    gateway.point = point
    await gateway.start()
    await asyncio.wait_for(gateway.reached.wait(), 10)
    await gateway.restart()
    (spare,) = await ready_ones(gateway, 1)
    taken = await gateway.open("ada", "x", kind="app")
    assert taken.id == spare.id
    await gateway.at(taken.id, Stage.READY)


async def test_killed_as_it_was_taken_over_it_is_its_persons(gateway: Gateway) -> None:
    (spare,) = await begin(gateway, number=1)
    record = await gateway.broker.open("ada", "x", {"centre": "alpha", "kind": "app"})
    await gateway.restart()  # before the hub was told
    assert record.id == spare.id
    assert (await gateway.at(record.id, Stage.READY)).owner == "ada"


def test_accounts_that_are_not_shared_cannot_keep_any(tmp_path: Path) -> None:
    described = SimulatedCentre().described.model_dump()
    described["login"] |= {"identity": "key"}
    described["scheduler"] |= {"system": "slurm"}
    described["warm"] = {"number": 1, "queue": "nowhere"}
    with pytest.raises(ValueError, match="nobody can wait for somebody else") as caught:
        type(SimulatedCentre().described).model_validate(described)
    assert "no queue of this centre" in str(caught.value)
