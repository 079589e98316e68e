"""A trial of one centre, end to end: everything that a session needs, done once for real and taken away again.

`perijove doctor` prints what comes of it. The steps are those of a session: reach the login node, know its host key,
log in, run the launcher, find programs and the Python of jobs, submit a job of two minutes, wait for it, find its
agent, open the tunnel, answer HTTP from a unix socket of the node, ask there which apps can run, and clean up. The
first step that fails ends the trial; what was submitted is cancelled in any case. The job bears a mark of its own, so
no gateway takes it for its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncssh
from perijove.spawners import trialwords as words
from perijove.spawners.batch import BatchError, BatchSystem, batch_system
from perijove.spawners.job import JobSpec, JobState, JobStatus, new_session_id, new_tag
from perijove.spawners.trialapps import SERVER
from perijove.spawners.trialapps import look as look_for_apps
from perijove.spawners.triallook import COMMAND, Look
from perijove.spawners.trialwords import Failed, Step
from perijove.spawners.tunnel import Tunnel
from perijove.spawners.tunnel_types import AgentAddress, TunnelError, TunnelProblem
from perijove.spawners.watcher import outputs_of

#: Seconds of walltime of the trial's job, and MiB of its memory.
WALLTIME, MEMORY = 120, 512
#: Seconds for an agent to answer once its job runs, and for a cancelled job to go.
AGENT, GONE = 60.0, 40.0


@dataclass
class Trial(Look):
    """One trial. `wait` is how many seconds the job may stay in the queue; without `job` it ends before submission."""

    wait: float = 120.0
    job: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._session = new_session_id(new_tag())
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._client_key = asyncssh.generate_private_key("ssh-ed25519")
        self._submitted = False
        self._job_id = ""
        self._node = ""
        self._tunnel: Tunnel | None = None
        #: What the node has of each app, as `perijove.spawners.apps.probe` says it; after `run`.
        self.apps: dict[str, Any] = {}

    async def run(self) -> list[Step]:
        """All steps, in order. Never raises for what a centre does."""
        await self.look()
        ways = (("submission", self._submission), ("start", self._start), ("agent", self._agent))
        for name, work in (*ways, ("tunnel", self._open)):
            await self._do(name, work, skip="" if self.job else "no job was wanted")
        await self._apps()
        await self._do("cleanup", self._cleanup, always=True, skip="" if self._submitted else "nothing was submitted")
        return self.steps

    # --- with a job --------------------------------------------------------------------------------------------

    async def _submission(self) -> str:
        system = batch_system(self.centre)
        command = system.submit(self._spec())
        agent = {
            "session": self._session,
            "host_key": self._host_key.export_private_key().decode(),
            "client_keys": [self._client_key.export_public_key().decode().strip()],
            "ports": [self.centre.ports.first, self.centre.ports.last],
        }
        request = {
            "verb": "submit",
            "session": self._session,
            "base": self.centre.paths.base,
            "argv": list(command.argv),
            "stdin": command.stdin,
            "files": {"agent.json": json.dumps(agent)},
            "timeout": COMMAND,
        }
        self._submitted = True  # whatever comes of it, the folder and perhaps the job are there
        answer = await self.link.launch(request, timeout=COMMAND + 10)
        self._job_id = system.parse_submit(outputs_of(answer, 1)[0])
        return f"job {self._job_id}"

    async def _start(self) -> str:
        found: JobStatus | None = None

        async def look() -> bool:
            nonlocal found
            found = await self._alive() or found
            return found is not None and found.state is JobState.RUNNING and bool(found.node)

        if not await _until(look, self.wait, 1.0):
            told = f"{found.state}, {found.reason or 'no reason given'} {found.raw}" if found else "it is not listed"
            raise Failed(f"the job did not start in {self.wait:g} s: {told}", words.MEND_WAIT)
        self._node = (found.node if found else None) or ""
        return f"on {self._node}"

    async def _agent(self) -> str:
        public = self._host_key.export_public_key().decode().strip()
        ports = (self.centre.ports.first, self.centre.ports.last)
        address = AgentAddress(self._session, self._node, ports, public)
        # The trial's server asks nothing of the hub: the way back leads to a port where nothing listens.
        self._tunnel = Tunnel(self.link, address, self._client_key, local_port=0, api=("127.0.0.1", 9))
        tunnel, last = self._tunnel, TunnelError(TunnelProblem.NO_AGENT, "")

        async def answers() -> bool:
            nonlocal last
            try:
                await tunnel.open()
            except TunnelError as error:
                last = error
                await self._alive()
                return False
            return True

        if not await _until(answers, AGENT, 1.0):
            raise Failed(f"{last}; {await self._said(await self._status())}", words.mend_tunnel(last))
        return f"process {tunnel.hello.pid} on {tunnel.hello.node}" if tunnel.hello else ""

    async def _open(self) -> str:
        tunnel = self._tunnel
        if tunnel is None:
            raise Failed("there is no tunnel", "")
        await tunnel.start_server([self._python(), "-c", SERVER, "{socket}"], {}, self.centre.paths.home)
        if not await _until(lambda: tunnel.ready("/"), 20, 0.2):
            info = await tunnel.info()
            raise Failed(f"a server on the node did not answer: {' '.join(info.log)[-300:]}", words.MEND_SERVER)
        begun = time.monotonic()
        await tunnel.ready("/")
        return f"an answer in {1000 * (time.monotonic() - begun):.0f} ms"

    async def _apps(self) -> None:
        """Which apps can run on the node; nothing fails by it."""
        if self._tunnel is None or not self.good or not self.job:
            words_ = "an earlier step failed" if self.job else "no job was wanted"
            self.steps.append(Step("apps", "skipped", 0.0, words_))
            return
        step, self.apps = await look_for_apps(self._tunnel.local_port)
        self.steps.append(step)

    async def _cleanup(self) -> str:
        """The job is cancelled, seen to be gone, and its folder removed."""
        system = batch_system(self.centre)
        if self._tunnel is not None:
            await self._tunnel.close()
        if not self._job_id:  # its answer was lost, or it was refused: only the listing knows
            with suppress(BatchError):
                lost = await self._status()
                self._job_id = lost.job_id if lost else ""
        if self._job_id:
            argv = list(system.cancel([self._job_id]).argv)
            answer = await self.link.launch({"verb": "cancel", "argv": argv, "timeout": COMMAND}, timeout=COMMAND + 10)
            system.parse_cancel(outputs_of(answer, 1)[0])

            async def gone() -> bool:
                status = await self._status()
                return status is None or status.state is JobState.ENDED

            if not await _until(gone, GONE, 1.0):
                raise Failed(f"job {self._job_id} is still listed {GONE:g} s after its cancellation", words.MEND_CANCEL)
        forget = {"verb": "cancel", "argv": None, "forget": [self._session], "timeout": COMMAND}
        await self.link.launch({**forget, "base": self.centre.paths.base}, timeout=COMMAND + 10)
        return "the job is gone, its folder removed"

    # --- parts -------------------------------------------------------------------------------------------------

    def _spec(self) -> JobSpec:
        queue, name = self._chosen(), self._name()
        base = self.centre.paths.base.replace("{account}", name).rstrip("/")
        return JobSpec(
            session=self._session,
            queue=queue.label,
            cores=1,
            memory=min(MEMORY, queue.memory),
            gpus=0,
            walltime=min(WALLTIME, queue.max_time),
            directory=f"{base}/{self._session}",
            command=(self._python(), "-m", "perijove.spawners.agent", "."),
            prolog=self.centre.environment.prolog,
            account=queue.account,
        )

    async def _status(self) -> JobStatus | None:
        """The job as it is listed, or as the batch system says that it ended; None: it is not known (any more)."""
        system: BatchSystem = batch_system(self.centre)
        asked = [system.status((self._name(),) if self._name() else ())]
        history = system.history([self._job_id]) if self._job_id else None
        asked += [history] if history else []
        commands = [{"argv": list(command.argv), "stdin": command.stdin} for command in asked]
        request = {"verb": "status", "commands": commands, "base": self.centre.paths.base, "timeout": COMMAND}
        answer = await self.link.launch(request, timeout=COMMAND * 2)
        outputs = answer.get("outputs")
        given = outputs if isinstance(outputs, list) else []
        jobs = system.parse_status(outputs_of({"outputs": given[:1]}, 1)[0])
        if history:
            with suppress(BatchError):  # a centre without accounting: the listing alone has to do
                jobs = [*jobs, *system.parse_history(outputs_of({"outputs": given[1:]}, 1)[0])]
        name = self._spec().name
        return next((job for job in jobs if job.name == name or job.job_id == self._job_id), None)

    async def _alive(self) -> JobStatus | None:
        """The job's status; a job that ended is a failure."""
        status = await self._status()
        if status is not None and status.state is JobState.ENDED:
            raise Failed(f"the job ended before its agent answered: {await self._said(status)}", words.MEND_ENDED)
        return status

    async def _said(self, status: JobStatus | None) -> str:
        """How the job is, and the end of its log."""
        request = {"verb": "status", "commands": [], "tails": [self._session], "base": self.centre.paths.base}
        answer = await self.link.launch({**request, "timeout": COMMAND}, timeout=COMMAND + 10)
        tails = answer.get("tails")
        log = str(tails.get(self._session, "")) if isinstance(tails, dict) else ""
        state = f"{status.state} {status.reason} {status.raw} ".strip() if status else "no longer listed"
        return f"{state}; {log.strip()[-300:] or 'its log is empty'}"


async def _until(answer: Callable[[], Awaitable[bool]], seconds: float, every: float) -> bool:
    """Whether `answer` becomes true within `seconds`, asked `every` so many."""
    end = time.monotonic() + seconds
    while not await answer():
        if time.monotonic() + every > end:
            return False
        await asyncio.sleep(every)
    return True
