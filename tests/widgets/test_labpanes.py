"""What JupyterLab's Dask sidebar asks of a session's server, for clusters of this session and of another one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from doubles.dask_broker import DaskBroker
from doubles.jobs import eventually
from harness.cluster_rig import Rig, up
from harness.dask_rig import CLUSTER, OTHER, PREFIX, TOKEN, Gateway, Session
from perijove.spawners.kinds import LAB

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


async def ask(rig: Rig, method: str, path: str, token: str = TOKEN) -> httpx.Response:
    """One request of the sidebar's."""
    async with httpx.AsyncClient(trust_env=False, timeout=90) as client:
        return await client.request(method, f"{rig.url}{PREFIX}{path}", headers={"Authorization": f"token {token}"})


@pytest.mark.parametrize("where", ["lab", "apart"])
async def test_a_pane_leads_to_the_clusters_own_page_and_everything_else_stays_the_labextensions(
    tmp_path: Path, where: str
) -> None:
    (tmp_path / "base").mkdir()
    async with DaskBroker(tmp_path / "base", CLUSTER) as broker, Gateway(broker) as gateway:
        # The session's sidebar is set to a cluster that exists, here or in a session of its own.
        factory = {"DASK_LABEXTENSION__FACTORY__KWARGS": "{'name': 'mine'}", **LAB.environment}
        serves = {"PERIJOVE_SERVES_CLUSTER": json.dumps({"cluster": json.dumps({"name": "mine"})})}
        session = Session(tmp_path, gateway, **factory, **(serves if where == "lab" else {}))
        other = Session(tmp_path, gateway, OTHER, **serves)
        rig = Rig(broker, gateway, session)
        try:
            for one in [session] if where == "lab" else [session, other]:
                await one.start()
                await up(one)
            await eventually(lambda: asyncio.sleep(0, "mine" in gateway.names), seconds=60)
            made = await ask(rig, "PUT", "dask/clusters/")
            assert made.status_code == 200, (made.text, session.log)
            model: dict[str, Any] = made.json()
            page = f"/user/ada/{where}/perijove/clusters/mine/dashboard"
            assert model["dashboard_link"].endswith(f"{page}/status")

            pane = f"dask/dashboard/{model['id']}"
            plots = await ask(rig, "GET", f"{pane}/individual-plots.json")
            assert plots.json()["Individual Task Stream"] == "/individual-task-stream"
            led = await ask(rig, "GET", f"{pane}/individual-task-stream?theme=dark")
            assert (led.status_code, led.headers["location"]) == (302, f"{page}/individual-task-stream?theme=dark")
            assert (await ask(rig, "GET", pane)).headers["location"] == f"{page}/status"
            # Its answer may be shown in a pane of the same origin.
            async with httpx.AsyncClient(trust_env=False, timeout=90) as client:
                shown = await client.get(
                    f"{rig.url}{led.headers['location']}", headers={"Authorization": f"token {TOKEN}"}
                )
            assert (shown.status_code, shown.headers["content-security-policy"]) == (200, "frame-ancestors 'self'")
            # Nobody else, and no other cluster's.
            refused = await ask(rig, "GET", f"{pane}/individual-task-stream", "wrong")
            assert "perijove/clusters" not in refused.headers.get("location", "").split("?")[0]
            nobody = await ask(rig, "GET", "dask/dashboard/0-0-0-0-0/individual-task-stream")
            assert nobody.status_code == 404
        finally:
            await other.stop()
            await session.stop()
