"""The start page and the offers at the server: nine centres with ten queues each, one of which does not answer.

A whole gateway runs as in the demo, with real processes; the queues are embedded ones, the ninth centre is an SSH login
that nobody listens at. Requests come one after another, as one person's do, through the proxy.

    python deploy/bench/pages.py [--requests 200]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncssh
import httpx

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from harness.basics import settings_in
from harness.flow import Flow
from perijove.hub import demo
from perijove.hub.serve import running
from perijove.hub.settings import Settings

QUEUES = "".join(
    f'\n[[queues]]\nname = "q{number}"\nnodes = 4\ncores = 16\nmemory = "64G"\nmax_time = "{12 + number}h"\n'
    f'price = {{ core_hour = "0.{10 + number}" }}\n'
    for number in range(10)
)


def describe(settings: Settings) -> None:
    """Nine centres of ten queues in the place of the demo's."""
    settings.directory()
    demo.prepare(settings.state_dir)
    for path in settings.centres_dir.glob("*.toml"):
        path.unlink()
    key = settings.state_dir / "bench_key"
    key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    key.chmod(0o600)
    host = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    for number in range(9):
        name = f"centre{number}"
        root = settings.state_dir / name
        root.mkdir()
        head = f'id = "{name}"\nname = {{ en = "Centre {number}", zh = "中心{number}" }}\n'
        if number == 8:
            head += '[scheduler]\nsystem = "slurm"\n[login]\nhost = "127.0.0.1"\nport = 9\naccount = "nobody"\n'
            head += f'key_file = "{key}"\nhost_keys = ["{host}"]\n'
        else:
            head += f'[scheduler]\nsystem = "local"\nroot = "{root}"\n'
        head += f'[environment]\npython = "{sys.executable}"\n'
        (settings.centres_dir / f"{name}.toml").write_text(head + QUEUES, encoding="utf-8")


async def timed(count: int, ask: Callable[[], Awaitable[httpx.Response]]) -> str:
    """Median and 95 % of `count` answers in milliseconds, after a few that do not count."""
    times = []
    for number in range(count + 10):
        begun = time.perf_counter()
        (await ask()).raise_for_status()
        if number >= 10:
            times.append(1000 * (time.perf_counter() - begun))
    times.sort()
    return f"median {times[count // 2]:.0f} ms, p95 {times[int(count * 0.95)]:.0f} ms"


async def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    count = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(Path(folder) / "state")
        await asyncio.to_thread(describe, settings)
        async with AsyncExitStack() as stack:
            gateway = await stack.enter_async_context(running(settings, settings.save()))
            flow = Flow(gateway, settings, stack)
            person = await flow.person("alice")
            page = f"{settings.broker_prefix}start?cores=4&walltime=2h"
            while "centre7" not in (await person.get(page)).text:
                await asyncio.sleep(0.5)
            await asyncio.sleep(20)  # until the dead centre is known to be silent
            print(f"start page, 9 centres x 10 queues, one silent: {await timed(count, lambda: person.get(page))}")
            wish = {"cores": 4, "walltime": 7200, "prefer": "start"}
            print(f"offers over the API: {await timed(count, lambda: flow.broker('POST', '/offers', json=wish))}")
            print(f"the board of centres: {await timed(count, lambda: person.get(f'{settings.broker_prefix}centres'))}")


if __name__ == "__main__":
    asyncio.run(main())
