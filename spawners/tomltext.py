"""A TOML file that a person wrote, read with care: it need not be short, nor text, nor TOML.

What is wrong is said with its line; see `perijove.spawners.centrefaults`.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from perijove.spawners.centrefaults import CentreFault, CentreFaults
from perijove.spawners.visible import visible

#: A description has some kilobytes; beyond this it is another file. Bytes, and characters of one line.
MOST_BYTES, LONGEST_LINE = 1 << 20, 8_000


def text_of(name: str, raw: bytes) -> str:
    """The text of the file `name`. Raises CentreFaults: it is too large, no UTF-8, or has a line without end."""
    if len(raw) > MOST_BYTES:
        raise CentreFaults([CentreFault(name, 1, "", f"is larger than {MOST_BYTES >> 20} MiB: no description is")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        given = raw[error.start : error.start + 4].hex(" ")
        raise CentreFaults(
            [CentreFault(name, line, "", "is not UTF-8 text", given, "save the file as UTF-8")]
        ) from None
    for number, line_text in enumerate(text.split("\n"), 1):
        if len(line_text) > LONGEST_LINE:
            message = f"has a line of more than {LONGEST_LINE:,} characters"
            raise CentreFaults([CentreFault(name, number, "", message, visible(line_text, 60))])
    return text


def toml_of(name: str, text: str) -> dict[str, Any]:
    """What the text of the file `name` says. Raises CentreFaults: it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r"\(at line (\d+), column (\d+)\)$", message)
        lines = text.split("\n")
        line = min(int(place[1]) if place else len(lines), len(lines))
        words = message[: place.start()] if place else message.removesuffix("(at end of document)")
        fault = CentreFault(name, line, "", f"is not TOML: {visible(words.strip(), 200)}", visible(lines[line - 1], 80))
    except (RecursionError, ValueError):
        fault = CentreFault(name, 1, "", "is not TOML that can be read: nested too deeply, or a number too long")
    raise CentreFaults([fault])
