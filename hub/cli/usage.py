"""`perijove usage`: what was used and charged, summed up, through the broker's API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.answers import JSON, entries
from perijove.hub.cli.inwords import money
from perijove.hub.cli.ledgerwords import BUDGET, at, query, window
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _

_HEADS = {
    "day": N_("DAY"),
    "centre": N_("CENTRE"),
    "queue": N_("QUEUE"),
    "person": N_("PERSON"),
    "budget": N_("BUDGET"),
}


@click.command()
@click.option(
    "--by", type=click.Choice(list(_HEADS)), default="day", show_default=True, help="What it is summed up by."
)
@click.option("--budget", type=BUDGET, help="Only what this budget paid.")
@click.option("--owner", help="Only what this person used.")
@click.option("--centre", help="Only what was used at this centre.")
@window
@click.option("--csv", type=click.Path(path_type=Path), help="Write a table for spreadsheets into this file instead.")
@api.options
@JSON
def usage(  # noqa: PLR0913, PLR0917 - each is an option
    by: str,
    budget: str | None,
    owner: str | None,
    centre: str | None,
    since: datetime | None,
    until: datetime | None,
    csv: Path | None,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Sum up what was used and what it cost: your own, that of a budget you manage, or everybody's for an operator."""
    filters = query(by=by, budget=budget, owner=owner, centre=centre, since=at(since), until=at(until))
    with api.connect(url, token_file, config) as gateway:
        if csv is not None:
            size = gateway.save("/usage", csv, format="csv", **filters)
            click.echo(as_json({"file": str(csv), "bytes": size}) if json_ else f"{csv}: {size} B")
            return
        found = entries(gateway.call("GET", "/usage", **filters), "usage")
    if json_:
        click.echo(as_json(found))
        return
    head = [_(_HEADS[by]), *(_(word) for word in (N_("JOBS"), N_("CORE HOURS"), N_("GPU HOURS"), N_("COST")))]
    total = {key: sum(_number(row, key) for row in found) for key in ("jobs", "core_hours", "gpu_hours", "charged")}
    click.echo(table(head, [*map(_row, found), _row({"key": _("in all"), **total})]))


def _row(row: Mapping[str, Any]) -> list[object]:
    hours = [f"{_number(row, key):,.2f}" for key in ("core_hours", "gpu_hours")]
    return [row.get("key"), int(_number(row, "jobs")), *hours, money(int(_number(row, "charged")))]


def _number(row: Mapping[str, Any], key: str) -> float:
    value = row.get(key)
    return value if isinstance(value, int | float) else 0
