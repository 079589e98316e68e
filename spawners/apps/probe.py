"""Which apps can run on this machine: programs and packages that are there, their versions, and data.

`python -m perijove.spawners.apps.probe [APPS_FOLDER...]` prints JSON by app. Programs are asked for their version with
argument lists (no shell), each for some seconds at most, and what they say is read up to a bound; packages are looked
for and not imported. Programs are also found beside this Python, where `pip` and `conda` put them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perijove.spawners.apps.catalogue import Catalogue
from perijove.spawners.apps.dataplaces import locate, package_folder
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.marks import clean
from perijove.spawners.apps.parts import Code
from perijove.spawners.visible import visible

#: Seconds for a program to say its version, bytes of what it says, and programs asked at the same time.
ASK, SAID, AT_ONCE = 10.0, 64 << 10, 4
#: A program that is there and has no way to say its version.
UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What of an app is here. `way` is None where no way is complete; a code's version is None where it is not here,
    "" where it does not say one."""

    way: str | None
    codes: Mapping[str, str | None]
    missing: tuple[Mapping[str, Any], ...]
    data: Mapping[str, str | None]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "way": self.way,
            "codes": dict(self.codes),
            "missing": [dict(one) for one in self.missing],
            "data": dict(self.data),
        }


def look(app: App, datasets: Mapping[str, str] | None = None) -> Found:
    """What of `app` is on this machine; takes as long as its slowest programs, and never raises for what they do."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        codes = dict(zip(app.codes, threads.map(version_of, app.codes.values()), strict=True))
    complete = [way.name for way in app.ways if all(codes[code] is not None for code in way.codes)]
    missing = tuple({"code": name, "how": how(app.codes[name])} for name, there in codes.items() if there is None)
    places = {name: locate(app, name, datasets) for name in app.data}
    data = {name: None if place is None else str(place) for name, place in places.items()}
    return Found(complete[0] if complete else None, codes, missing, data)


def how(code: Code) -> dict[str, str]:
    """How a code is provided: module, apt, pypi and container, those that there are."""
    ways = {"module": code.module, "apt": code.apt, "pypi": code.pypi, "container": code.container}
    return {key: value for key, value in ways.items() if value}


def ways_to_get(code: Code) -> list[str]:
    """The same as commands that a person can type."""
    words = {"module": "module load {}", "apt": "apt-get install {}", "pypi": "pip install {}", "container": "{}"}
    return [words[key].format(value) for key, value in how(code).items()]


def program_path(program: str) -> str | None:
    """Where a program is: in PATH, or beside this Python."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), beside]))


def version_of(code: Code) -> str | None:
    """The version of a code that is here; "" if it does not say one; None: it is not here, or does not run."""
    if code.imports:
        return _package(code)
    path = program_path(code.program)
    if path is None or not code.version:
        return None if path is None else UNKNOWN
    said = ask([path, *code.version[1:]])
    if said is None:
        return None
    match = re.search(code.version_pattern, said)
    return visible(match[1] if match.re.groups else match[0], 60) if match else UNKNOWN


def _package(code: Code) -> str | None:
    if package_folder(code.imports) is None and not _module(code.imports):
        return None
    top = code.imports.partition(".")[0]
    for name in filter(None, (code.pypi, top)):
        with suppress(importlib.metadata.PackageNotFoundError, ValueError):
            return visible(importlib.metadata.version(name), 60)
    return UNKNOWN


def _module(name: str) -> bool:
    """Whether `name` is a module that is one file, without importing what is around it."""
    package, _, last = name.rpartition(".")
    if not package:
        with suppress(ImportError, ValueError):
            return importlib.util.find_spec(name) is not None
        return False
    folder = package_folder(package)
    return folder is not None and any(folder.glob(f"{last}.*"))


def ask(argv: list[str]) -> str | None:
    """What a program says on both its outputs; None: it cannot be run, crashes, or does not end in time."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=clean(os.environ),  # the command is the app's author's
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(ASK, end)
    timer.start()
    said = b""
    try:
        with process:
            if process.stdout is not None:
                said = process.stdout.read(SAID)
                if len(said) == SAID:  # it does not stop talking
                    end()
    finally:
        timer.cancel()
    if len(said) < SAID and (late.is_set() or process.returncode < 0 or process.returncode in (126, 127)):
        return None
    return said.decode("utf-8", "replace")


def main() -> None:
    """Print what is here of every app."""
    catalogue = Catalogue(sys.argv[1:])
    found = {name: look(app).as_dict() for name, app in catalogue.apps().items()}
    sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
