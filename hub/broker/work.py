"""The work on one session: small idempotent steps from where it is to where it is to be.

One task per session, so steps of one session never overlap, and those of others never wait for them. What was listed
by the watcher is put on the desk (`seen`, `missing`) and taken up before the next step. A step that fails says so in
the session's detail and is made again; nothing ends a session but evidence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from perijove.hub.broker import connection, ending, submission, transitions, waiting
from perijove.hub.broker.config import backoff
from perijove.hub.broker.records import Record, Transition
from perijove.spawners.job import JobState, JobStatus
from perijove.spawners.session import Stage
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from perijove.hub.broker.context import AnyTunnel, Context

log = logging.getLogger(__name__)


class Work:
    """One session being brought on its way."""

    __slots__ = (
        "absent",
        "argv",
        "bare",
        "begun",
        "cancelled",
        "contact",
        "context",
        "environment",
        "faults",
        "instead",
        "job",
        "missing_since",
        "record",
        "stale",
        "stop_sent",
        "taken",
        "tries",
        "tunnel",
        "up",
        "wake",
        "watched_until",
    )

    def __init__(self, record: Record, context: Context) -> None:
        self.record = record
        self.context = context
        self.wake = asyncio.Event()
        #: What the server is started with: in memory only.
        self.environment: Mapping[str, str] | None = None
        self.argv: Sequence[str] = ()
        #: The agent said that it has no server.
        self.bare = False
        self.tunnel: AnyTunnel | None = None
        self.up: bool | None = None
        #: The newest that the batch system said of the job, until it is taken up.
        self.job: JobStatus | None = None
        self.instead = False
        #: What was taken up last: a listing that says the same again is no news.
        self.taken: JobStatus | None = None
        #: Listings in a row that should have had the job and did not, and since when.
        self.absent = 0
        self.missing_since: datetime | None = None
        #: When the batch system or the agent last showed that the job lives.
        self.contact: datetime | None = None
        self.tries = 0
        self.begun: float | None = None
        self.faults = 0
        self.stop_sent = False
        self.cancelled = 0
        self.stale = False
        self.watched_until = 0.0

    @property
    def needs_environment(self) -> bool:
        """The server is not started yet, and the hub has not given (or a crash has lost) its environment.

        One that may run already has its token: a new one would be the death of that.
        """
        stage = self.record.stage
        return self.environment is None and (stage.before_server or (stage is Stage.STARTING and self.bare))

    async def run(self) -> None:
        """Step until nothing is left to do."""
        while not self.record.over:
            self.wake.clear()
            try:
                pause = await self._step()
                self.faults = 0
            except SQLAlchemyError as error:
                log.warning("%s: the store cannot be used now: %s", self.record.id, error)
                pause = 2.0
            except Exception:
                # A fault of ours must not leave the session alone: it is logged, and tried again.
                log.exception("%s: a step failed in stage %s", self.record.id, self.record.stage)
                self.faults += 1
                pause = backoff((1.0, 30.0), self.faults)
            await self._rest(pause)
        await self.drop_tunnel()

    async def _step(self) -> float | None:
        if self.stale:
            self.stale = False
            self.record = await self.context.sessions.get(self.record.id) or self.record
        await waiting.take_up(self)
        if self.up is not None:
            up, self.up = self.up, None
            await self.change(transitions.connection(up))
        return await _STEPS[self.record.stage](self)

    async def _rest(self, pause: float | None) -> None:
        if pause is None or pause > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.wake.wait()
        else:
            await asyncio.sleep(0)

    async def change(self, transition: Transition) -> None:
        """Make the change in the store, and go on with what is there now. What would change nothing costs nothing."""
        if transition(self.record) is None:
            return
        self.record = await self.context.sessions.change(self.record.id, transition)

    # --- what others put on the desk -----------------------------------------------------------------------------

    def replaced(self, record: Record) -> None:
        """Somebody else changed the session in the store."""
        self.record = record
        self.wake.set()

    def seen(self, job: JobStatus, asked: datetime, *, instead: bool = False) -> None:
        """A listing asked for at `asked` said this of the job; `instead`: of another, in place of one that is over."""
        self.absent, self.missing_since = 0, None
        if job.state is not JobState.ENDED:
            self.contact = asked
        if job == self.taken and not instead:
            return
        self.job, self.instead = job, instead
        self.wake.set()

    def missing(self, asked: datetime) -> None:
        """A listing that was asked for at `asked` did not have the job."""
        if self.record.attempted is not None and asked < self.record.attempted:
            return
        self.absent += 1
        self.missing_since = self.missing_since or asked
        self.wake.set()

    def give(self, environment: Mapping[str, str], argv: Sequence[str]) -> None:
        """The hub's environment for the server; an empty one withdraws what was given."""
        self.environment = dict(environment) or None
        self.argv = tuple(argv)
        self.stale = True
        self.wake.set()

    def tunnel_changed(self, up: bool) -> None:
        """The tunnel came up or went down."""
        self.up = up
        self.contact = self.context.clock()  # also when it goes down: the agent was there until now
        self.wake.set()
        if not up:
            self.context.hurry()

    async def drop_tunnel(self) -> None:
        """Close the tunnel; the job is left as it is."""
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(5):
                    await tunnel.close()


_STEPS = {
    Stage.CHECKED: submission.step,
    Stage.SUBMITTED: waiting.step,
    Stage.QUEUED: waiting.step,
    Stage.GRANTED: connection.open_step,
    Stage.STARTING: connection.start_step,
    Stage.READY: connection.ready_step,
    Stage.ENDING: ending.stop_step,
    Stage.ENDED: ending.after_step,
}
