"""A session at a real centre of the testbed, without hub or broker: launcher, batch job, agent, tunnel."""

# ruff: noqa: ASYNC110
from __future__ import annotations

import asyncio
import json
from typing import Any

from perijove.spawners.batch import batch_system
from perijove.spawners.batch.base import Output
from perijove.spawners.centre import Centre
from perijove.spawners.job import JobSpec, JobState, JobStatus, new_session_id
from perijove.spawners.link import Account, Link, link_for
from perijove.spawners.tunnel import AgentAddress, Tunnel, TunnelError, TunnelProblem

from doubles.login import new_key, public

BASE = "~/.perijove"


async def within(seconds: float, question: Any, every: float = 0.05) -> Any:
    """The first true answer to `question` within the time."""
    async with asyncio.timeout(seconds):
        while not (answer := await question()):
            await asyncio.sleep(every)
        return answer


class RealJob:
    """One session of one person at one centre."""

    def __init__(self, centre: Centre, account: Account, *, link: Link | None = None) -> None:
        self.centre = centre
        self.link = link or link_for(centre, account)
        self.session = new_session_id("tst")
        self.batch = batch_system(centre)
        self.host_key, self.client_key = new_key(), new_key()
        self.job_id = ""
        self.status: JobStatus | None = None
        self.tunnel: Tunnel | None = None
        self.hub_port = 9

    def keys(self) -> dict[str, str]:
        """`agent.json`."""
        ports = (self.centre.ports.first, self.centre.ports.last)
        private = self.host_key.export_private_key().decode()
        content = {"session": self.session, "host_key": private, "client_keys": [public(self.client_key)]}
        return {"agent.json": json.dumps({**content, "ports": ports})}

    async def submit(self, *, walltime: int = 600) -> None:
        """Put the job into the queue."""
        queue = self.centre.queues[0]
        command = (str(self.centre.environment.python), "-m", "perijove.spawners.agent", ".")
        spec = JobSpec(
            self.session, queue.label, 1, 512, 0, walltime, f"{BASE}/{self.session}", command,
            prolog=self.centre.environment.prolog,
        )  # fmt: skip
        asked = self.batch.submit(spec)
        request = {"verb": "submit", "session": self.session, "base": BASE, "timeout": 20, "files": self.keys()}
        answer = await self.link.launch({**request, "argv": list(asked.argv), "stdin": asked.stdin})
        self.job_id = self.batch.parse_submit(_output(answer["outputs"][0]))

    async def hand_keys_over(self) -> None:
        """Give a requeued job its keys again."""
        request = {"verb": "submit", "session": self.session, "base": BASE, "timeout": 20, "files": self.keys()}
        await self.link.launch({**request, "argv": None})

    async def look(self) -> JobStatus | None:
        """What the batch system says now."""
        asked = self.batch.status()
        commands = [{"argv": list(asked.argv), "stdin": asked.stdin}]
        answer = await self.link.launch({"verb": "status", "base": BASE, "timeout": 20, "commands": commands})
        jobs = self.batch.parse_status(_output(answer["outputs"][0]))
        self.status = next((job for job in jobs if job.job_id == self.job_id), None)
        return self.status

    async def node(self) -> str:
        """Wait for the job to run; its node."""

        async def running() -> str | None:
            status = await self.look()
            return status.node if status and status.state is JobState.RUNNING else None

        return str(await within(240, running, 0.2))

    async def open(self) -> Tunnel:
        """Wait for the agent and connect to it."""
        ports = (self.centre.ports.first, self.centre.ports.last)
        address = AgentAddress(self.session, await self.node(), ports, public(self.host_key))
        api = ("127.0.0.1", self.hub_port)
        self.tunnel = Tunnel(self.link, address, self.client_key, local_port=0, api=api)

        async def attempt() -> bool:
            assert self.tunnel is not None
            try:
                await self.tunnel.open()
            except TunnelError as error:
                if error.problem is not TunnelProblem.NO_AGENT:
                    raise
                return False
            return True

        await within(30, attempt)
        return self.tunnel

    async def end(self) -> None:
        """Cancel the job and close everything."""
        if self.tunnel is not None:
            await self.tunnel.close()
        if self.job_id:
            asked = self.batch.cancel([self.job_id])
            await self.link.launch(
                {"verb": "cancel", "argv": list(asked.argv), "timeout": 20, "base": BASE, "forget": []}
            )
        await self.link.close()


def _output(data: dict[str, Any]) -> Output:
    return Output(data["status"], data["stdout"], data["stderr"])
