"""The end of a session: asked for, brought about, believed only on evidence, and cleaned up after.

Asked to stop, the mark is in the store first; then the agent ends the server in order, then the batch system is asked
to cancel, again and again until it says that the job is gone. After the end the hub gives up the server, so that its
token dies, and the session's folder at the centre is removed. Each of these is remembered, so that a crash in between
leaves nothing undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perijove.hub.broker import transitions
from perijove.hub.broker.config import backoff
from perijove.hub.broker.hubtrouble import HubTrouble
from perijove.hub.broker.records import Change, News
from perijove.spawners.batch import BatchError
from perijove.spawners.job import JobStatus, Reason
from perijove.spawners.link import Account, LinkError
from perijove.spawners.tunnel_types import TunnelError
from perijove.spawners.watcher import outputs_of

if TYPE_CHECKING:
    from perijove.hub.broker.context import Context
    from perijove.hub.broker.records import Record
    from perijove.hub.broker.work import Work

log = logging.getLogger(__name__)
#: How long before a job's end its session may end in good order (`perijove.widgets.server`), and be said to have run
#: out of time; of a short session, that part of its time.
LAST, LAST_PART = timedelta(minutes=3), 0.2
_FAILED = (TunnelError, LinkError, OSError, TimeoutError)


async def finish(
    work: Work, outcome: Reason, *, detail: str = "", job: JobStatus | None = None, unseen: bool = False
) -> None:
    """There is evidence that the session's job is over (or never was): write down how it ended.

    `unseen`: its end was not seen for so long that nobody can say when it came, whatever it is called.
    """
    record, tail = work.record, ""
    if record.attempt:
        tail = await _tail(work)
    if job is not None and not detail and outcome in (Reason.OTHER, Reason.FAILED):
        detail = job.raw
    asked = record.asked_by and not record.outcome
    when = (job and job.ended) or work.missing_since or work.context.clock()
    # A job that the batch system has forgotten, as some do at once, ended in this way, too, if it was its time.
    calm = outcome is Reason.COMPLETED or (outcome is Reason.OTHER and job is None)
    if calm and not asked and time_was_up(record, when):
        outcome, detail = Reason.WALLTIME, ""
    final = Reason.CANCELLED if asked and outcome in (Reason.FAILED, Reason.COMPLETED, Reason.OTHER) else outcome
    await work.context.reach("ending")
    unknown = job is None and (unseen or final is Reason.OTHER)
    now = work.context.clock()
    await work.change(transitions.ended(final, now, detail=detail, tail=tail, job=job, unknown=unknown))
    work.context.learn(work.record)
    if work.tunnel is not None:
        with contextlib.suppress(*_FAILED):
            async with asyncio.timeout(1):
                await work.tunnel.bye()
    await work.drop_tunnel()
    work.tries, work.begun = 0, None


def time_was_up(record: Record, ended: datetime) -> bool:
    """The session ended in good order as its time ran out: it does so a little before the centre would kill its job."""
    before = min(LAST, timedelta(seconds=record.walltime * LAST_PART))
    return record.ends_by is not None and ended >= record.ends_by - before


async def _tail(work: Work) -> str:
    """The job's last lines: from the agent while it is there, else from its log."""
    if work.tunnel is not None and work.tunnel.up:
        with contextlib.suppress(*_FAILED):
            async with asyncio.timeout(2):
                return "\n".join((await work.tunnel.info()).log)
    tails = work.context.tails
    return await tails.get(work.record.login, work.record.id) if tails is not None else ""


async def stop_step(work: Work) -> float | None:
    """Somebody asked that the session be stopped: see that its job ends."""
    context, record, timing = work.context, work.record, work.context.timing
    if record.job_id is None:
        return await _stop_without_job(work)
    if work.tunnel is not None and work.tunnel.up and not work.stop_sent:
        work.stop_sent = True
        with contextlib.suppress(*_FAILED):
            async with asyncio.timeout(timing.stop_grace + 5):
                await work.tunnel.stop_server(timing.stop_grace)
    await context.reach("before-cancel")
    try:
        await cancel(context, record, record.job_id)
    except (LinkError, BatchError) as error:
        await work.change(transitions.trouble(error.detail, "cancel-failed"))
    else:
        if not work.cancelled:
            await context.sessions.tell(record.id, News.of("cancelling"))
            work.absent, work.missing_since = 0, None
        work.cancelled += 1
    context.hurry()
    work.tries += 1
    return backoff(timing.cancel_every, work.tries)


async def _stop_without_job(work: Work) -> float | None:
    """Nothing is submitted, or it is not known: then the job is looked for until it is certain that there is none."""
    record, timing = work.record, work.context.timing
    if record.attempted is not None:
        work.context.hurry()
        waited = work.context.clock() - record.attempted
        if work.absent < timing.submit_listings or waited < timedelta(seconds=timing.submit_grace):
            work.context.wait_for(timing.submit_grace)
            return max(timing.submit_grace - waited.total_seconds(), 0.2)
    await finish(work, Reason.CANCELLED)
    return 0.0


async def cancel(context: Context, record: Record, job_id: str) -> None:
    """Ask the batch system to cancel a job, as the account of `record`.

    Raises:
        LinkError, BatchError: it is not certain that the job will be gone.
    """
    await cancel_as(context, record.login, job_id)


async def cancel_as(context: Context, account: Account, *job_ids: str) -> None:
    """As `cancel`, as `account`; all with one command."""
    seconds = context.timing.submit_timeout
    argv = list(context.system.cancel(job_ids).argv)
    request = {"verb": "cancel", "base": context.centre.paths.base, "argv": argv, "forget": [], "timeout": seconds}
    link = context.links.get(context.centre, account)
    answer = await link.launch(request, timeout=seconds + 10)
    context.system.parse_cancel(outputs_of(answer, 1)[0])


async def after_step(work: Work) -> float | None:
    """It has ended: the hub gives up the server and its token; later its folder at the centre goes."""
    timing, record = work.context.timing, work.record
    pauses = []
    if not record.hub_cleared:
        if await _clear_hub(work):
            work.environment = None
            await work.change(lambda r: Change({"hub_cleared": True}))
        else:
            work.tries += 1
            pauses.append(backoff(timing.hub_every, work.tries))
    if not record.forgotten:
        due = (record.ended or work.context.clock()) + timedelta(seconds=timing.forget_after)
        left = (due - work.context.clock()).total_seconds()
        pauses.append(left if left > 0 else await _forget(work))
    return max(0.0, min(pauses)) if pauses else 0.0


async def _clear_hub(work: Work) -> bool:
    """Whether the hub has no server of this session any more, and takes its token no more."""
    hub, record = work.context.hub, work.record
    # A start that failed is told to the person by the spawner itself: a stop in the middle of it would be an error 500.
    alone = timedelta(seconds=work.context.timing.hub_alone)
    if (
        record.ready is None
        and record.asked_by is None
        and work.context.clock() - (record.ended or record.created) < alone
    ):
        return False
    newer = await work.context.sessions.by_name(record.owner, record.server)
    token = (work.environment or {}).get("JUPYTERHUB_API_TOKEN", "")
    try:
        superseded = newer is not None and newer.id != record.id
        if not superseded and not await hub.stop(record.owner, record.server):
            return False
        return not token or not await hub.alive(token)
    except HubTrouble as error:
        log.warning("%s: the hub does not give up the server: %s", record.id, error)
        return False


async def _forget(work: Work) -> float:
    record, context = work.record, work.context
    request = {"verb": "cancel", "base": context.centre.paths.base, "argv": None, "forget": [record.id], "timeout": 10}
    try:
        await context.links.get(context.centre, record.login).launch(request, timeout=20)
    except LinkError:
        ended = record.ended or context.clock()
        if context.clock() - ended < timedelta(days=1):
            return 300.0
    await work.change(lambda r: Change({"forgotten": True}))
    return 0.0
