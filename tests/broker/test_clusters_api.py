"""The API of clusters: one's own alone, idempotent, in limits, with faults in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from broker.callers import Api
from broker.harness import Gateway, until
from broker.simulated import SimulatedCentre, centre
from perijove.hub.limits import ClusterLimits
from perijove.spawners.session import Stage

PRICED = [
    {"name": "small", "cores": 4, "memory": "8G", "price": {"core_hour": "0.5"}},
    {"name": "cpu", "cores": 64, "memory": "256G", "max_time": "2d", "default_time": "3h", "price": {"core_hour": "1"}},
]


@pytest.fixture
def gateway(gateway: Gateway) -> Gateway:
    gateway.simulated = {"alpha": SimulatedCentre(centre("alpha", queues=PRICED))}
    gateway.centre.auto = True
    return gateway


@pytest_asyncio.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    broker = await gateway.start()
    await until(lambda: all(keeper.held for keeper in broker.keepers.values()))
    one = Api(gateway)
    yield one
    await one.client.aclose()


async def host(gateway: Gateway, owner: str = "ada", server: str = "", **options: Any) -> str:
    record = await gateway.open(owner, server, **{"queue": "cpu"} | options)
    await gateway.at(record.id, Stage.READY)
    return record.id


async def opened(api: Api, session: str, who: str = "t-ada", **body: Any) -> dict[str, Any]:
    answer = await api("POST", "/clusters", who, json={"session": session, **body})
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def ask(api: Api, cluster: str, count: int, key: str = "k1", **body: Any) -> Any:
    return await api("POST", f"/clusters/{cluster}/workers", json={"key": key, "count": count, **body})


async def listed(api: Api, cluster: str, **query: Any) -> dict[str, Any]:
    answer = await api("GET", f"/clusters/{cluster}/workers", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_cluster_takes_its_shape_from_the_centres_description(gateway: Gateway, api: Api) -> None:
    view = await opened(api, await host(gateway))
    shape = {"queue": "cpu", "cores": 8, "memory": 32768, "gpus": 0, "walltime": 3 * 3600, "project": None}
    assert view["shape"] == shape and view["name"] == "dask-1" and view["live"] and view["beside"]
    assert view["price"] == 8_000_000 and view["cost_per_hour"] == 0
    assert view["limits"] == {"workers": 200, "cores": 1000, "cost_per_hour": None, "confirm_cost_per_hour": None}
    assert view["counts"] == {"requested": 0, "queued": 0, "running": 0, "lost": 0}
    other = await opened(api, view["session"], shape={"queue": "small", "memory": "2G", "walltime": "30m"})
    assert other["name"] == "dask-2" and other["price"] == 500_000
    assert (other["shape"]["cores"], other["shape"]["memory"], other["shape"]["walltime"]) == (1, 2048, 1800)
    small = await host(gateway, server="s", queue="small")
    wide = await opened(api, small, name="wide", shape={"cores": 16})
    assert wide["queue"] == "cpu", "the host's own queue is too small for such a worker"


async def test_the_same_name_with_the_same_session_is_the_same_cluster(gateway: Gateway, api: Api) -> None:
    session = await host(gateway)
    first = await opened(api, session, name="mine")
    assert (await opened(api, session, name="mine", shape={"cores": 2}))["id"] == first["id"]
    answer = await api("POST", "/clusters", json={"session": await host(gateway, server="b"), "name": "mine"})
    assert answer.status_code == 409 and answer.json()["error"] == "cluster-exists"
    for name in (first["id"], "mine"):
        assert (await api("GET", f"/clusters/{name}")).json()["id"] == first["id"]
    assert [c["id"] for c in (await api("GET", "/clusters", params={"live": True})).json()["clusters"]] == [first["id"]]


async def test_faults_of_a_shape_are_told_by_field(gateway: Gateway, api: Api) -> None:
    session = await host(gateway)
    for shape, field, code in (
        ({"cores": 0}, "cores", "too-small"),
        ({"cores": 65}, "cores", "too-much"),
        ({"queue": "none"}, "queue", "unknown-queue"),
        ({"colour": "red"}, "colour", "unknown-option"),
        ({"centre": "beta"}, "centre", "unknown-option"),
        ({"project": "a b"}, "project", "bad-name"),
    ):
        answer = await api("POST", "/clusters", json={"session": session, "shape": shape})
        assert answer.status_code == 400, shape
        assert (answer.json()["faults"][0]["field"], answer.json()["faults"][0]["code"]) == (field, code)
    assert (await api("POST", "/clusters", json={"session": session, "name": "No Name"})).status_code == 400
    assert (await api("POST", "/clusters", json={"session": session, "more": 1})).status_code == 400


async def test_another_persons_cluster_is_not_there(gateway: Gateway, api: Api) -> None:
    session = await host(gateway)
    cluster = (await opened(api, session, name="mine"))["id"]
    await ask(api, cluster, 1)
    bobs: list[tuple[str, str, Any]] = [
        ("GET", f"/clusters/{cluster}", None),
        ("GET", "/clusters/mine", None),
        ("DELETE", f"/clusters/{cluster}", None),
        ("PUT", f"/clusters/{cluster}/report", {"report": {}}),
        ("POST", f"/clusters/{cluster}/workers", {"key": "x", "count": 1}),
        ("GET", f"/clusters/{cluster}/workers", None),
        ("DELETE", f"/clusters/{cluster}/workers", {"names": []}),
        ("GET", f"/clusters/{cluster}/workers/x-1/log", None),
        ("POST", "/clusters", {"session": session}),
    ]
    for method, path, body in bobs:
        answer = await api(method, path, "t-bob", json=body)
        assert answer.status_code == 404, (method, path)
    assert (await api("GET", "/clusters", "t-bob")).json() == {"clusters": []}
    assert (await api("GET", "/clusters", "t-bob", params={"owner": "ada"})).status_code == 403
    assert (await api("GET", "/clusters", "t-root")).json()["clusters"][0]["id"] == cluster
    assert (await api("POST", "/clusters", "t-root", json={"session": session})).status_code == 404, "not even theirs"


async def test_workers_are_asked_for_once_per_key(gateway: Gateway, api: Api) -> None:
    cluster = (await opened(api, await host(gateway)))["id"]
    first = await ask(api, cluster, 3)
    assert first.status_code == 201
    (job,) = first.json()["jobs"]
    assert first.json()["workers"] == [f"{job['id']}-{task}" for task in (1, 2, 3)] and job["count"] == 3
    assert (await ask(api, cluster, 3)).json() == first.json()
    assert (await ask(api, cluster, 4)).json()["error"] == "key-used"
    both = await asyncio.gather(*(ask(api, cluster, 2, "k2") for _ in range(5)))
    assert len({answer.text for answer in both}) == 1
    await until(lambda: len(gateway.centre.submissions) == 3)
    view = (await api("GET", f"/clusters/{cluster}")).json()
    assert view["used"] == {"workers": 5, "cores": 40, "cost_per_hour": 40_000_000}
    for count in (0, -1, "3", 1.5, 10**6):
        assert (await ask(api, cluster, count, "k3")).status_code == 400  # type: ignore[arg-type]


LIMITS = [
    (ClusterLimits(workers=4), "limit-workers", {"most": 4, "asked": 3, "used": 2}),
    (ClusterLimits(cores=39), "limit-cores", {"most": 39, "asked": 24, "used": 16}),
    (ClusterLimits(cost_per_hour=39), "limit-cost", {"most": 39_000_000, "asked": 24_000_000, "used": 16_000_000}),
    (ClusterLimits(confirm_cost_per_hour=39), "confirm-cost", {"cost": 40_000_000, "limit": 39_000_000}),
]


@pytest.mark.parametrize(("limits", "code", "values"), LIMITS, ids=[code for _, code, _ in LIMITS])
async def test_what_goes_beyond_a_limit_is_refused_over_all_clusters(
    gateway: Gateway, api: Api, limits: ClusterLimits, code: str, values: dict[str, int]
) -> None:
    gateway.broker.parts = replace(gateway.broker.parts, cluster_limits=limits)
    session = await host(gateway)
    one, two = await opened(api, session, name="one"), await opened(api, session, name="two")
    assert (await ask(api, one["id"], 2)).status_code == 201
    refused = await ask(api, two["id"], 3)
    assert refused.status_code == 409
    assert refused.json()["error"] == code and refused.json()["values"] == values
    confirmed = await ask(api, two["id"], 3, confirmed=True)
    assert confirmed.status_code == (201 if code == "confirm-cost" else 409), (
        "a hard limit is not for the person to lift"
    )


async def test_two_who_ask_at_once_stay_within_the_limit(gateway: Gateway, api: Api) -> None:
    gateway.broker.parts = replace(gateway.broker.parts, cluster_limits=ClusterLimits(workers=5))
    session = await host(gateway)
    ids = [(await opened(api, session, name=f"c{n}"))["id"] for n in range(4)]
    answers = await asyncio.gather(*(ask(api, one, 2) for one in ids))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]


async def test_a_long_poll_waits_for_a_newer_version(gateway: Gateway, api: Api) -> None:
    session = await host(gateway)
    gateway.centre.auto = False
    cluster = (await opened(api, session))["id"]
    await ask(api, cluster, 1)

    async def queued() -> dict[str, Any] | None:
        now = await listed(api, cluster)
        return now if now["workers"][0]["state"] == "queued" and now["workers"][0]["reason"] else None

    before = await until(queued)
    waiting = asyncio.create_task(listed(api, cluster, after=before["version"], wait=30))
    await until(lambda: gateway.broker.bulletin._waiting.get(cluster))
    (job,) = [job for job in gateway.centre.live() if job.array]
    gateway.centre.run(job, "n7")
    after = await asyncio.wait_for(waiting, 10)
    assert after["version"] > before["version"] and after["live"] and not after["closing"]
    (worker,) = after["workers"]
    assert (worker["state"], worker["node"], worker["job_id"], worker["task"]) == ("running", "n7", job.id, 1)
    assert worker["asked"] and worker["submitted"] and worker["started"] and worker["ends_by"] and worker["wanted"]
    assert await listed(api, cluster, after=after["version"], wait=0.05) == after, "nothing new: the same again"


async def test_a_heads_report_is_kept_and_bounded(gateway: Gateway, api: Api) -> None:
    cluster = (await opened(api, await host(gateway)))["id"]
    said = {"counts": {"connected": 3}, "words": "好"}
    view = (await api("PUT", f"/clusters/{cluster}/report", json={"report": said})).json()
    assert view["report"] == said and view["seen"]
    long = await api("PUT", f"/clusters/{cluster}/report", json={"report": {"a": "x" * 66_000}})
    assert long.status_code == 413 and (await api("GET", f"/clusters/{cluster}")).json()["report"] == said


async def test_the_log_of_a_worker_is_read_from_its_own_file(gateway: Gateway, api: Api) -> None:
    cluster = (await opened(api, await host(gateway)))["id"]
    names = (await ask(api, cluster, 2)).json()["workers"]
    await until(lambda: gateway.centre.submissions[1:])
    asked: list[Any] = []
    gateway.centre.fail = lambda request: asked.extend(request.get("tails", ()))
    assert (await api("GET", f"/clusters/{cluster}/workers/{names[1]}/log")).json() == {"log": "the last line"}
    assert f"{names[1].partition('-')[0]}/log.2" in asked
    for name in ("x", f"{names[0].partition('-')[0]}-3", names[0] + "/../x"):
        assert (await api("GET", f"/clusters/{cluster}/workers/{name}/log")).status_code == 404


async def test_a_session_that_is_over_has_no_new_clusters_and_a_drained_centre_no_new_workers(
    gateway: Gateway, api: Api
) -> None:
    session = await host(gateway)
    cluster = await opened(api, session, name="mine")
    await ask(api, cluster["id"], 1)
    assert (await api("PUT", "/centres/alpha/drain", "t-root", json={"note": ""})).status_code == 200
    assert (await opened(api, session, name="mine"))["id"] == cluster["id"]
    assert (await ask(api, cluster["id"], 1)).status_code == 201, "asked for before"
    for answer in (await ask(api, cluster["id"], 1, "k2"), await api("POST", "/clusters", json={"session": session})):
        assert answer.status_code == 400 and answer.json()["faults"][0]["code"] == "centre-drained"
    await gateway.broker.ask_to_stop(await gateway.get_session(session), "ada")
    answer = await api("POST", "/clusters", json={"session": session})
    assert (answer.status_code, answer.json()["error"]) == (409, "session-over")
