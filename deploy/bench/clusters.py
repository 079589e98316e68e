"""Dask clusters at a real Slurm: how long twenty workers take, and what small tasks take from outside the centre.

    sudo .venv/bin/python deploy/bench/clusters.py [--only workers|tasks] [--runs 3] [--workers 20] [--rounds 5]

Workers, in turn: plain dask-jobqueue at the login node; a scheduler there and one job array by hand; ours, from a
notebook's kernel. The clock runs from asking for them until all are connected. Each has one core and 1 GiB; ours alone
speak TLS. The centre's nodes claim 16 cores in all, so Slurm is told to give each to two jobs while this runs.

Tasks, in turn: a client beside a plain scheduler with two workers at the login node, over TCP; a client outside the
centre of a cluster with two workers, through the gateway's proxy, the login node and the agent; and, for information,
a kernel beside its own cluster, over TLS. Each client is a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import clusterparts as parts

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from harness.basics import eventually
from harness.centres import gateway_of, start
from harness.flow import Flow
from harness.kernel import Kernel
from perijove.spawners.job import job_name
from perijove.testbed import Testbed
from perijove.testbed.plan import COMMUNITY

CENTRE, QUEUE = "alpha", "normal"
PYTHON = "/opt/perijove/env/bin/python"
#: Seconds that one program may take.
PATIENCE = 330.0


def met(reached: bool) -> str:
    """How a goal stands."""
    return "met" if reached else "NOT MET"


class Bench:
    """The testbed's centre, a gateway of it, and a notebook there."""

    def __init__(self, testbed: Testbed, flow: Flow, kernel: Kernel, token: str) -> None:
        self.testbed, self.flow, self.kernel, self._token = testbed, flow, kernel, token
        self.address = testbed.centre(CENTRE).plan.address("login")

    # --- how long workers take --------------------------------------------------------------------------------------

    async def at_login(self, program: str, *words: str) -> dict[str, Any]:
        """Run a program at the login node, under the account that the gateway uses, too."""
        argv = [PYTHON, "-c", program, *words]
        done = await asyncio.to_thread(self.testbed.exec, CENTRE, "login", argv, COMMUNITY, "", PATIENCE)
        return parts.result(done.stdout, done.stderr)

    async def by_hand(self, program: str, count: int) -> tuple[float, int]:
        """Seconds and submissions of a program that submits by itself."""
        name = f"bench-{secrets.token_hex(4)}"
        seconds = (await self.at_login(program, self.address, QUEUE, name, str(count)))["seconds"]
        found = self.submissions([name])
        await self.quiet([name])
        return float(seconds), found

    async def ours(self, count: int) -> tuple[float, int]:
        """Seconds and submissions of our cluster beside the notebook."""
        name = f"bench-{secrets.token_hex(4)}"
        code = parts.in_kernel(parts.OURS.format(name=name, count=count))
        seconds = parts.result(await self.kernel.run(code, PATIENCE))["seconds"]
        rows = (await self.flow.broker("GET", f"/clusters/{await self.cluster(name)}/workers")).json()["workers"]
        names = sorted({job_name(row["job"]) for row in rows})
        found = self.submissions(names)
        parts.result(await self.kernel.run(parts.in_kernel(parts.CLOSE), PATIENCE))
        await self.quiet(names)
        return float(seconds), found

    async def cluster(self, name: str) -> str:
        """The id of a live cluster."""
        answer = await self.flow.broker("GET", "/clusters", params={"owner": "alice", "live": "true"})
        return next(str(row["id"]) for row in answer.json()["clusters"] if row["name"] == name)

    def submissions(self, names: list[str]) -> int:
        """How many jobs or job arrays of these names Slurm has ever had."""
        return len(set(self._squeue(names, "all")))

    async def quiet(self, names: list[str]) -> None:
        """Wait until none of these jobs is left, so that the next run finds the same machine."""

        async def over() -> bool:
            return not self._squeue(names, "PD,R,CG,CF")

        await eventually(over, 120)

    def _squeue(self, names: list[str], states: str) -> list[str]:
        words = ["squeue", "-h", "-r", f"--name={','.join(names)}", "-t", states, "-o", "%F"]
        done = self.testbed.exec(CENTRE, "ctl", words)
        done.check_returncode()
        return done.stdout.split()

    # --- what small tasks take --------------------------------------------------------------------------------------

    async def outside(self, *words: str) -> dict[str, Any]:
        """A client of the gateway, in a process of its own; the token is in its environment."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", parts.REMOTE, *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PERIJOVE_GATEWAY": self.flow.settings.url, "JUPYTERHUB_API_TOKEN": self._token},
        )
        try:
            out, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
        return parts.result(out.decode(), errors.decode())

    async def beside(self, name: str) -> dict[str, Any]:
        """The kernel as a client of its own session's cluster."""
        code = parts.in_kernel(parts.BESIDE.format(name=name))
        return parts.result(await self.kernel.run(code, PATIENCE))

    async def close(self, name: str) -> None:
        """End a cluster."""
        (await self.flow.broker("DELETE", f"/clusters/{await self.cluster(name)}")).raise_for_status()


async def token_of(flow: Flow, person: str) -> str:
    """A token of the person, made as they do it on the token page."""
    browser = await flow.person(person)
    await browser.get("/hub/token")
    xsrf = next(cookie.value for cookie in browser.cookies.jar if cookie.name == "_xsrf" and cookie.path == "/hub/")
    answer = await browser.post(
        f"/hub/api/users/{person}/tokens", json={"note": "benchmark"}, headers={"X-XSRFToken": xsrf or ""}
    )
    answer.raise_for_status()
    return str(answer.json()["token"])


async def workers(bench: Bench, runs: int, count: int) -> None:
    """Prints how long it takes until all are there."""
    kinds = ("plain", "raw", "ours")
    seconds: dict[str, list[float]] = defaultdict(list)
    submitted: dict[str, set[int]] = defaultdict(set)
    for number in range(runs):
        for kind in kinds:
            found = await {
                "plain": lambda: bench.by_hand(parts.PLAIN, count),
                "raw": lambda: bench.by_hand(parts.RAW, count),
                "ours": lambda: bench.ours(count),
            }[kind]()
            seconds[kind].append(found[0])
            submitted[kind].add(found[1])
            print(f"run {number + 1}, {kind}: {found[0]:.1f} s, {found[1]} submissions", flush=True)
    print(f"scale({count}), {runs} runs each, in turn; seconds until all are connected")
    middle = {kind: statistics.median(seconds[kind]) for kind in kinds}
    for kind, words in zip(kinds, ("plain dask-jobqueue", "job array by hand", "ours"), strict=True):
        counts = ", ".join(map(str, sorted(submitted[kind])))
        least, most = min(seconds[kind]), max(seconds[kind])
        print(f"{words}: median {middle[kind]:.1f} ({least:.1f} to {most:.1f}), submissions {counts}")
    print(f"submissions, goal 1: {met(submitted['ours'] == {1})}")
    for kind, most in (("plain", 1.0), ("raw", 1.2)):
        ratio = middle["ours"] / middle[kind]
        print(f"ours / {kind}: {ratio:.2f}, goal {most:.1f}: {met(ratio <= most)}", flush=True)


async def tasks(bench: Bench, rounds: int) -> None:
    """Prints rates and round trips of small tasks."""
    far, near = (f"{word}-{secrets.token_hex(3)}" for word in ("far", "near"))
    await bench.outside(far, CENTRE)
    await bench.beside(near)
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for _ in range(rounds):
        found["local"].append(await bench.at_login(parts.LOCAL))
        found["remote"].append(await bench.outside(far))
        found["beside"].append(await bench.beside(near))
    for name in (far, near):
        await bench.close(name)
    rates = {kind: statistics.median(row["rate"] for row in rows) for kind, rows in found.items()}
    trips = {kind: [trip for row in rows for trip in row["trips"]] for kind, rows in found.items()}
    middle = {kind: statistics.median(each) for kind, each in trips.items()}
    print(f"small tasks, {rounds} rounds in turn: bursts of {parts.TASKS}, {len(trips['local'])} single ones; medians")
    words = {"local": "local client, tcp", "remote": "remote client", "beside": "kernel beside its cluster, tls"}
    for kind, name in words.items():
        most = statistics.quantiles(trips[kind], n=20)[-1]
        print(f"{name}: {rates[kind]:.0f} tasks a second, round trip {middle[kind]:.2f} ms (95 %: {most:.2f})")
    ratio, extra = rates["remote"] / rates["local"], middle["remote"] - middle["local"]
    print(f"remote / local rate: {100 * ratio:.0f} %, goal 80: {met(ratio >= 0.8)}")
    print(f"remote round trip on top: {extra:+.2f} ms, goal 3: {met(extra <= 3)}", flush=True)


def share_cores(testbed: Testbed, how: str) -> None:
    """Let Slurm give each core of the queue to several jobs, or to one again."""
    words = ["scontrol", "update", f"PartitionName={QUEUE}", f"OverSubscribe={how}"]
    testbed.exec(CENTRE, "ctl", words).check_returncode()


async def main() -> None:
    """Prints all of it, or one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("workers", "tasks"))
    parser.add_argument("--runs", type=int, default=3, help="of scaling, each kind")
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5, help="of small tasks, each kind")
    given = parser.parse_args()
    testbed = Testbed()
    testbed.up()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(share_cores, testbed, "NO")
        share_cores(testbed, "FORCE:2")
        flow = await stack.enter_async_context(gateway_of(testbed, folder / "state", {CENTRE: COMMUNITY}))
        browser = await flow.person("alice")
        await start(flow, "notebook", CENTRE, memory="3G", walltime="2h")
        await flow.reach("alice", "notebook", "ready")
        await flow.usable(browser, "alice", "notebook")
        kernel = await Kernel.open(browser, "/user/alice/notebook", stack)
        bench = Bench(testbed, flow, kernel, await token_of(flow, "alice"))
        if given.only in (None, "workers"):
            await workers(bench, given.runs, given.workers)
        if given.only in (None, "tasks"):
            await tasks(bench, given.rounds)


if __name__ == "__main__":
    asyncio.run(main())
