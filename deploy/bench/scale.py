"""Many sessions at once: how long 300 take to be ready, and what they cost in commands and memory.

The broker and its tunnels are real, and so is the SSH between them and the agents; the batch system and the hub are
doubles, and all agents live in this process, so that nothing is measured of compute nodes. Memory is therefore an
upper bound: it holds both ends of each connection, the agent's as well as the broker's.

    python deploy/bench/scale.py [--sessions 300]
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from broker.harness import KEY, Gateway
from doubles.simulated import SimulatedCentre
from perijove.hub.broker.broker import Parts
from perijove.hub.broker.config import Timing
from perijove.hub.broker.context import Context
from perijove.hub.broker.sessions import Sessions, utc_now
from perijove.spawners.batch import batch_system
from perijove.spawners.centre import Centre
from perijove.spawners.session import Stage
from perijove.spawners.tunnel import Tunnel


class Many(Gateway):
    """The harness's gateway with real tunnels, real patience and a simulated centre with real agents."""

    def __init__(self, folder: Path, simulated: SimulatedCentre) -> None:
        super().__init__(folder, timing=Timing())
        self.one = simulated

    def get(self, centre: Centre, account: Any = None) -> Any:
        """The simulated centre's link."""
        return self.one.get(centre, account)

    def parts(self) -> Parts:
        """With the simulated centre's description."""
        parts = super().parts()
        parts.centres = {self.one.centre.id: self.one.centre}
        return parts

    def _context(self, centre: Centre, sessions: Sessions) -> Context:
        return Context(
            centre=centre,
            system=batch_system(centre),
            links=self,
            sessions=sessions,
            hub=self.hub,
            timing=self.timing,
            tunnels=Tunnel,
            client_key=KEY,
            api=("127.0.0.1", 8081),
            clock=utc_now,
            authorised=(KEY.export_public_key().decode().strip(),),
        )


def resident() -> int:
    """This process's memory now, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


async def ready(gateway: Many, count: int) -> list[float]:
    """Starts `count` sessions at once; seconds from the request of each to its readiness."""

    async def one(number: int) -> float:
        begun = time.perf_counter()
        record = await gateway.broker.open(f"person{number}", "", {"centre": gateway.one.centre.id, "cores": 1})
        await gateway.broker.start_at_hub(record)
        works = gateway.broker.keepers[record.centre].works
        # Looked at in memory: hundreds who ask the store again and again would measure themselves.
        while (work := works.get(record.id)) is None or work.record.stage is not Stage.READY:
            await asyncio.sleep(0.1)
        return time.perf_counter() - begun

    return sorted(await asyncio.gather(*(one(number) for number in range(count))))


async def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=300)
    count = parser.parse_args().sessions
    report, sys.stdout = sys.stdout, sys.stderr  # agents talk, to what is the log of their job
    simulated = SimulatedCentre()
    with tempfile.TemporaryDirectory() as folder:
        gateway = Many(Path(folder), simulated)
        await gateway.start()
        before = resident()
        times = await ready(gateway, count)
        after = resident()
        print(
            f"{count} starts at once: all ready after {times[-1]:.1f} s, median {times[count // 2]:.1f} s", file=report
        )
        print(f"memory with both ends of each connection: {(after - before) / count:.0f} KiB a session", file=report)
        commands = sum(simulated.counts.values())
        await asyncio.sleep(310)  # until nobody counts as waiting any more
        settled = sum(simulated.counts.values())
        await asyncio.sleep(60)
        steady = sum(simulated.counts.values()) - settled
        print(
            f"batch system commands: {commands} while starting ({count} of them submissions), then {steady} a minute",
            file=report,
        )
        await gateway.stop()
    await simulated.close()


if __name__ == "__main__":
    asyncio.run(main())
