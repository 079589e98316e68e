"""The centres of a gateway, read from their TOML files; a wrong file stops nothing that runs.

`load` reads everything and reports every fault of every file at once. `Centres` keeps what was good: on `reload` a
file that is wrong keeps its last good version, and a centre never disappears because of a slip. What a file says is
never trusted to be short, to be text, or to be TOML.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perijove.spawners.batch import programs
from perijove.spawners.centre import Centre, inconsistencies, parse
from perijove.spawners.centrefaults import MOST_FAULTS, CentreFault, CentreFaults, explain, key_text, nearest
from perijove.spawners.tomllines import Key, Lines
from perijove.spawners.tomltext import MOST_BYTES, text_of, toml_of
from perijove.spawners.visible import visible
from pydantic import ValidationError


@dataclass(frozen=True, slots=True)
class Read:
    """One file as it was read: its centre, or its faults. `mark` changes when the file does."""

    file: Path
    mark: str
    centre: Centre | None
    faults: tuple[CentreFault, ...] = ()


def files_of(places: Iterable[Path | str]) -> list[Path]:
    """The files meant by `places`: each file, and of each directory its `*.toml` (not deeper, no hidden ones)."""
    found: dict[Path, None] = {}
    for place in map(Path, places):
        inside = sorted(p for p in place.glob("*.toml") if not p.name.startswith(".")) if place.is_dir() else [place]
        found.update(dict.fromkeys(inside))
    return list(found)


def load(*places: Path | str) -> dict[str, Centre]:
    """The centres described by the files and directories `places`, by id.

    Raises:
        CentreFaults: with every fault of every file; also if there is no file at all.
    """
    reads = [read(file) for file in files_of(places)]
    centres, faults = _together(reads)
    if not reads:
        faults = [_nothing(places)]
    if faults:
        raise CentreFaults(faults)
    return centres


def read(file: Path) -> Read:
    """One file: its centre or all its faults. Never raises for what is in the file or for a file that is not there."""
    name = str(file)
    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as error:
        return Read(file, "", None, (CentreFault(name, 1, "", f"cannot be read: {error.strerror}"),))
    mark = hashlib.sha256(raw).hexdigest()
    try:
        text = text_of(name, raw)
        data = toml_of(name, text)
    except CentreFaults as error:
        return Read(file, mark, None, error.faults)
    centre, faults = _centre(name, text, data)
    return Read(file, mark, centre, tuple(faults))


def _centre(name: str, text: str, data: dict[str, Any]) -> tuple[Centre | None, list[CentreFault]]:
    lines = Lines(text)
    centre: Centre | None = None
    errors: list[Any] = []
    try:
        centre = parse(data)
    except ValidationError as error:
        errors = _without_echoes(error.errors(include_url=False))
    # What has no place (its location is empty) is in the inconsistencies.
    faults = [explain(name, lines.of(e["loc"]), e, Centre) for e in errors[:MOST_FAULTS] if e["loc"]]
    faults += [_fault(name, lines, key, words) for key, words in inconsistencies(data)[:MOST_FAULTS]]
    faults += _commands(name, lines, data)
    if len(errors) > MOST_FAULTS:
        faults.append(CentreFault(name, 1, "", f"has {len(errors) - MOST_FAULTS:,} more faults"))
    return (None if faults else centre), sorted(faults, key=lambda fault: fault.line)


def _without_echoes(errors: list[Any]) -> list[Any]:
    """Without "needs at least one" for a list whose only fault is that of an entry."""
    inner = {e["loc"][:1] for e in errors if len(e["loc"]) > 1}
    return [e for e in errors if e["type"] != "too_short" or e["loc"] not in inner]


def _fault(name: str, lines: Lines, key: Key, words: str) -> CentreFault:
    return CentreFault(name, lines.of(key), key_text(key), words)


def _commands(name: str, lines: Lines, data: Mapping[str, Any]) -> list[CentreFault]:
    """Renamed commands that this batch system does not have: a misspelt name would rename nothing."""
    scheduler = data.get("scheduler")
    commands = scheduler.get("commands") if isinstance(scheduler, dict) else None
    known = programs(str(scheduler.get("system"))) if isinstance(scheduler, dict) else ()
    faults = []
    for command in list(commands)[:MOST_FAULTS] if isinstance(commands, dict) and known else ():
        if command not in known:
            key = ("scheduler", "commands", command)
            message = "is no command of this batch system that the gateway uses"
            near = nearest(command, known)
            faults.append(CentreFault(name, lines.of(key), key_text(key), message, "", ", ".join(known), near))
    return faults


def _together(reads: Sequence[Read]) -> tuple[dict[str, Centre], list[CentreFault]]:
    """All centres, and all faults: of each file, and of ids that two files claim (the first one keeps it)."""
    centres: dict[str, Centre] = {}
    owners: dict[str, Path] = {}
    faults: list[CentreFault] = []
    for one in reads:
        faults += one.faults
        if one.centre is None:
            continue
        if first := owners.get(one.centre.id):
            message = f"{one.centre.id!r} is the id of another file, too: {visible(str(first), 200)}"
            faults.append(CentreFault(str(one.file), _line_of_id(one.file), "id", message))
            continue
        owners[one.centre.id] = one.file
        centres[one.centre.id] = one.centre
    return centres, faults


def _line_of_id(file: Path) -> int:
    try:
        return Lines(file.read_text("utf-8-sig")).of(("id",))
    except (OSError, UnicodeDecodeError):
        return 1


def _nothing(places: Iterable[Path | str]) -> CentreFault:
    where = ", ".join(str(place) for place in places) or "."
    return CentreFault(where, 1, "", "there is no centre described: no file *.toml", "", "deploy/centres/ has examples")


class Centres(Mapping[str, Centre]):
    """The centres by id, kept up to date from their files by `reload`.

    Construction reads nothing. A file that turns wrong keeps its last good version; a file that is removed takes its
    centre with it. Lookups see one whole set: `reload` replaces it at once.
    """

    def __init__(self, *places: Path | str) -> None:
        self._places = places
        self._read: dict[Path, tuple[tuple[int, int, int], Read]] = {}
        self._good: dict[Path, Centre] = {}
        self._centres: dict[str, Centre] = {}
        #: The faults found by the last `reload`.
        self.faults: tuple[CentreFault, ...] = ()

    def __getitem__(self, centre: str) -> Centre:
        return self._centres[centre]

    def __iter__(self) -> Iterator[str]:
        return iter(self._centres)

    def __len__(self) -> int:
        return len(self._centres)

    def reload(self) -> tuple[CentreFault, ...]:
        """Read the files that changed (by size, time and inode); returns all faults there are now.

        The mapping has every good file, and the last good version of each other one.
        """
        reads = {file: self._fresh(file) for file in files_of(self._places)}
        vanished_folder = not reads and bool(self._centres)
        faults = [fault for one in reads.values() for fault in one.faults]
        if vanished_folder or not reads:
            faults.append(_nothing(self._places))
        if not vanished_folder:
            self._good = {
                file: good for file, one in reads.items() if (good := one.centre or self._good.get(file)) is not None
            }
            kept = [Read(file, "", centre) for file, centre in self._good.items()]
            self._centres, doubles = _together(kept)
            faults += doubles
        self.faults = tuple(faults)
        return self.faults

    def _fresh(self, file: Path) -> Read:
        state = _state(file)
        known = self._read.get(file)
        if known is None or known[0] != state or state == (0, 0, 0):
            known = state, read(file)
            self._read[file] = known
        return known[1]


def _state(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino


def schema() -> dict[str, Any]:
    """The JSON Schema of a description, with what each key is for; editors complete and check TOML by it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Centre.model_json_schema(mode="validation"),
        "title": "A centre of a Perijove gateway",
    }


__all__ = ["CentreFault", "CentreFaults", "Centres", "files_of", "load", "read", "schema"]
