"""The simulated centre is true to the real thing: real parsers, real tunnels, and faults that do what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncssh
import pytest
import pytest_asyncio
from doubles.jobs import eventually
from doubles.login import new_key, public
from doubles.simulated import SimulatedCentre, SimulatedJob
from perijove.spawners.batch import BatchError, Output, batch_system
from perijove.spawners.job import JobSpec, JobState, JobStatus, Reason, new_session_id
from perijove.spawners.link import LinkError, LinkProblem
from perijove.spawners.tunnel import AgentAddress, Tunnel, TunnelError

CLIENT = new_key()


@pytest_asyncio.fixture
async def simulated() -> AsyncIterator[SimulatedCentre]:
    centre = SimulatedCentre()
    yield centre
    await centre.close()


class Gateway:
    """What the broker does with a centre, in a few lines."""

    def __init__(self, simulated: SimulatedCentre) -> None:
        self.simulated = simulated
        self.system = batch_system(simulated.centre)
        self.link = simulated.get(simulated.centre)

    def request(self, session: str, key: asyncssh.SSHKey, argv: list[str] | None, stdin: str = "") -> dict[str, Any]:
        agent = {
            "session": session,
            "host_key": key.export_private_key().decode(),
            "client_keys": [public(CLIENT)],
            "ports": [20000, 59999],
        }
        files = {"agent.json": json.dumps(agent)}
        return {"verb": "submit", "session": session, "base": "/b", "argv": argv, "stdin": stdin, "files": files}

    async def submit(self, session: str, key: asyncssh.SSHKey) -> str:
        command = self.system.submit(JobSpec(session, "batch", 1, 100, 0, 600, "/b", ("/bin/true",)))
        answer = await self.link.launch(self.request(session, key, list(command.argv), command.stdin))
        return self.system.parse_submit(Output(**answer["outputs"][0]))

    async def jobs(self, past: str = "") -> dict[str, JobStatus]:
        command = self.system.history([past]) if past else self.system.status()
        assert command is not None
        request = {"verb": "status", "commands": [{"argv": list(command.argv), "stdin": ""}]}
        answer = await self.link.launch(request)
        return {job.job_id: job for job in self.system.parse_status(Output(**answer["outputs"][0]))}

    async def open(self, session: str, key: asyncssh.SSHKey) -> Tunnel:
        address = AgentAddress(session, "127.0.0.1", (20000, 59999), public(key))
        tunnel = Tunnel(self.link, address, CLIENT, local_port=0, api=("127.0.0.1", 1))

        async def there() -> bool:
            try:
                await tunnel.open()
            except TunnelError:
                return False
            return True

        await eventually(there, seconds=60)
        return tunnel


@pytest.fixture
def gateway(simulated: SimulatedCentre) -> Gateway:
    return Gateway(simulated)


async def ended(job: SimulatedJob) -> None:
    async def is_so() -> bool:
        return job.state == "ended"

    await eventually(is_so)


async def test_a_session_from_submission_to_its_end(simulated: SimulatedCentre, gateway: Gateway) -> None:
    session, key = new_session_id("abc"), new_key()
    job_id = await gateway.submit(session, key)
    tunnel = await gateway.open(session, key)
    assert (await gateway.jobs())[job_id].state is JobState.RUNNING
    await tunnel.start_server(["x"], {"TOKEN": "secret"}, "~")
    assert await tunnel.ready("/")
    await tunnel.stop_server(1)
    await tunnel.bye()
    await ended(simulated.jobs[job_id])
    await tunnel.close()
    assert (await gateway.jobs(past=job_id))[job_id].reason is Reason.COMPLETED


async def test_a_lost_answer_leaves_a_job_that_can_be_found_by_name(
    simulated: SimulatedCentre, gateway: Gateway
) -> None:
    session = new_session_id("abc")
    simulated.lose_answers = 1
    with pytest.raises(LinkError):
        await gateway.submit(session, new_key())
    assert [job.name for job in (await gateway.jobs()).values()] == ["pj" + session]


async def test_faults_of_the_centre_reach_the_gateway_as_what_they_are(
    simulated: SimulatedCentre, gateway: Gateway
) -> None:
    simulated.held = True
    job_id = await gateway.submit(new_session_id("abc"), new_key())
    assert (await gateway.jobs())[job_id].reason is Reason.RESOURCES
    simulated.omitted = {job_id}
    assert await gateway.jobs() == {}
    simulated.omitted = set()
    await simulated.end(simulated.jobs[job_id])
    assert (await gateway.jobs(past=job_id))[job_id].reason is Reason.NODE_FAILED
    simulated.refuses = "no more jobs"
    with pytest.raises(BatchError, match="no more jobs"):
        await gateway.submit(new_session_id("abc"), new_key())
    simulated.unreachable = LinkProblem.UNREACHABLE
    with pytest.raises(LinkError):
        await gateway.jobs()


async def test_a_requeued_job_waits_for_a_fresh_key_and_is_reached_again(
    simulated: SimulatedCentre, gateway: Gateway
) -> None:
    session, key, fresh = new_session_id("abc"), new_key(), new_key()
    job_id = await gateway.submit(session, key)
    first = await gateway.open(session, key)
    await simulated.requeue(simulated.jobs[job_id])
    await first.close()
    await gateway.link.launch(gateway.request(session, fresh, None))
    second = await gateway.open(session, fresh)
    assert (await gateway.jobs())[job_id].restarts == 1
    await second.close()


async def test_many_sessions_at_once(simulated: SimulatedCentre, gateway: Gateway) -> None:
    sessions = [(new_session_id("abc"), new_key()) for _ in range(25)]
    await asyncio.gather(*(gateway.submit(*one) for one in sessions))
    tunnels = await asyncio.gather(*(gateway.open(*one) for one in sessions))
    await asyncio.gather(*(tunnel.start_server(["x"], {}, "~") for tunnel in tunnels))
    assert all(await asyncio.gather(*(tunnel.ready("/") for tunnel in tunnels)))
    await asyncio.gather(*(tunnel.close() for tunnel in tunnels))
