"""Puts an app into the gateway's folder of apps: whole or not at all, beside the version that was there.

`apps_dir/NAME` is a link to `apps_dir/.versions/NAME-DIGEST`, and is turned to the new version in one step. The version
before stays until the next one comes, so that whoever is reading it reads it to the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from perijove.spawners.apps.folder import files_of
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.reading import BadApp

_VERSIONS = ".versions"


@dataclass(frozen=True, slots=True)
class Published:
    """What became of it: where the app is, the version before (None: it is new), and what is different."""

    folder: Path
    before: App | None
    changes: tuple[str, ...]


def publish(app: App, apps_dir: Path) -> Published:
    """Install `app` into `apps_dir`, with its `example` folder.

    Raises:
        BadApp: the copy is not the app that was checked: somebody changed it meanwhile.
        OSError: the folder cannot be written.
    """
    place, versions = apps_dir / app.name, apps_dir / _VERSIONS
    versions.mkdir(parents=True, exist_ok=True)
    before = _there(place)
    target = versions / f"{app.name}-{app.digest}"
    with tempfile.TemporaryDirectory(dir=versions, prefix=".new-") as draft:
        made = Path(draft) / "app"
        _copy(app, made)
        load(made)
        made.chmod(0o755)
        if target.exists():  # the same once more; its example may be another
            target.rename(Path(draft) / "old")
        made.rename(target)
        link = Path(draft) / "link"
        link.symlink_to(Path(_VERSIONS) / target.name)
        if place.is_dir() and not place.is_symlink():  # put there by hand
            place.rename(Path(draft) / "by-hand")
        link.replace(place)
    for other in versions.glob(f"{app.name}-*"):
        kept = {target.name, before.folder.name if before else ""}
        if other.name not in kept and other.name.rpartition("-")[0] == app.name:
            shutil.rmtree(other, ignore_errors=True)
    return Published(place, before, tuple(differences(before, app) if before else ()))


def _there(place: Path) -> App | None:
    with contextlib.suppress(BadApp):
        return load(place) if place.exists() else None
    return None


def _copy(app: App, made: Path) -> None:
    example = app.folder / "example"
    shown = [Path("example") / path for path in files_of(example)] if example.is_dir() else []
    for path in (*files_of(app.folder), *shown):
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(app.folder / path, made / path, follow_symlinks=False)
        os.chmod(made / path, 0o644)  # noqa: PTH101  (no link is followed: it was just made)


def differences(before: App, after: App) -> list[str]:
    """What is different between two versions of an app, in lines such as "inputs: + smoothing"."""
    lines = []
    if before.version != after.version:
        lines.append(f"version: {before.version} -> {after.version}")
    for part in ("codes", "data", "inputs", "steps", "outputs"):
        old, new = getattr(before, part), getattr(after, part)
        marks = [f"+ {name}" for name in new if name not in old] + [f"- {name}" for name in old if name not in new]
        marks += [f"~ {name}" for name in new if name in old and new[name] != old[name]]
        if marks:
            lines.append(f"{part}: {', '.join(marks)}")
    parts = {"codes", "data", "inputs", "steps", "outputs", "version"}
    for key in type(after).model_fields:
        if key not in parts and getattr(before, key) != getattr(after, key):
            lines.append(f"{key}: ~")
    if not lines and before.digest != after.digest:
        lines.append("files: ~")
    return lines
