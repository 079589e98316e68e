"""What finished steps leave: their records, by which a run that goes on knows what need not be done again.

A step's record holds a fingerprint of all that went in (what it does, the inputs, the pipeline's own digest, versions
of codes, files from outside by size and time, and the checksums of all that earlier steps made) and checksums of what
came out. The record is written after its files are in their places: without it they do not count.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perijove.spawners.apps.checks import Made, NotMade, measure
from perijove.spawners.apps.state import write_json
from perijove.spawners.apps.steps import Call, Command, Pipe, Step
from perijove.spawners.apps.task import Outcome, target

#: Where the records lie in the run's folder.
FOLDER = "steps"


@dataclass(frozen=True)
class Record:
    """A finished step: its fingerprint, what it made and returned, and what it took (seconds, bytes)."""

    key: str
    fingerprint: str
    made: Mapping[str, Made]
    times: Mapping[str, int]
    result: Any
    data: tuple[str, ...]
    does: list[str]
    started: float
    seconds: float
    cpu: float
    memory: int
    node: str


def does(step: Step) -> list[str]:
    """What a step does, for the record and the log: the commands' words, or the function's name."""
    if isinstance(step.do, Call):
        return [f"{step.do.function}()"]
    commands = step.do.commands if isinstance(step.do, Pipe) else (step.do,)
    words: list[str] = []
    for command in commands:
        words += ["|"] * bool(words) + [str(word) for word in command.argv]
    return words


def fingerprint(step: Step, base: Mapping[str, Any], before: Iterable[Record], folder: Path) -> str:
    """What went into a step, as one word. `base` holds what is the same for all steps of the run."""
    if isinstance(step.do, Call):
        do: Any = [step.do.function, step.do.arguments]
        named = [value for value in step.do.arguments.values() if isinstance(value, str)]
    else:
        commands = step.do.commands if isinstance(step.do, Pipe) else (step.do,)
        do = [_command(command) for command in commands]
        named = [str(word) for command in commands for word in (*command.argv, command.stdin or "")]
    whole = {
        "base": base,
        "do": do,
        "makes": step.makes,
        "check": getattr(step.check, "__name__", ""),
        "outside": {name: _outside(name, folder) for name in named if name.startswith("/")},
        "before": {record.key: {name: made.sha256 for name, made in record.made.items()} for record in before},
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()


def _command(command: Command) -> list[Any]:
    return [command.argv, str(command.stdin), command.stdout, dict(command.env)]


def _outside(name: str, folder: Path) -> list[int]:
    """Size and time of a file that the run did not make; those that it made have checksums."""
    path = Path(name)
    try:
        status = path.stat()
    except OSError:
        return []
    return [] if path.is_relative_to(folder) or path.is_dir() else [status.st_size, status.st_mtime_ns]


class Records:
    """The records in a run's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / FOLDER).mkdir(exist_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / FOLDER / f"{key}.json"

    def kept(self, key: str, mark: str) -> Record | None:
        """The record of a step that need not run again: the same went in, and what came out is still there."""
        try:
            found = json.loads(self._path(key).read_bytes())
            found["made"] = {name: Made(**made) for name, made in found["made"].items()}
            record = Record(**found | {"data": tuple(found["data"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        whole = record.fingerprint == mark and all(self._same(record, name) for name in record.made)
        return record if whole else None

    def _same(self, record: Record, name: str) -> bool:
        path = target(self._folder, name)
        try:
            status = path.lstat()
            if path.is_file() and [status.st_size, status.st_mtime_ns] == [
                record.made[name].bytes,
                record.times[name],
            ]:
                return True
            return measure(path) == record.made[name]
        except (OSError, NotMade, KeyError):
            return False

    def forget(self, step: Step) -> None:
        """Takes away what an earlier try or an earlier run of a step left."""
        self._path(step.key).unlink(missing_ok=True)
        for name in step.makes:
            _remove(target(self._folder, name))

    def publish(self, step: Step, mark: str, outcome: Outcome) -> Record:
        """Moves what a good try made to its places and writes the record."""
        times = {}
        if outcome.scratch is not None:
            for name in step.makes:
                place = target(self._folder, name)
                place.parent.mkdir(parents=True, exist_ok=True)
                _remove(place)
                (outcome.scratch / name).replace(place)
                times[name] = place.stat().st_mtime_ns
            shutil.rmtree(outcome.scratch, ignore_errors=True)
        record = Record(
            step.key,
            mark,
            outcome.made,
            times,
            outcome.result,
            tuple(outcome.data),
            does(step),
            outcome.started,
            outcome.seconds,
            outcome.cpu,
            outcome.memory,
            outcome.node,
        )
        write_json(self._path(step.key), asdict(record))
        return record


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
