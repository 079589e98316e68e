"""Dask where people have domains of their own: beside the session, at another centre, and from a laptop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import websockets
from harness.basics import eventually, settings_in
from harness.flow import Flow
from harness.kernel import Kernel
from perijove.hub import demo
from perijove.hub.serve import running
from perijove.widgets import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]
DOMAIN = "perijove.test"
ONE = "workers=1, cores=1, memory='1G', walltime='15m', quiet=True"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flow]:
    """A gateway with the demo's centres at a domain, which leads here for this process alone, as does all below it."""
    made = settings_in(tmp_path_factory.mktemp("domains") / "state")
    address = f"http://{DOMAIN}:{made.proxy_port}"
    settings = made.model_copy(update={"public_url": address, "subdomain_host": address})
    real = socket.getaddrinfo

    def here(host: Any, *more: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        return real("127.0.0.1" if name.endswith(DOMAIN) else host, *more, **named)

    demo.prepare(settings.state_dir)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", here)
            async with AsyncExitStack() as stack:
                gateway = await stack.enter_async_context(running(settings, settings.save()))
                yield Flow(gateway, settings, stack)
    finally:
        demo.clean_up(settings.state_dir)


async def token_of(flow: Flow, owner: str) -> str:
    """A token as a person makes one for a laptop: the operator makes it for them."""
    operator = await flow.person("operator")
    await operator.get("/hub/token")
    xsrf = next(c.value for c in operator.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
    answer = await operator.post(
        f"/hub/api/users/{owner}/tokens", json={"note": "laptop"}, headers={"X-XSRFToken": xsrf or ""}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


async def kernel_at(flow: Flow, root: str, token: str) -> Kernel:
    """A kernel of the session at the address `root`."""

    async def answers() -> bool:
        return (await flow.call("GET", f"{root}/api/status", token)).status_code == 200

    await eventually(answers, 90)
    made = await flow.call("POST", f"{root}/api/kernels", token, json={"name": "python3"})
    assert made.status_code == 201, made.text
    address = f"{root.replace('http:', 'ws:')}/api/kernels/{made.json()['id']}/channels"
    connection = websockets.connect(address, additional_headers={"Authorization": f"token {token}"})
    return Kernel(made.json()["id"], await flow.stack.enter_async_context(connection))


async def test_clusters_are_reached_at_their_persons_domain_from_a_kernel_and_from_a_laptop(flow: Flow) -> None:
    small = {"centre": "zhengzhou", "cores": 2, "memory": "2G", "walltime": "20m"}
    await flow.person("alice")
    answer = await flow.hub("POST", "/users/alice/servers/dask", json=small)
    assert answer.status_code in (201, 202), answer.text
    await flow.reach("alice", "dask", "ready")
    token = await token_of(flow, "alice")
    own = f"http://alice.{DOMAIN}:{flow.settings.proxy_port}"
    opened = await kernel_at(flow, f"{own}/user/alice/dask", token)

    said = await opened.run(
        "from perijove.widgets import Cluster\n"
        f"near = Cluster('near', {ONE})\n"
        "print(near.scheduler_address.split(':')[0], near.get_client().submit(sum, range(10)).result(120))\n"
        "print(near.dashboard_link)",
        180,
    )
    assert said.splitlines() == ["tls 45", f"{own}/user/alice/dask/perijove/clusters/near/dashboard/status"], said
    said = await opened.run(
        f"far = Cluster('far', centre='guangzhou', {ONE})\n"
        "print(far.scheduler_address.split(':')[0], far.get_client().submit(sum, range(100)).result(120))\n"
        "print(far.dashboard_link)",
        240,
    )
    assert said.splitlines() == ["pjws 4950", f"{own}/user/alice/far/perijove/clusters/far/dashboard/status"], said
    # The links work at the person's domain, and at nobody else's.
    for link in (f"{own}/user/alice/dask/perijove/clusters/near/dashboard/status", said.splitlines()[1]):
        page = await flow.call("GET", link, token)
        assert (page.status_code, "Bokeh" in page.text) == (200, True)
        elsewhere = await flow.call("GET", link.replace(f"//alice.{DOMAIN}", f"//bob.{DOMAIN}"), token)
        assert "Bokeh" not in elsewhere.text

    cluster: Any = Cluster.attach("far", gateway=flow.settings.url, token=token, asynchronous=True)
    async with cluster:
        assert urlsplit(cluster.scheduler_address).netloc == urlsplit(own).netloc
        assert urlsplit(cluster.dashboard_link).netloc == urlsplit(own).netloc
        client = await cluster.get_client()
        assert await client.submit(sum, range(10)) == 45
        await client.close()
    await flow.reach("alice", "far", "ended", 120)
    assert await opened.run("near.close()\nprint(near.status.name)", 90) == "closed\n"
    session = await flow.session("alice", "dask")
    await flow.broker("DELETE", f"/sessions/{session['id']}")
