"""The tunnel to an agent of the simulated centre: it finds the job by its key, and breaks when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncssh
from broker.simulated import Job, SimulatedCentre
from perijove.spawners.job import JobState
from perijove.spawners.tunnel_types import AgentAddress, AgentInfo, Hello, ServerState, TunnelError, TunnelProblem


class SimTunnel:
    """A tunnel to an agent of the simulated centre."""

    def __init__(
        self,
        link: Any,
        address: AgentAddress,
        client_key: asyncssh.SSHKey,
        *,
        local_port: int,
        api: tuple[str, int],
        gateway: tuple[str, int] | None,
        on_change: Callable[[bool], None],
    ) -> None:
        self.simulated: SimulatedCentre = link.simulated
        self.address = address
        self.local_port = local_port
        self.on_change = on_change
        self.up = False
        self.closed = False

    def _job(self) -> Job:
        for job in self.simulated.of(self.address.session):
            if job.state is JobState.RUNNING and job.node == self.address.node and job.key and job.answers:
                if job.key != self.address.host_key.strip():
                    raise TunnelError(TunnelProblem.WRONG_KEY, "another key")
                return job
        raise TunnelError(TunnelProblem.NO_AGENT, "nothing listens")

    async def open(self) -> Hello:
        holder = self.simulated.taken.setdefault(self.local_port, self)
        if holder is not self:
            raise OSError(98, f"port {self.local_port} is in use")
        await asyncio.sleep(0)
        job = self._job()
        if not self.up:
            self.up = True
            self.simulated.tunnels.append(self)
            self.on_change(True)
        return Hello(job.session, 1, job.node or "", 0.0, ServerState(job.server), "/tmp/s", 1234, {})

    async def start_server(self, argv: Sequence[str], environment: Mapping[str, str], cwd: str) -> None:
        job = self._job()
        if job.server == "none":
            job.server, job.environment = "running", dict(environment)

    async def info(self, log_lines: int = 40) -> AgentInfo:
        return AgentInfo(ServerState(self._job().server), (self.simulated.tail,), 1, 1.0, 1, 1)

    async def stop_server(self, grace: float) -> None:
        self._job().server = "ended"

    async def bye(self) -> None:
        self._job()

    async def ready(self, path: str) -> bool:
        return self.up and self._job().server == "running"

    def lose(self) -> None:
        if self.up:
            self.up = False
            self.simulated.tunnels.remove(self)
            self.on_change(False)

    async def close(self) -> None:
        self.closed = True
        if self.up:
            self.up = False
            self.simulated.tunnels.remove(self)
        if self.simulated.taken.get(self.local_port) is self:
            del self.simulated.taken[self.local_port]
