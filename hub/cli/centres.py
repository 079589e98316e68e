"""`perijove centres`: what the centres offer, from their files or from a running gateway; and an operator's orders.

`perijove centres [PLACES]` lists; the orders are commands of their own below it. A file that is called like one of
them is given with its folder: `perijove centres ./drain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.centreorders import drain, health, notice, undrain
from perijove.hub.cli.inwords import amount
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import _


class _Listing(click.Group):
    """A group that lists where no command of it is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`args`, with "list" put in where it is meant."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["list", *args])


@click.group(cls=_Listing)
def centres() -> None:
    """List the centres (without a command), and say what is to happen there.

    `perijove centres` lists those of the running gateway, `perijove centres FILE...` those of description files.
    """


for order in (health, drain, undrain, notice):
    centres.add_command(order)


@centres.command("list")
@click.argument("places", metavar="[FILES|DIRECTORIES]...", nargs=-1, type=click.Path(path_type=Path))
@api.options
@click.option("--json", "json_", is_flag=True, help="The list as JSON, for programs.")
def list_(places: tuple[Path, ...], url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """List the centres and their queues.

    From description files if you name some, otherwise from the gateway that runs.
    """
    if places:
        found = _from_files(places)
    else:
        with api.connect(url, token_file, config) as gateway:
            found = _entries(gateway.call("GET", "/centres"))
    if json_:
        click.echo(as_json(found))
        return
    rows = [row for centre in found for row in _rows(centre)]
    most = (_("CORES"), _("MEMORY"), _("GPUS"), _("LONGEST"))
    head = (_("CENTRE"), _("NAME"), _("SYSTEM"), _("QUEUE"), *most, _("CORE-HOUR"), _("OPEN"))
    click.echo(table(head, rows))


def _from_files(places: tuple[Path, ...]) -> list[Mapping[str, Any]]:
    from perijove.spawners.centres import CentreFaults, load

    try:
        return [centre.model_dump(mode="json") for centre in load(*places).values()]
    except CentreFaults as error:
        raise click.UsageError(str(error)) from None


def _entries(answer: Any) -> list[Mapping[str, Any]]:
    """The centres of the API's answer: a list, or a table with the list under `centres`."""
    if isinstance(answer, dict):
        answer = answer.get("centres")
    if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
        raise api.ApiFailed(_("the gateway's list of centres cannot be read: is it of another version?"))
    return answer


def _rows(centre: Mapping[str, Any]) -> list[list[object]]:
    from perijove.hub.languages import of_environment
    from perijove.spawners.units import credits_text

    def words(field: str, value: Any) -> str:
        return amount(field, value) if isinstance(value, int) else ""

    system, name = centre.get("scheduler"), centre.get("name")
    if isinstance(name, dict):
        name = name.get(of_environment().code) or name.get("en")
    rows: list[list[object]] = []
    for queue in centre.get("queues") or ():
        price = queue.get("price") or {}
        rows.append(
            [
                centre.get("id"),
                name,
                system.get("system") if isinstance(system, dict) else centre.get("system", ""),
                queue.get("name"),
                queue.get("cores"),
                words("memory", queue.get("memory")),
                queue.get("gpus"),
                words("walltime", queue.get("max_time")),
                credits_text(hour) if isinstance(hour := price.get("core_hour"), int) else "",
                _("drained") if centre.get("drained") else _("yes") if centre.get("enabled", True) else _("no"),
            ]
        )
    return rows
