"""The watcher: one status query per centre and tick, for all sessions together.

A tick is one call of the launcher with the batch system's status command, the history of the jobs that vanished, and
now and then its queues. Steadily it costs at most `PER_MINUTE` commands a minute, however many sessions there are:
each command pays for twelve seconds of silence. While somebody waits it asks about once a second, and for a short while
after a submission more often, out of a purse that fills slowly. A centre that fails is asked less often.

Where a centre hides other people's jobs (`scheduler.sees_all = false`) there is one query per account, and the failure
of one is not that of another. The watcher believes nothing: it reports what was listed, and that a query failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from perijove.spawners.batch import BatchError, BatchProblem, BatchSystem, Command, Output
from perijove.spawners.centre import Centre
from perijove.spawners.job import JobStatus, QueueStatus
from perijove.spawners.link import Account, Link, LinkError

log = logging.getLogger(__name__)

#: Batch system commands a minute while nothing is waited for.
PER_MINUTE = 6


class LinkPool(Protocol):
    """Where links come from; `perijove.spawners.link.Links` is one."""

    def get(self, centre: Centre, account: Account = ...) -> Link:
        """The link to `centre` as `account`."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is asked, in seconds."""

    steady: float = 12.0  # per command: so no minute, wherever it begins, has more than PER_MINUTE
    waited: float = 1.0  # while somebody waits
    eager: float = 0.25  # right after a submission, out of the purse
    purse: int = 24  # eager ticks at once, at most
    refill: float = 0.2  # eager ticks a second
    queues: float = 60.0
    backoff: tuple[float, float] = (1.0, 15.0)
    longest: float = 60.0  # between two ticks of a centre with a query per account
    timeout: float = 30.0  # for one call of the launcher


@dataclass(frozen=True, slots=True)
class Query:
    """What one tick asks as one account."""

    account: Account
    #: Account names at the centre to whom the listing is restricted; (): everybody's.
    names: tuple[str, ...] = ()
    #: Jobs that the last listing no longer had: ask how they ended.
    vanished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """What the batch system said to one query."""

    query: Query
    begun: datetime  # when we asked
    jobs: Sequence[JobStatus]
    past: Sequence[JobStatus]  # how vanished jobs ended, as far as the history knows
    asked_history: bool  # the history was asked and answered


@dataclass(frozen=True, slots=True)
class Failure:
    """A query that failed; nothing is known of the jobs it was for."""

    query: Query
    since: datetime  # when the first of the failures in a row began
    count: int
    detail: str
    #: What kind of failure: a `LinkProblem` ("unreachable", ...), "batch-" with a `BatchProblem`, or "timeout".
    problem: str = "timeout"


@dataclass(frozen=True, slots=True)
class Probe:
    """One more question in the round in which queues are asked for, and who takes its answer."""

    command: Command
    answer: Callable[[Output], None]


@dataclass(slots=True)
class Watcher:
    """Watches one centre. `queries` says what to ask now; `on_answer` gets each listing or failure."""

    centre: Centre
    system: BatchSystem
    links: LinkPool
    queries: Callable[[], Sequence[Query]]
    on_answer: Callable[[Listing | Failure], Awaitable[None]]
    on_queues: Callable[[Sequence[QueueStatus]], None] = lambda queues: None
    pace: Pace = Pace()
    #: A further question, now and then: when a small job would start.
    probe: Callable[[], Probe | None] = lambda: None
    #: Batch system commands asked so far.
    commands: int = 0
    #: When the newest listing was asked for; None before the first.
    answered: datetime | None = None
    #: The version of the launcher that answered last.
    launcher: int | None = None
    #: The failures there are, by account, each until that account's query is answered again.
    failures: dict[Account, Failure] = field(default_factory=dict)
    _waited_until: float = 0.0
    _eager_until: float = 0.0
    _purse: float = 0.0
    _filled: float = 0.0
    _queues_at: float = 0.0
    _nudge: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def worst(self) -> Failure | None:
        """Of the failures there are, the one that lasts longest."""
        return min(self.failures.values(), key=lambda failure: failure.since, default=None)

    def per_minute(self) -> int:
        """Batch system commands asked in the last 60 seconds."""
        while self._asked and self._asked[0][0] < _now() - 60:
            self._asked.popleft()
        return sum(count for _, count in self._asked)

    def wait_for(self, seconds: float) -> None:
        """Somebody waits for news, for so long."""
        now = _now()
        idle = self._waited_until < now
        self._waited_until = max(self._waited_until, now + seconds)
        if idle:
            self._nudge.set()

    def hurry(self, seconds: float = 8.0) -> None:
        """Something is about to change: ask often, as far as the purse goes."""
        self._eager_until = max(self._eager_until, _now() + seconds)
        self._waited_until = max(self._waited_until, self._eager_until)
        self._nudge.set()

    async def run(self) -> None:
        """Tick until cancelled."""
        self._purse, self._filled = float(self.pace.purse), _now()
        while True:
            started = _now()
            asked = await self.tick()
            await self._rest(started, asked)

    async def tick(self) -> int:
        """Ask once; returns the number of batch system commands that this took."""
        queries = list(self.queries())
        before = self.commands
        for gone in self.failures.keys() - {query.account for query in queries}:
            del self.failures[gone]  # nobody is left there to ask for
        if queries:
            queues = _now() >= self._queues_at
            await asyncio.gather(*(self._ask(query, queues and n == 0) for n, query in enumerate(queries)))
            if queues:
                self._queues_at = _now() + self.pace.queues
        return self.commands - before

    async def _rest(self, started: float, asked: int) -> None:
        """Wait until the next tick is due; a nudge makes it due sooner, but no sooner than the quick pace allows."""
        failing = max((failure.count for failure in self.failures.values()), default=0)
        while True:
            now = _now()
            due = started + (self._failing_pause(failing) if failing else self._pause(now, asked))
            if now >= due:
                break
            self._nudge.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - now):
                    await self._nudge.wait()
        if _now() < self._eager_until:
            self._purse = max(0.0, self._purse - 1)

    def _failing_pause(self, failures: int) -> float:
        first, last = self.pace.backoff
        return float(min(first * 2 ** min(failures - 1, 10), last))

    def _pause(self, now: float, asked: int) -> float:
        self._purse = min(self.pace.purse, self._purse + (now - self._filled) * self.pace.refill)
        self._filled = now
        if now < self._eager_until and self._purse >= 1:
            return self.pace.eager
        if now < self._waited_until:
            return self.pace.waited
        return min(self.pace.steady * max(1, asked), max(self.pace.longest, self.pace.steady))

    async def _ask(self, query: Query, queues: bool) -> None:
        begun = datetime.now(UTC)
        try:
            async with asyncio.timeout(self.pace.timeout + 15):
                listing = await self._listing(query, queues, begun)
        except (LinkError, BatchError, TimeoutError) as error:
            before = self.failures.get(query.account)
            since, count = (before.since, before.count + 1) if before else (begun, 1)
            failure = Failure(query, since, count, str(error) or "no answer in time", _kind(error))
            self.failures[query.account] = failure
            await self.on_answer(failure)
        else:
            self.failures.pop(query.account, None)
            self.answered = begun
            await self.on_answer(listing)

    async def _listing(self, query: Query, queues: bool, begun: datetime) -> Listing:
        history = self.system.history(query.vanished) if query.vanished else None
        commands = [self.system.status(query.names)]
        commands += [history] if history else []
        commands += [self.system.queues()] if queues else []
        probe = self.probe() if queues else None
        asked = [*commands, probe.command] if probe else commands
        self.commands += len(asked)
        self._asked.append((_now(), len(asked)))
        self.per_minute()  # forgets what is older
        link = self.links.get(self.centre, query.account)
        answer: Mapping[str, Any] = await link.launch(
            status_request(self.centre, asked, self.pace.timeout), timeout=self.pace.timeout + 10
        )
        version = answer.get("version")
        self.launcher = version if isinstance(version, int) else self.launcher
        if probe is not None:
            answer = _take_up(probe, answer)
        outputs = outputs_of(answer, len(commands))
        jobs = self.system.parse_status(outputs[0])
        past: Sequence[JobStatus] = ()
        asked_history = False
        if history:
            with contextlib.suppress(BatchError):
                past = self.system.parse_history(outputs[1])
                asked_history = True
        if queues:
            with contextlib.suppress(BatchError):
                self.on_queues(self.system.parse_queues(outputs[2 if history else 1]))
        return Listing(query, begun, jobs, past, asked_history or not history)


def _take_up(probe: Probe, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer without that to the probe, which comes last and whose failure is nobody else's."""
    outputs = answer.get("outputs")
    if not isinstance(outputs, list) or not outputs:
        return answer
    with contextlib.suppress(BatchError):
        probe.answer(outputs_of({"outputs": outputs[-1:]}, 1)[0])
    return {**answer, "outputs": outputs[:-1]}


def status_request(
    centre: Centre, commands: Sequence[Command], seconds: float, tails: Sequence[str] = ()
) -> dict[str, Any]:
    """The launcher's request to run `commands` and read the logs of the sessions `tails`."""
    return {
        "verb": "status",
        "base": centre.paths.base,
        "commands": [{"argv": list(command.argv), "stdin": command.stdin} for command in commands],
        "tails": list(tails),
        "timeout": seconds,
    }


def outputs_of(answer: Mapping[str, Any], count: int) -> list[Output]:
    """The outputs of `count` commands in a launcher's answer.

    Raises:
        BatchError: UNREADABLE if they are not there, UNAVAILABLE for a command that did not end in time.
    """
    outputs = answer.get("outputs")
    if not isinstance(outputs, list) or len(outputs) != count:
        raise BatchError(BatchProblem.UNREADABLE, f"{count} answers were expected")
    for output in outputs:
        if output.get("problem") == "timeout":
            raise BatchError(BatchProblem.UNAVAILABLE, f"the command did not end in time: {output['stderr']}")
        if output.get("problem"):
            detail = f"the command could not be run ({output['problem']}): {output['stderr']}"
            raise BatchError(BatchProblem.UNAVAILABLE, detail)
    return [Output(output["status"], output["stdout"], output["stderr"]) for output in outputs]


def _kind(error: LinkError | BatchError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    return error.problem.value if isinstance(error, LinkError) else f"batch-{error.problem.value}"


def _now() -> float:
    return asyncio.get_running_loop().time()


__all__ = ["Failure", "LinkPool", "Listing", "Pace", "Probe", "Query", "Watcher", "outputs_of", "status_request"]
