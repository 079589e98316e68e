"""What a worker job runs: one Dask worker that finds its head through the cluster's folder.

    PYTHON -m perijove.spawners.dask.worker CLUSTER JOB

The working directory is the job's folder, the cluster's is its sibling. Address and keys stand in files there and never
in arguments or the batch system's environment. The worker leaves by itself when its head has gone, and a job
that starts after the cluster was closed says so and ends well: nothing about it failed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perijove.spawners.ports import ports
from perijove.spawners.tasknumber import task_of

#: What ids look like; nothing else becomes part of a path.
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
#: Seconds a shared file system may take to show what the head wrote before it asked for the job.
PATIENCE = 30.0
#: Ports that one worker and its nanny try.
BLOCK = 64


class NoHead(Exception):
    """The cluster is gone; its text is for the job's log."""


def read_settings(folder: Path, patience: float = PATIENCE, step: float = 0.5) -> dict[str, Any]:
    """worker.json of the cluster whose folder this is. Raises NoHead after `patience` seconds without one."""
    until = time.monotonic() + patience
    while True:
        try:
            return dict(json.loads((folder / "worker.json").read_text()))
        except (OSError, ValueError) as error:
            if time.monotonic() >= until:
                raise NoHead(
                    f"perijove: {folder} has no worker.json ({error}): the cluster was closed before this worker "
                    f"started. There is nothing to do."
                ) from None
            time.sleep(step)


def port_block(name: str, first: int, last: int) -> tuple[int, int]:
    """A part of first..last of at most `BLOCK` ports; each worker has its own, so that few of them meet."""
    start = next(iter(ports(name, first, last)))
    begin = min(start, max(first, last - BLOCK + 1))
    return begin, min(last, begin + BLOCK - 1)


def arguments(settings: Mapping[str, Any], folder: Path, name: str, host: str, scratch: str) -> list[str]:
    """The command line of Dask's worker. `host` is the address to listen on, `scratch` its directory on the node."""
    first, last = port_block(name, *map(int, settings["ports"]))
    found = [
        str(settings["scheduler"]),
        *("--tls-ca-file", str(folder / "ca.pem")),
        *("--tls-cert", str(folder / "worker.pem")),
        *("--tls-key", str(folder / "worker-key.pem")),
        *("--protocol", "tls"),
        *("--host", host),
        *("--worker-port", f"{first}:{last}"),
        *("--nanny-port", f"{first}:{last}"),
        *("--name", name),
        *("--nthreads", str(int(settings["threads"]))),
        *("--memory-limit", str(int(settings["memory"]))),
        *("--death-timeout", str(settings["death_timeout"])),
        *("--local-directory", scratch),
        *("--worker-class", "perijove.spawners.dask.doorless.DoorlessWorker"),
        "--nanny",
        "--no-dashboard",
    ]
    if settings.get("lifetime"):
        found += ["--lifetime", f"{settings['lifetime']} seconds"]
    return found


def make_scratch(wanted: str | None) -> Path:
    """A new directory of ours on the node: in `wanted`, in the job's TMPDIR, or in /tmp."""
    for parent in (wanted, os.environ.get("TMPDIR"), "/tmp"):  # noqa: S108 - mkdtemp in it
        if parent and os.access(os.path.expandvars(parent), os.W_OK):
            return Path(tempfile.mkdtemp(prefix="perijove-worker-", dir=os.path.expandvars(parent)))
    return Path(tempfile.mkdtemp(prefix="perijove-worker-"))


def run(cluster: str, job: str, environment: Mapping[str, str], patience: float = PATIENCE) -> int:
    """Work until the head lets this worker go, or is gone; the job's exit code."""
    folder = Path.cwd().parent / cluster
    try:
        settings = read_settings(folder, patience)
    except NoHead as error:
        print(error, flush=True)
        return 0
    # Heavy, and needed only now: a job that has nothing to do should say so at once.
    import dask
    from distributed.cli.dask_worker import main as worker
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.utils import get_ip, get_ipv6

    name = f"{job}-{task_of(environment)}"
    head, port = parse_host_port(parse_address(settings["scheduler"])[1])
    host = get_ipv6(head, port) if ":" in head else get_ip(head, port)
    scratch = make_scratch(settings.get("scratch"))
    # A person's own dask configuration may tune a worker, but not open it.
    dask.config.set({"distributed.comm.require-encryption": True})
    try:
        worker(arguments(settings, folder, name, host, str(scratch)), standalone_mode=False)
        return 0
    except SystemExit as end:
        return _code(end, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _code(end: SystemExit, folder: Path) -> int:
    """Dask's worker ends with 1 where it did not find its head: no failure if the cluster has been closed meanwhile."""
    code = end.code if isinstance(end.code, int) else 1
    if code and not (folder / "worker.json").exists():
        print("perijove: the cluster was closed while this worker started. There is nothing to do.", flush=True)
        return 0
    return code


def main(argv: Sequence[str] | None = None) -> None:
    """The job's command."""
    given = list(sys.argv[1:] if argv is None else argv)
    if len(given) != 2 or not all(_ID.fullmatch(part) for part in given):
        sys.exit("usage: python -m perijove.spawners.dask.worker CLUSTER JOB")
    sys.exit(run(given[0], given[1], os.environ))


if __name__ == "__main__":
    main()
