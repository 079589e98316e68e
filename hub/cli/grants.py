"""`perijove grants`: the money of budgets, through the broker's API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.answers import JSON, entries, mapping
from perijove.hub.cli.inwords import money
from perijove.hub.cli.ledgerwords import BUDGET, Credits, amount, at, day, window
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _

_HEAD = (
    *(N_("GRANT"), N_("BUDGET"), N_("AMOUNT"), N_("LEFT")),
    *(N_("FROM"), N_("UNTIL"), N_("BY"), N_("NOTE"), N_("STATE")),
)


@click.group()
def grants() -> None:
    """List the grants of a budget; give and withdraw money, for operators."""


@grants.command("list")
@click.argument("budget", type=BUDGET)
@api.options
@JSON
def list_(budget: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """List the grants of BUDGET (person:NAME or project:NAME), newest first."""
    with api.connect(url, token_file, config) as gateway:
        found = entries(gateway.call("GET", f"/budgets/{budget}"), "grants")
    if json_:
        click.echo(as_json(found))
        return
    click.echo(table([_(title) for title in _HEAD], [_row(one) for one in found]))


@grants.command()
@click.argument("budget", type=BUDGET)
@click.argument("credits_", metavar="CREDITS", type=Credits())
@window
@click.option("--note", default="", help="What it is for; people read it.")
@click.option("--key", help="Names the grant: the same command again does not give it twice.")
@api.options
@JSON
def give(  # noqa: PLR0913, PLR0917 - each is an option
    budget: str,
    credits_: int,
    since: datetime | None,
    until: datetime | None,
    note: str,
    key: str | None,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Give BUDGET so many CREDITS, which can be spent from now on and for ever unless it is said otherwise."""
    body = {"amount": credits_, "starts": at(since), "ends": at(until), "note": note, "key": key}
    with api.connect(url, token_file, config) as gateway:
        found = mapping(gateway.send("POST", f"/budgets/{budget}/grants", body))
    click.echo(as_json(found) if json_ else table([_(title) for title in _HEAD], [_row(found)]))


@grants.command()
@click.argument("budget", type=BUDGET)
@click.argument("grant", type=click.IntRange(1))
@api.options
@JSON
def withdraw(
    budget: str, grant: int, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """Take back what is left of GRANT of BUDGET; what runs on it is stopped after a notice."""
    with api.connect(url, token_file, config) as gateway:
        found = mapping(gateway.call("DELETE", f"/budgets/{budget}/grants/{grant}"))
    if json_:
        click.echo(as_json(found))
    else:
        left = found.get("left")
        click.echo(_("{left} taken back").format(left=money(left if isinstance(left, int) else 0)))


def _row(one: Mapping[str, Any]) -> list[object]:
    state = _("withdrawn") if one.get("withdrawn") else _("ended") if one.get("expired") else ""
    money_ = [amount(one, "amount"), amount(one, "left")]
    days = [day(one, "starts"), day(one, "ends")]
    return [one.get("id"), one.get("budget"), *money_, *days, one.get("by"), one.get("note"), state]
