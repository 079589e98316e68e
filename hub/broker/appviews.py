"""The API's JSON for apps: the manifest as it is, its places, and its example."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perijove.hub.broker.appplaces import Place, unknown
from perijove.spawners.apps.centredata import Lies, lies
from perijove.spawners.request import below

if TYPE_CHECKING:
    from perijove.spawners.apps.manifest import App
    from perijove.spawners.centre import Centre

_SAME = ("name", "version", "domain", "licence", "cite", "authors")
#: The example's folder and report, and bytes of one of its files.
EXAMPLE, REPORT, MOST = "example", "report.json", 8 << 20


def app_view(
    app: App, root: str, places: list[dict[str, Any]], usual: Mapping[str, Any], centres: Iterable[Centre]
) -> dict[str, Any]:
    """An app; reads its example's report."""
    said = app.model_dump(mode="json", by_alias=True)
    texts = ("title", "question", "about", "limits", "picture_alt", "keywords", "ways", "presets")
    return {
        **{key: said[key] for key in (*_SAME, *texts)},
        "digest": app.digest,
        "picture": f"{root}/apps/{app.name}/picture",
        **{key: _named(said[key]) for key in ("codes", "inputs", "steps", "outputs")},
        "data": _with_places(_named(said["data"]), lies(app, centres)),
        "schema": {language: app.schema(language) for language in ("en", "zh")},
        "example": _example(app),
        "places": places,
        "usual": dict(usual),
    }


def _named(table: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, **one} for name, one in table.items()]


def _with_places(data: list[dict[str, Any]], known: Lies) -> list[dict[str, Any]]:
    """Data of centres say where they lie."""
    return [one | {"lies": known[one["name"]]} if one["name"] in known else one for one in data]


def _example(app: App) -> dict[str, Any] | None:
    content = example_file(app, REPORT)
    if content is None:
        return None
    try:
        said = json.loads(content)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    # Either a report alone, or one with the inputs that it is of.
    return said if "report" in said else {"inputs": None, "report": said}


def example_file(app: App, file: str) -> bytes | None:
    """A file of the app's example, if it is one that may be shown."""
    return _inside(app.folder / EXAMPLE, file)


def picture_file(app: App) -> bytes | None:
    """The app's picture."""
    return _inside(app.folder, app.picture)


def _inside(folder: Path, file: str) -> bytes | None:
    """A plain file below `folder`, not by way of a link."""
    try:
        path = folder / below(file)
        if path.resolve() != folder.resolve() / file or not path.is_file() or path.stat().st_size > MOST:
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def place_views(known: Mapping[str, Place], centres: Iterable[str]) -> list[dict[str, Any]]:
    """What is known of an app at every centre there is."""
    return [known[centre].view() if centre in known else unknown(centre) for centre in centres]


__all__ = ["app_view", "example_file", "picture_file", "place_views"]
