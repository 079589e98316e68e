"""A whole gateway with a thousand sessions: memory, the hub's answers, and kill -9 of everything.

Hub, proxy and broker are real processes; the centre is simulated, with all its agents in one further process, as the
compute nodes' own work is not ours (see `simulated.py`).

    python deploy/bench/gateway.py [--sessions 1000]

Printed: memory per session of hub and broker (resident, over what they had with one session), the hub's and the
broker's answers at that size, the batch system commands in a minute, and what is left after hub and broker were killed:
seconds until a person has signed in and sees the home page and until all sessions answer again, and jobs at the centre.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import simulated
from harness.basics import settings_in, sign_in
from perijove.hub import demo
from perijove.hub.children import Child
from perijove.hub.people import passwords
from perijove.hub.serve import Gateway
from perijove.hub.settings import Settings

#: Starts under way at once.
AT_ONCE = 100
ADMIN = "bench-only-" + "0" * 32
#: Given to the hub for the benchmark alone: a service that may make people.
HUB_EXTRA = f"""
c = get_config()
c.JupyterHub.services.append({{"name": "bench", "api_token": "{ADMIN}"}})
c.JupyterHub.load_roles.append(
    {{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers", "list:users"]}}
)
"""


class Bench:
    """The gateway under measure."""

    def __init__(self, settings: Settings, gateway: Gateway, socket: str) -> None:
        self.settings, self.gateway, self.socket = settings, gateway, socket
        self.http = httpx.AsyncClient(trust_env=False, timeout=120, limits=httpx.Limits(max_connections=200))

    async def hub(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The hub's API."""
        headers = {"Authorization": f"token {ADMIN}"}
        return await self.http.request(method, self.settings.hub_api_url + path, headers=headers, **more)

    async def broker(self, path: str, **more: Any) -> Any:
        """The broker's API."""
        headers = {"Authorization": f"token {self.settings.secret('broker.token')}"}
        answer = await self.http.get(self.settings.broker_api_url + path, headers=headers, **more)
        return answer.json()

    async def connected(self) -> int:
        """Sessions that can be used now."""
        rows = (await self.broker("/sessions", params={"live": True, "limit": 5000}))["sessions"]
        return sum(row["stage"] == "ready" and row["connected"] for row in rows)

    async def until(self, count: int, seconds: float) -> float:
        """Seconds until `count` sessions are connected."""
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            with contextlib.suppress(httpx.HTTPError, KeyError, ValueError):
                if await self.connected() >= count:
                    return time.perf_counter() - begun
            await asyncio.sleep(0.5)
        raise SystemExit(f"only {await self.connected()} of {count} sessions are connected after {seconds:.0f} s")

    async def reachable(self, count: int, seconds: float) -> float:
        """Seconds until `count` sessions answer through their tunnels: what the store says may be from before."""
        begun = time.perf_counter()
        slots = asyncio.Semaphore(50)

        async def answers(url: str) -> bool:
            async with slots:
                with contextlib.suppress(httpx.HTTPError):
                    return (await self.http.get(f"{url}/")).status_code == 200
            return False

        left: set[str] = set()
        while time.perf_counter() - begun < seconds:
            with contextlib.suppress(httpx.HTTPError, KeyError, ValueError):
                if not left:
                    rows = (await self.broker("/sessions", params={"live": True, "limit": 5000}))["sessions"]
                    left = {row["url"] for row in rows}
                    if len(left) < count:
                        raise SystemExit(f"{len(left)} of {count} sessions are left")
                found = await asyncio.gather(*map(answers, sorted(left)))
                left = {url for url, good in zip(sorted(left), found, strict=True) if not good}
                if not left:
                    return time.perf_counter() - begun
            await asyncio.sleep(0.5)
        raise SystemExit(f"{len(left)} of {count} sessions do not answer after {seconds:.0f} s")

    async def start(self, first: int, last: int) -> None:
        """Start the sessions of so many people."""
        names = [f"person{number}" for number in range(first, last)]
        (await self.hub("POST", "/users", json={"usernames": names})).raise_for_status()
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with slots:
                answer = await self.hub("POST", f"/users/{name}/server", json={"centre": "simulated", "cores": 1})
                answer.raise_for_status()

        await asyncio.gather(*(one(name) for name in names))

    async def settled(self, count: int) -> None:
        """Waits until the hub has done its part of each start, too."""
        while True:
            ready, offset = 0, 0
            while people := (await self.hub("GET", f"/users?state=ready&limit=50&offset={offset}")).json():
                ready, offset = ready + len(people), offset + 50
            if ready >= count:
                return
            await asyncio.sleep(2)

    async def counts(self) -> dict[str, int]:
        """What the centre has seen."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        writer.write(b"counts\n")
        answer: dict[str, int] = simulated.json.loads(await reader.readline())
        writer.close()
        return answer

    def memory(self) -> dict[str, int]:
        """KiB of each process that are its own."""
        return {child.plan.name: resident(child) for child in (self.gateway.hub, self.gateway.broker)}

    async def answers(self, count: int, paths: list[str]) -> list[float]:
        """Milliseconds of the hub's answers to four clients at once, sorted."""
        times: list[float] = []

        async def client(number: int) -> None:
            for turn in range(count // 4):
                begun = time.perf_counter()
                (await self.hub("GET", paths[(number + turn) % len(paths)])).raise_for_status()
                times.append(1000 * (time.perf_counter() - begun))

        await asyncio.gather(*map(client, range(4)))
        return sorted(times)


def resident(child: Child) -> int:
    """KiB of memory of a process and of nobody else (Pss, /proc/PID/smaps_rollup)."""
    pid = child.plan.pid_file.read_text().strip()
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def prepare(settings: Settings, hub_config: Path) -> None:
    """Put the simulated centre in the place of the demo's, and the benchmark's service into the hub."""
    settings.directory()
    demo.prepare(settings.state_dir)
    hub_config.write_text(hub_config.read_text() + HUB_EXTRA)
    for path in settings.centres_dir.glob("*.toml"):
        path.unlink()
    (settings.centres_dir / "simulated.toml").write_text(simulated.DESCRIPTION, encoding="utf-8")


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Bench]:
    """A gateway with the simulated centre."""
    settings = settings_in(folder / "state")
    socket, script = str(folder / "socket"), simulated.__file__
    os.environ["PERIJOVE_SIMULATED"] = socket
    made = Gateway(settings, settings.save())
    plan = made.broker.plan
    made.broker.plan = replace(plan, argv=[sys.executable, script, "broker", *plan.argv[-2:]])
    await asyncio.to_thread(prepare, settings, Path(made.hub.plan.argv[-1]))
    async with AsyncExitStack() as stack:
        centre = await asyncio.create_subprocess_exec(
            sys.executable, script, "centre", socket, stdout=asyncio.subprocess.DEVNULL
        )
        stack.push_async_callback(centre.wait)
        stack.callback(centre.kill)
        for child in (made.proxy, made.broker, made.hub):
            stack.push_async_callback(child.stop)
            await child.start()
        await made.restore_routes()
        bench = Bench(settings, made, socket)
        stack.push_async_callback(bench.http.aclose)
        yield bench


async def signed_in(settings: Settings) -> float:
    """Seconds until a person has signed in and sees the home page."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < 120:
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            async with httpx.AsyncClient(
                base_url=settings.url, follow_redirects=True, trust_env=False, timeout=20
            ) as client:
                await sign_in(client, "alice", passwords(settings.state_dir)["alice"])
                if (await client.get(settings.broker_prefix)).status_code == 200:
                    return time.perf_counter() - begun
        await asyncio.sleep(0.1)
    raise SystemExit("nobody can sign in after 120 s")


async def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000)
    count = parser.parse_args().sessions
    with tempfile.TemporaryDirectory() as folder:
        async with gateway(Path(folder)) as bench:
            await bench.start(0, 10)
            await bench.until(10, 60)
            before = bench.memory()
            begun = time.perf_counter()
            await bench.start(10, count)
            await bench.until(count, 600)
            print(f"{count} sessions are connected after {time.perf_counter() - begun:.0f} s", flush=True)
            await bench.settled(count)
            after = bench.memory()
            each = {name: (after[name] - before[name]) / (count - 10) for name in after}
            print(f"memory a session, KiB: hub {each['hub']:.0f}, broker {each['broker']:.0f}", flush=True)
            for what, paths in (
                ("one person", [f"/users/person{number}" for number in range(0, count, 7)]),
                ("a page of 100 people", ["/users?limit=100"]),
            ):
                times = await bench.answers(400, paths)
                middle, late = times[len(times) // 2], times[int(len(times) * 0.99)]
                print(f"the hub's API, {what}: median {middle:.0f} ms, p99 {late:.0f} ms", flush=True)
            for child in (bench.gateway.hub, bench.gateway.broker):
                os.kill(int(child.plan.pid_file.read_text()), signal.SIGKILL)
            signed, back = await asyncio.gather(signed_in(bench.settings), bench.reachable(count, 300))
            seen = await bench.counts()
            print(f"hub and broker killed: signed in after {signed:.1f} s, all sessions answer after {back:.1f} s")
            print(f"jobs at the centre: {seen['live']}, ever: {seen['ever']} ({count} sessions)", flush=True)
            await asyncio.sleep(310)  # until nobody counts as waiting any more
            seen = await bench.counts()
            settled = sum(seen.get(key, 0) for key in ("status", "history", "queues"))
            await asyncio.sleep(60)
            seen = await bench.counts()
            steady = sum(seen.get(key, 0) for key in ("status", "history", "queues")) - settled
            print(f"batch system commands in a steady minute: {steady}")


if __name__ == "__main__":
    asyncio.run(main())
