"""Untrusted text made fit to be shown: what a centre, a file or a person wrote, in messages, logs and pages.

A name can hold control characters that move a terminal's cursor, bidi overrides that make a word read as another, or
a megabyte. Everything that quotes such a text goes through `visible`. Nothing here does I/O.
"""

from __future__ import annotations

import unicodedata

#: Categories of characters that are not seen, or that change how others are seen.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
#: Characters outside these categories that show as nothing or as a plain space.
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(text: object, limit: int = 200) -> str:
    """`text` fit to be shown: control, bidi and zero-width characters escaped, at most `limit` characters and a note.

    The answer is one line. More than two combining marks on one letter are escaped, too. The work is bounded by
    `limit`, not by the length of the text.
    """
    if not isinstance(text, str):
        text = _plain(text)
    shown: list[str] = []
    room, marks, used = limit, 0, 0
    for used, character in enumerate(text[: limit + 1]):  # noqa: B007  (used after the loop)
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        hidden = is_unseen(character) or not character.isprintable() or marks > 2
        part = _escaped(character) if hidden else character
        room -= len(part)
        if room < 0:
            break
        shown.append(part)
    else:
        return "".join(shown)
    return f"{''.join(shown[:used])}… ({len(text):,} characters)"


def _plain(value: object) -> str:
    """A value of TOML or JSON in words; nothing nested is walked through."""
    if isinstance(value, dict):
        return f"a table of {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    return str(value)


def is_unseen(character: str) -> bool:
    """Whether `character` shows as nothing, as a blank that is none, or changes how others are shown."""
    return character in _BLANK or unicodedata.category(character) in _UNSEEN or "\ufe00" <= character <= "\ufe0f"


def _escaped(character: str) -> str:
    point = ord(character)
    return _SHORT.get(character) or (f"\\x{point:02x}" if point < 256 else f"\\u{{{point:x}}}")
