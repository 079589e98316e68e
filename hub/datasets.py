"""The catalogue of data sets: those that lie at centres and those that come with apps, with licence, place and use.

Made from what the API says of centres and of apps, for the page and for `perijove data list`; nothing is kept of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(slots=True)
class Listed:
    """One data set. `places` are (centre, path); `apps` are (name, title) of those that read it."""

    name: str
    title: Json
    description: Json | None = None
    licence: str = ""
    cite: str = ""
    bytes: int | None = None
    places: list[tuple[str, str]] = field(default_factory=list)
    apps: list[tuple[str, Json]] = field(default_factory=list)
    #: It comes with this app, and lies wherever the app can run.
    with_app: str = ""


def catalogue(centres: Iterable[Json], apps: Iterable[Json]) -> list[Listed]:
    """All data sets: those of centres by name, then those that come with apps."""
    found: dict[str, Listed] = {}
    for centre in centres:
        for one in centre.get("datasets") or ():
            row = found.setdefault(str(one["name"]), Listed(str(one["name"]), one.get("title") or {}))
            row.description = row.description or one.get("description")
            row.licence, row.cite = row.licence or one.get("licence") or "", row.cite or one.get("cite") or ""
            row.bytes = row.bytes or one.get("bytes")
            row.places.append((str(centre["id"]), str(one.get("path") or "")))
    brought: list[Listed] = []
    for app in apps:
        use = (str(app["name"]), app.get("title") or {})
        for one in app.get("data") or ():
            source = one.get("source") or {}
            known = found.get(str(source.get("dataset") or ""))
            if known is not None:
                known.apps.append(use)
                known.licence, known.cite = (
                    known.licence or one.get("licence") or "",
                    known.cite or one.get("cite") or "",
                )
                continue
            row = Listed(str(one["name"]), one.get("title") or {}, one.get("note"), with_app=use[0], apps=[use])
            row.licence, row.cite = str(one.get("licence") or ""), str(one.get("cite") or "")
            brought.append(row)
    return [found[name] for name in sorted(found)] + brought
