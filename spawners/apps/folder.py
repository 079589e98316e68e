"""The files of an app's folder: which count, how much they may be, and what they are called together."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

#: An app is a manifest, a pipeline, a notebook and small data; beyond this it is another folder. Files, bytes.
MOST_FILES, MOST_BYTES = 500, 64 << 20
#: Folders that are no part of what runs: `example` is what the gallery shows of a run, `tests` are the author's.
APART = frozenset({"__pycache__", "example", "tests"})


class BadFolder(ValueError):
    """A folder that cannot be an app; the message says why."""


def files_of(folder: Path) -> list[Path]:
    """The files of the app in `folder`, as paths relative to it, sorted; no hidden ones.

    Raises:
        BadFolder: there is a link or another thing that is no file, or there is too much.
    """
    found, total = [], 0
    for path in _walk(folder):
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise BadFolder(f"{path.relative_to(folder)} is no plain file: links and devices are not taken along")
        found.append(path.relative_to(folder))
        total += status.st_size
        if len(found) > MOST_FILES or total > MOST_BYTES:
            raise BadFolder(f"has more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
    return sorted(found, key=lambda path: path.as_posix())


def _walk(folder: Path) -> Iterator[Path]:
    try:
        for top, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = sorted(name for name in folders if name not in APART and not name.startswith("."))
            linked = [name for name in folders if (Path(top) / name).is_symlink()]
            for name in (*names, *linked):
                if not name.startswith(".") and not name.endswith(".pyc"):
                    yield Path(top) / name
    except OSError as error:
        raise BadFolder(f"cannot be read: {error.strerror}") from None


def _raise(error: OSError) -> None:
    raise error


def digest_of(folder: Path) -> str:
    """The sha256 over names and contents of the app's files, in hex: two folders with it run the same.

    Raises:
        BadFolder: see `files_of`; or a file cannot be read.
    """
    whole = hashlib.sha256()
    for path in files_of(folder):
        try:
            with (folder / path).open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadFolder(f"{path} cannot be read: {error.strerror}") from None
        whole.update(f"{path.as_posix()}\0{content}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()
