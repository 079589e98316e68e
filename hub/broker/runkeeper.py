"""Sees runs through: opens their sessions, notices when these end, resumes, cancels, settles what they cost.

One round looks at every run for which something is left to be done; each step is small, decided on the store, and may
be made twice: by the next round, by another broker, or after a crash. No answer is never taken for an end: a run whose
centre is silent stays as it is.

What a crash may leave behind, and what the next round makes of it: a run without a session (it gets one; one that was
opened for it before the crash is found by its server's name), a run to be cancelled whose session was not asked yet
(it is asked), a run whose session is over (it goes on, is cancelled, or is interrupted), a run that has ended and is
not settled (it is).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perijove.hub.broker import runrecords as change
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.records import Record
from perijove.hub.broker.runcompare import agreement
from perijove.hub.broker.runrecords import Run, RunState
from perijove.hub.broker.runs import Runs
from perijove.hub.broker.runstaging import Staging
from perijove.hub.broker.runviews import cost_in, window
from perijove.hub.broker.sessions import NoPort, TooMany
from perijove.hub.broker.views import fault_view
from perijove.spawners.job import Reason
from perijove.spawners.request import BadRequest, Fault
from perijove.spawners.session import Stage
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker

log = logging.getLogger(__name__)
#: A run's own session may stay so long after the run's end: its last files are brought, and its results looked at.
LINGERS = timedelta(minutes=5)
#: Ends of a session that are the centre's doing: the run goes on by itself, so often.
CENTRES_DOING = frozenset({Reason.NODE_FAILED, Reason.PREEMPTED, Reason.LAUNCH_FAILED})
BY_ITSELF = 1
#: A ready session that says nothing of its own run for so long will not: it is stopped, as it costs.
SILENT = timedelta(minutes=15)


async def _nothing(point: str) -> None:
    """The seam for fault injection: does nothing in earnest."""


class RunKeeper:
    """The runs of one broker."""

    def __init__(self, broker: Broker, runs: Runs) -> None:
        self.broker = broker
        self.runs = runs
        #: Tests stop the broker here; called at each named point between two steps.
        self.reach: Callable[[str], Awaitable[None]] = _nothing
        self.staging = Staging(self)
        self._since = runs.clock()
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def round(self) -> None:
        """One look at every run for which something is left to be done."""
        for run, record in await self.runs.unsettled(self.runs.clock() - SILENT):
            try:
                await self.step(run, record)
            except (SQLAlchemyError, NoPort) as error:
                log.warning("run %s: %s", run.id, error)
            except Exception:  # one run that cannot be seen through must not keep the others waiting
                log.exception("run %s", run.id)

    async def step(self, run: Run, record: Record | None) -> None:
        """The next thing that is to be done for a run, if any."""
        if not run.state.live:
            await self._after(run, record)
        elif run.session is None:
            await self._without_session(run)
        elif record is None or record.stage is Stage.ENDED:
            await self._session_over(run, record)
        elif run.wanted == "cancel" and run.own_session and record.live:
            await self.broker.ask_to_stop(record, run.asked_by or run.owner)
        elif self._silent(run, record):
            log.warning("run %s: its session %s is ready and says nothing of it: stopped", run.id, record.id)
            await self.broker.ask_to_stop(record, "policy")  # then the run is interrupted, and can go on

    def _silent(self, run: Run, record: Record) -> bool:
        """Its own session is ready for long, can be reached, and never said a word of it to this broker either."""
        told = run.state is not RunState.STARTING or record.ready is None or not record.live
        if told or not run.own_session or record.unknown_since is not None:
            return False
        return self.runs.clock() - max(record.ready or self._since, self._since) > SILENT

    # --- a session of its own ----------------------------------------------------------------------------------

    async def _without_session(self, run: Run) -> None:
        if run.wanted == "cancel":
            await self.staging.drop(run)
            await self.runs.change(run.id, change.cancelled(self.runs.clock()))
            return
        if run.waits_for_files:
            self.staging.begin(run)
            return
        try:
            await self.open(run)
        except BadRequest as bad:
            await self._not_opened(run, [fault_view(fault) for fault in bad.faults])
        except Refusal as refused:
            await self._not_opened(run, list(refused.faults))
        except TooMany:
            words = "you have as many sessions as one person may have; stop one first"
            await self._not_opened(run, [fault_view(Fault("", "too-many-sessions", words, {}))])

    async def _not_opened(self, run: Run, problem: list[dict[str, Any]]) -> None:
        await self.runs.change(run.id, change.not_opened(problem, self.runs.clock()))

    async def open(self, run: Run) -> Run:
        """A session for a run that has none. The run is written down first, and found again by its server's name.

        Raises:
            BadRequest, TooMany, NoPort: as `Broker.open`.
        """
        async with self._opening:
            fresh = await self.runs.get(run.id)
            if fresh is None or fresh.session is not None or not fresh.state.live or fresh.wanted:
                return fresh or run
            if fresh.waits_for_files:
                self.staging.begin(fresh)
                return fresh
            record = await self.runs.opened_for(fresh)
            if record is None:
                options = {**fresh.request, "kind": "app", "options": {"app": fresh.app, "run": fresh.id}}
                record = await self.broker.open(fresh.owner, fresh.own_server, options)
            await self.reach("run-session-opened")
            opened = change.opened(fresh.attempt, record.id, record.server, record.queue, record.price)
            after = await self.runs.change(fresh.id, opened)
        if after is None or after.session != record.id:
            await self.broker.ask_to_stop(record, "the run's end")  # cancelled, or removed, meanwhile
        elif record.live:
            self._later(self.broker.start_at_hub(record))
        await self.reach("run-opened")
        return after or fresh

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the end of a session ----------------------------------------------------------------------------------

    async def _session_over(self, run: Run, record: Record | None) -> None:
        """Its session is over and the run had not ended: it goes on, was to be cancelled, or is interrupted."""
        cost, when = await self.cost(run, record), (record and record.ended) or self.runs.clock()
        await self.reach("run-session-over")
        if run.wanted == "cancel":
            await self.runs.change(run.id, change.cancelled(when))
        elif record is not None and may_go_on(run, record):
            await self.runs.change(run.id, change.goes_on(record.id, cost, by_itself=True))
        else:
            await self.runs.change(run.id, change.interrupted(run.session or "", cost, when))

    async def _after(self, run: Run, record: Record | None) -> None:
        """The run has ended: its session is to follow, and then it is settled."""
        if run.own_session and record is not None and record.stage is not Stage.ENDED:
            if record.live and run.ended is not None and self.runs.clock() - run.ended > LINGERS:
                await self.broker.ask_to_stop(record, "the run's end")
            return
        cost = await self.cost(run, record)
        await self.agree(run)
        await self.reach("run-settling")
        await self.runs.change(run.id, change.settled(run.session, cost))

    async def cost(self, run: Run, record: Record | None) -> int:
        """Micro-credits of the session that it is in, with its Dask workers, so far."""
        return cost_in(run, record, self.runs.clock()) + await self.workers_cost(run, record)

    async def workers_cost(self, run: Run, record: Record | None) -> int:
        """Of the Dask workers of its session, while the run was there."""
        span = window(run, record, self.runs.clock())
        return await self.runs.workers_cost(record.id, *span) if span and record is not None else 0

    async def agree(self, run: Run) -> None:
        """Say of replays that are done, as their parents are, whether the results agree."""
        for replay, parent in await self.runs.replays(run):
            if replay.agreement is None:
                said = await asyncio.to_thread(agreement, self.broker.apps.apps.get(replay.app), replay, parent)
                await self.runs.change(replay.id, lambda now, said=said: {"agreement": said})  # type: ignore[misc]


def may_go_on(run: Run, record: Record) -> bool:
    """A run in a session of its own goes on by itself, once: the session's end was the centre's doing, or its time ran
    out, and something is to be gained: finished steps that need not run again, or it had not begun.
    """
    by_centre = record.asked_by in (None, "policy")
    if not run.own_session or run.resumed >= BY_ITSELF or not by_centre:
        return False
    if record.outcome == Reason.WALLTIME:
        return _finished_steps(run)
    return record.outcome in CENTRES_DOING and (run.report is None or _finished_steps(run))


def _finished_steps(run: Run) -> bool:
    steps = (run.report or {}).get("steps")
    states = [step.get("state") for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return "done" in states or "kept" in states


__all__ = ["BY_ITSELF", "CENTRES_DOING", "LINGERS", "RunKeeper", "may_go_on"]
