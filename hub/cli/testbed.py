"""`perijove testbed`: real batch systems on this machine, for developers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NoReturn

import click

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _fail(error: Exception) -> NoReturn:
    raise click.ClickException(str(error))


def _show(status: dict[str, Any]) -> None:
    click.echo(f"{'up' if status['up'] else 'not (wholly) up'}, state in {status['directory']}")
    for name, centre in status["centres"].items():
        nodes = ", ".join(f"{role} {state}" for role, state in centre["nodes"].items())
        click.echo(f"  {name}: {centre['system']}, 127.0.0.1:{centre['port']} ({centre['login']}); {nodes}")
    for each in status["faults"]:
        click.echo(f"  broken: {each['centre']} {each['kind']} {each['target']}")


@click.group()
def testbed() -> None:
    """Real batch systems on this machine, in namespaces: alpha and beta (Slurm), gamma (Grid Engine).

    For Debian 12, as root. Each centre has a login node with OpenSSH, a controller and two compute nodes that
    nothing else can reach. alice and bob have accounts everywhere, under other names.
    """


@testbed.command()
@_JSON
def up(as_json: bool) -> None:
    """Start it (and install what is missing); start it afresh if something in it is broken."""
    from perijove.testbed.state import TestbedError
    from perijove.testbed.testbed import Testbed

    try:
        bed = Testbed()
        inventory = bed.up()
        if as_json:
            click.echo(json.dumps(inventory, indent=1, ensure_ascii=False))
        else:
            _show(bed.status())
    except TestbedError as error:
        _fail(error)


@testbed.command()
def down() -> None:
    """End it. Keys and the built environment stay for the next time."""
    from perijove.testbed.state import TestbedError
    from perijove.testbed.testbed import Testbed

    try:
        Testbed().down()
    except (TestbedError, PermissionError) as error:
        _fail(error)


@testbed.command()
@_JSON
def status(as_json: bool) -> None:
    """Say what is up and what is broken. Exit status 1 unless all is well."""
    from perijove.testbed.state import TestbedError
    from perijove.testbed.testbed import Testbed

    try:
        state = Testbed().status()
    except TestbedError as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps(state, indent=1))
    else:
        _show(state)
    sys.exit(0 if state["up"] else 1)


@testbed.command()
@_JSON
def sync(as_json: bool) -> None:
    """Bring the code at the centres up to date with the source tree."""
    from perijove.testbed.state import TestbedError
    from perijove.testbed.testbed import Testbed

    try:
        changed = Testbed().sync()
    except TestbedError as error:
        _fail(error)
    click.echo(json.dumps({"changed": changed}) if as_json else f"{changed} files changed")


@testbed.command(context_settings={"ignore_unknown_options": True})
@click.argument("centre")
@click.argument("node")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--user", help="A person or account; without it, root.")
@_JSON
def exec(centre: str, node: str, argv: tuple[str, ...], user: str | None, as_json: bool) -> None:
    """Run a command in a node (login, ctl, c1, c2), e.g. `exec --user alice alpha login -- squeue`."""
    from perijove.testbed.state import TestbedError
    from perijove.testbed.testbed import Testbed

    try:
        done = Testbed().exec(centre, node, argv, user, timeout=3600)
    except (TestbedError, subprocess.TimeoutExpired) as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps({"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}))
    else:
        click.echo(done.stdout, nl=False)
        click.echo(done.stderr, nl=False, err=True)
    sys.exit(done.returncode)


def _kinds() -> str:
    from perijove.testbed.faults import KINDS, UNDOING

    width = max(len(name) for name in KINDS) + 2
    names = [f"{name:{width}}{kind.target:6}{kind.help}" for name, kind in KINDS.items()]
    return "\b\n" + "\n".join(names) + "\n\nFor --undo: " + ", ".join(f"{k} = {v}" for k, v in UNDOING.items())


class _Fault(click.Command):
    """Its help lists the kinds; they are imported when the help is asked for."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The kinds of faults."""
        self.epilog = _kinds()
        super().format_epilog(ctx, formatter)


@testbed.command(cls=_Fault)
@click.argument("centre")
@click.argument("kind")
@click.argument("target", default="")
@click.option("--node", default="", help="The node: login, ctl, c1 or c2.")
@click.option("--for", "seconds", type=click.FloatRange(min=0.1), help="Undo it after so many seconds.")
@click.option("--undo", is_flag=True, help="Mend it.")
@_JSON
def fault(centre: str, kind: str, target: str, node: str, seconds: float | None, undo: bool, as_json: bool) -> None:
    """Break something at a centre, or mend it. TARGET is a node, a job or a user, as the kind asks for."""
    from perijove.testbed.state import TestbedError
    from perijove.testbed.testbed import Testbed

    if seconds and undo:
        raise click.UsageError("--for and --undo exclude each other")
    try:
        bed = Testbed()
        bed.fault(centre, kind, node or target, undo=undo, seconds=seconds or 0)
        faults = bed.status()["faults"]
    except TestbedError as error:
        _fail(error)
    if as_json:
        click.echo(json.dumps({"faults": faults}))


@testbed.command()
def mend() -> None:
    """Undo all faults, and wait until the batch systems have their nodes again."""
    from perijove.testbed.state import TestbedError
    from perijove.testbed.testbed import Testbed

    try:
        Testbed().mend()
    except TestbedError as error:
        _fail(error)
