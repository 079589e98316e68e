"""What a step made, looked at before it counts: there, not empty, no links, and its checksum."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from perijove.spawners.apps.codes import Code


@dataclass(frozen=True)
class Made:
    """A file or a folder that a step made: bytes, and the sha256 (of a folder: over its files' names and sha256)."""

    bytes: int
    sha256: str


class NotMade(Exception):
    """Something that a step should have made is not there, or is nothing to keep."""

    def __init__(self, code: Code, name: str) -> None:
        super().__init__(f"{code}: {name}")
        self.code: Code = code
        self.name = name


def look(folder: Path, names: tuple[str, ...]) -> dict[str, Made]:
    """What the step that ran in `folder` made under `names`.

    Raises:
        NotMade: one is missing, empty, or a link or device.
    """
    found = {}
    for name in names:
        # A link on the way would be followed by whoever reads the file later.
        for place in (*reversed(Path(name).parents), Path(name)):
            if (folder / place).is_symlink():
                raise NotMade("no-output", f"{name} (a link)")
        found[name] = measure(folder / name, name)
        if not found[name].bytes:
            raise NotMade("empty-output", name)
    return found


def measure(path: Path, name: str = "") -> Made:
    """Size and checksum of a file or a folder.

    Raises:
        NotMade: it is not there, or is, or holds, what is neither.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        raise NotMade("no-output", name or path.name) from None
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            return Made(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())
    if not stat.S_ISDIR(mode):
        raise NotMade("no-output", f"{name or path.name} (not a file)")
    total, whole = 0, hashlib.sha256()
    for inner in sorted(path.iterdir()):
        made = measure(inner, f"{name or path.name}/{inner.name}")
        total += made.bytes
        whole.update(os.fsencode(inner.name) + b"\0" + made.sha256.encode() + b"\n")
    return Made(total, whole.hexdigest())
