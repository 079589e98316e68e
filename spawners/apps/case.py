"""The case: what a pipeline knows of the run that it is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perijove.spawners.apps.steps import BadPipeline, relative

_PATHS = ("here", "work", "results")


class MissingCode(Exception):
    """A pipeline asks for a program, or for data, that this machine has not; `name` is its key in the manifest."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not here")
        self.name = name


@dataclass(frozen=True)
class Case:
    """One run's facts, for `steps(case)` and for the functions that its steps call.

    Attributes:
        inputs: What the person filled in, checked against the manifest; files are paths.
        way: The name of the manifest's way whose codes are all here.
        cores: How many the run may use at once on one machine.
        here: The app's folder.
        work: Where steps leave what later steps read; read it through `file`.
        results: Where a step's "results/x" go.
        language: "en" or "zh", for words in figures.
        codes: Versions of the codes that the way uses.
        programs, datasets: Where programs and data are; read them through `program` and `data`.
        used: Names of the data that were asked for.
    """

    inputs: Mapping[str, Any]
    way: str
    cores: int
    here: Path
    work: Path
    results: Path
    language: str = "en"
    codes: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, Path] = field(default_factory=dict)
    used: set[str] = field(default_factory=set, compare=False)

    def program(self, code: str) -> str:
        """The program of one of the manifest's codes, with its path.

        Raises:
            MissingCode: it is not here.
        """
        try:
            return self.programs[code]
        except KeyError:
            raise MissingCode(code) from None

    def data(self, name: str) -> Path:
        """The file of one of the manifest's data.

        Raises:
            MissingCode: it is not here.
        """
        try:
            path = Path(self.datasets[name])
        except KeyError:
            raise MissingCode(name) from None
        self.used.add(name)
        return path

    def file(self, name: str) -> Path:
        """Where an earlier step's `name` is; "results/x" is in the results.

        Raises:
            BadPipeline: the name leads out of the run's folder.
        """
        path = place(self.work, self.results, name)
        home = self.results if path.is_relative_to(self.results) else self.work
        if not path.resolve().is_relative_to(home.resolve()):
            raise BadPipeline(f"{name!r} leads out of the run's folder")
        return path

    def to_json(self) -> str:
        """As text for another process."""
        return json.dumps(asdict(self) | {"used": None}, default=_path)

    @classmethod
    def from_json(cls, text: str) -> Case:
        """The case that `to_json` wrote."""
        given = json.loads(text, object_hook=_unpath)
        return cls(**given | {"used": set()})


def place(work: Path, results: Path, name: str) -> Path:
    """Where what a step makes under `name` goes."""
    plain = relative(name)
    head, _, rest = plain.partition("/")
    return results / rest if head == "results" and rest else work / plain


def _path(value: object) -> dict[str, str]:
    if isinstance(value, Path):
        return {"$path": str(value)}
    raise TypeError(f"{value!r} is no JSON")


def _unpath(value: dict[str, Any]) -> Any:
    return Path(value["$path"]) if value.keys() == {"$path"} else value
