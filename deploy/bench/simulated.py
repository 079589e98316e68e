"""A simulated centre in a process of its own, and a broker that has it: what `gateway.py` measures with.

    python deploy/bench/simulated.py centre SOCKET          # batch system and all agents
    python deploy/bench/simulated.py broker --config FILE   # the real broker, whose launcher calls go to SOCKET

The launcher's requests cross a unix socket as lines of JSON. All else of the broker is real: store, watcher, keepers,
tunnels with SSH to each agent, API. PERIJOVE_SIMULATED names the socket.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import asyncssh

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from doubles.simulated import SimulatedCentre, simulated_description
from perijove.spawners.centre import Centre
from perijove.spawners.link import Account, Link, LinkError, LinkProblem
from perijove.spawners.link_agent import connect

#: Longest line between the two, in bytes.
LINE = 64 << 20
#: For the gateway's folder of centres: what `simulated_description` describes.
DESCRIPTION = """\
id = "simulated"
name = { en = "Simulated", zh = "模拟" }
scheduler = { system = "local", root = "/nonexistent" }
environment = { python = "/usr/bin/python3" }
queues = [{ name = "batch", nodes = 1000, cores = 64, memory = "256G", max_time = "48h" }]
"""


class Client(Link):
    """The link of a broker to a centre in another process."""

    def __init__(self, socket: str, centre: Centre, account: Account) -> None:
        super().__init__(centre, account)
        self._socket = socket

    async def launch(self, request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:
        """As `Link.launch`."""
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_unix_connection(self._socket, limit=LINE)
                writer.write(json.dumps(request).encode() + b"\n")
                answer: dict[str, Any] = json.loads(await reader.readline())
                writer.close()
        except TimeoutError:
            raise LinkError(LinkProblem.TIMEOUT, f"no answer in {timeout:g} s") from None
        except (OSError, ValueError) as error:
            raise LinkError(LinkProblem.UNREACHABLE, str(error)) from None
        return answer

    async def connect(
        self, node: str, port: int, *, host_key: str, client_key: asyncssh.SSHKey
    ) -> asyncssh.SSHClientConnection:
        """As `Link.connect`; every node is this machine."""
        return await connect("127.0.0.1", port, host_key=host_key, client_key=client_key, through=None)

    async def close(self) -> None:
        """Nothing stays open."""


class Pool:
    """In the place of `perijove.spawners.link.Links`."""

    def get(self, centre: Centre, account: Account = Account()) -> Link:
        """The link to `centre`."""
        return Client(os.environ["PERIJOVE_SIMULATED"], centre, account)

    async def close(self) -> None:
        """Nothing stays open."""


async def centre(socket: str) -> None:
    """Serve a simulated centre until killed; "counts" is answered with the live jobs and the commands so far."""
    simulated = SimulatedCentre(simulated_description())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line == b"counts\n":
            answer: dict[str, Any] = {"live": len(simulated.live()), "ever": len(simulated.jobs), **simulated.counts}
        else:
            answer = await simulated.launch(json.loads(line))
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(serve, socket, limit=LINE) as server:
        await server.serve_forever()


def broker(words: list[str]) -> None:
    """`perijove broker` with `Pool`."""
    from perijove.hub.broker import app
    from perijove.hub.cli import main

    app.Links = Pool  # type: ignore[misc,assignment]
    sys.argv = ["perijove", "broker", *words]
    main()


if __name__ == "__main__":
    if sys.argv[1] == "centre":
        asyncio.run(centre(sys.argv[2]))
    else:
        broker(sys.argv[2:])
