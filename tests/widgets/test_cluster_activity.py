"""What keeps a session from being culled: a cluster that computes, and not one that is only there or looked at."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from doubles.dask_broker import DaskBroker
from doubles.jobs import eventually
from harness.cluster_rig import Rig, make, up
from harness.dask_rig import CLUSTER, PREFIX, TOKEN, Gateway, Session
from perijove.widgets import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    (tmp_path / "base").mkdir()
    async with DaskBroker(tmp_path / "base", CLUSTER) as broker, Gateway(broker) as gateway:
        session = Session(tmp_path, gateway)
        await session.start("--Perijove.work_look=0.2")
        try:
            await up(session)
            yield Rig(broker, gateway, session)
        finally:
            await session.stop()


async def get(rig: Rig, path: str) -> Any:
    """What the session's server says; neither question counts as activity."""
    async with httpx.AsyncClient(trust_env=False, timeout=90) as client:
        answer = await client.get(f"{rig.url}{PREFIX}{path}", headers={"Authorization": f"token {TOKEN}"})
        assert answer.status_code == 200, answer.text
        return answer.json()


async def active(rig: Rig) -> datetime:
    """When somebody or something was active last; it is what the hub is told."""
    return datetime.fromisoformat((await get(rig, "api/status"))["last_activity"])


async def test_a_cluster_that_computes_is_activity_and_an_idle_one_that_is_looked_at_is_none(rig: Rig) -> None:
    await make(rig, "far", workers=1)
    flag = rig.session.folder / "enough"
    async with Cluster.attach("far", gateway=rig.url, token=TOKEN, asynchronous=True) as cluster:
        client = await cluster.get_client()
        future = client.submit(os.system, f"until test -e '{flag}'; do sleep 0.1; done")
        before = datetime.now(UTC)

        async def noted() -> bool:
            # Twice after the task was there: neither the cluster's start nor the submission is what counts.
            return await active(rig) > before + timedelta(seconds=1)

        await eventually(noted, seconds=60)
        flag.touch()
        assert await future == 0

        async def idle() -> bool:
            return bool((await get(rig, "perijove/clusters/far/status"))["idle_for"] > 5)

        await eventually(idle, seconds=60)
        # The client is connected, its status was asked for all the time, and nothing of it counts.
        assert datetime.now(UTC) - await active(rig) > timedelta(seconds=2)
        await client.close()
