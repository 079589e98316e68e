"""Quantiles of waits of which some are only known to be longer than so much, and the conformal correction.

Sources: E. L. Kaplan and P. Meier, Nonparametric estimation from incomplete observations, JASA 53 (1958); with weights
for nearness: R. Beran, Nonparametric regression with randomly censored survival data (1981). Weighted conformal
quantile for data that drift: R. F. Barber, E. J. Candes, A. Ramdas and R. J. Tibshirani, Conformal prediction beyond
exchangeability, Annals of Statistics 51 (2023).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

#: (value, censored, weight): of equal values those that happened come first, as the estimate wants it.
Weighted = tuple[float, bool, float]


def survival_quantiles(values: Iterable[Weighted], levels: Sequence[float]) -> list[float]:
    """The smallest value by which at least each of `levels` (rising) has happened, by the product-limit estimate.

    `inf` for a level that is not reached, because the longest waits are censored; so for all of no values.
    """
    ordered = sorted(values)
    at_risk = sum([weight for _, _, weight in ordered])
    found: list[float] = []
    surviving, index, count = 1.0, 0, len(levels)
    for value, censored, weight in ordered:
        if not censored:
            surviving *= 1.0 - weight / at_risk if at_risk > weight else 0.0
            while index < count and 1.0 - surviving >= levels[index] - 1e-9:
                found.append(value)
                index += 1
            if index == count:
                break
        at_risk -= weight
    return found + [math.inf] * (count - index)


class Conformal:
    """Scores of past forecasts with their weights, ready to be asked for a quantile."""

    __slots__ = ("_mass", "_scores")

    def __init__(self, scores: Iterable[tuple[float, float]]) -> None:
        """From (score, weight); the order does not matter."""
        ordered = sorted(scores)
        self._scores = [score for score, _ in ordered]
        self._mass = list(accumulate(weight for _, weight in ordered))

    def quantile(self, level: float, own: float) -> float:
        """The score that a new forecast (of weight `own`) stays below with probability `level`; `inf` if too few."""
        mass = self._mass[-1] if self._mass else 0.0
        index = bisect_left(self._mass, level * (mass + own) - 1e-9)
        return self._scores[index] if index < len(self._scores) else math.inf


__all__ = ["Conformal", "Weighted", "survival_quantiles"]
