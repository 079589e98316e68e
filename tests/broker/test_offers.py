"""Offers, centres and previews over the API: from what was heard in the watcher's round, and from nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from broker.callers import Api
from broker.harness import Gateway, until
from broker.simulated import SimSystem, centre
from perijove.hub.broker.memory import APART, Memory, start_of
from perijove.hub.broker.records import Change
from perijove.hub.broker.sessions import utc_now
from perijove.hub.broker.submission import job_spec
from perijove.hub.offers.starts import Start
from perijove.spawners.batch import Command, Output
from perijove.spawners.job import JobSpec, QueueStatus, Reason
from perijove.spawners.request import Request
from perijove.spawners.session import SessionView, Stage

ERA5 = {"name": "era5", "title": {"en": "ERA5", "zh": "再分析资料"}, "path": "/data/era5", "size": "2G"}
OPTIONS: dict[str, Any] = {"centre": "alpha", "cores": 2, "memory": "1G", "data": ["era5"]}


@pytest_asyncio.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    gateway.centre.described = centre(datasets=[ERA5])
    await gateway.start()
    one = Api(gateway)
    yield one
    await one.client.aclose()


async def heard(gateway: Gateway) -> Memory:
    """The memory of the centre, once it has been heard from."""
    memory = gateway.broker.keepers["alpha"].memory
    await until(lambda: memory.queues_at and memory.as_of)
    return memory


async def test_an_offer_says_start_price_and_data_and_why_it_is_recommended(gateway: Gateway, api: Api) -> None:
    await heard(gateway)
    answer = (await api("POST", "/offers", json={**OPTIONS, "prefer": "start"})).json()
    assert answer["prefer"] == "start" and datetime.fromisoformat(answer["as_of"])
    assert answer["recommended"] == {"centre": "alpha", "queue": "cpu", "reasons": [{"code": "only-fit", "values": {}}]}
    (offer,) = answer["offers"]
    assert offer["fits"] and offer["recommended"] and offer["faults"] == []
    assert (offer["cores"], offer["memory"], offer["gpus"], offer["walltime"]) == (2, 1024, 0, 3600)
    assert offer["data"] == ["era5"] and offer["data_missing"] == []
    start = offer["start"]
    assert set(start) == {"low", "likely", "high", "middle", "evidence", "count", "days", "expected"}
    assert start["evidence"] == "centre" and start["low"] <= start["middle"][0] <= start["likely"] <= start["high"]
    assert datetime.fromisoformat(offer["as_of"]) and offer["unknown_since"] is None


async def test_what_does_not_fit_has_the_change_that_would_make_it_fit(api: Api) -> None:
    answer = (await api("POST", "/offers", json={"cores": 65, "walltime": "3d", "data": ["cmip6"]})).json()
    assert answer["recommended"] is None
    (offer,) = answer["offers"]
    assert not offer["fits"] and "start" not in offer and offer["data_missing"] == ["cmip6"]
    fixes = [fault["fix"] for fault in offer["faults"]]
    assert fixes == [{"field": "cores", "value": 64}, {"field": "walltime", "value": 172800}]
    assert (await api("POST", "/offers", json={"prefer": "luck"})).json()["faults"][0]["field"] == "prefer"


async def test_no_page_view_asks_a_centre_anything_even_one_that_is_down(gateway: Gateway, api: Api) -> None:
    await heard(gateway)
    await api("POST", "/sessions", json={"options": OPTIONS})
    gateway.centre.unavailable = "slurm_load_jobs error"
    await until(lambda: gateway.broker.keepers["alpha"].unknown)
    for task in gateway.broker.keepers["alpha"]._loops:
        task.cancel()
    asked = len(gateway.centre.commands)
    (offer,) = (await api("POST", "/offers", json=OPTIONS)).json()["offers"]
    (described,) = (await api("GET", "/centres")).json()["centres"]
    assert (await api("POST", "/preview", json=OPTIONS)).status_code == 200
    assert offer["fits"] and offer["unknown_since"] == described["unknown_since"] is not None
    assert offer["as_of"] == described["as_of"] < offer["unknown_since"]
    assert len(gateway.centre.commands) == asked


async def test_a_session_keeps_its_forecast_and_what_was_known_and_teaches_its_wait(gateway: Gateway, api: Api) -> None:
    memory = await heard(gateway)
    view = (await api("POST", "/sessions", json={"options": OPTIONS})).json()
    assert view["forecast"]["evidence"] == "centre" and view["ahead"] is None
    assert Request.parse(view["request"]) == Request.parse(OPTIONS)
    await gateway.at(view["id"], Stage.QUEUED)
    assert not memory.starts("cpu")
    gateway.centre.run(gateway.centre.live()[0])
    await gateway.at(view["id"], Stage.READY)
    await until(lambda: memory.starts("cpu"))
    (start,) = memory.starts("cpu")
    assert start.observed and start.situation.cores_free == 100 and start.forecast == view["forecast"]
    shown = SessionView.parse((await api("GET", f"/sessions/{view['id']}")).json())
    assert shown.forecast == view["forecast"] and shown.request == view["request"]
    await until(lambda: memory.last_ready)
    (described,) = (await api("GET", "/centres")).json()["centres"]
    (queue,) = described["queues"]
    assert described["last_ready"] == shown.ready
    assert queue["waits"]["count"] == queue["scores"]["count"] == 1 and queue["scores"]["cover90"] == 1.0
    (data,) = described["datasets"]
    assert data == {
        "name": "era5",
        "title": ERA5["title"],
        "path": "/data/era5",
        "bytes": 2 << 30,
        "description": None,
        "licence": "",
        "cite": "",
    }
    *_, (at, free, cores, queued) = queue["load"]
    assert datetime.fromisoformat(at) and (free, cores, queued) == (100, 640, None)


async def test_history_survives_a_restart_and_a_cancelled_wait_is_known_to_be_censored(
    gateway: Gateway, api: Api
) -> None:
    await heard(gateway)
    ran = (await api("POST", "/sessions", json={"server": "a", "options": OPTIONS})).json()["id"]
    left = (await api("POST", "/sessions", json={"server": "b", "options": OPTIONS})).json()["id"]
    for one in (ran, left):
        await gateway.at(one, Stage.QUEUED)
    gateway.centre.run(gateway.centre.of(ran)[0])
    await gateway.at(ran, Stage.READY)
    await api("DELETE", f"/sessions/{left}")
    await gateway.at(left, Stage.ENDED)
    memory = gateway.broker.keepers["alpha"].memory
    await until(lambda: len(memory.starts("cpu")) == 2)
    before = _by_id(memory)
    assert {one.id: one.observed for one in before.values()} == {ran: True, left: False}
    await gateway.stop()
    await gateway.start()
    memory = gateway.broker.keepers["alpha"].memory
    await until(lambda: len(memory.starts("cpu")) == 2)
    assert _by_id(memory) == before
    assert memory.last_ready is not None


def _by_id(memory: Memory) -> dict[str, Start]:
    return {one.id: one for one in memory.starts("cpu")}


async def test_a_preview_is_the_script_of_the_real_job_but_for_its_id(gateway: Gateway, api: Api) -> None:
    shown = (await api("POST", "/preview", json=OPTIONS)).json()
    view = (await api("POST", "/sessions", json={"options": OPTIONS})).json()
    await gateway.at(view["id"], Stage.QUEUED)
    record = await gateway.get_session(view["id"])
    real = gateway.centre.system.submit(job_spec(gateway.centre.described, record))
    assert shown["script"].replace("previewsample", view["id"]) == real.stdin
    assert [word.replace("previewsample", view["id"]) for word in shown["argv"]] == list(real.argv)
    assert "ssh-ed25519" not in str(shown) and "PRIVATE" not in str(shown)
    assert not [one for one in await gateway.broker.sessions.listing() if one.id != view["id"]]
    assert (await api("POST", "/preview", json={"cores": 2})).json()["faults"][0]["field"] == "centre"
    assert (await api("POST", "/preview", json=OPTIONS, who="")).status_code == 401


class Telling(SimSystem):
    """A batch system that estimates starts; counts how often it is asked."""

    asked: list[JobSpec]

    def estimate(self, job: JobSpec) -> Command:
        self.asked.append(job)
        return Command(("sim", "estimate"))

    def parse_estimate(self, output: Output) -> datetime:
        return datetime.now(UTC) + timedelta(hours=5)

    def parse_queues(self, output: Output) -> list[QueueStatus]:
        return [QueueStatus("cpu", True, 640, 0, jobs_queued=70)]


async def test_the_batch_system_is_asked_for_an_estimate_in_the_round_and_seldom(gateway: Gateway) -> None:
    system = Telling(gateway.centre.described.scheduler, gateway.centre)
    system.asked = []
    gateway.centre.system = system
    await gateway.start()
    one = Api(gateway)
    memory = await heard(gateway)
    cpu = gateway.centre.described.queues[0]
    await until(lambda: memory.expected(cpu, utc_now()))
    rounds = gateway.centre.calls["status"]
    await until(lambda: gateway.centre.calls["status"] > rounds + 10)
    assert len(system.asked) == 1
    assert (system.asked[0].cores, system.asked[0].queue, system.asked[0].gpus) == (16, "cpu", 0)
    (offer,) = (await one("POST", "/offers", json={"cores": 2})).json()["offers"]
    wait = datetime.fromisoformat(offer["start"]["expected"]) - datetime.now(UTC)
    assert timedelta(hours=4.9) < wait < timedelta(hours=5)
    assert offer["start"]["evidence"] == "centre" and abs(offer["start"]["likely"] - 5 * 3600) < 60
    await one.client.aclose()


NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_load_is_sampled_over_a_day_and_bounded() -> None:
    memory = Memory()
    for minute in range(3 * 24 * 60):
        memory.set_queues([QueueStatus("cpu", cores=64, cores_free=minute)], NOW + timedelta(minutes=minute))
    end = NOW + timedelta(minutes=3 * 24 * 60)
    samples = memory.load("cpu", end)
    assert 40 <= len(samples) <= 48 and samples[-1].cores_free == 3 * 24 * 60 - 1
    gaps = [later.at - earlier.at for earlier, later in pairwise(samples)]
    assert min(gaps[:-1]) >= APART and max(gaps) < 2 * APART
    assert end - samples[0].at <= timedelta(hours=24)


def test_an_estimate_that_says_at_once_holds_for_a_while() -> None:
    memory, cpu = Memory(), centre().queues[0]
    memory.set_queues([QueueStatus("cpu", cores=640, cores_free=32, jobs_queued=5)], NOW)
    assert memory.forecast(cpu, 4, 3600, NOW).likely == 3600
    memory.probed("cpu", NOW, NOW + timedelta(seconds=5))
    soon, late = NOW + timedelta(minutes=4), NOW + timedelta(hours=1)
    assert memory.wait(cpu, soon) == 0 and memory.expected(cpu, soon) is None
    assert memory.forecast(cpu, 4, 3600, soon).likely < 60
    assert memory.forecast(cpu, 64, 3600, soon).likely == 3600  # more than is free
    assert memory.wait(cpu, late) is None


def test_what_was_heard_long_ago_says_nothing_of_now() -> None:
    memory, cpu = Memory(), centre().queues[0]
    memory.set_queues([QueueStatus("cpu", open=False, cores=64, cores_free=64, jobs_queued=0)], NOW)
    memory.waits("cpu", NOW, NOW + timedelta(hours=2))
    assert memory.situation(cpu, NOW).cores_free == 64 and memory.situation(cpu, NOW).wait == 7200
    assert not memory.now(centre(), None, NOW).queues["cpu"].open
    later = NOW + timedelta(hours=1)
    assert not memory.situation(cpu, later).known and memory.now(centre(), None, later).queues["cpu"].open


@pytest.mark.parametrize(
    ("values", "wait", "observed"),
    [
        ({"started": NOW + timedelta(seconds=90)}, 90.0, True),
        ({"started": NOW - timedelta(seconds=3)}, 0.0, True),
        ({"asked_at": NOW + timedelta(seconds=60), "ended": NOW + timedelta(seconds=80)}, 60.0, False),
        ({"ended": NOW + timedelta(seconds=80)}, 80.0, False),
    ],
)
async def test_a_wait_is_from_submission_to_node_or_to_the_end_of_patience(
    gateway: Gateway, api: Api, values: dict[str, Any], wait: float, observed: bool
) -> None:
    over = {"stage": Stage.ENDED, "outcome": Reason.CANCELLED.value, "submitted": NOW}
    one = (await api("POST", "/sessions", json={"options": OPTIONS})).json()["id"]
    record = await gateway.broker.sessions.change(one, lambda r: Change({**over, "started": None, **values}))
    found = start_of(record)
    assert found is not None and (found.wait, found.observed) == (wait, observed)
    record = await gateway.broker.sessions.change(one, lambda r: Change({"restarts": 1}))
    assert start_of(record) is None
