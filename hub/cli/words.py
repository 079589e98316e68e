"""The commands in the person's language: help texts and messages from the same catalogue as the pages.

`_` translates a message where it is printed; help texts are taken as click has them, so a command needs nothing for
them. JSON, names of keys and the developers' `testbed` stay as they are.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import click

_english: ContextVar[bool] = ContextVar("english", default=False)


def _(message: str) -> str:
    """`message` in the language of the terminal."""
    from perijove.hub.languages import of_environment

    return message if _english.get() else of_environment().gettext(message)


def ngettext(one: str, many: str, number: int) -> str:
    """The form of `one` or `many` for `number`, in the language of the terminal."""
    from perijove.hub.languages import of_environment

    if _english.get():
        return one if number == 1 else many
    return of_environment().ngettext(one, many, number)


def N_(message: str) -> str:
    """`message` itself: a mark for the catalogue."""
    return message


@contextmanager
def english() -> Iterator[None]:
    """Messages stay English in the block: for JSON, whose reader does not speak the language of the terminal."""
    before = _english.set(True)
    try:
        yield
    finally:
        _english.reset(before)


def tidy(text: str) -> str:
    """A help text as it stands in the catalogue: without the indentation of its docstring."""
    return inspect.cleandoc(text)


def translated(command: click.Command, gettext: Callable[[str], str] = _) -> click.Command:
    """A copy of `command`, and of all below it, with its help in another language."""
    made = copy.copy(command)
    if made.help:
        made.help = gettext(tidy(made.help))
    made.params = [_option(param, gettext) for param in made.params]
    if isinstance(made, click.Group) and made.commands:
        made.commands = {name: translated(below, gettext) for name, below in made.commands.items()}
    return made


def _option(param: click.Parameter, gettext: Callable[[str], str]) -> click.Parameter:
    if not isinstance(param, click.Option) or not param.help:
        return param
    made = copy.copy(param)
    made.help = gettext(tidy(param.help))
    return made
