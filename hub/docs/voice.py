"""One language of generated pages: the words of the pages from their catalogue, those of references from ours.

What a model, a command or an address says of itself is English, in its docstring. `reference.po` has the Chinese of
it; a text that is not in there yet stands on the Chinese page in English, and a test names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from babel.messages.pofile import read_po
from perijove.hub.languages import languages


@cache
def catalogue() -> Mapping[str, str]:
    """English to Chinese, for references."""
    with (files("perijove.hub.docs") / "reference.po").open("rb") as file:
        return {str(entry.id): str(entry.string) for entry in read_po(file, locale="zh_CN") if entry.id}


@dataclass
class Voice:
    """The texts of one language. `said` collects every English text of references that was asked for."""

    language: str
    said: dict[str, None] = field(default_factory=dict)

    def say(self, text: str) -> str:
        """A text of a reference (a docstring: its line breaks mean nothing)."""
        plain = " ".join(text.split())
        if plain:
            self.said[plain] = None
        return catalogue().get(plain) or plain if self.language == "zh" else plain

    def word(self, message: str) -> str:
        """A text that pages show; a place for a value is an ellipsis."""
        return re.sub(r"\{\w+\}|%\(\w+\)s", "…", languages()[self.language].gettext(message))

    def table(self, head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
        """A table in Markdown."""
        names = [self.say(name) for name in head]
        lines = [names, ["---"] * len(names), *rows]
        return "".join(f"| {' | '.join(cell(text) for text in line)} |\n" for line in lines)


def cell(text: str) -> str:
    """`text` in one cell of a table."""
    return " ".join(text.split()).replace("\\|", "|").replace("|", "\\|")


def code(text: str) -> str:
    """`text` as code, or nothing."""
    return f"`{text}`" if text else ""
