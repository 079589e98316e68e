"""A client through the gateway, over connections that are cut: the same results as without."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, Security
from distributed.comm.core import connect
from harness.cutting import CuttingRelay
from harness.dask_head import running_head
from perijove.spawners.dask import resume

pytestmark = pytest.mark.slow


def client(relay: CuttingRelay, **channel: Any) -> Client:
    resume.register()
    security = Security(extra_conn_args={"headers": {"Authorization": "token t"}, "channel": channel})
    address = f"pjws://127.0.0.1:{relay.port}/comm"
    return Client(address, security=security, asynchronous=True, set_as_default=False)


async def test_results_are_right_when_the_connection_is_cut_in_a_gather_in_a_scatter_and_while_computing(
    tmp_path: Path,
) -> None:
    async with running_head(tmp_path, workers=1) as head, CuttingRelay(head.socket) as relay:
        await head.until(lambda status: status["counts"]["connected"] == 1)
        async with client(relay) as dask:
            # In the middle of a large result.
            made = dask.submit(np.arange, 4_000_000)
            await made
            before = relay.connections
            relay.cut_after = 9_000_000
            assert np.array_equal(await dask.gather(made), np.arange(4_000_000))
            assert relay.connections > before and relay.cut_after is None
            # In the middle of a large input.
            data = np.random.default_rng(1).integers(0, 1000, 3_000_000)
            before, relay.cut_after = relay.connections, 7_000_000
            scattered = await dask.scatter(data)
            assert relay.connections > before and relay.cut_after is None
            assert await dask.submit(np.sum, scattered) == data.sum()
            # Between tasks, again and again; futures from before are still good.
            futures = []
            for number in range(20):
                futures.append(dask.submit(pow, number, 2))
                if number % 4 == 0:
                    relay.cut()
            assert await dask.gather(futures) == [number**2 for number in range(20)]
            assert np.array_equal(await dask.gather(made), np.arange(4_000_000))
        # Nobody's futures are left: the client is gone for the head, too.
        status = await head.until(lambda status: all(not w["tasks"] for w in status["workers"]))
        assert status["counts"]["connected"] == 1


async def test_a_refused_connection_fails_at_once_and_says_why(tmp_path: Path) -> None:
    resume.register()
    async with CuttingRelay(tmp_path / "none") as relay:
        for answer, words in ((b"403 Forbidden", "may not use"), (b"404 Not Found", "no such cluster")):
            relay.refusing = answer
            before = relay.connections
            with pytest.raises(OSError, match=words):
                await connect(f"pjws://127.0.0.1:{relay.port}/comm", timeout=60)
            assert relay.connections == before + 1


async def test_a_gateway_that_is_not_there_yet_is_tried_again(tmp_path: Path) -> None:
    async with running_head(tmp_path) as head, CuttingRelay(head.socket) as relay:
        resume.register()
        relay.refusing = b"503 Service Unavailable"
        connecting = asyncio.ensure_future(connect(f"pjws://127.0.0.1:{relay.port}/comm", timeout=60))
        while relay.connections < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        relay.refusing = None
        comm = await connecting
        assert not comm.closed()
        await comm.close()


async def test_a_head_that_is_another_one_ends_the_comm_instead_of_waiting(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    resume.register()
    async with running_head(tmp_path / "one") as head, CuttingRelay(head.socket) as relay:
        comm = await connect(f"pjws://127.0.0.1:{relay.port}/comm", timeout=60)
        async with running_head(tmp_path / "other") as other:
            relay._path = other.socket
            relay.cut()
            with pytest.raises(OSError, match="does not know this connection"):
                await comm.read()
        assert comm.closed()
