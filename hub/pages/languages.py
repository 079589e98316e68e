"""Languages: English, which the code is written in, and the catalogues in `hub/locales`.

A catalogue is read from its .po file when the process starts: one file less to build, and what a translator edits is
what is used. The choice is the person's: `?lang=`, then the cookie, then what the browser prefers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from babel import Locale
from babel.messages.pofile import read_po
from fastapi import Request

COOKIE = "perijove-lang"


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


def language_of(request: Request) -> Language:
    """The language of a request."""
    known = languages()
    wanted = [request.query_params.get("lang"), request.cookies.get(COOKIE), *_accepted(request)]
    return next((known[code] for code in wanted if code and code in known), known["en"])


def _accepted(request: Request) -> list[str]:
    """The codes of the browser's languages, best first (RFC 9110 12.5.4)."""
    ranked: list[tuple[float, str]] = []
    for part in request.headers.get("accept-language", "")[:500].split(","):
        tag, _, quality = part.partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if weight > 0:
            ranked.append((-weight, tag.strip().lower().partition("-")[0]))
    return [code for _, code in sorted(ranked, key=lambda pair: pair[0])]
