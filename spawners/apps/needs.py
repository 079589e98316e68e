"""What a run takes: the expressions of [needs] with the values that a person filled in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from perijove.spawners.apps.dataplaces import locate
from perijove.spawners.apps.expressions import BadExpression, Value, parse
from perijove.spawners.apps.manifest import App
from perijove.spawners.apps.parts import Worker

#: MiB that a file counts for while nobody has looked at it.
UNSEEN_SIZE = 100.0
#: Seconds that a run has at least, and at most.
SHORTEST, LONGEST = 60, 30 * 86400
MOST_CORES, MOST_MEMORY, MOST_WORKERS = 10_000, 1 << 30, 1000


@dataclass(frozen=True, slots=True)
class Needs:
    """What one run takes. Memory and disk in MiB, time in seconds."""

    cores: int
    memory: int
    gpus: int
    workers: int
    walltime: int
    seconds: float
    disk: int
    worker: Worker
    small: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"worker": self.worker.model_dump()}


def needs(
    app: App, inputs: Mapping[str, Any], cores: int | None = None, sizes: Mapping[str, float] | None = None
) -> Needs:
    """What a run of `app` with these parsed `inputs` takes.

    Args:
        app: the app.
        inputs: what `Inputs.parse` returned.
        cores: the cores of the place where it will run, instead of those the manifest asks for.
        sizes: MiB of files by the input's name, where somebody looked; the app's own data are looked at here.

    Raises:
        BadExpression: an expression has no value with these inputs; the message names the key.
    """
    known: dict[str, Any] = dict(inputs)

    def value(key: str) -> Value:
        try:
            return parse(getattr(app.needs, key)).value(known, lambda name: _size(app, inputs.get(name), name, sizes))
        except BadExpression as error:
            raise BadExpression(f"needs.{key}: {error}") from None

    def whole(key: str, least: int, most: int) -> int:
        return min(max(math.ceil(value(key)), least), most)

    known["cores"] = cores if cores is not None else whole("cores", 1, MOST_CORES)
    known["workers"] = whole("workers", 0, MOST_WORKERS)
    known["seconds"] = min(max(float(value("seconds")), 0.0), float(LONGEST))
    return Needs(
        cores=known["cores"],
        memory=whole("memory", 1, MOST_MEMORY),
        gpus=whole("gpus", 0, 1000),
        workers=known["workers"],
        walltime=whole("walltime", SHORTEST, LONGEST),
        seconds=known["seconds"],
        disk=whole("disk", 0, MOST_MEMORY),
        worker=app.needs.worker,
        small=bool(value("small")),
    )


def _size(app: App, given: Any, name: str, sizes: Mapping[str, float] | None) -> float:
    """MiB of the file that the input `name` means."""
    if sizes is not None and name in sizes:
        return sizes[name]
    if isinstance(given, str) and given.startswith("data:"):
        path = locate(app, given.removeprefix("data:"))
        if path is not None and path.is_file():
            return path.stat().st_size / 2**20
    return UNSEEN_SIZE
