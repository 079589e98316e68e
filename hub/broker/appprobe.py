"""Which apps can run at centres on this very machine: the broker looks for itself, with each such centre's Python.

Elsewhere a session tells at its start. The look is a program of its own (`perijove.spawners.apps.probe`): bounded in
time and output, started with an argument list.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perijove.hub.broker.appplaces import Places
from perijove.spawners.apps.manifest import App
from perijove.spawners.centre import Centre

log = logging.getLogger(__name__)
#: Seconds for a look, and bytes of what it may say.
LONGEST, MOST = 180.0, 4 << 20
BY = "the gateway"


def here(centres: Iterable[Centre]) -> list[Centre]:
    """The centres whose jobs are processes of this machine, and whose Python is one for all."""
    return [c for c in centres if c.scheduler.system == "local" and "{" not in str(c.environment.python)]


async def look(python: str, folders: Iterable[Path]) -> Mapping[str, Any]:
    """What `python` finds of each app; nothing where it cannot be asked."""
    argv = [python, "-m", "perijove.spawners.apps.probe", *map(str, folders)]
    quiet = asyncio.subprocess.DEVNULL
    try:
        program = await asyncio.create_subprocess_exec(
            *argv, stdin=quiet, stdout=asyncio.subprocess.PIPE, stderr=quiet, start_new_session=True
        )
    except OSError as error:
        log.warning("%s cannot be asked which apps can run: %s", python, error)
        return {}
    try:
        async with asyncio.timeout(LONGEST):
            said = await _read(program.stdout)
            if len(said) < MOST:  # otherwise it does not stop talking, and is ended below
                await program.wait()
        found = json.loads(said)
    except (TimeoutError, ValueError) as error:
        log.warning("%s does not say which apps can run: %s", python, str(error) or "no answer in time")
        return {}
    finally:
        if program.returncode is None:
            await _end(program)
    return found if isinstance(found, dict) else {}


async def _end(program: asyncio.subprocess.Process) -> None:
    """End it, with what it started: those hold its output open, too, which is read to its end before it is over."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    if program.stdout is not None:
        await program.stdout.read()
    await program.wait()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    try:
        return await stream.readexactly(MOST) if stream is not None else b""
    except asyncio.IncompleteReadError as whole:
        return whole.partial


async def tell(places: Places, centres: Iterable[Centre], apps: Mapping[str, App], folders: Iterable[Path]) -> None:
    """Look with the Python of each centre that is here, and write down what was found."""
    known, given = here(centres), tuple(folders)
    for python in sorted({centre.environment.python for centre in known}):
        found = await look(python, given)
        for centre in (one for one in known if one.environment.python == python):
            for name, said in found.items():
                if name in apps and isinstance(said, dict):
                    await places.put(centre.id, name, apps[name].digest, said, BY)


__all__ = ["here", "look", "tell"]
