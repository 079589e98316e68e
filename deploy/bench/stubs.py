"""Many Dask workers in one process, for `heads.py`: real ones, without nannies, that join the head of a folder.

    python stubs.py FOLDER      < names of workers, one a line; the end of the input is their end

They run tasks like any other. Left out is what a few hundred of them would do to one processor, and what no head sees:
each looks at the whole machine twice a second, makes a profile of itself, and watches its memory.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import dask
from distributed import Worker
from distributed.security import Security

#: Workers that join at the same time; each has a TLS handshake or two.
AT_ONCE = 10
QUIET = {
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.require-encryption": True,
}


async def main(folder: Path) -> None:
    """Start a worker for each name that comes, until no more come."""
    settings = json.loads((folder / "worker.json").read_text())
    security = Security(
        require_encryption=True,
        tls_ca_file=str(folder / "ca.pem"),
        tls_worker_cert=str(folder / "worker.pem"),
        tls_worker_key=str(folder / "worker-key.pem"),
    )
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    turn, starting = asyncio.Semaphore(AT_ONCE), set()
    with tempfile.TemporaryDirectory() as scratch:

        async def start(name: str) -> Worker:
            async with turn:
                return await Worker(
                    settings["scheduler"],
                    name=name,
                    nthreads=1,
                    memory_limit=0,
                    host="127.0.0.1",
                    protocol="tls",
                    security=security,
                    dashboard=False,
                    local_directory=scratch,
                )

        while line := (await reader.readline()).decode().strip():
            starting.add(asyncio.ensure_future(start(line)))
        workers = await asyncio.gather(*starting, return_exceptions=True)
        await asyncio.gather(
            *(worker.close(nanny=False) for worker in workers if isinstance(worker, Worker)), return_exceptions=True
        )


if __name__ == "__main__":
    dask.config.set(QUIET)
    asyncio.run(main(Path(sys.argv[1])))
