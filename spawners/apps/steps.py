"""What a pipeline is made of: steps, and what a step does. Plain values; nothing here runs anything.

A step runs a command (an argument list, never a shell string), a pipe of commands, or a function of the pipeline. It
runs in a fresh, empty directory that is its working directory, so what it makes it writes under plain relative names;
what earlier steps made it reads from `case.file(name)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perijove.spawners.apps.progress import Progress

#: What an argument may be; numbers are written as Python writes them.
Argument = str | Path | int | float

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Begins the name of what a step makes for the results; everything else is for later steps.
RESULTS = "results/"


class Unfit(Exception):
    """What the person gave, or what a step made of it, cannot be worked with; the words say why, for the person.

    Raised in a function of a pipeline (the run ends with `bad-input`) or in a check (`check-failed`, or `bad-input`
    when it names the `input` that is to blame).
    """

    def __init__(self, en: str, zh: str, input: str = "") -> None:
        super().__init__(en)
        self.words = {"en": en, "zh": zh}
        self.input = input


class BadPipeline(Exception):
    """The pipeline itself is wrong: the message says where, for its author."""


def relative(name: str | Path) -> str:
    """`name` as a path below a folder.

    Raises:
        BadPipeline: it is empty or absolute, or leads out.
    """
    text = str(name)
    parts = Path(text).parts
    if not parts or Path(text).is_absolute() or ".." in parts or "\0" in text:
        raise BadPipeline(f"{text!r} is no name below the step's folder: give a relative one without `..`")
    return Path(text).as_posix()


@dataclass(frozen=True)
class Command:
    """One program with its arguments.

    Attributes:
        argv: The program (`case.program("cdo")`) and its arguments; nothing interprets them.
        stdin: A file to read from.
        stdout: A name in the step's directory to write to; without it the output goes to the step's log.
        progress: How its output says how far it is; else the manifest's for this step.
        env: Variables on top of the environment.
    """

    argv: Sequence[Argument]
    stdin: Path | str | None = None
    stdout: str | None = None
    progress: Progress | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.argv, str | bytes) or not self.argv:
            raise BadPipeline(f"a command is a list, the program first, not {self.argv!r}")
        words = [*self.argv, *self.env, *self.env.values()]
        if wrong := [word for word in words if not isinstance(word, str | Path | int | float)]:
            raise BadPipeline(f"{wrong[0]!r} in the command of {self.argv[0]} is no text, path or number")
        object.__setattr__(self, "argv", tuple(str(word) for word in self.argv))
        if any("\0" in str(word) for word in words):
            raise BadPipeline(f"an argument of {self.argv[0]} has a NUL in it")
        if self.stdout is not None:
            object.__setattr__(self, "stdout", relative(self.stdout))


@dataclass(frozen=True)
class Pipe:
    """Commands, each of which reads what the one before writes; it fails when any of them does."""

    commands: Sequence[Command]

    def __post_init__(self) -> None:
        if not self.commands or not all(isinstance(command, Command) for command in self.commands):
            raise BadPipeline("a pipe is made of commands: Pipe((Command(...), Command(...)))")
        first, last = self.commands[0], self.commands[-1]
        if any(c.stdin is not None for c in self.commands if c is not first):
            raise BadPipeline("only the first command of a pipe has a stdin of its own")
        if any(c.stdout is not None for c in self.commands if c is not last):
            raise BadPipeline("only the last command of a pipe has a stdout of its own")


class Call:
    """A function at the top level of pipeline.py: `function(case, **arguments)`, run in a process of its own.

    The arguments are plain JSON values (paths become text). What the last steps return goes into the results.
    """

    def __init__(self, function: Callable[..., Any], **arguments: Any) -> None:
        self.function = function_name(function)
        self.arguments = {name: _plain(value) for name, value in arguments.items()}

    def __repr__(self) -> str:
        return f"Call({self.function}, {self.arguments})"


def function_name(function: Callable[..., Any]) -> str:
    """The name under which a child process finds `function`."""
    name = getattr(function, "__qualname__", "")
    if not name.isidentifier():
        raise BadPipeline(f"{name or function!r} is no function at the top level of pipeline.py")
    return name


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise BadPipeline(f"{value!r} cannot be given to another process: use text, numbers, lists and mappings")


@dataclass(frozen=True)
class Step:
    """One node of the pipeline's graph.

    Attributes:
        name: A key of the manifest's `steps`; several steps of one name and different parts are a fan-out.
        do: What it does.
        part: Which of them this is: a year, a region, a shot ("chr1").
        after: Steps that must have finished: a name (all its parts) or "name@part".
        makes: Names of files or folders it makes in its directory; they go to `case.work`, "results/x" to
            `case.results`.
        cores, memory: What it uses. Memory in MiB: no more steps run side by side than fit, and one that holds more is
            ended. With 0 it counts as its cores' share, and may hold all that the run has.
        retries: How often it is tried again after a failure that may pass.
        limit: Seconds after which a try is ended.
        check: A function at the top level of pipeline.py, `check(case, folder)`, that looks at what was made in
            `folder` and raises `Unfit` when it is no good.
    """

    name: str
    do: Command | Pipe | Call
    part: str = ""
    after: Sequence[str] = ()
    makes: Sequence[str] = ()
    cores: int = 1
    memory: int = 0
    retries: int = 0
    limit: float = 3600.0
    check: Callable[..., None] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadPipeline(f"{self.name!r} is no name of a step: a-z, 0-9, _ and -, at most 32 characters")
        if self.part and not _PART.fullmatch(self.part):
            raise BadPipeline(
                f"{self.part!r} is no name of a part of {self.name}: letters, digits, . _ and -, at most 64"
            )
        if not isinstance(self.do, Command | Pipe | Call):
            raise BadPipeline(f"step {self.key} does {self.do!r}: give a Command, a Pipe or a Call")
        if isinstance(self.after, str) or isinstance(self.makes, str):
            raise BadPipeline(f"step {self.key}: `after` and `makes` are lists of names")
        if self.cores < 1 or self.memory < 0 or self.retries < 0 or self.limit <= 0:
            raise BadPipeline(f"step {self.key}: cores, memory, retries and limit are positive numbers")
        object.__setattr__(self, "makes", tuple(relative(name) for name in self.makes))
        object.__setattr__(self, "after", tuple(self.after))
        if self.check is not None:
            function_name(self.check)

    @property
    def key(self) -> str:
        """What tells it from all other steps of the run; also the name of its log and record."""
        return f"{self.name}@{self.part}" if self.part else self.name
