"""The least of RO-Crate 1.1 (https://w3id.org/ro/crate/1.1): a graph of entities, written as JSON-LD.

An entity that is the value of another one's property stands there as a reference. Writing a record needs no more; the
library for reading and changing any crate takes longer to load than a small run does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

#: The specification that the crate keeps to, and its metadata file.
SPECIFICATION, NAME = "https://w3id.org/ro/crate/1.1", "ro-crate-metadata.json"


class Entity(dict[str, Any]):
    """One entity: its properties, `@id` and `@type` among them."""


class Graph:
    """The entities of one crate. `root` is the crate itself, `descriptor` its metadata file."""

    def __init__(self) -> None:
        self._entities: dict[str, Entity] = {}
        self.root = self.add("./", "Dataset")
        self.descriptor = self.add(NAME, "CreativeWork", about=self.root, conformsTo={"@id": SPECIFICATION})
        self.root["hasPart"] = []

    def add(self, identifier: str, kind: str | list[str], /, **properties: Any) -> Entity:
        """One entity; what is empty is left out."""
        given = {key: value for key, value in properties.items() if value not in ("", None, [], {})}
        entity = self._entities[identifier] = Entity({"@id": identifier, "@type": kind} | given)
        return entity

    def part(self, place: str, kind: str | list[str] = "File", /, **properties: Any) -> Entity:
        """A file or a folder at `place`, a path below the crate."""
        entity = self.add(_identifier(place, kind), kind, **properties)
        if not any(one is entity for one in self.root["hasPart"]):
            self.root["hasPart"].append(entity)
        return entity

    def at(self, place: str) -> Entity | None:
        """The file or the folder at `place`, if the crate has it."""
        return self._entities.get(_identifier(place)) or self._entities.get(_identifier(place, "Dataset"))

    def as_json(self, terms: Mapping[str, str]) -> dict[str, Any]:
        """The crate as JSON-LD; `terms` are words that RO-Crate's own context has not."""
        graph = [{key: _value(value) for key, value in entity.items()} for entity in self._entities.values()]
        return {"@context": [f"{SPECIFICATION}/context", dict(terms)], "@graph": graph}


def _identifier(place: str, kind: str | list[str] = "File") -> str:
    """A path as a URI; a folder's ends with a slash."""
    return quote(place) + "/" * (kind == "Dataset")


def _value(value: Any) -> Any:
    """References instead of entities; a list of one as that one, as RO-Crate 1.1 recommends."""
    if isinstance(value, Entity):
        return {"@id": value["@id"]}
    if isinstance(value, list):
        return _value(value[0]) if len(value) == 1 else [_value(one) for one in value]
    return value
