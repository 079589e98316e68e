"""What a session uses on its node, read from /proc: for `info`, so that people see when memory runs short."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from perijove.spawners.agent_child import descendants

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def usage() -> dict[str, Any]:
    """`memory` in bytes (resident, of all processes of the session), `cpu` in seconds, `cores` that it may use."""
    memory, ticks, count = 0, 0, 0
    for pid in [os.getpid(), *descendants()]:
        with suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
            memory += int(fields[21]) * _PAGE
            count += 1
    return {"memory": memory, "cpu": ticks / _TICKS, "processes": count, "cores": len(os.sched_getaffinity(0))}
