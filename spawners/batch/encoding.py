"""The one gate for values on their way into a directive or an argument list, and for text on its way back.

Outward: a value that is not exactly of the plain form that its place allows raises `ValueError` naming the field;
nothing is escaped, shortened or guessed. So a script has precisely the directives that this package wrote, whatever
a person, a project name or a centre's description contains. `checked` holds a whole job against these forms; every
batch system calls it before it writes a line. Only the operator's prolog is shell, and even that cannot look like a
directive.

Inward: what a batch system prints is that of a machine we do not control. `plain` strips and bounds text, `host`
lets only host names through, `number` only numbers: none of them raises.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Sequence

from perijove.spawners.centre import WORD
from perijove.spawners.job import JobSpec, session_of

_WORD = re.compile(WORD, re.ASCII)
_DIRECTORY = re.compile(r"(~|/)(/?[A-Za-z0-9_.+@-]){1,900}", re.ASCII)
_ARGUMENT = re.compile(r"[A-Za-z0-9_.+@:=,/~-]{1,1000}", re.ASCII)
_PROLOG = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]{1,500}")
_EXTRA = re.compile(r"-{1,2}[A-Za-z0-9][A-Za-z0-9_.:@+/=,-]{0,200}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", re.ASCII)
_LETTERS_AND_DIGITS = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_DIGITS = re.compile(r"-?[0-9]{1,18}", re.ASCII)

#: The bounds of a job that any centre of this world may be asked for.
CORES, MEMORY, GPUS, SECONDS, TASKS = 1_000_000, 2**40, 10_000, 10 * 366 * 86400, 10_000


def _refuse(field: str, what: str) -> ValueError:
    return ValueError(f"{field}: {what}")


def word(field: str, value: object) -> str:
    """`value`, if it is one plain word (letters, digits, `_ . : @ + / -`, at most 128). Raises ValueError."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise _refuse(field, "is not a word of letters, digits and _ . : @ + / - (at most 128)")
    return value


def name(field: str, value: object) -> str:
    """`value`, if it is of letters, digits, `.`, `_` and `-` alone: for places where `:`, `/` or `@` mean something.

    Raises ValueError.
    """
    if word(field, value) and not _LETTERS_AND_DIGITS.fullmatch(str(value)):
        raise _refuse(field, "is not a name of letters, digits and _ . - (at most 64)")
    return str(value)


def whole(field: str, value: object, least: int, most: int) -> int:
    """`value`, if it is a whole number from `least` to `most`. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _refuse(field, f"is not a whole number from {least} to {most}")
    return int(value)


def clock(seconds: int) -> str:
    """H:MM:SS, hours not bounded by a day."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def minutes(seconds: int) -> int:
    """Whole minutes, rounded up: a job never gets less than was asked for."""
    return -(-seconds // 60)


def share(total: int, parts: int) -> int:
    """What each of `parts` has to get, rounded up, so that together they have at least `total`."""
    return -(-total // parts)


def directory(field: str, value: object) -> str:
    """`value`, if it is an absolute path, or one under `~/`, of plain characters. Raises ValueError."""
    plain_path = isinstance(value, str) and _DIRECTORY.fullmatch(value)
    if not plain_path or ".." in str(value).split("/"):
        raise _refuse(field, "is not a plain path that starts with / or ~/")
    return str(value)


def checked(job: JobSpec) -> JobSpec:
    """`job`, if each of its fields has the plain form that scripts and directives need.

    Raises:
        ValueError: naming the first field that has not.
    """
    if not isinstance(job.session, str) or session_of(job.name) != job.session:
        raise _refuse("session", "is not the id of a session")
    word("queue", job.queue)
    whole("cores", job.cores, 1, CORES)
    whole("memory", job.memory, 1, MEMORY)
    whole("gpus", job.gpus, 0, GPUS)
    whole("walltime", job.walltime, 1, SECONDS)
    whole("tasks", job.tasks, 0, TASKS)
    directory("directory", job.directory)
    _argument_list(job.command)
    for line in job.prolog:
        prolog_line(line)
    if job.account is not None:
        word("account", job.account)
    if job.gpu_type is not None:
        name("gpu_type", job.gpu_type)
    return job


def _argument_list(command: object) -> None:
    if not isinstance(command, tuple) or not 0 < len(command) <= 100:
        raise _refuse("command", "is not an argument list of 1 to 100 words")
    for argument in command:
        if not isinstance(argument, str) or not _ARGUMENT.fullmatch(argument):
            raise _refuse(
                "command", "has an argument that is not plain characters (letters, digits, _ . + @ : = , / ~ -)"
            )


def prolog_line(line: object) -> str:
    """`line`, if it is one line of shell that no batch system can take for a directive. Raises ValueError."""
    if not isinstance(line, str) or not _PROLOG.fullmatch(line):
        raise _refuse("prolog", "is not one line of 1 to 500 characters")
    if line.lstrip().startswith("#"):
        raise _refuse("prolog", "starts with #, which batch systems read as a directive")
    return line


def extra_option(value: object, *, joined: bool = True) -> str:
    """An option of the site (`[scheduler] extra`) as it stands in a directive.

    `joined`: options of this batch system take their value after `=` (`--qos=normal`); else after a space, so
    `-P=climate` becomes `-P climate`. Raises ValueError.
    """
    if not isinstance(value, str) or not _EXTRA.fullmatch(value):
        raise _refuse("extra", "is not an option such as --qos=normal or -P=project")
    return value if joined else value.replace("=", " ", 1)


def identifiers(field: str, values: Sequence[str], pattern: str) -> tuple[str, ...]:
    """`values`, if each is an identifier of the form `pattern` and there is at least one. Raises ValueError."""
    if not values:
        raise _refuse(field, "is empty")
    for value in values:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise _refuse(field, "has an identifier that this batch system cannot have given")
    return tuple(values)


def one_line(lines: Sequence[str]) -> tuple[str, ...]:
    """An argument list that runs `lines` as one bash script, for batch systems that take no script on standard input.

    Each line is an argument of its own, so that none needs a newline in it.
    """
    return ("/bin/bash", "-c", 'eval "$(printf "%s\\n" "$@")"', "perijove", *lines)


def quoted(argv: Sequence[str]) -> str:
    """`argv` as one text of shell words."""
    return shlex.join(argv)


def plain(text: object, most: int = 200) -> str:
    """`text` on one line, without control, formatting (bidi) or surrogate characters, at most `most` long."""
    rough = str(text)[: most * 8]
    if len(rough) <= most and rough.isascii() and rough.isprintable() and "  " not in rough:
        return rough.strip()  # as almost everything is
    kept = "".join(" " if c.isspace() else c for c in rough if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join(kept.split())[:most]


def host(text: object) -> str | None:
    """`text`, if it can be a host name; None for anything else."""
    return text if isinstance(text, str) and _HOST.fullmatch(text) and ".." not in text else None


def number(text: object) -> int | None:
    """The whole number that `text` is, or None."""
    if isinstance(text, bool):
        return None
    if isinstance(text, int):
        return text if abs(text) < 10**18 else None
    stripped = text.strip() if isinstance(text, str) and len(text) < 100 else ""
    return int(stripped) if _DIGITS.fullmatch(stripped) else None
