"""Whose processes are whose: each process of a step carries a mark, and no token, in its environment.

The mark is `RUN:KEEPER:BORN:TRY`: the run's folder, the process that watches it (with its start time, as process ids
come again), and the try. So a try ends with all that it started, even what left its process group; and what a keeper
left behind that was killed itself is found by the next one (`sweep`).
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from perijove.spawners.localqueue_process import born

#: The variable that marks the processes of a step.
MARK = "PERIJOVE_STEP"

#: What no step needs to know. Apps are code of others; a token would let them act for the person.
_SECRET = re.compile(
    r"JUPYTER|^JPY_|^DASK_|^SSH_|TOKEN|SECRET|PASSW|CREDENTIAL|COOKIE|API_?KEY|ACCESS_?KEY|PRIVATE", re.IGNORECASE
)


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a step: without what may be a secret."""
    return {name: value for name, value in environment.items() if not _SECRET.search(name)}


def mark(folder: Path) -> str:
    """What begins the mark of every process of the run in `folder`."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def marked(begin: str) -> dict[int, str]:
    """The living processes of this machine whose mark begins with `begin`, with their marks."""
    wanted = f"\0{MARK}={begin}".encode()
    found = {}
    for pid in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123  (hundreds of them)
                environment = b"\0" + file.read()
        except OSError:
            continue  # another person's, or gone by now
        _, there, rest = environment.partition(wanted)
        if there and born(pid) is not None:
            found[pid] = begin + rest.partition(b"\0")[0].decode()
    return found


def sweep(folder: Path) -> int:
    """Ends what keepers that are no more left behind of the run in `folder` on this machine; how many processes."""
    ended = 0
    for pid, text in marked(f"{mark(folder)}:").items():
        _, keeper, since, _ = text.split(":", 3)
        if born(int(keeper)) != int(since):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                ended += 1
    return ended
