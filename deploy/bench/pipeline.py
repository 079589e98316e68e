"""What the engine costs: the same commands as a shell script and as an app's pipeline; and how well parts share cores.

    .venv/bin/python deploy/bench/pipeline.py [--rounds 7] [--only overhead|parts]

Overhead, in turn: `sh -e` with twenty commands one after the other, and `python -m perijove.spawners.apps.runner` with
the same twenty as steps; from the start of the process to its end, so Python's start, the look for codes, checksums and
the RO-Crate are in it. Once with commands that do next to nothing, once with real cdo calls (if cdo is here), once with
some work each. By the clock, and in processor time, which other work on the machine disturbs less. Medians of the
differences and ratios of neighbours.

Parts: eight that each compute for the same time, on 1, 2 and 4 workers: beside each other with `xargs -P`, in the
engine's own cores, and on the workers of a Dask cluster. The part of the ideal is the time on one divided by that on n
and by n, or by the machine's cores where there are fewer of them.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from doubles.tinyapp import HEAD, app_in, order
from perijove.spawners.apps.daskpool import OnDask
from perijove.spawners.apps.pool import Here, Pool
from perijove.spawners.apps.runner import Runner

STEPS, PARTS = 20, 8
#: Turns of an empty loop: some tenths of a second.
TURNS = 12_000_000
LOOP = f"""
import sys
for n in range({TURNS}): pass
open(sys.argv[1], "w").write("1")
"""
COMMANDS = {
    "cp": ["cp", "/etc/hostname", "out"],
    "cdo": ["cdo", "-s", "-f", "nc", "-mulc,1.5", "-topo,r720x360", "out"],
    "a loop": [sys.executable, "-S", "-c", LOOP, "out"],
}
SERIAL = """
def steps(case):
    return [
        Step("one", Command([*ARGV, f"out{n}"]), part=str(n), makes=[f"out{n}"], after=[f"one@{n - 1}"] if n else [])
        for n in range(TIMES)
    ]
"""
PARALLEL = """
def steps(case):
    return [Step("one", Command([*ARGV, f"out{n}"]), part=str(n), makes=[f"out{n}"]) for n in range(TIMES)]
"""


def body(argv: list[str], times: int, steps: str) -> str:
    """A pipeline that runs `argv`, each time with another output."""
    return f"{HEAD}\nARGV, TIMES = {argv[:-1]!r}, {times}\n{steps}"


def clock(argv: list[str], folder: Path) -> tuple[float, float]:
    """Seconds by the clock and of processors that a process takes; it must succeed."""
    begin, before = time.monotonic(), os.times()
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - begin, used


def overhead(kind: str, rounds: int) -> str:
    """One line of the table."""
    argv = COMMANDS[kind]
    pairs = []
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lines = [f"mkdir {n} && cd {n} && {shlex.join(argv)} && cd .." for n in range(STEPS)]
            (folder / "script").write_text("\n".join(lines))
            run = order(folder, app_in(folder, body(argv, STEPS, SERIAL)), cores=1)
            shell = clock(["sh", "-e", "script"], folder)
            engine = clock([sys.executable, "-m", "perijove.spawners.apps.runner", str(run)], folder)
            if number:  # the first warms the caches
                pairs.append((shell, engine))
    more = [median(engine[way] - shell[way] for shell, engine in pairs) for way in (0, 1)]
    ratio = [median(engine[way] / shell[way] - 1 for shell, engine in pairs) for way in (0, 1)]
    verdict = ["met" if m <= 0.5 or r <= 0.05 else "**not met**" for m, r in zip(more, ratio, strict=True)]
    script = [median(shell[way] for shell, _ in pairs) for way in (0, 1)]
    cells = [f"{script[n]:.2f} | {more[n]:+.2f} ({100 * ratio[n]:.0f} %) {verdict[n]}" for n in (0, 1)]
    return f"| {STEPS} x {kind} | {cells[0]} | {cells[1]} |"


def alongside(workers: int, folder: Path) -> float:
    """The parts with xargs."""
    argv = ["xargs", "-P", str(workers), "-n", "1", *COMMANDS["a loop"][:-1]]
    begin = time.monotonic()
    subprocess.run(argv, input="\n".join("abcdefgh"), text=True, check=True, cwd=folder)
    return time.monotonic() - begin


def parts(pool: Pool, folder: Path) -> float:
    """The parts through the engine, from the runner's start to its end."""
    app = app_in(folder, body(COMMANDS["a loop"], PARTS, PARALLEL))
    runner = Runner(order(folder, app), app, pool)
    begin = time.monotonic()
    report = runner.run()
    if report["state"] != "done":
        raise SystemExit(f"the run failed: {report['failure']}")
    return time.monotonic() - begin


def here(workers: int, folder: Path) -> float:
    """The parts in the engine's own cores."""
    return parts(Here(workers), folder)


def on_dask(workers: int, folder: Path) -> float:
    """The parts on a Dask cluster that is there already."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        return parts(OnDask(client), folder)


WAYS = {"xargs -P": alongside, "engine, own cores": here, "engine, Dask workers": on_dask}


def scaling(rounds: int) -> list[str]:
    """The lines of the table."""
    cores = len(os.sched_getaffinity(0))
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for workers in (1, 2, 4):
            for kind, way in WAYS.items():
                with tempfile.TemporaryDirectory() as name:
                    found.setdefault((kind, workers), []).append(way(workers, Path(name)))
    lines = []
    for (kind, workers), times in sorted(found.items()):
        ideal = [one / (t * min(workers, cores)) for one, t in zip(found[kind, 1], times, strict=True)]
        lines.append(f"| {kind} | {workers} | {median(times):.2f} | {100 * median(ideal):.0f} % |")
    return lines


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=("overhead", "parts"))
    given = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}\n")
    if given.only != "parts":
        print("| commands | script, s | on top (goal: 5 % or 0.5 s) | script, processor s | on top |")
        print("|---|---|---|---|---|")
        for kind in COMMANDS:
            if shutil.which(COMMANDS[kind][0]):
                print(overhead(kind, given.rounds), flush=True)
    if given.only != "overhead":
        print(f"\n| {PARTS} parts | workers | s | of the ideal |\n|---|---|---|---|")
        print("\n".join(scaling(max(given.rounds // 2, 1))))


if __name__ == "__main__":
    main()
