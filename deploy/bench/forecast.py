"""How good are the forecasts? A seeded replay of a generated workload on a small simulated queue.

Part of the jobs are the gateway's own: it forecasts each at its submission, from its own history and from what a batch
system would have told it by then (jobs queued, free cores, and the planned start of a small job, asked every ten
minutes), and learns the wait once it is over. Some are cancelled while they wait. Beside it stands the estimate that
the batch system itself gives for each job: its plan by full walltimes.

    python deploy/bench/forecast.py [--jobs 20000] [--load 0.85] [--seeds 3]
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from perijove.hub.offers.forecast import Model
from perijove.hub.offers.scores import score
from perijove.hub.offers.starts import Situation, Start
from simqueue import Machine
from workload import Job, jobs

CORES, OWN, IMPATIENT, PATIENCE = 128, 0.1, 0.1, 4 * 3600.0
PROBE = Job(-1, 0.0, 4, 0.0, 3600)
EVERY, WARM = 600.0, 50


@dataclass
class Replay:
    """What came of one replay: the gateway's own starts with their forecasts, and the batch system's estimates."""

    starts: list[Start] = field(default_factory=list)
    estimates: dict[str, float] = field(default_factory=dict)


def replay(work: Sequence[Job], seed: int) -> Replay:
    """Runs everything through the machine."""
    chance, machine, model, found = random.Random(seed), Machine(CORES), Model(), Replay()  # noqa: S311
    pending: dict[int, Start] = {}
    leaving: dict[int, float] = {}
    probed, reading = 0.0, 0.0
    arrivals = iter(work)
    coming = next(arrivals, None)
    while coming is not None or machine.waiting:
        times = [coming.arrival if coming else None, machine.ends[0][0] if machine.ends else None]
        times += [min(leaving.values())] if leaving else []
        now = min(time for time in times if time is not None)
        machine.finish(now)
        for number in [number for number, until in leaving.items() if until <= now]:
            del leaving[number]
            machine.waiting = [job for job in machine.waiting if job.number != number]
            _learn(found, model, pending.pop(number), now, observed=False)
        while coming is not None and coming.arrival <= now:
            if chance.random() < OWN:
                if now - probed > EVERY:
                    probed, reading = now, machine.plan(now, [PROBE])[0]
                situation = Situation(len(machine.waiting), machine.free, max(0.0, reading - (now - probed)))
                given = model.forecast(coming.size, coming.walltime, situation, now).as_json()
                name = str(coming.number)
                found.estimates[name] = machine.plan(now, [coming])[0]
                pending[coming.number] = Start(name, now, 0.0, False, coming.size, coming.walltime, situation, given)
                if chance.random() < IMPATIENT:
                    leaving[coming.number] = now + chance.expovariate(1 / PATIENCE)
            machine.waiting.append(coming)
            coming = next(arrivals, None)
        for job in machine.schedule(now):
            leaving.pop(job.number, None)
            if job.number in pending:
                _learn(found, model, pending.pop(job.number), now, observed=True)
    return found


def _learn(found: Replay, model: Model, start: Start, now: float, *, observed: bool) -> None:
    known = Start(
        start.id,
        start.submitted,
        now - start.submitted,
        observed,
        start.cores,
        start.walltime,
        start.situation,
        start.forecast,
    )
    model.learn(known)
    found.starts.append(known)


def report(found: Replay) -> dict[str, float]:
    """The figures, of all starts but the first ones, from which there was nothing to learn."""
    judged = found.starts[WARM:]
    scores = score(judged)
    seen = [start for start in judged if start.observed]
    waited = [start for start in seen if start.wait > 60]
    errors = [abs(found.estimates[start.id] - start.wait) for start in seen]

    def width(start: Start) -> float:
        return float(start.forecast["high"] - start.forecast["low"]) if start.forecast else 0.0

    def error(start: Start) -> float:
        return abs(start.forecast["likely"] - start.wait) if start.forecast else 0.0

    return {
        "starts": len(seen),
        "cancelled": len(judged) - len(seen),
        "waited over a minute, %": 100 * len(waited) / len(seen),
        "median wait of these, s": median(start.wait for start in waited),
        "forecast: 50 % range covers, %": 100 * (scores.cover50 or 0),
        "forecast: 90 % range covers, %": 100 * (scores.cover90 or 0),
        "forecast: 90 % covers those that waited, %": 100 * (score(waited).cover90 or 0),
        "forecast: median width of the 90 % range, s": median(map(width, seen)),
        "forecast: median error, s": scores.median_error or 0,
        "forecast: median error of those that waited, s": median(map(error, waited)),
        "estimate: median error, s": median(errors),
        "estimate: median error of those that waited, s": median(
            abs(found.estimates[start.id] - start.wait) for start in waited
        ),
        "estimate: started no later, %": 100 * sum(found.estimates[s.id] >= s.wait for s in seen) / len(seen),
    }


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20000)
    parser.add_argument("--load", type=float, nargs="*", default=[0.7, 0.85])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for load in options.load:
        rows = [report(replay(jobs(options.jobs, CORES, load, seed), seed)) for seed in range(1, options.seeds + 1)]
        print(f"offered load {load}, {CORES} cores, {options.jobs} jobs, seeds 1 to {options.seeds}")
        for key in rows[0]:
            print(f"  {key:52}" + "".join(f"{row[key]:10.1f}" for row in rows))


if __name__ == "__main__":
    main()
