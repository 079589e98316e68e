"""How long offers take: nine centres of ten queues, each with a full history of starts, one centre silent.

Time by the clock, and processor time: on a machine with other work they differ.

python deploy/bench/offers.py [--rounds 200]
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from perijove.hub.broker.memory import Memory
from perijove.hub.broker.offer_views import offers as view
from perijove.hub.offers.find import find
from perijove.hub.offers.forecast import KEPT, Model
from perijove.hub.offers.starts import Situation, Start
from perijove.spawners.centre import Centre, parse
from perijove.spawners.job import QueueStatus

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CENTRES, QUEUES = 9, 10


def centre(number: int, chance: random.Random) -> Centre:
    """A centre of ten queues; some of them too small for the request."""
    queues = [
        {
            "name": f"q{n}",
            "nodes": 100,
            "cores": chance.choice((2, 16, 32, 64)),
            "memory": "256G",
            "max_time": "2d",
            "price": {"core_hour": chance.choice(("0.05", "0.1", "0.2"))},
        }
        for n in range(QUEUES)
    ]
    data = [{"name": "era5", "title": {"en": "ERA5", "zh": "再分析资料"}, "path": "/data/era5"}] if number % 2 else []
    return parse(
        {
            "id": f"c{number}",
            "name": {"en": f"Centre {number}", "zh": "中心"},
            "scheduler": {"system": "local"},
            "environment": {"python": "/usr/bin/python3"},
            "queues": queues,
            "datasets": data,
            "maintenance": [{"start": NOW + timedelta(days=30), "end": NOW + timedelta(days=31)}],
        }
    )


def history(chance: random.Random) -> Model:
    """A full history."""
    begin = NOW.timestamp() - KEPT * 3600
    return Model.of(
        Start(
            str(n),
            begin + n * 3600,
            chance.lognormvariate(6, 2),
            chance.random() > 0.05,
            chance.choice((1, 4, 16)),
            chance.choice((3600, 7200, 86400)),
            Situation(chance.randrange(50), chance.randrange(100), chance.uniform(0, 7200)),
        )
        for n in range(KEPT)
    )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    chance = random.Random(1)  # noqa: S311
    centres = {one.id: one for one in (centre(number, chance) for number in range(CENTRES))}
    memories: dict[str, Memory] = {}
    begun = time.perf_counter()
    for name, one in centres.items():
        memory = memories[name] = Memory()
        memory.set_queues([QueueStatus(queue.name, True, 6400, 50, 0, 40, 12) for queue in one.queues], NOW)
        memory.heard(NOW)
        memory.models = {queue.name: history(chance) for queue in one.queues}
    learnt = time.perf_counter() - begun
    options: dict[str, Any] = {"cores": 4, "memory": "8G", "walltime": "2h", "data": ["era5"], "prefer": "balanced"}
    found, whole, used = [], [], []
    for number in range(rounds):
        wish = {**options, "cores": 1 + number % 32, "walltime": 3600 + 60 * number}
        begun, cpu = time.perf_counter(), time.process_time()
        known = {
            name: memory.now(centres[name], NOW if name == "c3" else None, NOW) for name, memory in memories.items()
        }
        answer = find(wish, centres, known, NOW)
        found.append(time.perf_counter() - begun)
        used.append(time.process_time() - cpu)
        view(answer, NOW)
        whole.append(time.perf_counter() - begun)
    fits = sum(offer.placement is not None for offer in answer.offers)
    print(f"{CENTRES} centres, {QUEUES} queues each, {KEPT} starts known of each; {fits} queues fit the last request")
    for words, times in (("offers", found), ("processor time of these", used), ("offers and their JSON", whole)):
        times.sort()
        print(f"{words}: median {1000 * median(times):.2f} ms, p95 {1000 * times[int(0.95 * len(times))]:.2f} ms")
    print(f"learning all histories anew, as at the broker's start: {learnt:.1f} s")


if __name__ == "__main__":
    main()
