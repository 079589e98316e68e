"""When would this job start? A range, from the queue's own history of starts, corrected until it holds.

The method, conformalised quantile regression over nearest neighbours, in three published steps:

1. A linear index says how long a job of this shape in this situation would wait (`index`), and is used for nothing but
   to order past jobs by how alike they are: distributional index models, A. Henzi, G.-R. Kleger and J. F. Ziegel,
   JASA 118 (2023). The nearest ones in that order, newer ones counting more, give the conditional quantiles
   (C. J. Stone, Consistent nonparametric regression, Annals of Statistics 5, 1977).
2. Jobs that were cancelled while they waited are right-censored: their wait is known to be longer than so much. They
   take part by the product-limit estimate (Beran 1981, see `quantiles`), so that leaving out those who lost patience
   does not make a queue look quick.
3. The quantiles are widened or narrowed by how far they were off in the past: Y. Romano, E. Patterson and E. Candes,
   Conformalized quantile regression, NeurIPS 2019. Each past job is scored against what the jobs whose wait was known
   at its submission had foretold, never against later ones (the order alone comes from all); newer scores weigh more
   (Barber et al. 2023, see `quantiles`). Of censored jobs only those count here that were certainly missed: they
   waited beyond the range.

Everything is done on the scale of log(1 + seconds), where ten minutes on one are as bad as ten hours on ten. The
coverage holds on average over a queue's jobs, not for each kind of job. While history is too small for a correction
the range is that of `ranges.without_history`, with what was seen mixed in. A model is bounded, deterministic, and
asks nobody anything; a forecast from it costs some tens of microseconds.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable, Iterable
from math import expm1, log1p
from typing import NamedTuple

from perijove.hub.offers.index import Features, Index, features
from perijove.hub.offers.quantiles import Conformal, Weighted, survival_quantiles
from perijove.hub.offers.ranges import Evidence, Five, Range, rounded, without_history
from perijove.hub.offers.starts import Situation, Start

#: Starts that a model keeps, the newest.
KEPT = 300
#: Neighbours that a forecast rests on, at most, and as a part of the history.
NEAREST, PART = 40, 0.25
#: Observed starts below which history alone says nothing.
FEWEST = 9
#: Seconds after which a start counts half.
HALF_LIFE = 14 * 86400.0
#: The index is fitted anew after so many starts.
REFIT = 10
#: The starts that say how long jobs wait at the moment.
LATEST = 5
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


class _Past(NamedTuple):
    """A start as the model keeps it: `value` is log(1 + wait), `weight` relative to the model's origin."""

    start: Start
    value: float
    weight: float
    row: Features

    @property
    def weighted(self) -> Weighted:
        """What quantiles need of it."""
        return self.value, not self.start.observed, self.weight


class Model:
    """The forecasts of one queue."""

    def __init__(self) -> None:
        #: By when their waits were known.
        self.starts: list[Start] = []
        self._past: list[_Past] = []
        self._ids: set[str] = set()
        self._index = Index()
        #: (index, number in `_past`, what the quantiles need), in order.
        self._order: list[tuple[float, int, Weighted]] = []
        self._misses: list[tuple[float, float, float]] = []  # what the 90 % and 50 % ranges missed by; weight
        self._conformal: tuple[Conformal, Conformal] | None = None
        self._origin = 0.0
        self._since_fit = 0
        self._observed = 0
        #: How many starts it has learnt in all.
        self.learnt = 0
        self._level = 0.0

    @classmethod
    def of(cls, starts: Iterable[Start]) -> Model:
        """A model that has learnt from all of `starts`, in the order in which their waits were known."""
        model = cls()
        for start in sorted(starts, key=lambda one: one.known_at)[-KEPT:]:
            model.learn(start)
        return model

    # --- learning ------------------------------------------------------------------------------------------------

    def learn(self, start: Start) -> None:
        """Take in one more start; one that is known already changes nothing."""
        if start.id in self._ids or self._forgotten(start):
            return
        if not self._past:
            self._origin = start.submitted
        row = features(start.cores, start.walltime, start.situation, self._level_at(start.submitted))
        one = _Past(start, log1p(max(start.wait, 0.0)), self._weight(start.submitted), row)
        self._judge(one)
        self._ids.add(start.id)
        self.starts.append(start)
        self._past.append(one)
        insort(self._order, (self._index.of(row), len(self._past) - 1, one.weighted))
        self._since_fit += 1
        self.learnt += 1
        self._observed += start.observed
        if len(self._past) > KEPT + REFIT or self._since_fit >= REFIT or len(self._past) <= REFIT:
            self._fit()
        self._level = self._level_at(math.inf)
        self._conformal = None

    def _forgotten(self, start: Start) -> bool:
        """It is older than all that are kept: a session says again at its end what it taught at its start."""
        return len(self._past) >= KEPT and start.known_at <= self._past[0].start.known_at

    def _weight(self, moment: float) -> float:
        return float(2.0 ** min((moment - self._origin) / HALF_LIFE, 500.0))

    def _judge(self, one: _Past) -> None:
        """Score what the jobs whose waits were known at its submission would have foretold for this one."""
        submitted = one.start.submitted
        known = [past for past in self._past if past.start.known_at <= submitted]
        if sum(past.start.observed for past in known) < FEWEST:
            return
        five = self._quantiles(one.row, len(known), lambda past: past.start.known_at <= submitted)
        wide = max(five[0] - one.value, one.value - five[4])
        narrow = max(five[1] - one.value, one.value - five[3])
        if one.start.observed or wide > 0:
            self._misses.append((wide, narrow, one.weight))

    def _fit(self) -> None:
        """Forget the oldest, and order all by an index that is fitted to them."""
        if drop := max(0, len(self._past) - KEPT):
            self._past, self.starts = self._past[drop:], self.starts[drop:]
            self._ids = {start.id for start in self.starts}
            self._observed = sum(start.observed for start in self.starts)
        self._misses = self._misses[-KEPT:]
        newest = self._past[-1].weight
        # A job that was cancelled sooner than expected says nothing of the trend; one that waited longer does.
        before = self._index
        rows = [
            (past.row, past.value, past.weight / newest)
            for past in self._past
            if past.start.observed or past.value > before.of(past.row)
        ]
        self._index = Index(rows)
        self._order = sorted((self._index.of(past.row), n, past.weighted) for n, past in enumerate(self._past))
        self._since_fit = 0

    def _level_at(self, moment: float) -> float:
        """What the latest jobs had waited whose waits were known at `moment`."""
        latest: list[float] = []
        for past in reversed(self._past):
            if past.start.known_at <= moment and past.start.observed:
                latest.append(past.value)
                if len(latest) == LATEST:
                    break
        return sum(latest) / len(latest) if latest else 0.0

    # --- forecasting ---------------------------------------------------------------------------------------------

    def forecast(self, cores: int, walltime: int, situation: Situation, now: float) -> Range:
        """When a job of `cores` for `walltime` seconds would start if it were submitted at `now` (epoch seconds)."""
        prior = without_history(cores, situation)
        count = len(self._past)
        days = max(1, math.ceil((now - self.starts[0].submitted) / 86400)) if count else 0
        if self._observed < FEWEST:
            return rounded(self._mixed(prior) if count else prior, self._evidence(situation), count, days)
        five = self._quantiles(features(cores, walltime, situation, self._level), count)
        own = self._weight(now)
        if self._conformal is None:
            self._conformal = (
                Conformal((wide, weight) for wide, _, weight in self._misses),
                Conformal((narrow, weight) for _, narrow, weight in self._misses),
            )
        wide, narrow = self._conformal[0].quantile(0.9, own), self._conformal[1].quantile(0.5, own)
        five = _corrected(five, wide, narrow, prior)
        return rounded(five, self._evidence(situation), count, days)

    def _evidence(self, situation: Situation) -> Evidence:
        if self._observed:
            return "both" if situation.known else "history"
        return "centre" if situation.known else "none"

    def _mixed(self, prior: Five) -> Five:
        """A range for little history: what was seen, among five waits as the policy has them."""
        supposed = [(log1p(value), False, 1.0) for value in prior]
        found = survival_quantiles([*supposed, *((*past.weighted[:2], 1.0) for past in self._past)], LEVELS)
        longest = max(log1p(prior[4]), *(past.value for past in self._past))
        return _five(expm1(min(value, longest)) for value in found)

    def _quantiles(self, row: Features, count: int, known: Callable[[_Past], bool] | None = None) -> Five:
        """Quantiles of log waits among the nearest of the `count` past jobs that are `known`."""
        values = self._nearest(self._index.of(row), max(FEWEST, min(NEAREST, int(count * PART))), known)
        found = survival_quantiles(values, LEVELS)
        if found[-1] == math.inf:  # the longest were cancelled: at least so long
            longest = max(value for value, _, _ in values)
            found = [min(value, longest) for value in found]
        return _five(found)

    def _nearest(self, index: float, wanted: int, known: Callable[[_Past], bool] | None) -> list[Weighted]:
        order = self._order
        if known is not None:
            order = [entry for entry in order if known(self._past[entry[1]])]
        # The nearest lie side by side: where they begin is found by halving.
        low, high = 0, max(0, len(order) - wanted)
        while low < high:
            middle = (low + high) // 2
            if index - order[middle][0] > order[middle + wanted][0] - index:
                low = middle + 1
            else:
                high = middle
        return [weighted for _, _, weighted in order[low : low + wanted]]


def _corrected(five: Five, wide: float, narrow: float, prior: Five) -> Five:
    """The quantiles (log scale) as seconds, by the conformal corrections; without one by the policy's range."""
    low, first, likely, third, high = five
    if narrow < math.inf:
        first, third = min(first - narrow, likely), max(third + narrow, likely)
    else:
        first, third = min(first, log1p(prior[1])), max(third, log1p(prior[3]))
    if wide < math.inf:
        low, high = low - wide, high + wide
    else:
        low, high = min(low, log1p(prior[0])), max(high, log1p(prior[4]))
    low, high = min(low, first), max(high, third)
    return _five(expm1(min(max(value, 0.0), 20.0)) for value in (low, first, likely, third, high))


def _five(values: Iterable[float]) -> Five:
    low, first, likely, third, high = values
    return low, first, likely, third, high


__all__ = ["FEWEST", "KEPT", "Model"]
