"""Languages: English, which the code is written in, and the catalogues in `hub/locales`, for pages and commands alike.

A catalogue is read from its .po file when the process starts: one file less to build, and what a translator edits is
what is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from babel import Locale
from babel.messages.pofile import read_po


@dataclass(frozen=True, slots=True)
class Language:
    """A language: its words, and how it writes dates and numbers."""

    #: The name in `?lang=` and the cookie.
    code: str
    #: The BCP 47 tag for `<html lang>` and the browser's formats.
    tag: str
    #: What its speakers call it.
    name: str
    locale: Locale
    words: Mapping[str, str]

    def gettext(self, message: str) -> str:
        """`message` (English) in this language."""
        return self.words.get(message, message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The form of `one` or `many` for `number`."""
        if self.words and one in self.words:
            return self.words[one]
        return one if number == 1 else many


def read_catalogue(locale: str) -> Mapping[str, str]:
    """Message to translation from the catalogue of `locale` ("zh_CN"); of a plural, the single form of Chinese."""
    source = files("perijove.hub") / "locales" / locale / "LC_MESSAGES" / "perijove.po"
    with source.open("rb") as file:
        catalogue = read_po(file, locale=locale)
    words: dict[str, str] = {}
    for message in catalogue:
        if not message.id:
            continue
        key = message.id if isinstance(message.id, str) else message.id[0]
        text = message.string if isinstance(message.string, str) else next(iter(message.string or ()), "")
        if text:
            words[key] = text
    return MappingProxyType(words)


@cache
def languages() -> Mapping[str, Language]:
    """Every language by its code, English first."""
    return MappingProxyType(
        {
            "en": Language("en", "en-GB", "English", Locale("en", "GB"), {}),
            "zh": Language("zh", "zh-CN", "简体中文", Locale("zh", "CN", script="Hans"), read_catalogue("zh_CN")),
        }
    )


def of_environment() -> Language:
    """The language of a terminal, by the first of LC_ALL, LC_MESSAGES and LANG that is set (POSIX, 8.2)."""
    named = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return languages().get(named.partition("_")[0].partition(".")[0].lower(), languages()["en"])
