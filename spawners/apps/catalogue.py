"""The apps that a gateway or a session knows: those that come with Perijove, installed ones, and the operator's.

A broken app is kept aside with its faults, and stops nothing. Of two apps with one name the operator's wins over an
installed one, and that over the built-in one; the catalogue says so. No app's code is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from perijove.spawners.apps.dataplaces import package_folder
from perijove.spawners.apps.folder import APART
from perijove.spawners.apps.manifest import FILE, App
from perijove.spawners.apps.reading import BadApp, read

#: The group of entry points under which packages offer apps: the value is the module whose folder has `app.toml`.
GROUP = "perijove.apps"

_Mark = tuple[tuple[str, int, int], ...]


class Catalogue:
    """The apps by name. `folders` are the operator's: each is an app, or has apps as its folders."""

    def __init__(self, folders: Iterable[Path | str] = ()) -> None:
        self._folders = tuple(map(Path, folders))
        self._read: dict[Path, tuple[_Mark, App | BadApp]] = {}
        #: What is wrong with apps that cannot be used, by folder, as of the last call of `apps`.
        self.broken: dict[str, list[str]] = {}
        #: Folders of apps that are not used, because another place has an app of that name.
        self.replaced: dict[str, list[Path]] = {}

    def apps(self) -> dict[str, App]:
        """Every app that can be used, by name. Folders that changed are read anew."""
        found: dict[str, App] = {}
        broken: dict[str, list[str]] = {}
        replaced: dict[str, list[Path]] = {}
        for folder in self._places():
            app = self._fresh(folder)
            if isinstance(app, BadApp):
                broken[str(folder)] = [str(fault) for fault in app.faults]
            elif app.name in found:
                replaced.setdefault(app.name, []).append(folder)
            else:
                found[app.name] = app
        self.broken, self.replaced = broken, replaced
        return dict(sorted(found.items()))

    def _places(self) -> Iterator[Path]:
        """Folders with a manifest: the ones that win come first."""
        for folder in (*self._folders, *_installed(), *_built_in()):
            yield from _apps_in(folder)

    def _fresh(self, folder: Path) -> App | BadApp:
        mark = _mark(folder)
        known = self._read.get(folder)
        if known is None or known[0] != mark:
            try:
                known = mark, read(folder)
            except BadApp as bad:
                known = mark, bad
            self._read[folder] = known
        return known[1]


def _apps_in(folder: Path) -> list[Path]:
    if (folder / FILE).exists():
        return [folder]
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []
    return [path for path in inside if (path / FILE).exists()]


def _built_in() -> list[Path]:
    folder = package_folder("perijove.apps")
    return [folder] if folder else []


def _installed() -> list[Path]:
    points: list[EntryPoint] = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return [folder for point in points if (folder := package_folder(point.module)) is not None]


def _mark(folder: Path) -> _Mark:
    """Changes when a file of the folder does: names, times and sizes."""
    marks = []
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in APART and not name.startswith(".")]
        for name in names:
            try:
                status = (Path(top) / name).lstat()
            except OSError:
                continue
            marks.append((f"{top}/{name}", status.st_mtime_ns, status.st_size))
    return tuple(sorted(marks))
