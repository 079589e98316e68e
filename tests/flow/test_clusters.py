"""Dask from a person's notebook: beside the session, at another centre, and from a laptop with a token."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from perijove.widgets import Cluster, ClusterError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]
SMALL = {"centre": "zhengzhou", "cores": 2, "memory": "2G", "walltime": "20m"}
ONE = "cores=1, memory='1G', walltime='15m'"


async def notebook(flow: Any, kernel: Any, server: str) -> Any:
    """A kernel of alice's session at zhengzhou."""
    person = await flow.person("alice")
    answer = await flow.hub("POST", f"/users/alice/servers/{server}", json=SMALL)
    assert answer.status_code in (201, 202), answer.text
    await flow.reach("alice", server, "ready")
    await flow.usable(person, "alice", server)
    return await kernel.open(person, f"/user/alice/{server}", flow.stack)


async def token_of(flow: Any, owner: str) -> str:
    """A token as a person makes one for a laptop."""
    answer = await flow.hub("POST", f"/users/{owner}/tokens", await admin(flow), json={"note": "laptop"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


async def admin(flow: Any) -> str:
    """A token of the operator's, who may make tokens of others."""
    person = await flow.person("operator")
    await person.get("/hub/token")
    xsrf = next(c.value for c in person.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
    answer = await person.post(
        "/hub/api/users/operator/tokens", json={"note": "test"}, headers={"X-XSRFToken": xsrf or ""}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


async def test_a_notebook_computes_on_workers_beside_it_and_at_another_centre(
    flow: Any, kernel: Any, eventually: Any
) -> None:
    opened = await notebook(flow, kernel, "dask")
    said = await opened.run(
        "from perijove.widgets import Cluster\n"
        f"near = Cluster('near', workers=2, {ONE}, quiet=True)\n"
        "client = near.get_client()\n"
        "near.wait_for_workers(2, timeout=120)\n"
        "print(near.scheduler_address.split(':')[0], client.submit(sum, range(10)).result(60))",
        180,
    )
    assert said == "tls 45\n", said
    session = await flow.session("alice", "dask")
    (listed,) = (await flow.broker("GET", "/clusters", params={"owner": "alice", "live": "true"})).json()["clusters"]
    assert (listed["name"], listed["session"], listed["beside"]) == ("near", session["id"], True)
    assert listed["counts"]["running"] == 2
    # Its pages are behind the person's login, and nobody else's.
    address = await opened.run("print(near.dashboard_link)")
    page = await (await flow.person("alice")).get(address.strip())
    assert page.status_code == 200
    assert "Bokeh" in page.text
    assert (await (await flow.person("bob")).get(address.strip())).status_code in (403, 404)

    said = await opened.run(
        f"far = Cluster('far', centre='guangzhou', workers=1, {ONE}, quiet=True)\n"
        "far.wait_for_workers(1, timeout=120)\n"
        "away = far.get_client()\n"
        "print(far.scheduler_address.split(':')[0], away.submit(sum, range(100)).result(60))",
        240,
    )
    assert said == "pjws 4950\n", said
    assert await opened.run("print(sorted(one['name'] for one in Cluster.list()))") == "['far', 'near']\n"

    # From a laptop, with a token and nothing else.
    token = await token_of(flow, "alice")
    laptop: dict[str, Any] = {"gateway": flow.settings.url, "token": token, "asynchronous": True}
    async with Cluster.attach("far", **laptop) as cluster:
        client = await cluster.get_client()
        assert await client.submit(sum, range(10)) == 45
        await client.close()
    host = await flow.session("alice", "far")
    assert host["kind"] == "dask"
    ended = await flow.reach("alice", "far", "ended", 120)
    assert ended["outcome"] in ("cancelled", "finished"), ended

    # A kernel that dies leaves the cluster alone; the next one comes back to it.
    assert await opened.run("print(near.status.name)") == "running\n"
    person = await flow.person("alice")
    second = await kernel.open(person, "/user/alice/dask", flow.stack)
    said = await second.run(
        "from perijove.widgets import Cluster\n"
        "near = Cluster.attach('near')\n"
        "print(near.get_client().submit(sum, range(3)).result(60))\n"
        "near.close()",
        120,
    )
    assert said == "3\n", said

    async def none() -> bool:
        answer = await flow.broker("GET", "/clusters", params={"owner": "alice", "live": "true"})
        return answer.json()["clusters"] == []

    await eventually(none, 60)


async def test_a_stranger_with_a_token_of_their_own_gets_nowhere(flow: Any, kernel: Any) -> None:
    opened = await notebook(flow, kernel, "mine")
    assert (
        await opened.run(
            f"from perijove.widgets import Cluster\nprint(Cluster('private', {ONE}, quiet=True).name)", 120
        )
        == "private\n"
    )
    token = await token_of(flow, "bob")
    with pytest.raises(ClusterError) as caught:
        await asyncio.wait_for(connected("private", flow.settings.url, token), 60)
    assert caught.value.code == "no-cluster"
    for path in ("status", "comm", "dashboard/status"):
        address = f"{flow.settings.url}/user/alice/mine/perijove/clusters/private/{path}"
        assert (await flow.call("GET", address, token)).status_code == 403
    session = await flow.session("alice", "mine")
    await flow.broker("DELETE", f"/sessions/{session['id']}")
    await flow.reach("alice", "mine", "ended", 90)


async def connected(name: str, gateway: str, token: str) -> Cluster:
    """The cluster, as somebody from outside."""
    return await Cluster.attach(name, gateway=gateway, token=token, asynchronous=True)
