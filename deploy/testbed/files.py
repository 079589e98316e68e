"""A centre's /etc and /usr/bin, as layers that its nodes see on top of the machine's own (read-only overlays)."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

from perijove.testbed import people
from perijove.testbed.plan import GATEWAY, ROLES, CentrePlan
from perijove.testbed.state import State, write

#: Where the launcher is installed at a centre.
LAUNCHER = "/opt/perijove/bin/perijove-launcher"
PYTHON = "/opt/perijove/env/bin/python"
_SLURM = "sbatch squeue scancel scontrol sinfo sacct salloc srun sdiag sstat sprio sattach sbcast sacctmgr sreport"
_SLURM += " sshare strigger sview scrontab sh5util sgather"
_GRID = "qsub qstat qdel qacct qconf qhost qmod qalter qhold qrls qping qselect qquota qresub qrsh qlogin qsh qrsub"
_GRID += " qrdel qrstat qsched qtcsh qmake_sge"
#: A stand-in for Debian's wrapper, which takes 80 ms to find out what never changes here.
_WRAPPER = """#!/bin/sh
export SGE_ROOT=/var/lib/gridengine SGE_CELL=default
exec /usr/lib/gridengine/"${0##*/}" "$@"
"""
_SSHD = """# Debian's defaults; without PAM, which would need a session of systemd.
HostKey /etc/ssh/ssh_host_ed25519_key
KbdInteractiveAuthentication no
UsePAM no
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
"""
_SUDOERS = f"""Defaults env_reset, secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
{GATEWAY} ALL=(%people) NOPASSWD: {LAUNCHER} ""
"""


def write_etc(state: State, plan: CentrePlan) -> Path:
    """The layer for /etc; the batch system adds its own files to it."""
    etc = state.work(plan.name) / "etc"
    etc.mkdir(mode=0o755, parents=True)
    etc.chmod(0o755)
    people.write_accounts(plan, etc)
    hosts = [f"{plan.address(role)} {plan.host(role)}" for role in ROLES]
    write(etc / "hosts", "\n".join(["127.0.0.1 localhost", *hosts]) + "\n", 0o644)
    write(etc / "resolv.conf", "", 0o644)
    write(etc / "nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\n", 0o644)
    write(etc / "ssh/sshd_config", _SSHD, 0o644)
    people.host_key(state, plan)
    shutil.copy(state.keys / plan.name / "host_ed25519", etc / "ssh/ssh_host_ed25519_key")
    write(etc / "sudoers", _SUDOERS, 0o440)
    write(etc / "sudoers.d/README", "Nothing here.\n", 0o440)
    programs = sorted([*plan.commands.values(), PYTHON])
    write(etc / "perijove/launcher.json", json.dumps({"programs": programs}) + "\n", 0o644)
    _away(etc / "hostname")  # The machine's own; each node has its name in its namespace.
    for directory in ("ssh", "sudoers.d", "perijove"):
        (etc / directory).chmod(0o755)
        _hide_what_is_below(etc / directory)
    return etc


def _away(path: Path) -> None:
    """Of this file of the machine the nodes see nothing: an overlay's whiteout."""
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def _hide_what_is_below(directory: Path) -> None:
    """Of this directory the nodes see our layer only, not the machine's own."""
    os.setxattr(directory, "trusted.overlay.opaque", b"y")


def write_bin(state: State, plan: CentrePlan) -> None:
    """The layer for /usr/bin: commands of other batch systems are away, renamed ones have their new name only."""
    layer = state.work(plan.name) / "bin"
    layer.mkdir(mode=0o755)
    layer.chmod(0o755)
    hidden = set((_SLURM if plan.system == "gridengine" else _GRID).split())
    for usual, name in plan.commands.items():
        program = Path("/usr/bin", usual)
        if program.exists():
            shutil.copy(program, layer / name)
    if plan.commands:
        hidden |= set(_SLURM.split())
    for name in hidden:
        if Path("/usr/bin", name).exists():
            _away(layer / name)
    if plan.system == "gridengine":
        for name in _GRID.split():
            if Path("/usr/lib/gridengine", name).exists():
                write(layer / name, _WRAPPER, 0o755)
