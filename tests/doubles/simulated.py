"""A whole centre in this process, for hundreds of sessions at once: batch system and agents, over real connections.

Above the `Link` everything is real: the parsers of `perijove.spawners.batch.local`, the tunnel, SSH to each agent with
its own host key, the agent's own SSH server and protocol. Below it there are no processes: the batch system is a
dictionary that answers as `perijove-localqueue` does, and a session's server is a tiny HTTP answer on a unix socket.
Faults are switches of `SimulatedCentre`, to be thrown at any time.
"""

# A caller says how long it waits.
# ruff: noqa: ASYNC109
from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import asyncssh
from perijove.spawners import agent_net, agent_server
from perijove.spawners.agent import Keys, parse_keys
from perijove.spawners.centre import Centre, parse
from perijove.spawners.link import Account, Link, LinkError, LinkProblem

from doubles.simulated_agent import SimulatedAgent

State = Literal["queued", "running", "ended"]


def simulated_description(name: str = "simulated", **changes: Any) -> Centre:
    """A description whose one queue has room for everything."""
    data: dict[str, Any] = {
        "id": name,
        "name": {"en": "Simulated", "zh": "模拟"},
        "scheduler": {"system": "local", "root": "/nonexistent"},
        "environment": {"python": "/usr/bin/python3"},
        "queues": [{"name": "batch", "nodes": 1000, "cores": 64, "memory": "256G", "max_time": "48h"}],
    }
    return parse(data | changes)


@dataclass
class SimulatedJob:
    """A job of the simulated batch system; times in seconds since the epoch."""

    id: str
    name: str
    session: str
    cores: int
    submitted: float
    state: State = "queued"
    reason: str = "resources"
    started: float | None = None
    ended: float | None = None
    restarts: int = 0
    exit_code: int | None = None
    agent: SimulatedAgent | None = None
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def shown(self) -> dict[str, Any]:
        """As `perijove-localqueue` prints it."""
        keys = ("id", "name", "cores", "submitted", "state", "reason", "started", "ended", "restarts", "exit_code")
        return {**{key: getattr(self, key) for key in keys}, "node": "127.0.0.1" if self.started else None}


class SimulatedCentre:
    """The centre; also a pool of links to it (`get`)."""

    def __init__(self, centre: Centre | None = None) -> None:
        self.centre = centre or simulated_description()
        self.jobs: dict[str, SimulatedJob] = {}
        #: Files that were handed over and not yet taken, by session.
        self.files: dict[str, dict[str, str]] = {}
        #: When each command of the batch system was run (loop time), and how often each verb.
        self.commands: list[tuple[float, str]] = []
        self.counts: Counter[str] = Counter()
        # -- faults ---------------------------------------------------------------------------------------------
        #: Seconds that each call of the launcher takes.
        self.latency = 0.0
        #: Seconds that a job waits, or a function of it; `held` keeps all waiting.
        self.delay: float | Callable[[SimulatedJob], float] = 0.0
        self.held = False
        #: No launcher answers, with this problem.
        self.unreachable: LinkProblem | None = None
        #: The batch system refuses each submission with these words; or no command works.
        self.refuses = ""
        self.unavailable = False
        #: So many submissions are made, and their answers lost.
        self.lose_answers = 0
        #: So many cancellations fail.
        self.cancel_fails = 0
        #: Jobs that listings leave out.
        self.omitted: set[str] = set()
        self._folder = Path(tempfile.mkdtemp(prefix="pj-sim-", dir="/tmp"))
        self._released = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0

    def get(self, centre: Centre, account: Account | None = None) -> SimulatedLink:
        """A link, as `Links.get`."""
        return SimulatedLink(self, centre, account or Account())

    async def close(self) -> None:
        """End all jobs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- what a test or a bench does -----------------------------------------------------------------------------
    def of(self, session: str) -> list[SimulatedJob]:
        """All jobs that were ever submitted for `session`."""
        return [job for job in self.jobs.values() if job.session == session]

    def live(self) -> list[SimulatedJob]:
        """The jobs that did not end."""
        return [job for job in self.jobs.values() if job.state != "ended"]

    def release(self) -> None:
        """Let held jobs start."""
        self.held = False
        self._released.set()

    async def requeue(self, job: SimulatedJob) -> None:
        """Take a running job from its node and put it back; it waits for a fresh `agent.json`."""
        await self._stop(job)
        job.state, job.reason, job.started, job.restarts = "queued", "requeued", None, job.restarts + 1
        self._begin(job)

    async def end(self, job: SimulatedJob, reason: str = "node-failed", code: int | None = None) -> None:
        """End a job as if its node died, or with another reason."""
        await self._stop(job)
        self._ended(job, reason, code)

    # -- the batch system ----------------------------------------------------------------------------------------
    def _begin(self, job: SimulatedJob) -> None:
        job.task = asyncio.create_task(self._run(job))
        self._tasks.add(job.task)
        job.task.add_done_callback(self._tasks.discard)

    async def _stop(self, job: SimulatedJob) -> None:
        if job.task is not None:
            job.task.cancel()
            await asyncio.gather(job.task, return_exceptions=True)

    def _ended(self, job: SimulatedJob, reason: str, code: int | None) -> None:
        job.state, job.reason, job.ended, job.exit_code = "ended", reason, time.time(), code
        job.changed.set()

    async def _run(self, job: SimulatedJob) -> None:
        """The life of a job: wait, take the keys, be an agent."""
        await asyncio.sleep(self.delay(job) if callable(self.delay) else self.delay)
        while self.held:
            self._released.clear()
            await self._released.wait()
        job.state, job.reason, job.started = "running", "", time.time()
        keys = await self._keys(job)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        agent = job.agent = SimulatedAgent(keys, folder)
        opened = await agent_server.listen(agent, agent_net.bind(keys.session, keys.ports, keys.listen))
        try:
            code = await agent.run()
        finally:
            if agent.server is not None:
                agent.server.end(-9)
            await agent_server.close(opened)
            for acceptor in opened:
                if isinstance(acceptor, asyncssh.SSHAcceptor):
                    await acceptor.wait_closed()
        self._ended(job, "failed" if code else "completed", code)

    async def _keys(self, job: SimulatedJob) -> Keys:
        while (text := self.files.get(job.session, {}).pop("agent.json", None)) is None:
            job.changed.clear()
            await job.changed.wait()
        return replace(parse_keys(text), listen=("127.0.0.1",))

    # -- the launcher --------------------------------------------------------------------------------------------
    async def launch(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the launcher answers; requests and answers are JSON, as on the way to a login node."""
        request = json.loads(json.dumps(request))
        await asyncio.sleep(self.latency)
        if self.unreachable is not None:
            raise LinkError(self.unreachable, "simulated")
        match request["verb"]:
            case "submit":
                outputs = self._hand_over(request)
            case "cancel":
                outputs = [await self._command(request["argv"])] if request["argv"] else []
                for session in request.get("forget", ()):
                    self.files.pop(session, None)
            case "status":
                outputs = [await self._command(command["argv"]) for command in request["commands"]]
            case _:
                outputs = []
        answer: dict[str, Any] = json.loads(json.dumps({"ok": True, "outputs": outputs, "tails": {}}))
        return answer

    def _hand_over(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        session = request["session"]
        self.files.setdefault(session, {}).update(request["files"])
        for job in self.of(session):
            job.changed.set()
        if request["argv"] is None:
            return []
        self._count("submit")
        if self.refuses or self.unavailable:
            return [_output(1 if self.refuses else 75, self.refuses or "simulated")]
        self._number += 1
        options = dict(zip(request["argv"][2::2], request["argv"][3::2], strict=False))
        job = SimulatedJob(str(self._number), options["--name"], session, int(options["--cores"]), time.time())
        self.jobs[job.id] = job
        self._begin(job)
        if self.lose_answers:
            self.lose_answers -= 1
            raise LinkError(LinkProblem.TIMEOUT, "the answer was lost")
        return [_output(0, {"id": job.id})]

    async def _command(self, argv: Sequence[str]) -> dict[str, Any]:
        verb = argv[1]
        self._count(verb)
        if self.unavailable:
            return _output(75, "simulated")
        ids = str(dict(zip(argv[2::2], argv[3::2], strict=False)).get("--jobs", "")).split(",")
        if verb == "cancel":
            return await self._cancel(ids)
        live = self.live()
        running = sum(job.state == "running" for job in live)
        ended = [job for one in ids if (job := self.jobs.get(one)) and job.state == "ended"]
        listed = {"status": live, "history": ended}.get(verb, [])
        answers: dict[str, dict[str, Any]] = {
            "queues": {"queues": [{"name": "batch", "running": running, "queued": len(live) - running}]},
            "estimate": {"start": None},
        }
        return _output(0, answers.get(verb, {"jobs": [job.shown() for job in listed if job.id not in self.omitted]}))

    async def _cancel(self, ids: Sequence[str]) -> dict[str, Any]:
        if self.cancel_fails:
            self.cancel_fails -= 1
            return _output(75, "simulated")
        for job in [self.jobs[one] for one in ids if one in self.jobs]:
            if job.state != "ended":
                await self.end(job, "cancelled")
        return _output(0, {"jobs": list(ids)})

    def _count(self, verb: str) -> None:
        self.counts[verb] += 1
        self.commands.append((asyncio.get_running_loop().time(), verb))


def _output(status: int, answer: object) -> dict[str, Any]:
    if status:
        return {"status": status, "stdout": "", "stderr": str(answer)}
    return {"status": 0, "stdout": json.dumps(answer), "stderr": ""}


class SimulatedLink(Link):
    """One account at the simulated centre."""

    def __init__(self, simulated: SimulatedCentre, centre: Centre, account: Account) -> None:
        super().__init__(centre, account)
        self.simulated = simulated

    async def launch(self, request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:
        """As `Link.launch`."""
        try:
            async with asyncio.timeout(timeout):
                return await self.simulated.launch(request)
        except TimeoutError:
            raise LinkError(LinkProblem.TIMEOUT, f"no answer in {timeout:g} s") from None

    async def connect(
        self, node: str, port: int, *, host_key: str, client_key: asyncssh.SSHKey
    ) -> asyncssh.SSHClientConnection:
        """As `Link.connect`; every node is this machine."""
        from perijove.spawners.link_agent import connect

        if self.simulated.unreachable is not None:
            raise LinkError(self.simulated.unreachable, "simulated")
        return await connect("127.0.0.1", port, host_key=host_key, client_key=client_key, through=None)

    async def close(self) -> None:
        """Nothing stays open."""
