"""Batch system commands a minute: Perijove's watcher beside stock batchspawner, on the same real Slurm, in one run.

Both follow the same number of queued jobs for the same time. What is counted is commands at the login node: stock
batchspawner's by its own `run_command`, the watcher's by the launcher's `status` calls, which name each command.

    python deploy/bench/commands.py [--seconds 60] [--jobs 1 10 30]

Needs the testbed (Debian, root). The jobs wait because they begin tomorrow; they are cancelled at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
from collections.abc import Sequence
from typing import Any

from perijove.spawners.batch import batch_system
from perijove.spawners.link import Account, Link, Links
from perijove.spawners.watcher import Failure, Listing, Query, Watcher
from perijove.testbed import Testbed

CENTRE = "alpha"


class CountingLinks:
    """Links of the gateway that count the batch system commands in each launcher call."""

    def __init__(self) -> None:
        self.links = Links()
        self.commands = 0

    def get(self, centre: Any, account: Account = Account()) -> Link:
        """The link, with its `launch` counted."""
        link = self.links.get(centre, account)
        if not hasattr(link, "counted"):
            launch = link.launch

            async def counted(request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:
                self.commands += len(request.get("commands", ())) or 1
                return await launch(request, timeout=timeout)

            link.launch = link.counted = counted  # type: ignore[method-assign, attr-defined]
        return link


def submit(testbed: Testbed, count: int) -> list[str]:
    """`count` jobs that wait until tomorrow; their ids."""
    argv = ["sbatch", "--parsable", "--begin=tomorrow", "--job-name=bench", "--wrap", "true"]
    person = testbed.account(CENTRE, "alice")
    return [testbed.exec(CENTRE, "login", argv, user=person).stdout.strip() for _ in range(count)]


async def stock(testbed: Testbed, jobs: Sequence[str], seconds: float) -> float:
    """Commands a minute of stock batchspawner while it starts one server per job of `jobs`."""
    from batchspawner import SlurmSpawner

    person = testbed.account(CENTRE, "alice")
    counted = 0

    class Stock(SlurmSpawner):  # type: ignore[misc]
        async def run_command(self, cmd: str, input: Any = None, env: Any = None) -> str:
            nonlocal counted
            counted += 1
            words = shlex.split(cmd)
            at = words.index("squeue")  # without "sudo -E -u NAME": here the command goes to the login node instead
            done = await asyncio.to_thread(testbed.exec, CENTRE, "login", words[at:], user=person)
            return done.stdout.strip()

    async def follow(job: str) -> None:
        spawner = Stock(
            req_homedir="/", req_username=person, req_keepvars="", batch_query_cmd="squeue -h -j {job_id} -o '%T %B'"
        )
        spawner.job_id = job
        # The loop of BatchSpawnerBase.start: ask, sleep startup_poll_interval, ask again.
        while True:
            await spawner.query_job_status()
            await asyncio.sleep(spawner.startup_poll_interval)

    tasks = [asyncio.create_task(follow(job)) for job in jobs]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return counted * 60 / seconds


async def ours(testbed: Testbed, jobs: Sequence[str], seconds: float, waited: bool) -> float:
    """Commands a minute of the watcher; `waited`: somebody looks at a waiting page all the time."""
    centre = testbed.centre_description(CENTRE, "community")
    links, seen = CountingLinks(), []

    async def answer(got: Listing | Failure) -> None:
        if isinstance(got, Failure):
            raise RuntimeError(got.detail)
        seen.append({job.job_id for job in got.jobs})

    watcher = Watcher(centre, batch_system(centre), links, lambda: [Query(Account())], answer)
    task = asyncio.create_task(watcher.run())
    await asyncio.sleep(0)
    if waited:
        watcher.wait_for(seconds)
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await links.links.close()
    if not seen or not set(jobs) <= seen[-1]:
        raise RuntimeError(f"the watcher does not see the jobs: {seen[-1:]}")
    return links.commands * 60 / seconds


async def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 10, 30])
    given = parser.parse_args()
    testbed = Testbed()
    testbed.up()
    print("batch system commands a minute at one Slurm centre")
    print(f"{'queued':>8} {'stock':>10} {'waited for':>12} {'steady':>8}")
    for count in given.jobs:
        jobs = submit(testbed, count)
        try:
            figures = await asyncio.gather(
                stock(testbed, jobs, given.seconds),
                ours(testbed, jobs, given.seconds, True),
                ours(testbed, jobs, given.seconds, False),
            )
            print(f"{count:>8} {figures[0]:>10.0f} {figures[1]:>12.1f} {figures[2]:>8.1f}", flush=True)
        finally:
            testbed.exec(CENTRE, "login", ["scancel", *jobs], user=testbed.account(CENTRE, "alice"))


if __name__ == "__main__":
    asyncio.run(main())
