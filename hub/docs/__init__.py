"""The user documentation: Markdown files in `en/` and `zh/`, readable as they are and served by `hub/pages/help.py`.

Pages called `reference-*` and `troubleshooting` are written by `perijove.hub.docs.generate` (`make docs`) from the
models, the command line, the HTTP API and the words of the pages; a test fails when a committed page says something
else. The others are written by hand. Every link between pages is relative, so that it works on a code host, too.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

#: Every page, in the order of the table of contents.
PAGES = (
    "index",
    "start",
    "researcher",
    "apps",
    "runs",
    "dask",
    "budgets",
    "write-app",
    "administrator",
    "troubleshooting",
    "reference-codes",
    "reference-commands",
    "reference-api",
    "reference-centre",
    "reference-app",
    "reference-settings",
)
#: The languages, by the pages' own codes.
LANGUAGES = ("en", "zh")


@cache
def source(name: str, language: str) -> str:
    """The Markdown of a page.

    Raises:
        LookupError: there is no such page, or no such language.
    """
    if name not in PAGES or language not in LANGUAGES:
        raise LookupError(f"there is no page {name!r} in {language!r}")
    return (files(__name__) / language / f"{name}.md").read_text(encoding="utf-8")


def images() -> Path:
    """The folder of the pictures that pages show."""
    return Path(__file__).parent / "images"
