"""A new app to begin with: a small one that is complete, and runs."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

from perijove.spawners.apps.dataplaces import package_folder

#: Where it lies in the package of apps; below `examples`, so that no gallery shows it.
_PLACE, _NAME = "perijove.apps.examples.decay", "decay"


def write(folder: Path) -> Path:
    """Write the app into the new folder `folder`, under that folder's name.

    Raises:
        ValueError: the folder's name is no name of an app.
        FileExistsError: the folder is there already.
        OSError: it cannot be written.
    """
    name = folder.name
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
        raise ValueError("an app's name is a lower-case letter, then up to 31 lower-case letters, digits and hyphens")
    sample = package_folder(_PLACE)
    if sample is None:
        raise FileNotFoundError(errno.ENOENT, "this installation has no apps", _PLACE)
    shutil.copytree(sample, folder, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = folder / "app.toml"
    text = manifest.read_text(encoding="utf-8").replace(f'name = "{_NAME}"', f'name = "{name}"', 1)
    manifest.write_text(text, encoding="utf-8")
    test = folder / "tests" / f"test_{_NAME}.py"
    test.rename(test.with_name(f"test_{name.replace('-', '_')}.py"))
    return folder
