"""From a person's wish to a running cell, and what survives when the gateway's parts are killed.

`guangzhou`'s queue `debug` has one node of four cores: while another job has it, a session in it waits.
"""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
SMALL = {"centre": "zhengzhou", "cores": 1, "memory": "1G", "walltime": "20m"}
WHOLE_NODE = {"centre": "guangzhou", "queue": "debug", "cores": 4, "memory": "2G", "walltime": "20m"}


async def ready_at_hub(flow: Any, owner: str, server: str) -> bool:
    """Whether the hub says that this server is ready."""
    answer = await flow.hub("GET", f"/users/{owner}")
    return bool(answer.status_code == 200 and answer.json()["servers"].get(server, {}).get("ready"))


async def test_a_cell_runs_in_a_session_started_through_the_hub(flow: Any, kernel: Any) -> None:
    person = await flow.person("alice")
    answer = await flow.hub("POST", "/users/alice/servers/rest", json=SMALL)
    assert answer.status_code in (201, 202), answer.text
    session = await flow.reach("alice", "rest", "ready")
    assert session["job_id"]
    assert session["node"]
    await flow.usable(person, "alice", "rest")
    opened = await kernel.open(person, "/user/alice/rest", flow.stack)
    assert await opened.run("print(6 * 7)") == "42\n"


async def test_a_session_knows_where_it_is_and_how_long_it_still_has(flow: Any) -> None:
    person = await flow.person("alice")
    await flow.usable(person, "alice", "rest")
    session = await flow.session("alice", "rest")
    answer = await person.get("/user/alice/rest/perijove/session")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["session"], said["job"], said["centre"]["id"]) == (session["id"], session["job_id"], "zhengzhou")
    assert 0 < said["left"] < 1200
    assert said["warnings"] == [600, 120]
    assert said["start_page"].endswith("/services/perijove/start")
    assert "walltime=1200" in said["again"]


async def test_the_servers_token_is_dead_after_the_end(flow: Any, kernel: Any, eventually: Any) -> None:
    person = await flow.person("alice")
    await flow.usable(person, "alice", "rest")
    opened = await kernel.open(person, "/user/alice/rest", flow.stack)
    token = (await opened.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])")).strip()
    assert (await flow.hub("GET", "/user", token)).status_code == 200
    session = await flow.session("alice", "rest")
    assert (await flow.broker("DELETE", f"/sessions/{session['id']}")).status_code < 300
    await flow.reach("alice", "rest", "ended")

    async def dead() -> bool:
        return bool((await flow.hub("GET", "/user", token)).status_code == 403)

    await eventually(dead, 60)
    for path in flow.settings.state_dir.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert token.encode() not in path.read_bytes(), path


async def test_a_session_started_through_the_persons_door_is_opened_by_the_hub(flow: Any) -> None:
    person = await flow.person("bob")
    answer = await flow.broker("POST", "/sessions", json={"owner": "bob", "server": "door", "options": SMALL})
    assert answer.status_code == 201, answer.text
    await flow.reach("bob", "door", "ready")
    await flow.usable(person, "bob", "door")
    assert len(await flow.sessions_of("bob", "door")) == 1


async def test_a_session_ends_in_good_order_before_its_centre_ends_it(flow: Any, eventually: Any) -> None:
    options = SMALL | {"walltime": "75s", "open": "notes/first one.txt", "language": "zh"}
    answer = await flow.broker("POST", "/sessions", json={"owner": "bob", "server": "short", "options": options})
    assert answer.status_code == 201, answer.text
    person = await flow.person("bob")
    await flow.reach("bob", "short", "ready")

    async def landed() -> bool:
        page = await person.get("/hub/user/bob/short/")  # as the pages' links do
        return str(page.url).partition("?")[0].endswith("/user/bob/short/lab/tree/notes/first%20one.txt")

    await eventually(landed)
    ended = await flow.reach("bob", "short", "ended", 150)
    assert (ended["outcome"], ended["exit_code"]) == ("walltime", 0)
    assert ended["ended"] < ended["ends_by"]


async def test_nobody_else_gets_into_a_session(flow: Any) -> None:
    teacher = await flow.person("teacher")
    answer = await teacher.get("/user/bob/door/api/contents")
    assert answer.status_code in (403, 404), answer.text


async def test_a_link_with_options_starts_nothing(flow: Any) -> None:
    person = await flow.person("teacher")
    answer = await person.get("/hub/spawn/teacher/link?opt-centre=zhengzhou&opt-cores=1", follow_redirects=False)
    assert answer.status_code == 303
    assert await flow.sessions_of("teacher", "link") == []


async def test_what_no_queue_can_serve_is_refused_with_its_fields(flow: Any) -> None:
    await flow.person("teacher")
    answer = await flow.hub("POST", "/users/teacher/servers/big", json=SMALL | {"cores": 5000})
    assert answer.status_code == 400
    assert "cores" in answer.json()["message"]
    assert await flow.sessions_of("teacher", "big") == []


async def test_a_running_session_and_its_websocket_survive_a_hub(flow: Any, kernel: Any, eventually: Any) -> None:
    person = await flow.person("bob")
    await flow.usable(person, "bob", "door")
    before = await flow.session("bob", "door")
    opened = await kernel.open(person, "/user/bob/door", flow.stack)
    await opened.run("here = 41")
    restarts = flow.gateway.hub.restarts
    flow.kill(flow.gateway.hub)
    assert await opened.run("print(here + 1)") == "42\n"

    async def again() -> bool:
        return bool(flow.gateway.hub.restarts > restarts)

    await eventually(again, 60)
    await eventually(lambda: ready_at_hub(flow, "bob", "door"), 90)
    assert await opened.run("print(here + 2)") == "43\n"
    after = await flow.session("bob", "door")
    assert (after["id"], after["job_id"], after["stage"]) == (before["id"], before["job_id"], "ready")


async def test_a_running_session_survives_a_broker_and_then_both(flow: Any, kernel: Any, eventually: Any) -> None:
    person = await flow.person("bob")
    before = await flow.session("bob", "door")
    for parts in ((flow.gateway.broker,), (flow.gateway.broker, flow.gateway.hub)):
        opened = await kernel.open(person, "/user/bob/door", flow.stack)
        await opened.run("print(1)")
        restarts = [part.restarts for part in parts]
        flow.kill(*parts)

        async def back(parts: Any = parts, restarts: Any = restarts) -> bool:
            session = await flow.session("bob", "door")
            again = all(part.restarts > count for part, count in zip(parts, restarts, strict=True))
            return again and session.get("stage") == "ready" and bool(session.get("connected"))

        await eventually(back, 90)
        await eventually(lambda: ready_at_hub(flow, "bob", "door"), 90)
        await flow.usable(person, "bob", "door")
    after = await flow.session("bob", "door")
    assert (after["id"], after["job_id"]) == (before["id"], before["job_id"])
    assert len(await flow.sessions_of("bob", "door")) == 1


async def test_a_queued_session_is_neither_lost_nor_doubled_whatever_is_killed(
    flow: Any, kernel: Any, eventually: Any
) -> None:
    person = await flow.person("teacher")
    others = flow.fill_node("guangzhou", "debug", 4)
    assert (await flow.hub("POST", "/users/teacher/servers/queued", json=WHOLE_NODE)).status_code in (201, 202)
    queued = await flow.reach("teacher", "queued", "queued")

    async def pending() -> bool:
        """Broker and hub both have the start in hand again."""
        there = await flow.session("teacher", "queued")
        model = (await flow.hub("GET", "/users/teacher")).json()["servers"].get("queued", {})
        return there.get("stage") == "queued" and not there["needs_environment"] and model.get("pending") == "spawn"

    for victims in (("hub",), ("broker",), ("hub", "broker")):
        children = [getattr(flow.gateway, victim) for victim in victims]
        before = [child.restarts for child in children]
        flow.kill(*children)

        async def restarted(children: Any = children, before: Any = before) -> bool:
            return [child.restarts for child in children] == [count + 1 for count in before]

        await eventually(restarted, 90)
        await eventually(pending, 90)
        assert (await flow.session("teacher", "queued"))["job_id"] == queued["job_id"]
    flow.cancel("guangzhou", others)
    opened = await flow.reach("teacher", "queued", "ready")
    assert (opened["id"], opened["job_id"]) == (queued["id"], queued["job_id"])
    assert len(await flow.sessions_of("teacher", "queued")) == 1
    await flow.usable(person, "teacher", "queued")
    cell = await kernel.open(person, "/user/teacher/queued", flow.stack)
    assert await cell.run("print('still here')") == "still here\n"
    assert (await flow.hub("DELETE", "/users/teacher/servers/queued")).status_code in (202, 204)
    await flow.reach("teacher", "queued", "ended")
