"""Install the real batch systems with apt, without questions, and without starting any daemon of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from perijove.testbed.state import TestbedError

#: What each package is told by: a file that it brings. In groups, as they must be installed: dma before Grid Engine,
#: which would bring a whole mail server along otherwise.
GROUPS: tuple[dict[str, str], ...] = (
    {
        "openssh-server": "/usr/sbin/sshd",
        "openssh-client": "/usr/bin/ssh",
        "sudo": "/usr/bin/sudo",
        "iproute2": "/usr/sbin/ip",
        "python3-venv": "/usr/share/doc/python3-venv",
        "munge": "/usr/sbin/munged",
        "slurmctld": "/usr/sbin/slurmctld",
        "slurmd": "/usr/sbin/slurmd",
        "slurm-client": "/usr/bin/sbatch",
        "dma": "/usr/sbin/dma",
    },
    {
        "gridengine-master": "/usr/lib/gridengine/sge_qmaster",
        "gridengine-exec": "/usr/lib/gridengine/sge_execd",
        "gridengine-client": "/usr/lib/gridengine/qsub",
    },
)
#: What the tests of `make test-real` need beside the testbed: a browser, Chinese letters for it,
#: a database, and the codes that the apps run.
FOR_TESTS = {
    "chromium": "/usr/bin/chromium",
    "fonts-wqy-microhei": "/usr/share/fonts/truetype/wqy",
    "postgresql": "/usr/bin/pg_ctlcluster",
    # The codes of the apps.
    "cdo": "/usr/bin/cdo",
    "fastp": "/usr/bin/fastp",
    "bwa": "/usr/bin/bwa",
    "minimap2": "/usr/bin/minimap2",
    "samtools": "/usr/bin/samtools",
    "bcftools": "/usr/bin/bcftools",
    "freebayes": "/usr/bin/freebayes",
    "xfoil": "/usr/bin/xfoil",
}
_POLICY = Path("/usr/sbin/policy-rc.d")


def missing(*more: dict[str, str]) -> list[str]:
    """The packages that are not there; `more`: groups beside the testbed's own."""
    return [name for group in (*GROUPS, *more) for name, file in group.items() if not Path(file).exists()]


def why_not() -> str:
    """Why the testbed cannot run on this machine at all; "" if it can (once packages are installed)."""
    if os.geteuid() != 0:
        return "the testbed needs root (namespaces, mounts)"
    if missing() and not shutil.which("apt-get"):
        return f"missing: {', '.join(missing())}, and there is no apt-get here (Debian 12 is needed)"
    return ""


def install(*more: dict[str, str]) -> list[str]:
    """Install what is missing; returns it."""
    wanted = missing(*more)
    if not wanted:
        return []
    made = not _POLICY.exists()
    if made:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        _apt("update")
        for group in (*GROUPS, *more):
            if names := [name for name in group if name in wanted]:
                _apt("install", "--yes", "--no-install-recommends", *names)
    finally:
        if made:
            _POLICY.unlink()
    if left := missing(*more):
        raise TestbedError(f"apt-get installed, but these are still missing: {', '.join(left)}")
    return wanted


def _apt(*arguments: str) -> None:
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, env=environment)
    if done.returncode:
        raise TestbedError(f"apt-get {' '.join(arguments)}: exit {done.returncode}: {done.stderr[-2000:]}")


if __name__ == "__main__":
    if reason := why_not():
        raise SystemExit(reason)
    print("installed:", ", ".join(install(FOR_TESTS)) or "nothing, all was there")
