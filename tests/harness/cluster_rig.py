"""A gateway and a session for `Cluster`: programs run in the session as its kernels do, or outside as on a laptop."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import httpx
from doubles.dask_broker import DaskBroker
from doubles.jobs import eventually
from perijove.widgets import Cluster

from harness.dask_rig import PREFIX, TOKEN, Gateway, Session


@dataclass
class Rig:
    """A gateway, and a session whose server is reached at its unix socket by its kernels."""

    broker: DaskBroker
    gateway: Gateway
    session: Session

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.gateway.port}"

    async def script(self, code: str, *, inside: bool = False, fails: bool = False) -> str:
        """What a program prints, in the session as a kernel is, or outside as on a laptop; it must not warn."""
        environment = dict(self.session.environment)
        if inside:
            environment["PERIJOVE_SOCKET"] = str(self.session.socket)
        else:
            environment = {key: value for key, value in environment.items() if "PERIJOVE" not in key}
            environment |= {"G": self.url, "T": TOKEN, "JUPYTERHUB_API_TOKEN": ""}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", code, env=environment, cwd=self.session.folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, said = await asyncio.wait_for(process.communicate(), 120)
        assert (process.returncode != 0) == fails, (out.decode(), said.decode(), self.session.log)
        if not fails:
            assert said == b"", said.decode()
        return out.decode() + (said.decode() if fails else "")


async def up(session: Session) -> None:
    """Wait until it answers."""

    async def answers() -> bool:
        try:
            _, writer = await (
                asyncio.open_unix_connection(session.socket)
                if session.socket.exists()
                else asyncio.open_connection("127.0.0.1", session.port)
            )
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    await eventually(answers, seconds=60)


async def started(cluster: Cluster) -> Cluster:
    """The cluster, once it is there."""
    return await cluster


async def make(rig: Rig, name: str, workers: int = 0) -> None:
    """A head in the session, as its person made it earlier."""
    async with httpx.AsyncClient(trust_env=False, timeout=90) as client:
        address = f"{rig.url}{PREFIX}perijove/clusters"
        answer = await client.post(
            address, json={"name": name, "workers": workers}, headers={"Authorization": f"token {TOKEN}"}
        )
        assert answer.status_code == 201, answer.text
