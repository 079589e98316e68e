"""From the intent to a job in the queue, exactly once.

What is about to be done is in the store before it is done. An attempt whose answer did not come (a timeout, a crash of
ours) is looked for by the job's name; it is made again only after so many listings, all asked after the attempt and
the last well after the launcher must have ended the command, lacked the job. The private host key is never kept: each
attempt makes its own, and the public half is written first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import asyncssh
from perijove.hub.broker import ending, transitions
from perijove.hub.broker.config import backoff
from perijove.hub.broker.records import Record
from perijove.spawners.batch import BatchError, BatchProblem, Command
from perijove.spawners.centre import Centre
from perijove.spawners.job import JobSpec, Reason
from perijove.spawners.link import Account, LinkError, LinkProblem
from perijove.spawners.watcher import outputs_of

if TYPE_CHECKING:
    from perijove.hub.broker.context import Context
    from perijove.hub.broker.work import Work

#: The job's folder is its working directory, so the agent needs no path.
AGENT = ("-m", "perijove.spawners.agent", ".")
#: The login node was not reached, or the launcher says that it ran nothing: certainly no job came of it.
NOTHING_DONE = (LinkProblem.UNREACHABLE, LinkProblem.REFUSED, LinkProblem.HOST_KEY, LinkProblem.LOGIN)
#: What the launcher says of the person's own account: trying again helps nobody.
HOPELESS = frozenset({"home-full", "home-missing", "home-denied", "settings"})


async def step(work: Work) -> float | None:
    """Bring a session without a job nearer to having one."""
    context, record = work.context, work.record
    if record.attempted is not None:
        return await _doubt(work, record.attempted)
    async with context.preparing:
        command = context.system.submit(job_spec(context.centre, record))
        private, public = new_key()
        await context.reach("intent")
        await work.change(transitions.attempting(public, context.clock()))
        await context.reach("before-submission")
        if work.record.attempted is None:
            return 0.0  # somebody asked to stop it
        try:
            answer = await _launch(context, work.record, private, command)
            await context.reach("after-submission")
            job_id = context.system.parse_submit(outputs_of(answer, 1)[0])
        except LinkError as error:
            return await _link_failed(work, error)
        except BatchError as error:
            return await _batch_failed(work, error)
    await work.change(transitions.submitted(job_id, context.clock()))
    await context.reach("submitted")
    context.hurry()
    return None


async def hand_over(work: Work) -> float | None:
    """Give a job that waits a fresh key: it was put back into the queue, or what became of the first key is unknown.

    None when it has one; else seconds until the next attempt.
    """
    context = work.context
    private, public = new_key()
    await work.change(transitions.key_made(public))
    await context.reach("before-hand-over")
    try:
        await _launch(context, work.record, private, None)
    except LinkError as error:
        work.tries += 1
        await work.change(transitions.trouble(f"the key cannot be handed over: {error.detail}", "centre-refused"))
        return backoff(context.timing.retry, work.tries)
    work.tries = 0
    await work.change(transitions.key_handed(public))
    return None


async def _doubt(work: Work, attempted: datetime) -> float | None:
    """An attempt was made, and we do not know what came of it. If its job is listed, `Work.seen` finds it."""
    context, timing = work.context, work.context.timing
    context.hurry()
    await work.change(transitions.in_doubt(work.record.detail or "the gateway was interrupted"))
    waited = context.clock() - attempted
    if work.absent < timing.submit_listings or waited < timedelta(seconds=timing.submit_grace):
        context.wait_for(timing.submit_grace)
        return max(timing.submit_grace - waited.total_seconds(), 0.2)
    await work.change(transitions.attempt_over("", "not-found"))
    return 0.0


async def _link_failed(work: Work, error: LinkError) -> float | None:
    work.tries += 1
    pause = backoff(work.context.timing.retry, work.tries)
    if error.problem is LinkProblem.LAUNCHER and error.code in HOPELESS:
        await work.change(transitions.attempt_over(error.detail, "centre-refused"))
        await ending.finish(work, Reason.LAUNCH_FAILED, detail=error.detail)
        return 0.0
    if error.problem in NOTHING_DONE or error.code:
        await work.change(transitions.attempt_over(error.detail, "centre-refused"))
        return pause
    work.absent = 0
    await work.change(transitions.in_doubt(error.detail))
    return 0.0


async def _batch_failed(work: Work, error: BatchError) -> float | None:
    if error.problem in (BatchProblem.REFUSED, BatchProblem.NOT_ALLOWED):
        await work.change(transitions.attempt_over(error.detail, "centre-refused"))
        await ending.finish(work, Reason.LAUNCH_FAILED, detail=error.detail)
        return 0.0
    # It did not answer, or not in words that we know: the job may be there all the same.
    work.absent = 0
    await work.change(transitions.in_doubt(error.detail or error.problem.value))
    return 0.0


async def _launch(context: Context, record: Record, private: str, command: Command | None) -> dict[str, Any]:
    agent = {
        "session": record.id,
        "host_key": private,
        "client_keys": list(context.authorised),
        "ports": [context.centre.ports.first, context.centre.ports.last],
    }
    if context.centre.scheduler.system == "local":
        agent["listen"] = ["127.0.0.1"]  # this very machine: its other addresses need not hear of it
    files = {"agent.json": json.dumps(agent)}
    return await launch(context, record.login, record.id, command, files)


async def launch(
    context: Context, login: Account, job: str, command: Command | None, files: Mapping[str, str]
) -> dict[str, Any]:
    """Have the launcher write `files` into the folder of `job` and run `command` there. Raises LinkError."""
    seconds = context.timing.submit_timeout
    request = {
        "verb": "submit",
        "session": job,
        "base": context.centre.paths.base,
        "argv": None if command is None else list(command.argv),
        "stdin": "" if command is None else command.stdin,
        "files": dict(files),
        "timeout": seconds,
    }
    async with context.submitting:
        return await context.links.get(context.centre, login).launch(request, timeout=seconds + 10)


def new_key() -> tuple[str, str]:
    """A host key for one agent: private (OpenSSH) and public ("ssh-ed25519 AAAA...")."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    return key.export_private_key().decode("ascii"), key.export_public_key().decode("ascii").strip()


class Asked(Protocol):
    """What a session and a cluster have in common: whose jobs, and how large. Memory in MiB, walltime in seconds."""

    @property
    def queue(self) -> str: ...
    @property
    def cores(self) -> int: ...
    @property
    def memory(self) -> int: ...
    @property
    def gpus(self) -> int: ...
    @property
    def walltime(self) -> int: ...

    @property
    def login(self) -> Account:
        """Whose account the job runs under."""


def job_of(centre: Centre, asked: Asked, job: str, program: Sequence[str], project: str | None, **more: Any) -> JobSpec:
    """The job called `job`, which runs the centre's Python with `program`, every value of it validated."""
    queue = centre.queue(asked.queue)
    account = asked.login.run_as or asked.login.name or centre.login.account
    base = centre.paths.base.replace("{account}", account)
    return JobSpec(
        session=job,
        queue=queue.label if queue else asked.queue,
        cores=asked.cores,
        memory=asked.memory,
        gpus=asked.gpus,
        walltime=asked.walltime,
        directory=f"{base.rstrip('/')}/{job}",
        command=(centre.environment.python.replace("{account}", account), *program),
        prolog=centre.environment.prolog,
        account=project or (queue.account if queue else None),
        gpu_type=queue.gpu_type if queue else None,
        **more,
    )


def job_spec(centre: Centre, record: Record) -> JobSpec:
    """The job of a session."""
    return job_of(centre, record, record.id, AGENT, record.request.get("project"))
