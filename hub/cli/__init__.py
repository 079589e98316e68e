"""The command line: `perijove COMMAND`. Each command stands in its own file and is imported only when it is called.

A file `hub/cli/NAME.py` holds a click command or group called `NAME`; adding it to `COMMANDS` is all it takes.

Exit codes: 0 done; 1 the thing asked for failed; 2 the command line or a file given to it is wrong.
"""

from __future__ import annotations

from importlib import import_module

import click
import perijove
from perijove.hub.cli.words import _, tidy, translated

#: Name and one line of help; the line stands here so that `perijove --help` imports no command.
COMMANDS = {
    "demo": "Run the whole gateway on this machine, with nine small embedded centres.",
    "serve": "Run the gateway: proxy, broker and hub.",
    "broker": "Run the broker alone (for systemd and the like).",
    "doctor": "Test each centre end to end, and say what to mend.",
    "config": "Check and document centre descriptions.",
    "centres": "List the centres and what they offer; drain one, set a notice.",
    "apps": "List, make, check, run and publish point-and-click apps.",
    "data": "List the data sets that lie at centres or come with apps.",
    "offers": "Show where a request could run, when it would start, and what it costs.",
    "sessions": "List, show and stop sessions.",
    "clusters": "List, show and stop Dask clusters.",
    "runs": "List, show, cancel, download and share runs of apps.",
    "usage": "Sum up what was used and what it cost.",
    "projects": "List budgets; make projects, and say who spends their money.",
    "grants": "List the grants of a budget; give and withdraw money.",
    "prices": "List what an hour costs in each queue, now, before and later.",
    "reconcile": "Compare what was charged with the centres' own accounting.",
    "testbed": "Real batch systems on this machine, for developers (Debian, root).",
}


class Commands(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`, or None (click then suggests what was meant)."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return translated(command)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the program is, in the language of the terminal."""
        with formatter.indentation():
            for paragraph in _(tidy(self.help or "")).split("\n\n"):
                formatter.write_paragraph()
                formatter.write_text(paragraph)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `perijove --help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _(line)) for name, line in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(perijove.__version__, prog_name="perijove")
def main() -> None:
    """Perijove: a Jupyter science gateway for a federation of supercomputing centres.

    Shell completion (bash; also zsh, fish): eval "$(_PERIJOVE_COMPLETE=bash_source perijove)"
    """
