"""A generated workload: jobs with arrival, size, runtime and the walltime that is asked for.

The model is that of U. Lublin and D. G. Feitelson, The workload on parallel supercomputers: modeling the
characteristics of rigid jobs, Journal of Parallel and Distributed Computing 63 (2003), with the published parameters
for the whole sample (batch and interactive jobs are not told apart): sizes by a two-stage uniform distribution of
their logarithm with many serial jobs and powers of two, runtimes by a hyper-gamma distribution of their logarithm
whose mixture hangs on the size, arrivals by a gamma distribution of the logarithm of the gaps with a daily cycle.

What the model does not say and is added here: the walltime that is asked for, a round number at or above the runtime
times a factor between 1 and 5 (A. W. Mu'alem and D. G. Feitelson, IEEE TPDS 12, 2001, and the round numbers of
D. Tsafrir, Y. Etsion and D. G. Feitelson, JSSPP 2005; both simplified). All gaps are scaled by one factor, so that the
offered load is the one that is wanted.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

SERIAL, POWER_OF_TWO = 0.244, 0.576
ULOW, UPROB = 0.8, 0.86
#: Gamma distributions of log(runtime), and the share of the first one: PA * size + PB.
A1, B1, A2, B2, PA, PB = 4.2, 0.94, 312.0, 0.03, -0.0054, 0.78
#: Gamma distribution of log(gap) in rush hours (alpha by ARAR for all hours), and that of the daily cycle.
AARR, BARR, ANUM, BNUM, ARAR = 10.2303, 0.4871, 8.1737, 3.9631, 1.0225
LONGEST_RUN, LONGEST_GAP = 12.0, 13.0  # logarithms of seconds
BUCKETS, BUCKET, DAY_BEGINS = 48, 1800.0, 11

ROUND = [60 * minutes for minutes in (5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1080, 1440, 2160, 2880)]


@dataclass(frozen=True, slots=True)
class Job:
    """One job: `arrival` and times in seconds, `size` in cores."""

    number: int
    arrival: float
    size: int
    runtime: float
    walltime: int


def jobs(count: int, cores: int, load: float, seed: int) -> list[Job]:
    """`count` jobs for a machine of `cores` cores that keep it busy to the part `load`."""
    chance = random.Random(seed)  # noqa: S311
    arrivals = _arrivals(count, chance)
    sizes = [_size(cores, chance) for _ in range(count)]
    runtimes = [_runtime(size, chance) for size in sizes]
    work = sum(size * runtime for size, runtime in zip(sizes, runtimes, strict=True))
    scale = work / (load * cores * arrivals[-1])
    return [
        Job(number, arrival * scale, size, runtime, _walltime(runtime, chance))
        for number, (arrival, size, runtime) in enumerate(zip(arrivals, sizes, runtimes, strict=True))
    ]


def _size(cores: int, chance: random.Random) -> int:
    kind, high = chance.random(), math.log2(cores)
    if kind <= SERIAL:
        return 1
    middle = high - 2.5
    low, top = (ULOW, middle) if chance.random() <= UPROB else (middle, high)
    power = chance.uniform(low, top)
    if kind <= SERIAL + POWER_OF_TWO:
        power = int(power + 0.5)
    return min(int(2**power + 0.5), cores)


def _runtime(size: int, chance: random.Random) -> float:
    share = min(max(PA * size + PB, 0.0), 1.0)
    while True:
        first = chance.random() <= share
        value = chance.gammavariate(A1, B1) if first else chance.gammavariate(A2, B2)
        if value <= LONGEST_RUN:
            return max(1.0, math.exp(value))


def _walltime(runtime: float, chance: random.Random) -> int:
    wanted = runtime * chance.uniform(1.0, 5.0)
    return next((limit for limit in ROUND if limit >= wanted), max(ROUND[-1], math.ceil(runtime)))


def _arrivals(count: int, chance: random.Random) -> list[float]:
    """Gaps are paid for in points, of which a half-hour of the rush costs more than one of the night."""
    raw = {
        (i - 1) % BUCKETS: _gamma_cdf((i + 0.5) / BNUM, ANUM) - _gamma_cdf((i - 0.5) / BNUM, ANUM)
        for i in range(DAY_BEGINS, DAY_BEGINS + BUCKETS)
    }
    mean = sum(raw.values()) / BUCKETS
    weights = [raw[i] / mean for i in range(BUCKETS)]
    bucket, points, rest, moment = 0, 0.0, 0.0, 0.0
    found = []
    for _ in range(count):
        while (gap := chance.gammavariate(AARR * ARAR, BARR)) > LONGEST_GAP:
            pass
        points += math.exp(gap) / BUCKET
        while points > weights[bucket]:
            points -= weights[bucket]
            bucket = (bucket + 1) % BUCKETS
            moment += BUCKET
        part = points / weights[bucket]
        moment += BUCKET * (part - rest)
        rest = part
        found.append(moment)
    return found


def _gamma_cdf(x: float, alpha: float) -> float:
    """The regularised lower incomplete gamma function, by its series."""
    term = total = 1.0 / alpha
    n = alpha
    while abs(term) > 1e-12 * abs(total):
        n += 1
        term *= x / n
        total += term
    return total * math.exp(-x + alpha * math.log(x) - math.lgamma(alpha))
