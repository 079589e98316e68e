"""The index of a job: the wait that a linear model expects of it, on a logarithmic scale.

Its one use is to say which past jobs were alike: it may be quite wrong as a number, as long as it puts jobs in order.
Ridge regression (A. E. Hoerl and R. W. Kennard, Technometrics 12, 1970) on a handful of features; small enough that
plain Python solves it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from math import log, log1p

from perijove.hub.offers.starts import Situation

#: Shrinks the coefficients: with little history all jobs are alike.
RIDGE = 1.0
WIDTH = 7

Features = tuple[float, ...]


def features(cores: int, walltime: int, situation: Situation, level: float) -> Features:
    """What a job's wait may hang on; `level` is what the latest jobs waited (mean of log(1 + seconds))."""
    free, wait = situation.cores_free, situation.wait
    return (
        log1p(situation.jobs_queued or 0),
        1.0 if free is not None and free < cores else 0.0,
        log1p(cores),
        log(walltime / 3600),
        0.0 if wait is None else log1p(wait) - 5.0,
        0.0 if wait is None else 1.0,
        level,
    )


class Index:
    """The linear model; `of` gives the index of a job from its features."""

    __slots__ = ("_coefficients", "_constant")

    def __init__(self, rows: Iterable[tuple[Features, float, float]] = ()) -> None:
        """Fitted to `rows` of (features, log wait, weight)."""
        data = list(rows)
        mass = sum(weight for _, _, weight in data)
        if not mass:
            self._constant, self._coefficients = 0.0, (0.0,) * WIDTH
            return
        means = [sum(row[j] * weight for row, _, weight in data) / mass for j in range(WIDTH)]
        mean = sum(value * weight for _, value, weight in data) / mass
        # Weights are of the newest job's order (1): RIDGE counts as so many jobs without any trend.
        matrix = [[0.0] * WIDTH for _ in range(WIDTH)]
        right = [0.0] * WIDTH
        for row, value, weight in data:
            centred = [x - m for x, m in zip(row, means, strict=True)]
            scaled = [x * weight for x in centred]
            for j in range(WIDTH):
                line, factor = matrix[j], scaled[j]
                right[j] += factor * (value - mean)
                for k in range(j + 1):
                    line[k] += factor * centred[k]
        for j in range(WIDTH):
            matrix[j][j] += RIDGE
            for k in range(j):
                matrix[k][j] = matrix[j][k]
        self._coefficients = tuple(_solve(matrix, right))
        self._constant = mean - _dot(self._coefficients, means)

    def of(self, row: Features) -> float:
        """The index."""
        return self._constant + _dot(self._coefficients, row)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(map(operator.mul, a, b), 0.0)


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """The solution of a positive definite system, by elimination."""
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for j in range(size):
        for i in range(j + 1, size):
            factor = rows[i][j] / rows[j][j]
            if factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[j], strict=True)]
    found = [0.0] * size
    for j in reversed(range(size)):
        found[j] = (rows[j][size] - sum(rows[j][k] * found[k] for k in range(j + 1, size))) / rows[j][j]
    return found


__all__ = ["Features", "Index", "features"]
