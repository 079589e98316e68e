"""A session's server behind a small gateway, for the tests of `Cluster`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from doubles.dask_broker import DaskBroker
from doubles.run_broker import TINY, RunBroker, run_broker
from harness.app_session import AppServer, app_server
from harness.cluster_rig import Rig, up
from harness.dask_rig import CLUSTER, Gateway, Session
from perijove.spawners.apps.manifest import load


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


@pytest.fixture(scope="module")
def app_broker() -> Iterator[RunBroker]:
    """A broker that has the tiny app."""
    with run_broker(load(TINY)) as broker:
        yield broker


@pytest.fixture(scope="module")
def app_session(app_broker: RunBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A session of kind `app` with the tiny app."""
    home = tmp_path_factory.mktemp("home")
    (home / "work").mkdir()
    (home / "work/a b.csv").write_text("0.4\n")
    (home / "secret.txt").write_text("secret")
    scratch = tmp_path_factory.mktemp("scratch")
    (scratch / "large.csv").write_text("0.4\n")
    (home / "scratch").symlink_to(scratch)
    with app_server(home, app_broker.facts(scratch=str(scratch))) as server:
        yield server
