"""Every message of pages and commands, taken out of templates, code and help texts as a translator's tool would."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click
from babel.messages.extract import extract_from_dir
from perijove.hub.cli import COMMANDS, main
from perijove.hub.cli.words import tidy

TOP = Path(__file__).parent.parent.parent


def messages() -> dict[str, str]:
    """Each message (of a plural, the first form) and the file it is in."""
    methods = [
        ("**/templates/**.html", "jinja2"),
        ("pages/**.py", "python"),
        ("cli/**.py", "python"),
        ("rundemo.py", "python"),
    ]
    found: dict[str, str] = {}
    for file, _line, message, _comments, _context in extract_from_dir(
        str(TOP / "hub"),
        method_map=methods,
        options_map={"**/templates/**.html": {"trimmed": "false", "silent": "false"}},
        keywords={"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)},
    ):
        found[message if isinstance(message, str) else message[0]] = file
    return found | help_texts()


def help_texts() -> dict[str, str]:
    """What `--help` says, by the command that says it; the developers' testbed speaks English alone."""
    found = dict.fromkeys([tidy(main.help or ""), *COMMANDS.values()], "perijove")

    def walk(command: click.Command, path: str) -> None:
        if command.help:
            found[tidy(command.help)] = path
        for text in (getattr(param, "help", None) for param in command.params):
            if text:
                found[tidy(text)] = path
        if isinstance(command, click.Group):
            for name, below in command.commands.items():
                walk(below, f"{path} {name}")

    for name in COMMANDS.keys() - {"testbed"}:
        walk(getattr(import_module(f"perijove.hub.cli.{name}"), name), f"perijove {name}")
    return found
