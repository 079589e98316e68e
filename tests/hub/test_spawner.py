"""The hub with `CentreSpawner`, seen from outside: what a person, the broker and a crash do to it."""

from __future__ import annotations

import os
import signal
from typing import Any

import httpx
import pytest

ASK = {"centre": "demo", "cores": 2}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]


async def started(hub: Any, eventually: Any, options: Any = ASK) -> dict[str, Any]:
    """Alice's session "prod", ready at the hub."""
    answer = await hub.api("POST", "/users/alice/servers/prod", json=options)
    assert answer.status_code in (201, 202), answer.text
    session = hub.broker.only()
    hub.broker.move(session, "ready")
    await eventually(lambda: ready(hub))
    return session


async def ready(hub: Any) -> bool:
    """Whether the hub says that alice's server "prod" is ready."""
    return bool((await hub.server("alice", "prod") or {}).get("ready"))


async def gone(hub: Any) -> bool:
    """Whether the hub has no running server "prod" of alice."""
    server = await hub.server("alice", "prod")
    return not server or not (server["ready"] or server["pending"])


async def test_a_session_is_started_reached_and_stopped(hub: Any, eventually: Any) -> None:
    person = await hub.person("alice")
    session = await started(hub, eventually)
    token = hub.broker.environments[session["id"]]["JUPYTERHUB_API_TOKEN"]
    answer = await person.get("/user/alice/prod/lab")
    assert answer.json() == {"path": "/user/alice/prod/lab"}
    assert await hub.user_of(token) == 200
    assert (await hub.api("DELETE", "/users/alice/servers/prod")).status_code in (202, 204)
    await eventually(lambda: gone(hub))
    assert session["stage"] == "ended"
    assert await hub.user_of(token) == 403


async def test_a_servers_token_opens_its_persons_other_servers_and_no_more(hub: Any, eventually: Any) -> None:
    await hub.person("alice")
    session = await started(hub, eventually)
    token = hub.broker.environments[session["id"]]["JUPYTERHUB_API_TOKEN"]
    headers = {"Authorization": f"token {token}"}
    async with httpx.AsyncClient(base_url=hub.settings.hub_api_url, headers=headers, trust_env=False) as client:
        me = (await client.get("/user")).json()
        assert (me["kind"], me["name"]) == ("user", "alice")
        # What a server asks its own hub about a token that comes to it is answered from these.
        assert {"access:servers!user=alice", "access:services!service=perijove"} <= set(me["scopes"])
        for method, path in (
            ("GET", "/users"),
            ("GET", "/users/bob"),
            ("POST", "/users/alice/servers/another"),
            ("DELETE", "/users/alice/servers/prod"),
            ("POST", "/users/alice/tokens"),
            ("POST", "/shares/alice/prod"),
        ):
            assert (await client.request(method, path, json={})).status_code in (403, 404), (method, path)


async def test_the_environment_goes_to_the_broker_and_names_the_agents_listener(hub: Any, eventually: Any) -> None:
    await hub.person("alice")
    session = await started(hub, eventually)
    environment = hub.broker.environments[session["id"]]
    assert environment["JUPYTERHUB_API_URL"] == "http://127.0.0.1:{api_port}/hub/api"
    assert environment["JUPYTERHUB_SERVICE_URL"] == "http://127.0.0.1:8888/user/alice/prod/"
    assert "PATH" not in environment
    assert environment["PERIJOVE_GATEWAY"] == "http://127.0.0.1:{gateway_port}"
    assert environment["PERIJOVE_API"] == "/services/perijove/api/v1"
    assert (environment["PERIJOVE_GATEWAY_HOST"], environment["PERIJOVE_USER_HOST"]) == ("", "")
    token = environment["JUPYTERHUB_API_TOKEN"]
    assert token
    for path in hub.settings.state_dir.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path


async def test_bad_options_are_answered_with_every_field_in_words(hub: Any) -> None:
    await hub.person("alice")
    answer = await hub.api("POST", "/users/alice/servers/prod", json={"cores": -3, "coffee": "black"})
    assert answer.status_code == 400
    for word in ("centre", "cores", "coffee"):
        assert word in answer.json()["message"], answer.text
    assert not hub.broker.sessions


async def test_what_the_broker_refuses_is_400_with_its_words(hub: Any) -> None:
    await hub.person("alice")
    fault = {"field": "cores", "code": "too-much", "message": "at most 4 cores", "values": {}}
    hub.broker.refuse = {"error": "bad-request", "message": "no", "faults": [fault]}
    answer = await hub.api("POST", "/users/alice/servers/prod", json=ASK)
    assert answer.status_code == 400
    assert "cores: at most 4 cores" in answer.json()["message"]


async def test_a_link_with_options_leads_to_the_start_page_and_starts_nothing(hub: Any) -> None:
    person = await hub.person("alice")
    answer = await person.get("/hub/spawn/alice/prod?opt-centre=demo&opt-cores=4", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].endswith("/services/perijove/start?centre=demo&cores=4")
    plain = await person.get("/hub/spawn/alice/prod", follow_redirects=False)
    assert "/services/perijove/start" in plain.text
    assert not hub.broker.sessions
    assert not any(method == "PUT" for method, _ in hub.broker.calls)


async def test_a_server_cannot_take_the_name_of_a_page_of_another(hub: Any) -> None:
    await hub.person("alice")
    answer = await hub.api("POST", "/users/alice/servers/lab", json=ASK)
    assert answer.status_code == 400
    assert not hub.broker.sessions


async def test_a_session_that_ends_before_it_is_ready_says_why_with_the_jobs_last_lines(
    hub: Any, eventually: Any
) -> None:
    person = await hub.person("alice")
    await hub.api("POST", "/users/alice/servers/prod", json=ASK)
    session = hub.broker.only()
    hub.broker.move(session, "ended", detail="out of <memory>", log_tail="line one\n<b>Killed</b>\n")
    await eventually(lambda: gone(hub))
    page = await person.get("/hub/spawn-pending/alice/prod")
    assert page.status_code == 400
    assert "out of &lt;memory&gt;" in page.text
    assert "&lt;b&gt;Killed&lt;/b&gt;" in page.text


async def test_the_token_of_a_session_that_ended_by_itself_is_dead(hub: Any, eventually: Any) -> None:
    await hub.person("alice")
    session = await started(hub, eventually)
    token = hub.broker.environments[session["id"]]["JUPYTERHUB_API_TOKEN"]
    hub.broker.move(session, "ended", outcome="walltime", connected=False)
    # What the broker does when a session ends; without it the hub's own poll finds out within 30 s.
    await hub.api("DELETE", "/users/alice/servers/prod")
    await eventually(lambda: gone(hub))
    assert await hub.user_of(token) == 403


async def test_a_silent_broker_stops_nothing(hub: Any, eventually: Any) -> None:
    await hub.person("alice")
    session = await started(hub, eventually)
    hub.broker.silent = True
    answer = await hub.api("POST", "/users/alice/servers/prod", json=ASK)
    assert answer.status_code == 400 and "already running" in answer.text
    hub.broker.silent = False
    assert session["stage"] == "ready"
    assert await ready(hub)


async def kill(hub: Any, child: Any) -> None:
    """kill -9; the supervisor starts it again."""
    hub.restarts_seen = hub.gateway.hub.restarts
    pid = int(child.plan.pid_file.read_text())
    os.kill(pid, signal.SIGKILL)


async def test_a_running_session_outlives_a_hub_and_its_token_still_dies_with_it(hub: Any, eventually: Any) -> None:
    person = await hub.person("alice")
    session = await started(hub, eventually)
    token = hub.broker.environments[session["id"]]["JUPYTERHUB_API_TOKEN"]
    session["connected"] = False
    await kill(hub, hub.gateway.hub)
    # The route is there while there is no hub, and while the broker is not sure of the session.
    assert (await person.get("/user/alice/prod/lab")).json() == {"path": "/user/alice/prod/lab"}
    await eventually(lambda: alive(hub))
    assert (await hub.server("alice", "prod") or {}).get("pending") == "check"
    session["connected"] = True
    await eventually(lambda: ready(hub))
    assert session["stage"] == "ready"
    assert not any(method == "DELETE" for method, _ in hub.broker.calls)
    assert await hub.user_of(token) == 200
    await hub.api("DELETE", "/users/alice/servers/prod")
    await eventually(lambda: gone(hub))
    assert await hub.user_of(token) == 403


async def alive(hub: Any) -> bool:
    """Whether the hub answers again after a restart."""
    if not hub.gateway.hub.restarts:
        return False
    return bool((await hub.api("GET", "/users/alice")).status_code == 200)


async def test_a_queued_session_outlives_a_hub_and_is_started_again_with_a_new_token(hub: Any, eventually: Any) -> None:
    await hub.person("alice")
    await hub.api("POST", "/users/alice/servers/prod", json=ASK)
    session = hub.broker.only()
    hub.broker.move(session, "queued")
    first = hub.broker.environments[session["id"]]["JUPYTERHUB_API_TOKEN"]
    await kill(hub, hub.gateway.hub)
    await eventually(lambda: alive(hub))
    await eventually(lambda: gone(hub))
    assert session["stage"] == "queued"
    assert session["id"] not in hub.broker.environments
    assert await hub.user_of(first) == 403
    # What the broker's reconciler does with a live session that has no server at the hub.
    again = {"user_options": {"session": session["id"]}}
    answer = await hub.api("POST", "/users/alice/servers/prod", json=again)
    assert answer.status_code == 202, answer.text
    assert len(hub.broker.sessions) == 1
    hub.broker.move(session, "ready")
    await eventually(lambda: ready(hub))
    second = hub.broker.environments[session["id"]]["JUPYTERHUB_API_TOKEN"]
    assert second != first
    assert await hub.user_of(second) == 200


async def test_a_start_that_a_killed_hub_left_half_done_is_made_anew_when_the_agent_waits(
    hub: Any, eventually: Any
) -> None:
    await hub.person("alice")
    await hub.api("POST", "/users/alice/servers/prod", json=ASK)
    session = hub.broker.only()
    await kill(hub, hub.gateway.hub)
    # The agent is there, and nobody has the server's environment any more.
    hub.broker.environments.pop(session["id"], None)
    hub.broker.move(session, "starting", connected=True)
    await eventually(lambda: alive(hub))
    await eventually(lambda: gone(hub))
    assert session["stage"] == "starting"
    await hub.api("POST", "/users/alice/servers/prod", json={"user_options": {"session": session["id"]}})
    hub.broker.move(session, "ready")
    await eventually(lambda: ready(hub))
    assert await hub.user_of(hub.broker.environments[session["id"]]["JUPYTERHUB_API_TOKEN"]) == 200


async def test_a_session_that_became_ready_while_the_hub_was_dead_is_reached(hub: Any, eventually: Any) -> None:
    person = await hub.person("alice")
    await hub.api("POST", "/users/alice/servers/prod", json=ASK)
    session = hub.broker.only()
    await kill(hub, hub.gateway.hub)
    hub.broker.move(session, "ready")
    await eventually(lambda: alive(hub))
    await eventually(lambda: ready(hub))

    async def reached() -> bool:
        answer = await person.get("/user/alice/prod/lab")
        return answer.status_code == 200 and answer.url.path == "/user/alice/prod/lab"

    await eventually(reached)
    assert await hub.user_of(hub.broker.environments[session["id"]]["JUPYTERHUB_API_TOKEN"]) == 200


async def test_a_pending_start_is_stopped_at_the_broker_too(hub: Any, eventually: Any) -> None:
    await hub.person("alice")
    await hub.api("POST", "/users/alice/servers/prod", json=ASK)
    session = hub.broker.only()
    hub.broker.move(session, "queued")
    await hub.api("DELETE", "/users/alice/servers/prod")
    await eventually(lambda: gone(hub))
    assert session["stage"] == "ended"


async def test_batchspawners_endpoint_is_gone(hub: Any) -> None:
    for method in ("GET", "POST"):
        assert (await hub.api(method, "/batchspawner", json={})).status_code == 404


async def test_two_people_whose_names_meet_have_two_oauth_clients(hub: Any, eventually: Any) -> None:
    for owner, name in (("alice-prod", ""), ("alice", "prod")):
        await hub.person(owner)
        path = f"/users/{owner}/servers/{name}" if name else f"/users/{owner}/server"
        assert (await hub.api("POST", path, json=ASK)).status_code in (201, 202)
    clients = {e["JUPYTERHUB_CLIENT_ID"] for e in hub.broker.environments.values()}
    assert len(clients) == 2


async def test_a_proxy_that_was_killed_has_its_routes_again(hub: Any, eventually: Any) -> None:
    person = await hub.person("alice")
    await started(hub, eventually)
    await kill(hub, hub.gateway.proxy)

    async def reached() -> bool:
        try:
            return bool((await person.get("/user/alice/prod/lab")).json() == {"path": "/user/alice/prod/lab"})
        except Exception:
            return False

    await eventually(reached, 20)
