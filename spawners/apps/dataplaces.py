"""Where the data sets of an app lie on this machine. Nothing is imported, nothing downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from perijove.spawners.apps.manifest import App


def locate(app: App, name: str, datasets: Mapping[str, str] | None = None) -> Path | None:
    """Where the data set `name` of the app is here, or None: it is not.

    `datasets` says where the centre's own data sets are, by name.

    Raises:
        KeyError: the app has no such data set.
    """
    source = app.data[name].source
    path: Path | None = None
    if source.app:
        path = app.folder / source.app
    elif source.python:
        folder = package_folder(source.python)
        path = folder / source.path if folder else None
    elif source.path:
        path = Path(source.path)
    elif source.dataset and datasets and source.dataset in datasets:
        path = Path(datasets[source.dataset]).expanduser()
    return path if path is not None and path.exists() else None


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, without importing it (nor the packages around it); None: it is not here."""
    first, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place).joinpath(*rest)
        if folder.is_dir():
            return folder
    return None
