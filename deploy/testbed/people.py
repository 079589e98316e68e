"""Accounts of a centre: passwd and the like, keys, homes.

Each person's home is a small tmpfs, mounted once and shown to all nodes of the centre: a quota that can be filled.
The gateway's keys lie in the state directory and stay from one `up` to the next.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from perijove.testbed.plan import COMMUNITY, CentrePlan
from perijove.testbed.state import State, run, write

#: MiB that fit into a person's home.
HOME_SIZE = 256
#: The shared account's: an example writes an array there that is larger than a worker's memory.
SHARED_SIZE = 1024
_GROUP = 29999


def key_file(state: State, centre: str, account: str) -> Path:
    """The gateway's private key for an account."""
    return state.keys / centre / account


def make_key(path: Path, comment: str) -> str:
    """The public key that belongs to the private key in `path`, which is made if need be."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
    path.chmod(0o600)
    return path.with_name(path.name + ".pub").read_text().strip()


def host_key(state: State, plan: CentrePlan) -> str:
    """The public host key of a centre's login node, without its comment."""
    public = make_key(state.keys / plan.name / "host_ed25519", plan.host("login"))
    return " ".join(public.split()[:2])


def write_accounts(plan: CentrePlan, etc: Path) -> None:
    """passwd, group and shadow: the machine's system accounts, without a way in, and the centre's own."""
    passwd, group, shadow = [], [], []
    for line in Path("/etc/passwd").read_text().splitlines():
        name, _, uid, gid, *_ = line.split(":")
        if int(uid) < 1000 or name in ("nobody", "slurm"):
            home = "/root" if name == "root" else "/nonexistent"
            shell = "/bin/bash" if name == "root" else "/bin/sh" if name == "sgeadmin" else "/usr/sbin/nologin"
            passwd.append(f"{name}:x:{uid}:{gid}:{name}:{home}:{shell}")
            shadow.append(f"{name}:*:19000:0:99999:7:::")
    for line in Path("/etc/group").read_text().splitlines():
        name, _, gid, _ = line.split(":")
        if int(gid) < 1000 or name in ("nogroup", "slurm"):
            group.append(f"{name}:x:{gid}:")
    people = [account.name for account in plan.accounts if account.person]
    group.append(f"people:x:{_GROUP}:{','.join(people)}")
    for account in plan.accounts:
        passwd.append(f"{account.name}:x:{account.uid}:{account.uid}::/home/{account.name}:/bin/bash")
        group.append(f"{account.name}:x:{account.uid}:")
        shadow.append(f"{account.name}:*:19000:0:99999:7:::")
    write(etc / "passwd", "\n".join(passwd) + "\n", 0o644)
    write(etc / "group", "\n".join(group) + "\n", 0o644)
    write(etc / "shadow", "\n".join(shadow) + "\n", 0o640)


def make_homes(state: State, plan: CentrePlan) -> None:
    """A home for each account, with the gateway's key for it."""
    homes = state.work(plan.name) / "home"
    homes.mkdir(mode=0o755, parents=True)
    homes.chmod(0o755)
    for account in plan.accounts:
        home = homes / account.name
        home.mkdir()
        size = SHARED_SIZE if account.name == COMMUNITY else HOME_SIZE
        options = f"size={size}m,mode=0700,uid={account.uid},gid={account.uid}"
        run(["mount", "-t", "tmpfs", "-o", options, "perijove-testbed", str(home)])
        public = make_key(key_file(state, plan.name, account.name), f"perijove-testbed {plan.name} {account.name}")
        write(home / ".ssh/authorized_keys", public + "\n")
        for name in (".bashrc", ".profile"):
            shutil.copy(Path("/etc/skel", name), home / name)
        (home / ".ssh").chmod(0o700)
        for path in (home, *home.rglob("*")):
            os.chown(path, account.uid, account.uid)


def mounts_below(directory: Path) -> list[str]:
    """What is mounted below a directory, the deepest first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((point for point in points if Path(point).is_relative_to(directory)), key=len, reverse=True)


def fill_home(state: State, plan: CentrePlan, account: str) -> None:
    """Fill a home to the last byte."""
    ballast = state.work(plan.name) / "home" / account / ".ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue  # No room for a piece of this size: try a smaller one.


def free_home(state: State, plan: CentrePlan, account: str) -> None:
    """Take away what `fill_home` put there."""
    (state.work(plan.name) / "home" / account / ".ballast").unlink(missing_ok=True)
