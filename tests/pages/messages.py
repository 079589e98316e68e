"""Every message of pages, commands and of the parts inside JupyterLab, taken out as a translator's tool would.

Run as a program it makes the words for JupyterLab and a cluster's panel from the gateway's catalogue: a job has none.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import click
from babel.messages.extract import extract_from_dir
from perijove.hub.broker.events import MESSAGES
from perijove.hub.cli import COMMANDS, main
from perijove.hub.cli.words import tidy

TOP = Path(__file__).parent.parent.parent
INSIDE = TOP / "widgets/jupyter/data/labextensions/perijove/ui"
PANEL = TOP / "widgets/panel"
APP = TOP / "widgets/app/ui"


def _messages(folder: Path, methods: list[tuple[str, str]]) -> dict[str, str]:
    """Each message (of a plural, the first form) and the file it is in."""
    found: dict[str, str] = {}
    for file, _line, message, _comments, _context in extract_from_dir(
        str(folder),
        method_map=methods,
        options_map={"**/templates/**.html": {"trimmed": "false", "silent": "false"}},
        keywords={"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)},
    ):
        found[message if isinstance(message, str) else message[0]] = file
    return found


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


def events() -> dict[str, str]:
    """What happens to sessions; the broker has it in English, for every reader."""
    return dict.fromkeys(MESSAGES.values(), "broker/events.py")


def inside(folder: Path = INSIDE) -> dict[str, str]:
    """The messages inside JupyterLab, or those of the panel of a cluster."""
    return _messages(folder, [("**.js", "javascript")])


def messages() -> dict[str, str]:
    """All messages that the catalogues have."""
    code = (
        "pages/**.py",
        "cli/**.py",
        *(f"{name}.py" for name in ("children", "machine", "proxy", "rundemo", "serve")),
    )
    methods = [("**/templates/**.html", "jinja2"), *((place, "python") for place in code)]
    return _messages(TOP / "hub", methods) | help_texts() | events() | inside() | inside(PANEL) | inside(APP)


def words_inside(chinese: dict[str, str], folder: Path = INSIDE) -> str:
    """The content of a folder's `words.zh.json`, from the catalogue's messages."""
    return json.dumps({text: chinese[text] for text in sorted(inside(folder))}, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    from perijove.hub.pages.languages import languages

    for place in (INSIDE, PANEL, APP):
        made = words_inside(dict(languages()["zh"].words), place)
        (place / "words.zh.json").write_text(made, encoding="utf-8")
