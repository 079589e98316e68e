"""The broker's HTTP API: doors, who may see what, long polls, refusals in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from broker.callers import API, Api
from broker.harness import Gateway, until
from perijove.spawners.session import SessionView, Stage

OPTIONS = {"centre": "alpha", "cores": 2, "memory": "1G"}


@pytest_asyncio.fixture
async def api(gateway: Gateway) -> AsyncIterator[Api]:
    broker = await gateway.start()
    await until(lambda: all(keeper.held for keeper in broker.keepers.values()))
    one = Api(gateway)
    yield one
    await one.client.aclose()


async def test_the_persons_door_writes_the_intent_and_has_the_hub_start(gateway: Gateway, api: Api) -> None:
    gateway.centre.auto = True
    answer = await api("POST", "/sessions", json={"server": "work", "options": OPTIONS})
    assert answer.status_code == 201
    view = SessionView.parse(answer.json())
    assert (view.owner, view.server, view.stage, view.cores, view.memory) == ("ada", "work", Stage.CHECKED, 2, 1024)
    await gateway.at(view.id, Stage.READY)
    assert gateway.hub.starts[0] == view.id
    ready = (await api("GET", f"/sessions/{view.id}")).json()
    assert ready["url"].startswith("http://127.0.0.1:2") and ready["connected"] and not ready["needs_environment"]
    again = await api("POST", "/sessions", json={"server": "work", "options": OPTIONS})
    assert again.json()["id"] == view.id
    assert (await api("GET", f"/sessions/{view.id}/log")).json()["log"] == "the last line"


async def test_the_spawners_door_creates_adopts_and_withdraws(gateway: Gateway, api: Api) -> None:
    body: dict[str, Any] = {"options": OPTIONS, "environment": {}, "argv": []}
    assert (await api("PUT", "/sessions/by-name/ada/-", json=body)).status_code == 403
    made = (await api("PUT", "/sessions/by-name/ada/-", "service", json=body)).json()
    assert made["server"] == "" and made["needs_environment"]
    given = body | {"options": {"session": made["id"]}, "environment": gateway.hub.environment("ada", "")}
    kept = (await api("PUT", "/sessions/by-name/ada/-", "service", json=given)).json()
    assert kept["id"] == made["id"] and not kept["needs_environment"]
    assert (await api("PUT", "/sessions/by-name/ada/-", "service", json=body)).json()["needs_environment"]
    wrong = body | {"options": {"session": "zzz"}}
    assert (await api("PUT", "/sessions/by-name/ada/-", "service", json=wrong)).json()["error"] == "other-session"
    token = given["environment"]["JUPYTERHUB_API_TOKEN"]
    store = gateway.folder / "broker.sqlite"
    assert token.encode() not in store.read_bytes() + (gateway.folder / "broker.sqlite-wal").read_bytes()


async def test_people_see_and_stop_their_own_sessions_only(gateway: Gateway, api: Api) -> None:
    one = (await api("POST", "/sessions", json={"options": OPTIONS})).json()["id"]
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/log"), ("POST", "/watch")):
        assert (await api(method, f"/sessions/{one}{path}", "t-bob")).status_code == 404
    assert (await api("GET", "/sessions/by-name/ada/-", "t-bob")).status_code == 404
    assert (await api("GET", "/sessions", "t-bob")).json() == {"sessions": []}
    assert (await api("GET", "/sessions?owner=ada", "t-bob")).status_code == 403
    other = {"owner": "bob", "options": OPTIONS}
    assert (await api("POST", "/sessions", json=other)).status_code == 403
    assert len((await api("GET", "/sessions", "t-root")).json()["sessions"]) == 1
    assert (await api("DELETE", f"/sessions/{one}", "t-root")).json()["asked_by"] == "root"
    await gateway.at(one, Stage.ENDED)


async def test_nobody_comes_in_without_a_token_of_the_hub(api: Api) -> None:
    for who in ("", "wrong", "t-service"):
        answer = await api("GET", "/sessions", who)
        assert answer.status_code == 401 and answer.json()["error"] == "login-needed"
    asked = api.asked
    for _ in range(5):
        await api("GET", "/sessions")
    assert api.asked == asked + 1
    api.hub_up = False
    assert (await api("GET", "/sessions")).status_code == 200
    assert (await api("GET", "/sessions", "unknown")).status_code == 503


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"options": {"centre": "alpha", "cores": 5000}}, "cores"),
        ({"options": {"centre": "nowhere"}}, "centre"),
        ({"options": {"centre": "alpha", "queue": "gpu"}}, "queue"),
        ({"options": {"centre": "alpha", "speed": 9}}, "speed"),
        ({"options": {"centre": "alpha", "cores": -1}}, "cores"),
        ({"options": {"centre": "alpha", "kind": "nothing"}}, "kind"),
        ({"options": {"centre": "a" * 100000}}, "centre"),
        ({"options": 5}, "options"),
        ({"server": "a" * 31, "options": OPTIONS}, "server"),
        ({"hm": 1, "options": OPTIONS}, "hm"),
    ],
)
async def test_what_is_wrong_is_said_by_field(gateway: Gateway, api: Api, body: dict[str, Any], field: str) -> None:
    answer = await api("POST", "/sessions", json=body)
    assert answer.status_code == 400
    assert field in [fault["field"] for fault in answer.json()["faults"]]
    assert not await gateway.broker.sessions.listing()
    assert len(answer.content) < 5000


async def test_absurd_bodies_and_names_are_refused(api: Api) -> None:
    huge = await api("POST", "/sessions", content=b"[" * (2 << 20))
    assert huge.status_code == 413 and huge.json()["error"] == "too-large"
    assert (await api("POST", "/sessions", content=b"{")).status_code == 400
    for name in ("../x", "a b", "A", "lab\n", "\u202e"):
        assert (await api("POST", "/sessions", json={"server": name, "options": OPTIONS})).status_code == 400
    assert (await api("GET", "/sessions/" + "x" * 5000)).status_code == 404


async def test_a_long_poll_is_answered_at_the_next_event_and_stays_after_the_end(gateway: Gateway, api: Api) -> None:
    one = (await api("POST", "/sessions", json={"options": OPTIONS})).json()["id"]
    await gateway.at(one, Stage.QUEUED)
    await until(lambda: _quiet(gateway, one))
    last = (await gateway.get_session(one)).last_event
    poll = asyncio.create_task(api("GET", f"/sessions/{one}/events?after={last}&wait=20"))
    await until(lambda: gateway.broker.bulletin._waiting.get(one))
    gateway.centre.run(gateway.centre.live()[0])
    (event, *_) = (await asyncio.wait_for(poll, 5)).json()["events"]
    assert event["code"] == "granted" and event["id"] > last and event["values"] == {"node": "n1"}
    await api("DELETE", f"/sessions/{one}")
    await gateway.at(one, Stage.ENDED)
    codes = [event["code"] for event in (await api("GET", f"/sessions/{one}/events")).json()["events"]]
    assert codes[0] == "checked" and codes[-1] == "ended"
    assert (await api("GET", f"/sessions/{one}/events?after={10**9}&wait=0")).json() == {"events": []}


async def _quiet(gateway: Gateway, session: str) -> bool:
    return (await gateway.get_session(session)).last_event > 3


async def test_centres_and_offers_say_what_there_is_and_nothing_of_how_it_is_reached(api: Api) -> None:
    (centre,) = (await api("GET", "/centres")).json()["centres"]
    assert centre["id"] == "alpha" and centre["queues"][0]["name"] == "cpu"
    assert "login.example" not in str(centre) and "ssh-ed25519" not in str(centre)
    (offer,) = (await api("POST", "/offers", json=OPTIONS)).json()["offers"]
    assert offer["fits"] and offer["memory"] == 1024
    (offer,) = (await api("POST", "/offers", json={"cores": 65})).json()["offers"]
    assert not offer["fits"] and offer["faults"][0]["field"] == "cores"
    assert (await api("POST", "/offers", json={"cores": "many"})).status_code == 400


async def test_health_is_told_to_anybody(gateway: Gateway, api: Api) -> None:
    assert (await api("GET", "/health/live", "")).json() == {"status": "live"}
    await until(lambda: gateway.broker.keepers["alpha"].held)
    assert (await api("GET", "/health/ready", "")).json() == {"status": "ready", "centres": 1}


async def test_the_api_describes_itself(api: Api) -> None:
    description = (await api("GET", "/openapi.json", "")).json()
    assert f"{API}/sessions/{{session}}/events" in description["paths"]
