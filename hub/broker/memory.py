"""What the broker remembers of one centre: queues, load, estimates and the history of starts.

It is filled in the watcher's round and read by offers and pages, which therefore never ask a centre anything. Bounded,
and in memory: the history of starts comes back from the store after a restart, the load of the last day does not (it
is a picture of the centre, not of the gateway, and fills again within the day).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from perijove.hub.offers.find import CentreNow, QueueNow
from perijove.hub.offers.forecast import Model
from perijove.hub.offers.ranges import Range
from perijove.hub.offers.scores import score, waits
from perijove.hub.offers.starts import Situation, Start
from perijove.spawners.centre import Centre, Queue
from perijove.spawners.job import QueueStatus, Reason
from perijove.spawners.session import Stage

#: A listing of queues older than this says nothing of now.
FRESH = timedelta(minutes=15)
#: Samples of load: so many, so far apart; together a day.
SAMPLES, APART = 48, timedelta(minutes=30)
#: Between two questions to a batch system for an estimate; after one that it could not answer; and how long one holds.
PROBE, PROBE_AGAIN, PROBE_HOLDS = timedelta(minutes=5), timedelta(hours=1), timedelta(minutes=30)
#: An estimate that is no later than this means now.
AT_ONCE = timedelta(minutes=1)
LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Load(NamedTuple):
    """How busy a queue was at a time."""

    at: datetime
    cores_free: int | None
    cores: int | None
    jobs_queued: int | None


class Estimate(NamedTuple):
    """What a batch system said at a time of when a job would start."""

    at: datetime
    expected: datetime


class Memory:
    """One centre. Queues are known by the gateway's names, but where `label` says so by the batch system's."""

    def __init__(self) -> None:
        #: When the newest listing that was answered was asked for, and the newest listing of queues.
        self.as_of: datetime | None = None
        self.queues_at: datetime | None = None
        self.last_ready: datetime | None = None
        self.queues: dict[str, QueueStatus] = {}  # by label
        self.models: dict[str, Model] = {}
        self._load: dict[str, deque[Load]] = {}  # by label
        self._estimates: dict[str, Estimate] = {}  # by label; of a small job that was asked for
        self._waiting: dict[str, Estimate] = {}  # by label; of the gateway's own jobs that wait there
        self._probes: dict[str, datetime] = {}  # by label; when it may be asked again
        self._probe_due = LONG_AGO
        self._records: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}

    # --- what is heard -------------------------------------------------------------------------------------------

    def heard(self, asked: datetime) -> None:
        """A listing that was asked for at `asked` was answered."""
        self.as_of = asked if self.as_of is None else max(self.as_of, asked)

    def set_queues(self, queues: Iterable[QueueStatus], now: datetime) -> None:
        """The batch system told what its queues look like."""
        self.queues, self.queues_at = {queue.name: queue for queue in queues}, now
        for label, status in self.queues.items():
            kept = self._load.setdefault(label, deque(maxlen=SAMPLES))
            # The newest sample is of now; it stays for good once it is far enough from the one before.
            if len(kept) > 1 and kept[-1].at - kept[-2].at < APART:
                kept.pop()
            kept.append(Load(now, status.cores_free, status.cores, status.jobs_queued))

    def waits(self, label: str, asked: datetime, expected: datetime) -> None:
        """A job of ours that waits is expected to start then; the last of several is what a new one would be behind."""
        known = self._waiting.get(label)
        if known is None or known.at < asked or known.expected < expected:
            self._waiting[label] = Estimate(asked, expected)

    def learn(self, session: Any) -> None:
        """What can be learnt from a session (a record, or a row of the store) as it is now."""
        if session.ready is not None:
            self.was_ready(session.ready)
        if (start := start_of(session)) is not None:
            self.models.setdefault(session.queue, Model()).learn(start)

    def recall(self, queue: str, model: Model) -> None:
        """The history of `queue` as the store has it; what was learnt meanwhile is kept."""
        for start in sorted(self.starts(queue), key=lambda one: one.known_at):
            model.learn(start)
        self.models[queue] = model

    def was_ready(self, at: datetime) -> None:
        """A session became ready there."""
        self.last_ready = at if self.last_ready is None else max(self.last_ready, at)

    # --- estimates of the batch system -----------------------------------------------------------------------------

    def probe(self, centre: Centre, now: datetime) -> Queue | None:
        """The queue whose start is to be asked for now, if any: in turn, seldom, and only where jobs would wait."""
        if now < self._probe_due:
            return None
        due = [queue for queue in centre.queues if self._probes.get(queue.label, LONG_AGO) <= now and self._busy(queue)]
        found = min(due, key=lambda queue: self._probes.get(queue.label, LONG_AGO), default=None)
        if found is not None:
            self._probe_due = now + PROBE
            self._probes[found.label] = now + PROBE_AGAIN
        return found

    def probed(self, label: str, now: datetime, expected: datetime) -> None:
        """The answer to it; one that does not come leaves the queue alone for an hour."""
        self._probes[label] = now + PROBE
        self._estimates[label] = Estimate(now, expected)

    def _busy(self, queue: Queue) -> bool:
        status = self.queues.get(queue.label)
        if status is None or status.cores_free is None:
            return self.queues_at is not None  # the batch system does not say
        return bool(status.jobs_queued) or status.cores_free < queue.cores // 4

    def expected(self, queue: Queue, now: datetime) -> datetime | None:
        """When the batch system would start a job there, by its newest estimate, unless that is old or over."""
        for estimate in (self._estimates.get(queue.label), self._waiting.get(queue.label)):
            if estimate is not None and now - estimate.at <= PROBE_HOLDS and estimate.expected > now:
                return estimate.expected
        return None

    def wait(self, queue: Queue, now: datetime) -> float | None:
        """Seconds until then; 0 where it said lately that it would start one at once."""
        if (expected := self.expected(queue, now)) is not None:
            return (expected - now).total_seconds()
        said = self._estimates.get(queue.label)
        return 0.0 if said and said.expected <= said.at + AT_ONCE and now - said.at <= PROBE + FRESH else None

    # --- what is asked -------------------------------------------------------------------------------------------

    def situation(self, queue: Queue, now: datetime) -> Situation:
        """What is known of `queue` now."""
        fresh = self.queues_at is not None and now - self.queues_at <= FRESH
        status = self.queues.get(queue.label) if fresh else None
        return Situation(
            status.jobs_queued if status else None, status.cores_free if status else None, self.wait(queue, now)
        )

    def forecast(self, queue: Queue, cores: int, walltime: int, now: datetime) -> Range:
        """When a job there would start if it were submitted now."""
        model = self.models.get(queue.name) or _NO_HISTORY
        return model.forecast(cores, walltime, self.situation(queue, now), now.timestamp())

    def now(self, centre: Centre, unknown_since: datetime | None, now: datetime) -> CentreNow:
        """What offers need to know."""
        queues = {queue.name: self._queue_now(queue, now) for queue in centre.queues}
        return CentreNow(queues, self.as_of, unknown_since)

    def _queue_now(self, queue: Queue, now: datetime) -> QueueNow:
        model, situation = self.models.get(queue.name) or _NO_HISTORY, self.situation(queue, now)
        forecast: Callable[[int, int], Range] = partial(_forecast, model, situation, now.timestamp())
        fresh = self.queues_at is not None and now - self.queues_at <= FRESH
        status = self.queues.get(queue.label) if fresh else None
        return QueueNow(forecast, status.open if status else True, self.expected(queue, now))

    def starts(self, queue: str) -> Sequence[Start]:
        """The history of a queue, in the order in which waits were known."""
        model = self.models.get(queue)
        return model.starts if model else ()

    def record(self, queue: str, now: datetime) -> dict[str, Any]:
        """The waits and the scores of a queue for the API; reckoned anew once a minute and when it has learnt."""
        model = self.models.get(queue) or _NO_HISTORY
        state = (id(model), model.learnt, int(now.timestamp() // 60))
        known = self._records.get(queue)
        if known is None or known[0] != state:
            told = {"waits": waits(model.starts, now.timestamp()), "scores": score(model.starts).as_json()}
            known = self._records[queue] = (state, told)
        return known[1]

    def load(self, label: str, now: datetime) -> list[Load]:
        """The samples of the last 24 hours, oldest first."""
        day = timedelta(hours=24)
        return [sample for sample in self._load.get(label, ()) if now - sample.at <= day]


_NO_HISTORY = Model()


def _forecast(model: Model, situation: Situation, now: float, cores: int, walltime: int) -> Range:
    return model.forecast(cores, walltime, situation, now)


def start_of(session: Any) -> Start | None:
    """The wait of a session (a record, or a row of the store with these columns), as far as it is known.

    From submission to the first node; a session that was cancelled before counts as waited until then. None of a job
    that was put back into the queue (its wait has its run in it), and of one that the batch system would not start.
    """
    if session.submitted is None or session.restarts:
        return None
    until, observed = session.started, True
    if until is None:
        if session.stage != Stage.ENDED or session.outcome != Reason.CANCELLED:
            return None
        until, observed = session.asked_at or session.ended, False
    if until is None:
        return None
    situation: Mapping[str, Any] | None = session.situation
    return Start(
        id=session.id,
        submitted=session.submitted.timestamp(),
        wait=max(0.0, (until - session.submitted).total_seconds()),  # clocks of two machines
        observed=observed,
        cores=session.cores,
        walltime=session.walltime,
        situation=Situation.from_json(situation),
        forecast=session.forecast,
    )


__all__ = ["Memory", "start_of"]
