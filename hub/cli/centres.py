"""`perijove centres`: what the centres offer, from their files or from a running gateway."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.tables import as_json, table


@click.command()
@click.argument("places", metavar="[FILES|DIRECTORIES]...", nargs=-1, type=click.Path(path_type=Path))
@api.options
@click.option("--json", "json_", is_flag=True, help="The list as JSON, for programs.")
def centres(
    places: tuple[Path, ...], url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
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
    head = ("CENTRE", "NAME", "SYSTEM", "QUEUE", "CORES", "MEMORY", "GPUS", "LONGEST", "CORE-HOUR", "OPEN")
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
        raise api.ApiFailed("the gateway's list of centres cannot be read: is it of another version?")
    return answer


def _rows(centre: Mapping[str, Any]) -> list[list[object]]:
    from perijove.spawners.units import credits_text, memory_text, time_text

    def words(value: Any, write: Any) -> str:
        return write(value) if isinstance(value, int) else ""

    system = centre.get("scheduler")
    rows: list[list[object]] = []
    for queue in centre.get("queues") or ():
        price = queue.get("price") or {}
        rows.append(
            [
                centre.get("id"),
                (centre.get("name") or {}).get("en") if isinstance(centre.get("name"), dict) else centre.get("name"),
                system.get("system") if isinstance(system, dict) else centre.get("system", ""),
                queue.get("name"),
                queue.get("cores"),
                words(queue.get("memory"), memory_text),
                queue.get("gpus"),
                words(queue.get("max_time"), time_text),
                words(price.get("core_hour"), credits_text),
                "yes" if centre.get("enabled", True) else "no",
            ]
        )
    return rows
