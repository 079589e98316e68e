"""The broker's calls to the hub, against answers as JupyterHub 6.1.1 gives them."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest
from perijove.hub.broker.hubclient import HubClient
from perijove.hub.broker.hubtrouble import HubRefused, HubSilent


def client(answer: Callable[[httpx.Request], httpx.Response]) -> HubClient:
    return HubClient("http://hub/hub/api", "secret", httpx.MockTransport(answer))


async def test_a_start_names_the_session_and_the_server() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202)

    hub = client(answer)
    await hub.start("ada b", "work", "abc")
    await hub.start("ada", "", "abc")
    await hub.close()
    assert seen[0].url.raw_path == b"/hub/api/users/ada%20b/servers/work" and seen[0].method == "POST"
    assert seen[1].url.path == "/hub/api/users/ada/server"
    assert json.loads(seen[0].content) == {"user_options": {"session": "abc"}}
    assert seen[0].headers["Authorization"] == "token secret"


async def test_a_server_that_runs_already_is_well_and_a_refusal_is_told() -> None:
    running = client(lambda r: httpx.Response(400, json={"message": "ada is already running"}))
    await running.start("ada", "", "abc")
    full = client(lambda r: httpx.Response(400, json={"message": "no more named servers"}))
    with pytest.raises(HubRefused, match="no more"):
        await full.start("ada", "x", "abc")
    await running.close()
    await full.close()


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_an_answer_of_the_proxy_for_a_hub_that_is_away_is_silence(status: int) -> None:
    hub = client(lambda r: httpx.Response(status))
    with pytest.raises(HubSilent):
        await hub.servers()
    with pytest.raises(HubSilent):
        await hub.alive("t")
    await hub.close()


async def test_a_stop_is_done_when_the_hub_has_no_server_any_more() -> None:
    servers: dict[str, object] = {"work": {}}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(202)
        return httpx.Response(200, json={"name": "ada", "servers": servers})

    hub = client(answer)
    assert not await hub.stop("ada", "work")
    servers.clear()
    assert await hub.stop("ada", "work")
    await hub.close()


async def test_all_pages_of_people_are_read() -> None:
    people = [{"name": f"p{n}", "servers": {"": {"ready": n % 2 == 0, "pending": None}}} for n in range(450)]

    def answer(request: httpx.Request) -> httpx.Response:
        offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
        return httpx.Response(200, json=people[offset : offset + limit])

    hub = client(answer)
    servers = await hub.servers()
    assert len(servers) == 450 and servers["p0", ""] == "ready" and servers["p1", ""] == ""
    await hub.close()


async def test_servers_of_a_few_people_are_asked_for_by_name() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        if "gone" in asked[-1]:
            return httpx.Response(404)
        return httpx.Response(200, json={"name": "a/b", "servers": {"work": {"ready": False, "pending": "spawn"}}})

    hub = client(answer)
    assert await hub.servers(["a/b", "gone"]) == {("a/b", "work"): "spawn"}
    assert asked == ["/hub/api/users/a%2Fb", "/hub/api/users/gone"]
    await hub.close()


async def test_a_dead_token_is_dead_and_a_strange_answer_is_no_answer() -> None:
    hub = client(lambda r: httpx.Response(403 if r.headers["Authorization"] == "token old" else 500))
    assert not await hub.alive("old")
    with pytest.raises(HubRefused):
        await hub.alive("other")
    with pytest.raises(HubRefused):
        await hub.person("x")
    await hub.close()
