"""What operators order and see: drains, notices, watchers, health."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from broker.harness import FAST, Gateway, until
from perijove.hub.broker.app import application
from perijove.hub.broker.auth import Auth
from perijove.hub.broker.database import Database
from perijove.hub.broker.hubclient import HubClient
from perijove.hub.broker.orders import Orders
from perijove.hub.broker.sessions import utc_now
from perijove.spawners.link import LinkError, LinkProblem
from perijove.spawners.request import BadRequest
from perijove.spawners.session import Stage
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

API = "/services/perijove/api/v1"
PEOPLE = {
    "t-ada": {"kind": "user", "name": "ada", "admin": False},
    "t-root": {"kind": "user", "name": "root", "admin": True},
}
NOTICE = {"text": {"en": "New login nodes on Monday", "zh": "周一更换登录节点"}, "level": "warning"}


class Api:
    """Calls as somebody; the operator unless it is said."""

    def __init__(self, gateway: Gateway) -> None:
        hub = HubClient("http://hub/hub/api", "service", httpx.MockTransport(self._hub))
        self.app = application(gateway.broker, Auth("service", hub, "t-metrics"), "/services/perijove/")
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://broker")

    @staticmethod
    def _hub(request: httpx.Request) -> httpx.Response:
        model = PEOPLE.get(request.headers["Authorization"].removeprefix("token "))
        return httpx.Response(200, json=model) if model else httpx.Response(403)

    async def __call__(self, method: str, path: str, who: str = "t-root", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"token {who}"} if who else {}
        return await self.client.request(method, API + path, headers=headers, **more)

    async def centre(self) -> dict[str, Any]:
        """The one centre, as an ordinary person sees it."""
        (found,) = (await self("GET", "/centres", "t-ada")).json()["centres"]
        return dict(found)


@pytest_asyncio.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    await gateway.start()
    one = Api(gateway)
    yield one
    await one.client.aclose()


async def test_a_drained_centre_takes_nothing_new_and_says_why(gateway: Gateway, api: Api) -> None:
    order = (await api("PUT", "/centres/alpha/drain", json={"note": "the cooling is being repaired"})).json()
    assert order["by"] == "root" and order["note"] == "the cooling is being repaired"
    assert (await api.centre())["drained"] == order
    body = {"options": {"centre": "alpha", "cores": 1}}
    refused = await api("POST", "/sessions", "t-ada", json=body)
    assert refused.status_code == 400
    (fault,) = refused.json()["faults"]
    assert (fault["field"], fault["code"]) == ("centre", "centre-drained")
    assert fault["values"]["note"] == "the cooling is being repaired" in fault["message"]
    (offer,) = (await api("POST", "/offers", "t-ada", json=body["options"])).json()["offers"]
    assert not offer["fits"] and "price" not in offer
    assert [one["code"] for one in offer["faults"]] == ["centre-drained"]
    assert not await gateway.broker.sessions.listing()
    assert (await api("DELETE", "/centres/alpha/drain")).status_code == 204
    assert (await api.centre())["drained"] is None
    assert (await api("POST", "/sessions", "t-ada", json=body)).status_code == 201


async def test_orders_of_a_centre_that_is_no_longer_described_can_be_taken_back(gateway: Gateway, api: Api) -> None:
    await gateway.broker.orders.drain("gone", "root")
    assert (await api("PUT", "/centres/gone/drain")).status_code == 404
    assert (await api("DELETE", "/centres/gone/drain")).status_code == 204
    assert "gone" not in gateway.broker.orders.drains


async def test_what_is_there_goes_on_at_a_drained_centre(gateway: Gateway, api: Api) -> None:
    running = await gateway.open("ada", "running")
    await gateway.at(running.id, Stage.QUEUED)
    gateway.centre.run(gateway.centre.live()[0])
    await gateway.at(running.id, Stage.READY)
    queued = await gateway.open("ada", "queued")
    await gateway.at(queued.id, Stage.QUEUED)
    await api("PUT", "/centres/alpha/drain")
    again = await api("POST", "/sessions", "t-ada", json={"server": "queued", "options": {"centre": "alpha"}})
    assert (again.status_code, again.json()["id"]) == (201, queued.id)
    gateway.centre.requeue(gateway.centre.of(running.id)[0])
    await gateway.at(running.id, Stage.QUEUED)
    for session in (running, queued):
        gateway.centre.run(gateway.centre.of(session.id)[0])
        await gateway.at(session.id, Stage.READY)
    assert not gateway.centre.cancelled
    with pytest.raises(BadRequest, match="no new sessions"):
        await gateway.open("ada", "new")


async def test_orders_outlive_the_broker_and_reach_the_others_on_its_store(gateway: Gateway, api: Api) -> None:
    await api("PUT", "/centres/alpha/notice", json=NOTICE)
    await gateway.restart()
    assert gateway.broker.orders.notices["alpha"].zh == NOTICE["text"]["zh"]
    database = Database(gateway.url)
    other = Orders(database, utc_now)
    await other.drain("alpha", "eve", "elsewhere")
    await until(lambda: gateway.broker.orders.drains.get("alpha"))
    assert gateway.broker.orders.drains["alpha"].by == "eve"
    await other.undrain("alpha")
    await until(lambda: not gateway.broker.orders.drains)
    await database.close()


async def test_orders_are_kept_on_every_kind_of_store(url: str) -> None:
    database = Database(url)
    await database.migrate()
    orders = Orders(database, utc_now)
    first = await orders.drain("alpha", "root", " one\x00 ")
    second = await orders.drain("alpha", "eve", "two")
    assert (second.since, second.by, second.note) == (first.since, "eve", "two")
    await orders.notify("alpha", NOTICE["text"], "info", "root")  # type: ignore[arg-type]
    fresh = Orders(database, utc_now)
    await fresh.load()
    assert fresh.drains == orders.drains and fresh.notices == orders.notices
    await orders.unnotify("alpha")
    await orders.undrain("alpha")
    await fresh.load()
    assert not fresh.drains and not fresh.notices
    await database.close()


async def test_a_notice_has_both_languages_and_goes_when_it_is_taken_away(api: Api) -> None:
    assert (await api("PUT", "/centres/alpha/notice", json=NOTICE)).status_code == 200
    notice = (await api.centre())["notice"]
    assert (notice["text"], notice["level"], notice["by"]) == (NOTICE["text"], "warning", "root")
    for wrong in (
        {"text": {"en": "only"}},
        {"text": {"en": "x", "zh": " \n"}},
        {"text": {"en": "x" * 1001, "zh": "x"}},
        NOTICE | {"level": "loud"},
        NOTICE | {"more": 1},
    ):
        assert (await api("PUT", "/centres/alpha/notice", json=wrong)).status_code == 400
    assert (await api("DELETE", "/centres/alpha/notice")).status_code == 204
    assert (await api.centre())["notice"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/centres/alpha/drain"),
        ("DELETE", "/centres/alpha/drain"),
        ("PUT", "/centres/alpha/notice"),
        ("DELETE", "/centres/alpha/notice"),
        ("GET", "/watchers"),
    ],
)
async def test_only_operators_give_orders(api: Api, method: str, path: str) -> None:
    body = {"json": NOTICE} if path.endswith("notice") and method == "PUT" else {}
    assert (await api(method, path, "", **body)).status_code == 401
    assert (await api(method, path, "t-ada", **body)).status_code == 403
    assert (await api(method, path, "service", **body)).status_code < 300
    if method != "GET":
        assert (await api(method, path.replace("alpha", "nowhere"), **body)).status_code == 404


async def test_watchers_say_how_a_centre_is_looked_after(gateway: Gateway, api: Api) -> None:
    one = await gateway.open()
    await gateway.at(one.id, Stage.QUEUED)

    async def kept() -> Any:
        (found,) = (await api("GET", "/watchers")).json()["watchers"]
        return found if found["lease"] == "here" else None  # on a busy machine it may just have run out

    found = await until(kept)
    assert found["answering"] and found["as_of"] and found["failures"] == 0
    assert found["holder"] == gateway.broker.holder
    assert found["commands"] >= found["commands_per_minute"] > 0
    assert found["sessions"] == {"queued": 1} and found["tunnels"] == {"up": 0, "down": 0}
    gateway.centre.run(gateway.centre.live()[0])
    await gateway.at(one.id, Stage.READY)
    (found,) = (await api("GET", "/watchers")).json()["watchers"]
    assert found["sessions"] == {"ready": 1} and found["tunnels"] == {"up": 1, "down": 0}


async def test_a_centre_that_does_not_answer_is_told_with_its_cause(gateway: Gateway, api: Api) -> None:
    one = await gateway.open()
    await gateway.at(one.id, Stage.QUEUED)

    def wrong_host(request: Any) -> None:
        raise LinkError(LinkProblem.HOST_KEY, "this is another machine")

    gateway.centre.fail = wrong_host
    watcher = gateway.broker.keepers["alpha"].watcher
    await until(lambda: watcher.worst and watcher.worst.count >= 2)
    (found,) = (await api("GET", "/watchers")).json()["watchers"]
    assert found["answering"] is False and found["failures"] >= 2
    assert found["problem"] == "host-key" and found["detail"] and found["unknown_since"]
    (health,) = (await api("GET", "/health/centres", "")).json()["centres"]
    assert health["answering"] is False and health["unknown_since"] == found["unknown_since"]
    assert found["detail"] not in str(health), "what a centre says is for operators"
    gateway.centre.fail = lambda request: None
    await until(lambda: watcher.worst is None)
    (health,) = (await api("GET", "/health/centres", "")).json()["centres"]
    assert health["answering"] and health["unknown_since"] is None


async def test_a_broker_without_the_lease_says_that_another_has_it(tmp_path: Path) -> None:
    patient = replace(FAST, lease=60.0)  # so that a busy machine does not let it run out

    async def lease(api: Api) -> str:
        (health,) = (await api("GET", "/health/centres", "")).json()["centres"]
        return str(health["lease"])

    brokers = [Gateway(tmp_path, timing=patient) for _ in range(2)]
    apis = []
    try:
        for gateway in brokers:
            await gateway.start()
            apis.append(Api(gateway))
            await until(lambda: brokers[0].broker.keepers["alpha"].held)
        assert [await lease(api) for api in apis] == ["here", "elsewhere"]
        (found,) = (await apis[1]("GET", "/watchers")).json()["watchers"]
        assert (found["answering"], found["holder"]) == (None, brokers[0].broker.holder)
    finally:
        for gateway in brokers:
            await gateway.stop()
        for api in apis:
            await api.client.aclose()


async def test_sessions_are_found_by_centre_and_stage(gateway: Gateway, api: Api) -> None:
    one = await gateway.open()
    await gateway.at(one.id, Stage.QUEUED)

    async def found(query: str) -> list[str]:
        return [row["id"] for row in (await api("GET", f"/sessions?{query}")).json()["sessions"]]

    assert await found("centre=alpha&stage=queued") == [one.id]
    assert await found("centre=beta") == [] == await found("stage=ready") == await found("owner=bob")
    assert (await api("GET", "/sessions?stage=nonsense")).status_code == 400


async def test_metrics_tell_prometheus_of_every_centre(gateway: Gateway, api: Api) -> None:
    one = await gateway.open()
    await gateway.at(one.id, Stage.QUEUED)
    gateway.centre.run(gateway.centre.live()[0])
    await gateway.at(one.id, Stage.READY)
    await api("PUT", "/centres/alpha/drain")
    answer = await api("GET", "/metrics", "t-metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    found = figures(answer.text)
    assert found["perijove_sessions", "alpha", "ready"] == 1 and found["perijove_sessions", "alpha", "queued"] == 0
    assert found["perijove_tunnels", "alpha", "true"] == 1 and found["perijove_tunnels", "alpha", "false"] == 0
    assert found["perijove_centre_drained", "alpha"] == found["perijove_lease_held", "alpha"] == 1
    assert found["perijove_watcher_failures", "alpha"] == 0
    assert found["perijove_batch_commands_total", "alpha"] >= 1
    assert 0 <= found["perijove_watcher_answer_age_seconds", "alpha"] < 60
    for step in ("node", "ready"):
        assert found["perijove_start_seconds_count", "alpha", step] == 1
    assert found["perijove_store_seconds_count", "read"] > 0 and found["perijove_store_seconds_count", "write"] > 0
    assert found["perijove_http_request_seconds_count", "PUT", "/api/v1/centres/{centre}/drain", "200"] == 1


async def test_labels_come_from_routes_and_not_from_addresses(api: Api) -> None:
    for name in ("one", "two"):
        await api("GET", f"/sessions/{name}")
        await api("BREW", f"/{name}")
    text = (await api("GET", "/metrics", "t-metrics")).text
    assert "one" not in {label for key in figures(text) for label in key} and "/two" not in text
    assert figures(text)["perijove_http_request_seconds_count", "other", "other", "404"] == 2


async def test_metrics_are_for_their_token_and_for_operators(api: Api) -> None:
    statuses = {who: (await api("GET", "/metrics", who)).status_code for who in ("", "t-ada", "t-root", "service")}
    assert statuses == {"": 401, "t-ada": 403, "t-root": 200, "service": 200}
    assert (await api("GET", "/sessions", "t-metrics")).status_code == 401, "it reads nothing else"
    nobody = Auth("service", HubClient("http://hub/hub/api", "service", httpx.MockTransport(api._hub)))
    assert not nobody.reads_metrics(Request({"type": "http", "headers": [(b"authorization", b"token ")]}))


def figures(text: str) -> dict[tuple[str, ...], float]:
    """Each figure by its name and the values of its labels, in order."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "le" not in sample.labels
    }
