"""Programs that `clusters.py` runs elsewhere: at a login node, in a notebook's kernel, outside the centre.

Each is text that its place executes; what it found out is the last line that begins with RESULT, as JSON.
"""

from __future__ import annotations

import json
from typing import Any

#: Small tasks of one burst, and single ones whose round trip is measured, of one round.
TASKS, TRIPS = 2000, 40

_TELL = """
import json, os, subprocess, sys, tempfile, time
def tell(**found):
    print("RESULT", json.dumps(found), flush=True)
"""

#: Seconds until so many workers are there: dask-jobqueue as people use it.
PLAIN = (
    _TELL
    + """
from dask_jobqueue import SLURMCluster
from distributed import Client
host, queue, name, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
with tempfile.TemporaryDirectory(dir=os.path.expanduser("~")) as logs:
    cluster = SLURMCluster(
        queue=queue, cores=1, processes=1, memory="1 GiB", walltime="00:20:00", job_name=name, python=sys.executable,
        protocol="tcp://", local_directory="/tmp", log_directory=logs, worker_extra_args=["--no-dashboard"],
        scheduler_options={"host": host, "dashboard_address": ":0"},
    )
    with cluster, Client(cluster) as client:
        begun = time.perf_counter()
        cluster.scale(count)
        client.wait_for_workers(count, timeout=240)
        tell(seconds=time.perf_counter() - begun)
"""
)

#: The same with one job array by hand: nothing but Slurm and Dask's own commands.
RAW = (
    _TELL
    + """
from distributed import Client, LocalCluster
host, queue, name, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
with LocalCluster(n_workers=0, host=host, protocol="tcp://", dashboard_address=":0") as cluster:
    with Client(cluster) as client:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--nthreads", "1"]
        command += ["--memory-limit", "1GiB", "--nanny", "--no-dashboard", "--death-timeout", "60"]
        script = "#!/bin/sh\\nexec " + " ".join([*command, "--local-directory", "/tmp"]) + "\\n"
        options = ["--parsable", f"--job-name={name}", f"--partition={queue}", f"--array=1-{count}", "--ntasks=1"]
        options += ["--cpus-per-task=1", "--mem=1024M", "--time=20", "--output=/dev/null", "--chdir=/tmp"]
        begun = time.perf_counter()
        done = subprocess.run(["sbatch", *options], input=script, stdout=subprocess.PIPE, text=True, check=True)
        client.wait_for_workers(count, timeout=240)
        tell(seconds=time.perf_counter() - begun)
        subprocess.run(["scancel", done.stdout.strip().split(";")[0]], check=True)
"""
)

#: Ours, in a kernel of the session that has the head; CLOSE comes once Slurm was asked what it has.
OURS = """
from perijove.widgets import Cluster
cluster = Cluster({name!r}, cores=1, memory="1G", walltime="20m")
client = cluster.get_client()
begun = time.perf_counter()
cluster.scale({count})
client.wait_for_workers({count}, timeout=240)
tell(seconds=time.perf_counter() - begun)
"""
CLOSE = """
client.close()
cluster.close()
tell()
"""

_MEASURE = (
    _TELL
    + f"""
def inc(number):
    return number + 1
def measure(client):
    def burst():
        begun = time.perf_counter()
        found = client.gather(client.map(inc, range({TASKS}), pure=False))
        assert found == list(range(1, {TASKS} + 1))
        return {TASKS} / (time.perf_counter() - begun)
    burst()
    rate, trips = burst(), []
    for number in range({TRIPS}):
        begun = time.perf_counter()
        assert client.submit(inc, number, pure=False).result() == number + 1
        trips.append(1000 * (time.perf_counter() - begun))
    tell(rate=rate, trips=trips)
"""
)

#: A client beside a plain scheduler with two workers, each a process of its own, over TCP of one machine.
LOCAL = (
    _MEASURE
    + """
from distributed import Client
with tempfile.TemporaryDirectory() as folder:
    file, module = os.path.join(folder, "scheduler.json"), [sys.executable, "-m"]
    begun = [[*module, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]]
    worker = [*module, "distributed.cli.dask_worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard"]
    begun += [[*worker, "--memory-limit", "1GiB", "--local-directory", folder]] * 2
    with open(os.path.join(folder, "log"), "wb") as log:
        running = [subprocess.Popen([*words, "--scheduler-file", file], stdout=log, stderr=log) for words in begun]
    try:
        with Client(scheduler_file=file, timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            measure(client)
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()
"""
)

#: A client outside the centre: gateway and token stand in the environment.
REMOTE = (
    _MEASURE
    + """
from perijove.widgets import Cluster
if sys.argv[2:]:
    cluster = Cluster(sys.argv[1], centre=sys.argv[2], cores=1, memory="1G", walltime="30m", workers=2)
else:
    cluster = Cluster.attach(sys.argv[1])
client = cluster.get_client()
client.wait_for_workers(2, timeout=240)
measure(client)
client.close()
cluster.disconnect()
"""
)

#: The head's own neighbour: a kernel of the same session, over TLS with the cluster's keys.
BESIDE = (
    _MEASURE
    + """
from perijove.widgets import Cluster
cluster = Cluster({name!r}, cores=1, memory="1G", walltime="30m", workers=2)
client = cluster.get_client()
client.wait_for_workers(2, timeout=240)
measure(client)
client.close()
cluster.disconnect()
"""
)


def result(output: str, errors: str = "") -> dict[str, Any]:
    """What a program told. Raises RuntimeError with all that it said if it told nothing."""
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise RuntimeError(f"a part of the benchmark failed:\n{output}\n{errors}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found


def in_kernel(code: str) -> str:
    """`code` for a kernel, whose failures are printed like everything else."""
    lines = "\n".join(f"    {line}" for line in (_TELL + code).splitlines())
    return f"try:\n{lines}\nexcept BaseException:\n    import traceback\n    print(traceback.format_exc())\n"
