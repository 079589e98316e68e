"""What a start costs beyond the batch system: Perijove's way to a running agent beside a plain submission.

Both run in turn on the same real Slurm of the testbed. Plain: `sbatch` through the same SSH login node (one connection
kept open, as ours is), until the job's first line runs. Ours: from the intent in the store until the agent in the job
has answered through both hops. The difference is ours to answer for; starting JupyterLab itself is left out of both.

    python deploy/bench/start.py [--runs 10]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import asyncssh

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from harness.centres import gateway_of
from harness.flow import Flow
from perijove.testbed import Testbed

CENTRE = "alpha"
SCRIPT = "#!/bin/bash\ndate +%s.%N > ~/started\n"


async def plain(testbed: Testbed, login: asyncssh.SSHClientConnection) -> float:
    """Seconds from the submission to the job's first line, whose clock is this machine's."""
    begun = time.time()
    await login.run("rm -f started; sbatch --output=/dev/null --time=5", input=SCRIPT, check=True)
    while True:
        done = await login.run("cat started 2>/dev/null")
        if str(done.stdout).strip():
            return float(str(done.stdout)) - begun
        await asyncio.sleep(0.1)


async def ours(flow: Flow, number: int) -> float:
    """Seconds from the intent to the agent's answer."""
    server = f"bench-{number}"
    wanted = {"centre": CENTRE, "cores": 1, "memory": "1G", "walltime": "10m"}
    answer = await flow.broker("POST", "/sessions", json={"owner": "alice", "server": server, "options": wanted})
    answer.raise_for_status()
    session = answer.json()["id"]
    while True:
        events = (await flow.broker("GET", f"/sessions/{session}/events")).json()["events"]
        times = {event["code"]: datetime.fromisoformat(event["at"]) for event in events}
        if "starting" in times:
            await flow.broker("DELETE", f"/sessions/{session}")
            await flow.reach("alice", server, "ended", 60)
            return (times["starting"] - times["checked"]).total_seconds()
        await asyncio.sleep(0.1)


async def main() -> None:
    """Prints the medians and the difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    testbed = Testbed()
    testbed.up()
    with tempfile.TemporaryDirectory() as folder:
        centre = testbed.centre_description(CENTRE, "community")
        keys = [asyncssh.import_public_key(key) for key in centre.login.host_keys]
        async with AsyncExitStack() as stack:
            flow = await stack.enter_async_context(gateway_of(testbed, Path(folder) / "state", {CENTRE: "community"}))
            await flow.person("alice")
            login = await stack.enter_async_context(
                asyncssh.connect(
                    "127.0.0.1",
                    centre.login.port,
                    username=centre.login.account,
                    client_keys=[centre.login.key_file],
                    known_hosts=(keys, [], []),
                    config=[],
                    agent_path=None,
                )
            )
            pairs = [(await plain(testbed, login), await ours(flow, number)) for number in range(runs)]
    extra = sorted(mine - theirs for theirs, mine in pairs)
    print(f"{runs} starts each, in turn, on {CENTRE}; seconds")
    print(f"plain sbatch to first line: median {statistics.median(theirs for theirs, _ in pairs):.2f}")
    print(f"intent to agent's answer:   median {statistics.median(mine for _, mine in pairs):.2f}")
    print(f"ours on top:                median {statistics.median(extra):.2f}, largest {extra[-1]:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
