"""Every message of the pages, taken out of templates and code as a translator's tool would."""

from __future__ import annotations

from pathlib import Path

from babel.messages.extract import extract_from_dir

TOP = Path(__file__).parent.parent.parent


def messages() -> dict[str, str]:
    """Each message (of a plural, the first form) and the file it is in."""
    methods = [("**/templates/**.html", "jinja2"), ("pages/**.py", "python")]
    found: dict[str, str] = {}
    for file, _line, message, _comments, _context in extract_from_dir(
        str(TOP / "hub"),
        method_map=methods,
        options_map={"**/templates/**.html": {"trimmed": "false", "silent": "false"}},
        keywords={"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)},
    ):
        found[message if isinstance(message, str) else message[0]] = file
    return found
