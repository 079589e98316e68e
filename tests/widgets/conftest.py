"""A session's server behind a small gateway, for the tests of `Cluster`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from doubles.dask_broker import DaskBroker
from harness.cluster_rig import Rig, up
from harness.dask_rig import CLUSTER, Gateway, Session


@pytest.fixture
async def cluster_rig(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    (tmp_path / "base").mkdir()
    async with DaskBroker(tmp_path / "base", CLUSTER) as broker, Gateway(broker) as gateway:
        session = Session(tmp_path, gateway)
        await session.start(at_socket=getattr(request, "param", "tcp") == "socket")
        try:
            await up(session)
            yield Rig(broker, gateway, session)
        finally:
            await session.stop()
