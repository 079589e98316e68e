"""`perijove config`: check, show and document the descriptions of centres."""

from __future__ import annotations

from pathlib import Path

import click
from perijove.hub.cli.inwords import no_such_centre
from perijove.hub.cli.tables import as_json
from perijove.hub.cli.words import ngettext

PLACES = click.argument("places", metavar="[FILES|DIRECTORIES]...", nargs=-1, type=click.Path(path_type=Path))


@click.group()
def config() -> None:
    """Check, show and document centre descriptions.

    A centre is one TOML file; deploy/centres/ has annotated examples.
    """


@config.command()
@PLACES
@click.option("--json", "json_", is_flag=True, help="The result as JSON, for programs.")
@click.pass_context
def check(ctx: click.Context, places: tuple[Path, ...], json_: bool) -> None:
    """Check descriptions: every fault of every file, with its line and what is allowed.

    Without a name it checks the folder "centres". Exit code 0: all is well; 2: there are faults.
    """
    from perijove.spawners.centres import CentreFaults, load

    try:
        centres = load(*places or (Path("centres"),))
    except CentreFaults as error:
        if json_:
            click.echo(as_json({"ok": False, "faults": [fault.as_dict() for fault in error.faults]}))
        else:
            click.echo(str(error), err=True)
        ctx.exit(2)
    if json_:
        click.echo(as_json({"ok": True, "centres": sorted(centres)}))
        return
    for centre in centres.values():
        many = len(centre.queues)
        words = ngettext("{centre}: {system}, {count} queue, good", "{centre}: {system}, {count} queues, good", many)
        click.echo(words.format(centre=centre.id, system=centre.scheduler.system, count=many))


@config.command()
@click.argument("centre")
@click.option("--centres", "places", multiple=True, type=click.Path(path_type=Path), help="Files or directories.")
def show(centre: str, places: tuple[Path, ...]) -> None:
    """Show the centre CENTRE as the gateway understands it, every default filled in (JSON).

    Memory is in MiB, time in seconds, prices in micro-credits.
    """
    from perijove.spawners.centres import CentreFaults, load

    try:
        centres = load(*places or (Path("centres"),))
    except CentreFaults as error:
        raise click.UsageError(str(error)) from None
    if centre not in centres:
        raise click.UsageError(no_such_centre(centre, centres))
    click.echo(as_json(centres[centre].model_dump(mode="json")))


@config.command()
def schema() -> None:
    """Print the JSON Schema of a description; editors complete and check by it."""
    from perijove.spawners.centres import schema as centre_schema

    click.echo(as_json(centre_schema()))


@config.command()
def reference() -> None:
    """Print the reference of all keys (Markdown)."""
    from perijove.spawners.centrereference import reference as centre_reference

    click.echo(centre_reference(), nl=False)
