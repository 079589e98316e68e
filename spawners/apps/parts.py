"""The parts of an app's manifest (`app.toml`): what may be said, and what each key is for.

Frozen, and an unknown key is a fault. What goes together across parts is held by `perijove.spawners.apps.consistency`.
Units: memory and disk in MiB, time in seconds; the file may say "64G" and "2h".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from perijove.spawners.described import Frozen, Text
from perijove.spawners.fields import Duration, Memory, Regular, Words
from perijove.spawners.units import memory_from, time_from
from pydantic import AfterValidator, BeforeValidator, Field

#: The name of a code, way, data set, preset, step or output.
NAME = r"^[a-z][a-z0-9_-]{0,31}$"
#: The name of an input: it stands in expressions and, with hyphens, as a flag of the command line.
INPUT = r"^[a-z][a-z0-9_]{0,31}$"
Name = Annotated[str, Field(pattern=NAME)]
InputName = Annotated[str, Field(pattern=INPUT)]
#: A short text that is the same in every language: a proper name, a package, a unit.
Label = Annotated[Words, Field(max_length=200)]
#: Words of one language.
Sentence = Annotated[Words, Field(max_length=2000)]
Kind = Literal["choice", "choices", "integer", "number", "boolean", "text", "range", "box", "file"]
Domain = Literal["climate", "genomics", "aerospace", "geophysics", "traffic", "ai", "other"]


def _inside(path: str) -> str:
    """A path below the app's folder, or inside a package."""
    parts = path.split("/")
    if path and (len(path) > 300 or not path.isprintable() or "\\" in path or {"", ".", ".."} & set(parts)):
        raise ValueError('is a path below a folder, such as "data/reads.fastq": no "..", no leading slash')
    return path


def _quantity(read: Any) -> BeforeValidator:
    """An expression; a plain number, or a text that `read` knows, becomes the number that it means."""

    def text(value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return repr(value)
        if isinstance(value, str) and read:
            try:
                return str(read(value))
            except ValueError:
                return value
        return value

    return BeforeValidator(text, json_schema_input_type=str | int | float)


Inside = Annotated[str, AfterValidator(_inside)]
Quantity = Annotated[str, _quantity(None), Field(max_length=500)]
MemoryQuantity = Annotated[str, _quantity(memory_from), Field(max_length=500)]
TimeQuantity = Annotated[str, _quantity(time_from), Field(max_length=500)]


class Code(Frozen):
    """A program or a Python package that the app uses, and how a centre provides it."""

    program: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.+-]{0,63})?$")
    """The command, as it is found in PATH; or `import`."""
    imports: str = Field(default="", alias="import", pattern=r"^([A-Za-z_][A-Za-z0-9_.]{0,99})?$")
    """The Python package, as it is imported; or `program`."""
    title: Label = Field(min_length=1)
    """Its proper name."""
    version: tuple[Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")], ...] = Field(default=(), max_length=10)
    """The command that says its version, as a list of words; the first one is `program`."""
    version_pattern: Annotated[Regular, Field(max_length=200)] = r"(\d+(?:\.\d+)+\S*)"
    """Where the version stands in what that command says: the first group."""
    module: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.+/-]{0,99})?$")
    """Environment module at a centre: `module load NAME`."""
    apt: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9+.-]{0,99})?$")
    """Debian's package."""
    pypi: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$")
    """The package of the Python Package Index."""
    container: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.:/@-]{0,199})?$")
    """A container image that has it."""
    licence: Label = ""
    """Its licence (SPDX)."""
    cite: Sentence = ""
    """How it is cited: a text or a DOI."""


class Way(Frozen):
    """A way to compute the result: the first one whose codes are all there is taken."""

    name: Name
    """Its name; the pipeline reads it as `case.way`."""
    codes: tuple[Name, ...] = Field(default=(), max_length=50)
    """The codes that it needs, keys of [codes]."""
    title: Text
    """What people read."""


class Source(Frozen):
    """Where a data set comes from: exactly one of app, python, path and dataset."""

    app: Inside = ""
    """A file of the app's own folder."""
    python: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,99})?$")
    """An installed Python package that brings it; `path` is the place in the package."""
    path: str = Field(default="", max_length=300)
    """A path inside `python`; or alone, an absolute path of the machine (of a Debian package, say)."""
    dataset: Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{0,31})?$")] = ""
    """A data set of the centre's, by its name in the centre's description."""


class Data(Frozen):
    """A data set that comes with the app or lies at the centre."""

    title: Text
    """What people read."""
    licence: Label = Field(min_length=1)
    """Its licence."""
    cite: Sentence = ""
    """How it is cited."""
    source: Source
    """Where it comes from."""
    apt: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9+.-]{0,99})?$")
    """The Debian package that brings it."""
    pypi: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$")
    """The package of the Python Package Index that brings it."""
    note: Text | None = None
    """What a reader must know of it (simulated, modified, a subset)."""


class Choice(Frozen):
    """One value of a choice."""

    value: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+:-]{0,63}$")
    """The value."""
    title: Text
    """What people read."""
    picture: Inside = ""
    """A picture of it, a file of the app's folder."""


class ShownIf(Frozen):
    """An input is asked for only when another one has a value."""

    input: InputName
    """The other input, which stands earlier."""
    equals: str | int | float | bool
    """Its value."""


class Input(Frozen):
    """One thing that a person fills in. The words before a colon below are the types that a key goes with."""

    type: Kind
    """What is asked for. `range`: low and high; `box`: west, south, east and north in degrees; `file`: a path below
    the person's home or "data:NAME"."""
    title: Text
    """The label of the field."""
    help: Text
    """A sentence below the field."""
    default: Any = None
    """What stands there at first; required unless the input is optional or a file."""
    optional: bool = False
    """It may be left empty."""
    advanced: bool = False
    """It is folded away at first."""
    group: Text | None = None
    """Inputs of one group stand together under this title."""
    shown_if: ShownIf | None = None
    """It is asked for only then; otherwise it has no value (None)."""
    unit: Label = ""
    """The unit of numbers, as it is shown: "°C", "m/s"."""
    min: float | None = Field(default=None, ge=-1e15, le=1e15)
    """integer, number, range: the smallest value; required."""
    max: float | None = Field(default=None, ge=-1e15, le=1e15)
    """integer, number, range: the largest value; required."""
    step: float | None = Field(default=None, gt=0, le=1e15)
    """number, range: the step of the slider; whole: a range of whole numbers. Values between steps are taken."""
    least: float | None = Field(default=None, ge=0, le=1e15)
    """range, box: the smallest width."""
    choices: tuple[Choice, ...] = Field(default=(), max_length=200)
    """choice, choices: the values."""
    pattern: Annotated[Regular, Field(max_length=200)] = ""
    """text: what the whole text must look like (regular expression)."""
    max_length: int = Field(default=200, ge=1, le=2000)
    """text: the most characters."""
    formats: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.]{0,15}$")], ...] = Field((), max_length=20)
    """file: the endings that are taken, without the first dot: ["nc", "fastq.gz"]. Empty: any."""
    data: tuple[Name, ...] = Field(default=(), max_length=50)
    """file: the keys of [data] that are offered. Empty: all of them."""
    bounds: tuple[float, float, float, float] = (-180.0, -90.0, 180.0, 90.0)
    """box: west, south, east and north within which the box must lie."""

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole ones: integers, and ranges whose bounds and step are whole."""
        parts = (self.min, self.max, self.step if self.step is not None else 1, self.least or 0)
        return self.type == "integer" or (self.type == "range" and all(float(p or 0).is_integer() for p in parts))


#: The keys of an input beside those that each has, by type.
TYPE_KEYS: Mapping[str, frozenset[str]] = {
    "choice": frozenset({"choices"}),
    "choices": frozenset({"choices"}),
    "integer": frozenset({"unit", "min", "max", "step"}),
    "number": frozenset({"unit", "min", "max", "step"}),
    "boolean": frozenset(),
    "text": frozenset({"pattern", "max_length", "unit"}),
    "range": frozenset({"unit", "min", "max", "step", "least"}),
    "box": frozenset({"bounds", "least", "step", "unit"}),
    "file": frozenset({"formats", "data"}),
}


class Preset(Frozen):
    """A case to begin with: values of inputs under a name."""

    name: Name
    """Its name."""
    title: Text
    """What people read."""
    help: Text
    """What it shows."""
    inputs: Mapping[InputName, Any] = Field(default_factory=dict)
    """The values; those left out have their defaults."""


class Worker(Frozen):
    """What one Dask worker of a run has."""

    cores: int = Field(default=1, ge=1, le=10_000)
    """Its cores."""
    memory: Memory = 2048
    """Its memory."""
    walltime: Duration = 3600
    """How long it stays."""


class Resources(Frozen):
    """What a run takes. Values are numbers, or expressions of inputs in quotes: + - * / // % **, comparisons, and, or,
    not, min, max, ceil, len(x), width(range) and size(file) in MiB."""

    cores: Quantity = "1"
    """Cores of the session that runs it. In the other expressions `cores` is this number, or what was given instead."""
    memory: MemoryQuantity = "1024"
    """MiB of its memory, or a text such as "2G"."""
    gpus: Quantity = "0"
    """GPUs."""
    disk: MemoryQuantity = "100"
    """MiB that it writes."""
    workers: Quantity = "0"
    """Dask workers beside the session."""
    worker: Worker = Worker()
    """What each of them has."""
    seconds: Quantity = "60"
    """How long it will take."""
    walltime: TimeQuantity = "max(600, 3 * seconds)"
    """The most time that it is given; `seconds` may be used."""
    small: Quantity = "seconds < 120"
    """Whether it runs in the app's own session, without a job of its own."""


class StepProgress(Frozen):
    """How progress is read from what a command says."""

    pattern: Annotated[Regular, Field(max_length=300)]
    """A regular expression with the group `done`, and `total` if the command says it."""
    total: str = Field(default="", max_length=200)
    """What `done` counts up to where the command does not say it: a number, or a name that the pipeline gives."""


class StepText(Frozen):
    """One step of the pipeline, for people."""

    title: Text
    """What it does, in a few words."""
    weight: float = Field(default=1.0, gt=0, le=1e6)
    """Its share of the whole time, against the other steps."""
    progress: StepProgress | None = None
    """How its progress is read."""
    advice: Text | None = None
    """What to change when it fails."""


class Tolerance(Frozen):
    """How far two results may lie apart and still agree: within either of the two."""

    relative: float = Field(default=0.0, ge=0, le=1)
    """As a part of the larger one."""
    absolute: float = Field(default=0.0, ge=0)
    """In the result's own unit."""


def _tolerance(value: object) -> object:
    return {"relative": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class Output(Frozen):
    """One result."""

    kind: Literal["number", "figure", "table", "file"]
    """What it is."""
    title: Text
    """What people read."""
    unit: Label = ""
    """number: its unit."""
    tolerance: Annotated[Tolerance, BeforeValidator(_tolerance, json_schema_input_type=float | Tolerance)] = Tolerance(
        relative=1e-6
    )
    """number: how far two runs may lie apart and still agree; a plain number is relative."""
    compare: Literal["value", "sha256", "rows", "none"] | None = None
    """How two runs are compared. Left out: number value, table rows, file sha256, figure none."""
    alt: Text | None = None
    """figure: the text for those who do not see it, where the pipeline gives none; required."""

    @property
    def comparison(self) -> str:
        """How two runs are compared."""
        return self.compare or {"number": "value", "table": "rows", "file": "sha256"}.get(self.kind, "none")


class Keywords(Frozen):
    """Words by which the app is found."""

    en: tuple[Label, ...] = Field(max_length=50)
    """In English."""
    zh: tuple[Label, ...] = Field(max_length=50)
    """In Simplified Chinese."""
