"""What processes hold in memory, as the kernel tells (Linux): for the bound of a step, and for why one was ended.

What counts is what cannot be given back: memory that is a process's own or shared between processes, and not the pages
of files, which the kernel takes when it needs room. All in bytes; what cannot be read counts as nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

#: What counts of `/proc/PID/status`, or of an old kernel's; and of `smaps_rollup`, where it is shared out.
_OWN, _ALL, _SHARES = ("RssAnon:", "RssShmem:"), ("VmRSS:",), ("Pss_Anon:", "Pss_Shmem:")


def family(leader: int) -> list[int]:
    """`leader` and all that came of it and lives; without those whose parents have ended."""
    found, look = [leader], [leader]
    while look:
        pid = look.pop()
        with suppress(OSError, ValueError):
            for task in os.scandir(f"/proc/{pid}/task"):
                children = [int(word) for word in Path(task.path, "children").read_bytes().split()]
                found += children
                look += children
    return found


def held(leader: int, most: int) -> int:
    """What a process and all that came of it hold. What several of them share is counted once where the sum is more
    than `most`: to tell that takes the kernel longer."""
    pids = family(leader)
    total = sum(_sum(pid, "status", _OWN, _ALL) for pid in pids)
    if total <= most:
        return total
    return sum(_sum(pid, "smaps_rollup", _SHARES) or _sum(pid, "status", _OWN, _ALL) for pid in pids)


def _sum(pid: int, file: str, keys: Iterable[str], otherwise: Iterable[str] = ()) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    values = {words[0]: int(words[1]) for line in lines if len(words := line.split()) > 2 and words[2] == "kB"}
    return sum(values[key] for key in (keys if values.keys() & keys else otherwise) if key in values) << 10


def oom_kills() -> int:
    """How many processes the kernel has ended in our control group for want of memory; 0 where it does not tell."""
    total = 0
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            v2 = Path("/sys/fs/cgroup") / path.lstrip("/") / "memory.events"
            v1 = Path("/sys/fs/cgroup/memory") / path.lstrip("/") / "memory.oom_control"
            place = v2 if not controllers else v1
            if not controllers or "memory" in controllers.split(","):
                with suppress(OSError):
                    words = place.read_text().split()
                    total += int(words[words.index("oom_kill") + 1])
    return total
