"""The person's own files, for the form: what is in one folder of their home. Links out of it are followed only into
their room for large files, which many centres link into the home."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Entries of one folder that are shown, folders first.
MOST = 500


class NotYours(Exception):
    """A path that is no folder of the person's."""


def listing(path: str, formats: Sequence[str] = (), scratch: str = "") -> dict[str, Any]:
    """`{"path", "parent", "folders": [name], "files": [{"name", "path", "bytes", "changed"}], "more"}`.

    `path` is relative to the home; `formats` are endings, without the first dot, of the files that are wanted;
    `scratch` is the room for large files ("": none). What begins with a dot is not shown. Times in seconds since 1970.

    Raises:
        NotYours: there is no such folder below the home.
    """
    home = Path.home().resolve()
    if "\0" in path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise NotYours("there is no such folder below your home")
    roots = [home, *([Path(scratch).expanduser().resolve()] if scratch else [])]
    folder = home / path
    try:
        inside = _within(folder, roots) and folder.is_dir()
        entries = sorted(os.scandir(folder), key=lambda one: one.name.casefold()) if inside else None
    except (OSError, RuntimeError):
        entries = None
    if entries is None:
        raise NotYours("there is no such folder below your home")
    folders, files = [], []
    endings = tuple(f".{one.lower()}" for one in formats)
    for entry in entries:
        if entry.name.startswith(".") or not entry.name.isprintable():
            continue
        try:
            if entry.is_symlink() and not _within(Path(entry.path), roots):
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.is_file() and (not endings or entry.name.lower().endswith(endings)):
                status = entry.stat()
                below = str(Path(path) / entry.name) if path else entry.name
                files.append({"name": entry.name, "path": below, "bytes": status.st_size, "changed": status.st_mtime})
        except (OSError, RuntimeError):
            continue
    shown = Path(path).as_posix() if path not in ("", ".") else ""
    parent = None if not shown else Path(shown).parent.as_posix().removeprefix(".")
    more = max(0, len(folders) + len(files) - MOST)
    folders = folders[:MOST]
    return {"path": shown, "parent": parent, "folders": folders, "files": files[: MOST - len(folders)], "more": more}


def _within(path: Path, roots: Sequence[Path]) -> bool:
    """Whether what is at `path` lies in one of `roots`. Raises OSError, RuntimeError where nothing is."""
    real = path.resolve(strict=True)
    return any(real.is_relative_to(root) for root in roots)
