"""A head and its workers, as real processes with real keys."""

from __future__ import annotations

import asyncio
import ssl
import stat
from pathlib import Path

import pytest
from distributed import Client
from distributed.core import rpc
from distributed.deploy.cluster import Cluster as DaskCluster
from harness.dask_head import CLUSTER, TOKEN, HeadProcess, running_head
from harness.doors import listening, session
from perijove.spawners.dask import tls

pytestmark = pytest.mark.slow


def client(head: HeadProcess, address: str) -> Client:
    return Client(address, security=tls.client_security(head.folder), asynchronous=True, set_as_default=False)


async def test_a_client_with_the_clusters_key_files_computes_on_two_worker_processes(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=2) as head:
        status = await head.until(lambda status: status["counts"]["connected"] == 2)
        assert status["address"].startswith("tls://127.0.0.1:")
        async with client(head, status["address"]) as dask:
            assert await dask.gather(dask.map(lambda x: x * x, range(20))) == [x * x for x in range(20)]
        assert len(head.broker.asked) == 1 and head.broker.asked[0]["count"] == 2
        assert head.broker.tokens == {f"token {TOKEN}"}
        assert stat.S_IMODE(head.folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in head.folder.iterdir()} == {0o600}
        assert stat.S_IMODE(head.socket.stat().st_mode) == 0o600
        assert listening(head.process.pid) == [("127.0.0.1", int(status["address"].rpartition(":")[2]))]
    assert head.process.returncode == 0
    assert not (tmp_path / CLUSTER).exists()


async def test_every_port_of_a_workers_processes_asks_for_a_certificate_of_the_cluster(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=1) as head:
        await head.until(lambda status: status["counts"]["connected"] == 1)
        (worker,) = head.broker.workers.values()
        assert worker.process is not None
        doors = {door for pid in session(worker.process.pid) for door in listening(pid)}
        # The worker's and its nanny's, on the address by which the node reaches the head.
        assert len(doors) == 2 and {address for address, _ in doors} == {"127.0.0.1"}
        for door in doors:
            assert not await answer(*door, None)
            stranger = ssl.create_default_context(cafile=str(head.folder / tls.CA))
            stranger.check_hostname = False
            assert not await answer(*door, stranger)
            other = tls.make("another")
            (tmp_path / "other.pem").write_text(other.client.certificate + other.client.key)
            stranger.load_cert_chain(tmp_path / "other.pem")
            assert not await answer(*door, stranger)
            stranger.load_cert_chain(head.folder / tls.CLIENT, head.folder / tls.CLIENT_KEY)
            assert await answer(*door, stranger)  # Dask's greeting


async def answer(address: str, port: int, context: ssl.SSLContext | None) -> bytes:
    """What comes back to an HTTP request; nothing where the connection is refused or broken."""
    async with asyncio.timeout(30):
        try:
            reader, writer = await asyncio.open_connection(address, port, ssl=context)
        except OSError:
            return b""
        try:
            writer.write(b"GET /health HTTP/1.0\r\n\r\n")
            return await reader.read(100)
        except OSError:
            return b""
        finally:
            writer.transport.abort()


class Window(DaskCluster):
    """A cluster object elsewhere that attaches to the head's scheduler."""

    def __init__(self, address: str, folder: Path) -> None:
        super().__init__(asynchronous=True, quiet=True)
        arguments = tls.client_security(folder).get_connection_args("client")
        self.scheduler_comm = rpc(address, connection_args=arguments)
        self.seen = asyncio.Condition()

    def _update_worker_status(self, op: str, msg: object) -> None:
        super()._update_worker_status(op, msg)
        self.telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        async with self.seen:
            self.seen.notify_all()

    async def workers(self, count: int) -> None:
        async with asyncio.timeout(60), self.seen:
            await self.seen.wait_for(lambda: len(self.scheduler_info["workers"]) == count)


async def test_cluster_objects_that_attach_all_hear_of_workers_and_the_head_still_does(tmp_path: Path) -> None:
    async with running_head(tmp_path) as head:
        address = (await head.status())["address"]
        first, second = Window(address, head.folder), Window(address, head.folder)
        await first._start()
        await second._start()
        await head.call("POST", "/control/scale", {"n": 1})
        await asyncio.gather(first.workers(1), second.workers(1))
        await first._close()
        await head.call("POST", "/control/scale", {"n": 0})
        await second.workers(0)
        await second._close()
    assert "UserWarning" not in (tmp_path / "head.log").read_text()
