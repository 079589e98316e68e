"""What people do at a centre's login node by hand: log in, submit a job, look at it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from perijove.testbed import Testbed
from perijove.testbed.state import TestbedError

#: For a process that is talked to.
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}


def ssh(bed: Testbed, centre: str, person: str, *argv: str, stdin: str = "", timeout: float = 20) -> str:
    """What a command says at the login node. Raises CalledProcessError or TimeoutExpired."""
    command = [*bed.ssh(centre, person), *argv]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=True).stdout


def works(action: Callable[[], object]) -> bool:
    try:
        action()
    except (subprocess.SubprocessError, TestbedError):
        return False
    return True


def logs_in(bed: Testbed, centre: str) -> bool:
    return works(lambda: ssh(bed, centre, "alice", "true", timeout=3))


def submit(bed: Testbed, centre: str, person: str, script: str) -> str:
    """Submit a job in the words of the centre's people; its id."""
    if centre == "gamma":
        words = ["qsub", "-terse", "-cwd", "-j", "y", "-o", "out.txt", "-l", "memory=100M,h_rt=60"]
        return ssh(bed, centre, person, *words, stdin=script).strip()
    program = {"alpha": "sbatch", "beta": "yhbatch"}[centre]
    words = [program, "--parsable", "--mem=100", "--time=1", "--output=out.txt"]
    return ssh(bed, centre, person, *words, stdin=script).strip()


def job_state(bed: Testbed, job: str) -> str:
    """The state and place of a job at alpha, e.g. "RUNNING alpha-c1"."""
    return bed.exec("alpha", "ctl", ["squeue", "-h", "-j", job, "-o", "%T %B"]).stdout.strip()
