"""The reference of the command line: what each command says itself when it is asked for help."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click
from perijove.hub.cli import main
from perijove.hub.docs.voice import Voice

#: Characters of a line of help.
WIDTH = 88
_HEAD = (
    "This is what `perijove COMMAND --help` says. Exit codes: 0, done; 1, the thing asked for failed; 2, the command "
    "line or a file given to it is wrong. Commands that print data take `--json`."
)


def page(voice: Voice) -> str:
    """Every command, with its help."""
    parts = [f"# {voice.say('Reference: commands')}\n\n{voice.say(_HEAD)}\n"]
    with _terminal(voice.language):
        root = click.Context(
            main, info_name="perijove", max_content_width=WIDTH, terminal_width=WIDTH, **main.context_settings
        )
        for context in _contexts(root):
            level = "##" if context.command_path.count(" ") < 2 else "###"
            help_ = "\n".join(line.rstrip() for line in context.command.get_help(context).splitlines())
            parts.append(f"\n{level} `{context.command_path}`\n\n```text\n{help_}\n```\n")
    return "".join(parts)


@contextmanager
def _terminal(language: str) -> Iterator[None]:
    """A terminal of this language: the commands look for it in the environment."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = f"{language}.UTF-8"
    try:
        yield
    finally:
        del os.environ["LC_ALL"]
        if before is not None:
            os.environ["LC_ALL"] = before


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    command = context.command
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from _contexts(
                click.Context(
                    inner,
                    info_name=name,
                    parent=context,
                    max_content_width=WIDTH,
                    terminal_width=WIDTH,
                )
            )
