"""Writes the generated pages of the documentation: `python -m perijove.hub.docs.generate`, or `make docs`.

Nothing here knows a key, a command, an address or a code: all of it is asked for. After any change of those, one run
brings the pages up to date; `tests/test_docs.py` fails until it is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from perijove.hub.docs import LANGUAGES, codes, commands, http, models, trouble
from perijove.hub.docs.voice import Voice, catalogue

WRITERS: dict[str, Callable[[Voice], str]] = {
    "troubleshooting": trouble.page,
    "reference-codes": codes.page,
    "reference-commands": commands.page,
    "reference-api": http.page,
    "reference-centre": models.centre,
    "reference-app": models.app,
    "reference-settings": models.settings,
}


def pages() -> tuple[dict[str, str], list[str]]:
    """Every generated page by its path below `hub/docs`, and the English texts that have no Chinese yet."""
    voices = {language: Voice(language) for language in LANGUAGES}
    found = {
        f"{language}/{name}.md": write(voice) for language, voice in voices.items() for name, write in WRITERS.items()
    }
    return found, [text for text in voices["zh"].said if text not in catalogue()]


def main() -> None:
    """Write them; exit code 1 if a text has no Chinese."""
    folder = Path(__file__).parent
    found, missing = pages()
    for path, text in found.items():
        (folder / path).write_text(text, encoding="utf-8")
    for text in missing:
        sys.stderr.write(f"no Chinese in hub/docs/reference.po: {text}\n")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
