"""`perijove prices`: what queues cost, cost before and will cost, through the broker's API."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.answers import JSON, entries
from perijove.hub.cli.ledgerwords import query
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _
from perijove.spawners.units import credits_text

_HEAD = (
    *(N_("VERSION"), N_("CENTRE"), N_("QUEUE"), N_("VALID FROM")),
    *(N_("CORE HOUR"), N_("GPU HOUR"), N_("GB HOUR"), N_("NOW")),
)


@click.command()
@click.argument("centre", required=False)
@click.option("--queue", help="Only this queue.")
@click.option("--all", "all_", is_flag=True, help="Also versions that hold no more, or not yet.")
@api.options
@JSON
def prices(
    centre: str | None,
    queue: str | None,
    all_: bool,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """List what an hour costs in each queue, at CENTRE or everywhere. Sessions keep the version they began with."""
    with api.connect(url, token_file, config) as gateway:
        found = entries(gateway.call("GET", "/prices", **query(centre=centre, queue=queue)), "prices")
    shown = [row for row in found if all_ or row.get("now")]
    if json_:
        click.echo(as_json(shown))
        return
    click.echo(table([_(title) for title in _HEAD], [_row(row) for row in shown]))


def _row(row: Mapping[str, Any]) -> list[object]:
    costs = (row.get(key) for key in ("core_hour", "gpu_hour", "memory_hour"))
    since = str(row.get("valid_from") or "")[:16].replace("T", " ")
    first = [row.get("id"), row.get("centre"), row.get("queue"), since]
    return [
        *first,
        *(credits_text(cost) if isinstance(cost, int) else "" for cost in costs),
        "*" * bool(row.get("now")),
    ]
