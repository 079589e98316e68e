"""What a node of the testbed does first: mounts of its own, so that it sees the centre's files and nothing else.

Run by /usr/bin/python3 as process 1 of new mount, network, host name and process namespaces: standard library only,
no import of ours. It reads a list of mounts from a JSON file, says "ready", and becomes a small shell that reaps.
Killing that one process ends the node with everything in it.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
#: Folders of this machine that a node sees; all others at the top are covered with an empty one.
_KEPT = {"bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "opt", "proc", "root", "run"}
_KEPT |= {"sbin", "sys", "tmp", "usr", "var", "lost+found"}
_REAPER = "trap '' TERM INT HUP; while :; do sleep infinity & wait; done"


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError."""
    if _LIBC.mount(source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind} {source} {data}: {os.strerror(number)}", target)


def bind(source: str, target: str, read_only: bool = False) -> None:
    """Show the folder `source`, with what is mounted in it, as `target`."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def prepare(spec: dict[str, Any]) -> None:
    """Do everything that `spec` asks for."""
    # The record of this process, by its pid outside: /proc is still that of the machine.
    Path(spec["record"]).write_text(Path("/proc/self/stat").read_text())
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    socket.sethostname(spec["host"])
    for target, lowers in spec["overlays"].items():
        mount("overlay", target, "overlay", MS_RDONLY, "lowerdir=" + ":".join([*lowers, target]))
    for target, source in spec["binds"].items():
        bind(source, target)
    for target, source in spec["read_only"].items():
        bind(source, target, read_only=True)
    for path in Path("/").iterdir():
        if path.is_dir() and not path.is_symlink() and path.name not in _KEPT:
            mount("tmpfs", str(path), "tmpfs", MS_RDONLY, "mode=0755,size=4k")
    for target, mode in (("/run", "0755"), ("/tmp", "1777"), ("/dev/shm", "1777"), ("/root", "0700")):  # noqa: S108
        mount("tmpfs", target, "tmpfs", 0, f"mode={mode}")
    for hidden in spec["hidden"]:
        if Path(hidden).is_dir():
            mount("tmpfs", hidden, "tmpfs", MS_RDONLY, "mode=0755,size=4k")
    mount("proc", "/proc", "proc")
    for name, owner in spec["run"].items():
        directory = Path("/run", name)
        directory.mkdir(mode=0o755)
        os.chown(directory, owner, owner)


def main() -> None:
    """Prepare the node, say so, and stay as its process 1."""
    prepare(json.loads(Path(sys.argv[1]).read_text()))
    os.write(1, b"ready\n")
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.chdir("/")
    os.execv("/bin/sh", ["sh", "-c", _REAPER])  # noqa: S606 (a constant)


if __name__ == "__main__":
    main()
