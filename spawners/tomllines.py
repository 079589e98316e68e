"""On which line of a TOML file a key stands: `tomllib` tells no positions, and a fault without a line is half a fault.

The scanner reads only what `tomllib` has accepted, so it may be simple: it knows strings, comments, arrays, inline
tables and headers, and takes anything else up to the next separator. It never raises on such a text.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from collections import Counter

Key = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{1,2})?|' + r"'''.*?'''(?:'{1,2})?|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'",
    re.DOTALL,
)


class Lines:
    """Where the keys of one TOML text are. `of` answers with lines, which count from 1."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._found: dict[Key, int] = {}
        self._tables: Counter[Key] = Counter()
        self._at = 0
        try:
            self._document()
        except RecursionError:
            return  # what was found until then is right

    def of(self, key: Key) -> int:
        """The line of `key`, or of the nearest table around it that stands in the text; 1 for the whole."""
        while key and key not in self._found:
            key = key[:-1]
        return self._found.get(key, 1)

    def _note(self, key: Key, at: int) -> None:
        self._found.setdefault(key, bisect.bisect_right(self._starts, at))

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:  # not TOML: go on behind the character, so that the scan ends
            self._at += 1
            return ""
        self._at = match.end()
        return match[0]

    def _next(self, mark: str) -> bool:
        if self._text.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False

    def _document(self) -> None:
        table: Key = ()
        self._skip(_GAP)
        while self._at < len(self._text):
            start = self._at
            if self._next("[["):
                table = self._header(start, array=True)
            elif self._next("["):
                table = self._header(start, array=False)
            else:
                self._pair(table)
            self._skip(_GAP)

    def _header(self, start: int, *, array: bool) -> Key:
        table: Key = ()
        parts = self._dotted()
        for position, part in enumerate(parts):
            table = (*table, part)
            self._note(table, start)
            if array and position == len(parts) - 1:
                self._tables[table] += 1
            if self._tables[table]:
                table = (*table, self._tables[table] - 1)
                self._note(table, start)
        self._next("]]") or self._next("]")
        return table

    def _dotted(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            quoted = self._text[self._at : self._at + 1] in ('"', "'")
            word = self._skip(_STRING if quoted else _BARE)
            parts.append(_unquoted(word) if quoted else word)
            self._skip(_SPACE)
            if not self._next("."):
                return parts

    def _pair(self, table: Key) -> None:
        start = self._at
        for part in self._dotted():
            table = (*table, part)
            self._note(table, start)
        self._next("=")
        self._skip(_SPACE)
        self._value(table)

    def _value(self, key: Key) -> None:
        if self._text[self._at : self._at + 1] in ('"', "'"):
            self._skip(_STRING)
        elif self._next("["):
            self._items(key, "]")
        elif self._next("{"):
            self._items(key, "}")
        else:
            self._skip(_SCALAR)

    def _items(self, key: Key, end: str) -> None:
        index = 0
        self._skip(_GAP)
        while self._at < len(self._text) and not self._next(end):
            before = self._at
            if end == "}":
                self._pair(key)
            else:
                self._note((*key, index), self._at)
                self._value((*key, index))
            index += 1
            self._skip(_GAP)
            self._next(",")
            self._skip(_GAP)
            if self._at == before:  # not TOML
                self._at += 1


def _unquoted(word: str) -> str:
    """The text of a quoted key."""
    if word.startswith("'"):
        return word[1:-1]
    try:
        return str(tomllib.loads(f"key = {word}")["key"])
    except (tomllib.TOMLDecodeError, KeyError):
        return word
