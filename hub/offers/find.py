"""`request -> offers`: every centre and queue that can serve a request, and why the others cannot. Pure.

What is known of the centres comes in as `CentreNow`, forecasts as a function; nothing is asked of anybody, so an offer
costs microseconds whether a centre answers or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from perijove.hub.offers.choose import PREFERENCES, Candidate, Prefer, Reason, ranking, reasons
from perijove.hub.offers.fixes import Fix, fixes
from perijove.hub.offers.ranges import UNKNOWN, WARM, Range, rounded
from perijove.spawners.centre import Centre, Queue
from perijove.spawners.request import BadRequest, Fault, Placement, Request, fit, named_queues

#: The kind of session that is kept warm, and the seconds that such a one must still have for somebody who did not say
#: how long they need it.
WARM_KIND, SHORTEST = "app", 1800


@dataclass(frozen=True, slots=True)
class QueueNow:
    """What is known of a queue now."""

    #: When a job of so many cores and seconds would start.
    forecast: Callable[[int, int], Range] = lambda cores, walltime: rounded(UNKNOWN, "none")
    #: The batch system says that it takes jobs.
    open: bool = True
    #: When the batch system itself would start a small job there.
    expected: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spare:
    """A session that is kept warm for whoever opens an app next: memory in MiB, `left` seconds until its job's end."""

    queue: str
    cores: int
    memory: int
    gpus: int
    left: float

    def serves(self, placement: Placement, seconds: float) -> bool:
        """Whether it can be taken over for `placement`, by somebody who needs it for so many `seconds`."""
        has = self.cores >= placement.cores and self.memory >= placement.memory and self.gpus >= placement.gpus
        return has and self.queue == placement.queue.name and self.left >= seconds


@dataclass(frozen=True, slots=True)
class CentreNow:
    """What is known of a centre now; nothing, by default."""

    queues: Mapping[str, QueueNow] = field(default_factory=dict)
    as_of: datetime | None = None
    unknown_since: datetime | None = None
    #: What keeps the whole centre from taking sessions, beyond its description.
    faults: tuple[Fault, ...] = ()
    #: What waits there for whoever opens an app.
    warm: tuple[Spare, ...] = ()


NOTHING, QUIET = CentreNow(), QueueNow()


@dataclass(frozen=True, slots=True)
class Offer:
    """What one queue says to a request: a placement with its start, or faults with what would mend each."""

    centre: Centre
    queue: Queue
    now: CentreNow
    data: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    placement: Placement | None = None
    start: Range | None = None
    expected: datetime | None = None
    faults: tuple[tuple[Fault, Fix | None], ...] = ()
    recommended: bool = False

    @property
    def candidate(self) -> Candidate | None:
        """What is weighed, where it fits."""
        if self.placement is None or self.start is None:
            return None
        silent = self.now.unknown_since is not None
        return Candidate(self.placement.price, self.start, self.data, self.missing, silent)


@dataclass(frozen=True, slots=True)
class Offers:
    """The answer: those that fit first, best first; the first of them is recommended, for `reasons`."""

    offers: tuple[Offer, ...]
    prefer: Prefer
    reasons: tuple[Reason, ...] = ()

    @property
    def recommended(self) -> Offer | None:
        """The one that is recommended."""
        return next((offer for offer in self.offers if offer.recommended), None)


def find(
    options: Mapping[str, Any], centres: Mapping[str, Centre], known: Mapping[str, CentreNow], now: datetime
) -> Offers:
    """The offers for raw `options` of any door, and `prefer`; a request without a centre is held against all.

    Raises:
        BadRequest: the request itself is faulty, or names a centre or queue that there is not.
    """
    prefer = _preference(options)
    anywhere = not options.get("centre")
    # The model of a request wants a centre: any name will do where it is held against all.
    raw = {**options, "centre": "any"} if anywhere else options
    request = Request.parse({key: value for key, value in raw.items() if key != "prefer"})
    asked = list(centres.values()) if anywhere else [named_queues(request, centres)[0]]
    found = [
        _offer(request, centre, queue, known.get(centre.id, NOTHING), now)
        for centre in asked
        for queue in centre.queues
        if request.queue in (None, queue.name)
    ]
    return _ranked(found, prefer)


def _preference(options: Mapping[str, Any]) -> Prefer:
    given = options.get("prefer")
    for known in PREFERENCES:
        if given == known:
            return known
    if given is None or given == "":
        return "balanced"
    words = "must be one of " + ", ".join(PREFERENCES)
    raise BadRequest([Fault("prefer", "unknown-choice", words, {"choices": ", ".join(PREFERENCES)})])


def _offer(request: Request, centre: Centre, queue: Queue, now: CentreNow, moment: datetime) -> Offer:
    here = {one.name for one in centre.datasets}
    data = tuple(name for name in request.data if name in here)
    missing = tuple(name for name in request.data if name not in here)
    queue_now = now.queues.get(queue.name, QUIET)
    faults = [*now.faults]
    if not queue_now.open:
        words = f"queue {queue.name} of {centre.id} takes no jobs at the moment"
        faults.append(Fault("queue", "queue-closed", words, {"queue": queue.name, "centre": centre.id}))
    outcome = fit(request, centre, queue, moment)
    if isinstance(outcome, Placement) and not faults:
        seconds = request.walltime or SHORTEST
        ready = (spare for spare in now.warm if request.kind == WARM_KIND and spare.serves(outcome, seconds))
        if spare := next(ready, None):
            # It lasts to its job's end, and can cost as much.
            taken = replace(outcome, walltime=int(spare.left))
            return Offer(centre, queue, now, data, missing, taken, rounded(WARM, "warm"))
        start = queue_now.forecast(outcome.cores, outcome.walltime)
        return Offer(centre, queue, now, data, missing, outcome, start, queue_now.expected)
    faults += outcome if isinstance(outcome, list) else []
    mended = zip(faults, fixes(faults, centre, queue, moment), strict=True)
    return Offer(centre, queue, now, data, missing, faults=tuple(mended))


def _ranked(found: Sequence[Offer], prefer: Prefer) -> Offers:
    good = [(offer, candidate) for offer in found if (candidate := offer.candidate) is not None]
    key = ranking([candidate for _, candidate in good], prefer)
    # Nodes with GPUs are left to those who want them; names settle the rest, not the order of files.
    good.sort(key=lambda pair: (key(pair[1]), _idle_gpus(pair[0]), pair[0].centre.id, pair[0].queue.name))
    bad = [offer for offer in found if offer.placement is None]
    bad.sort(key=lambda offer: (_hopeless(offer), len(offer.faults), offer.centre.id, offer.queue.name))
    offers = [offer for offer, _ in good]
    if not good:
        return Offers(tuple(bad), prefer)
    why = reasons(good[0][1], [candidate for _, candidate in good[1:]])
    offers[0] = replace(offers[0], recommended=True)
    return Offers((*offers, *bad), prefer, tuple(why))


def _idle_gpus(offer: Offer) -> int:
    """GPUs of a node that nobody could use while this session has its cores."""
    return offer.queue.gpus if offer.placement is not None and not offer.placement.gpus else 0


def _hopeless(offer: Offer) -> bool:
    return any(fix is None for _, fix in offer.faults)


__all__ = ["SHORTEST", "WARM_KIND", "CentreNow", "Offer", "Offers", "QueueNow", "Spare", "find"]
