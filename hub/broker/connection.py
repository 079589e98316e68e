"""From the node to a session that answers: the tunnel, the environment, the server; and keeping it so.

The tunnel reconnects by itself. A broker that was restarted opens it anew at the same local port, so that the proxy's
routes stay right. The environment, with the token, goes over the tunnel and is nowhere else but in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from perijove.hub.broker import submission, transitions
from perijove.hub.broker.config import backoff
from perijove.spawners.environment import server_environment
from perijove.spawners.facts import Facts
from perijove.spawners.kinds import kind
from perijove.spawners.link import LinkError
from perijove.spawners.tunnel_types import AgentAddress, Hello, TunnelError, TunnelProblem

if TYPE_CHECKING:
    from perijove.hub.broker.records import Record
    from perijove.hub.broker.work import Work
    from perijove.spawners.centre import Centre

#: Options of a request with which one like it is asked for: the start page understands them.
AGAIN = ("centre", "queue", "kind", "cores", "memory", "gpus", "project")
Failed = (TunnelError, LinkError, OSError, TimeoutError)


async def open_step(work: Work) -> float | None:
    """The job has its node: find its agent."""
    await work.context.reach("granted")
    if not work.record.handed and (pause := await submission.hand_over(work)) is not None:
        return pause
    work.begun = work.begun or asyncio.get_running_loop().time()
    try:
        hello = await _open(work)
    except Failed as error:
        return await _not_yet(work, error)
    work.tries = 0
    await work.context.reach("tunnel-open")
    await work.change(transitions.starting())
    return 0.0 if hello else None


async def start_step(work: Work) -> float | None:
    """The agent answered: start the server, unless it runs, and wait until it answers."""
    work.begun = work.begun or asyncio.get_running_loop().time()
    try:
        hello = await _open(work)
        tunnel = work.tunnel
        if tunnel is None:
            return 0.0
        state = (await tunnel.info(1)).server.state if work.tries else hello.server.state
        work.bare = state == "none"
        if work.bare:
            if work.environment is None:
                if not work.record.warm:
                    await work.change(transitions.trouble("the hub has not handed over yet", "environment-needed"))
                work.begun = None  # that is not the job's fault: it is not given up for it
                return 30.0
            work.bare = False  # from here on it may run, with the token it is given
            await tunnel.start_server(_argv(work), _environment(work), work.context.centre.paths.home)
            await work.context.reach("server-started")
        elif state == "ended":
            work.context.hurry()
            await _say(work, "the server ended before it answered", "start-failed")
        if state != "ended" and await tunnel.ready(_path(work)):
            work.tries, work.begun = 0, None
            await work.change(transitions.ready(work.context.clock()))
            work.context.learn(work.record)
            return None
    except Failed as error:
        return await _not_yet(work, error)
    work.tries += 1
    if _late(work):
        return await _give_up(work, "the server did not answer")
    return backoff(work.context.timing.ready_every, work.tries)


async def ready_step(work: Work) -> float | None:
    """The session is up; after a restart of ours its tunnel is not."""
    if work.tunnel is not None:
        return None
    try:
        await _open(work)
    except Failed:
        work.tries += 1
        if work.record.connected:
            await work.change(transitions.connection(False))
        return backoff(work.context.timing.open_every, work.tries)
    work.tries = 0
    return None


async def _open(work: Work) -> Hello:
    """The agent's greeting. The tunnel is made when there is none, and kept only once it was open."""
    context, record = work.context, work.record
    made = work.tunnel
    keys = record.host_key.split("\n")
    host_key = keys[work.tries % len(keys)] or keys[0]  # the newest, and in turn the one before
    tunnel = made or context.tunnels(
        context.links.get(context.centre, record.login),
        AgentAddress(record.id, record.node or "", (context.centre.ports.first, context.centre.ports.last), host_key),
        context.client_key,
        local_port=record.local_port or 0,
        api=context.api,
        gateway=context.gateway,
        on_change=work.tunnel_changed,
    )
    try:
        async with context.opening, asyncio.timeout(30):
            hello = await tunnel.open()
    except BaseException as error:
        if made is None:
            with contextlib.suppress(OSError, TimeoutError):
                await tunnel.close()
        fresh = record.ready is None and not record.restarts
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE and fresh:
            # Nobody was told of the port yet; a session that was up waits for its own, which the hub's route leads to.
            work.record = await context.sessions.move(record.id)
        raise
    work.tunnel = tunnel
    return hello


async def _not_yet(work: Work, error: Exception) -> float | None:
    """No agent yet, or no way to it: not an end. Said in words after a while, given up after the stated limit."""
    timing = work.context.timing
    work.tries += 1
    waited = asyncio.get_running_loop().time() - (work.begun or 0)
    words = error.detail if isinstance(error, TunnelError | LinkError) else str(error) or "no answer in time"
    if waited > timing.open_quiet:
        work.context.wait_for(10)
        await _say(work, words, "agent-silent")
    unreachable = isinstance(error, LinkError) or (
        isinstance(error, TunnelError) and error.problem is TunnelProblem.LINK
    )
    # While the login node is away nothing is known of the agent: that is no reason to give it up.
    if _late(work) and not unreachable and work.record.unknown_since is None:
        return await _give_up(work, f"the agent does not answer: {words}")
    return backoff(timing.open_every, work.tries - timing.open_quickly)


async def _say(work: Work, words: str, code: str) -> None:
    if work.record.detail != words:
        await work.change(transitions.trouble(words, code, node=work.record.node))


def _late(work: Work) -> bool:
    return asyncio.get_running_loop().time() - (work.begun or 0) > work.context.timing.launch_limit


async def _give_up(work: Work, words: str) -> float | None:
    await work.change(transitions.gave_up(words, work.context.clock()))
    return 0.0


def _path(work: Work) -> str:
    return f"{work.record.prefix or '/'}api"


def _argv(work: Work) -> list[str]:
    """The server's command line: the centre's Python, and what the kind (or the hub) says."""
    centre, record = work.context.centre, work.record
    account = record.login.run_as or record.login.name or centre.login.account
    arguments = work.argv or kind(record.kind).arguments
    return [centre.environment.python.replace("{account}", account), *arguments]


def _environment(work: Work) -> dict[str, str]:
    """The server's environment: the hub's, made fit for a compute node, and the facts of the session."""
    record, named = work.record, kind(work.record.kind)
    found = facts_of(record, work.context.centre).environment() | server_environment(work.environment or {}, named)
    if (path := record.request.get("open")) and named.open_url:
        found["JUPYTERHUB_DEFAULT_URL"] = named.open_url + quote(path)
    return found


def facts_of(record: Record, centre: Centre) -> Facts:
    """What a session is told of itself."""
    queue = centre.queue(record.queue)
    title = queue.title if queue else None
    account = record.login.run_as or record.login.name or centre.login.account
    again = {key: value for key, value in record.request.items() if key in AGAIN and value}
    again["walltime"] = f"{record.walltime}s"  # the request has none where the queue's usual time was taken
    if data := record.request.get("data"):
        again["data"] = ",".join(data)
    return Facts(
        session=record.id,
        centre=centre.id,
        centre_en=centre.name.en,
        centre_zh=centre.name.zh,
        queue=record.queue,
        queue_en=title.en if title else "",
        queue_zh=title.zh if title else "",
        job=record.job_id or "",
        server=record.server,
        cores=record.cores,
        memory=record.memory,
        gpus=record.gpus,
        walltime=record.walltime,
        ends_by=record.ends_by.timestamp() if record.ends_by else 0.0,
        language=record.request.get("language") or "",
        again=urlencode(again),
        base=centre.paths.base.replace("{account}", account),
        options=json.dumps(record.request.get("options") or {}),
        ports=f"{centre.ports.first}-{centre.ports.last}",
        scratch=(centre.paths.scratch or "").replace("{account}", account),
    )
