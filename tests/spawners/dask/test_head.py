"""A head and its workers, as real processes with real keys."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from distributed import Client
from harness.dask_head import CLUSTER, TOKEN, HeadProcess, running_head
from perijove.spawners.dask import tls

pytestmark = pytest.mark.slow


def listening(pid: int) -> set[int]:
    """The TCP ports on which a process listens."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


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
        assert listening(head.process.pid) == {int(status["address"].rpartition(":")[2])}
    assert head.process.returncode == 0
    assert not (tmp_path / CLUSTER).exists()
