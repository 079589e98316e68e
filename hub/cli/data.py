"""`perijove data`: the data sets that lie at centres and those that come with apps, and one's files between centres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from perijove.hub.cli import api
from perijove.hub.cli.inwords import amount
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _
from perijove.hub.datasets import Listed, catalogue
from perijove.spawners.visible import visible

#: States of a transfer.
STATES = {
    "waiting": N_("waiting"),
    "running": N_("on its way"),
    "cancelling": N_("being cancelled"),
    "cancelled": N_("cancelled"),
    "done": N_("arrived"),
    "failed": N_("failed"),
}


@click.group()
def data() -> None:
    """List the data sets that lie at centres or come with apps, and your files on their way between centres."""


@data.command("list")
@api.options
@click.option("--json", "json_", is_flag=True, help="The list as JSON, for programs.")
def list_(url: str | None, token_file: Path | None, config: Path | None, *, json_: bool) -> None:
    """List the data sets: licence, where they lie, and which apps read them."""
    with api.connect(url, token_file, config) as gateway:
        centres = gateway.call("GET", "/centres")["centres"]
        try:
            apps: list[Any] = gateway.call("GET", "/apps")["apps"]
        except api.ApiFailed:  # a gateway without apps
            apps = []
    found = catalogue(centres, apps)
    if json_:
        click.echo(as_json([asdict(one) for one in found]))
        return
    head = (_("DATA SET"), _("TITLE"), _("SIZE"), _("LICENCE"), _("WHERE"), _("APPS"))
    click.echo(table(head, [_row(one) for one in found]) if found else _("no data sets"))


@data.command()
@api.options
@click.option("--json", "json_", is_flag=True, help="The list as JSON, for programs.")
def transfers(url: str | None, token_file: Path | None, config: Path | None, *, json_: bool) -> None:
    """List your files on their way from one centre to another, newest first."""
    with api.connect(url, token_file, config) as gateway:
        found = gateway.call("GET", "/transfers")["transfers"]
    if json_:
        click.echo(as_json(found))
        return
    head = (_("TRANSFER"), _("FILE"), _("FROM"), _("TO"), _("STATE"), _("PROGRESS"))
    click.echo(table(head, [_transfer(one) for one in found]) if found else _("none of your files is on its way"))


@data.command()
@api.options
@click.argument("transfer")
def cancel(transfer: str, url: str | None, token_file: Path | None, config: Path | None) -> None:
    """Stop bringing a file; what has arrived of it is removed."""
    with api.connect(url, token_file, config) as gateway:
        found = gateway.call("DELETE", f"/transfers/{quote(transfer, safe='')}")
    click.echo(f"{visible(found['id'], 40)}: {_(STATES.get(str(found['state']), str(found['state'])))}")


def _transfer(one: Mapping[str, Any]) -> tuple[str, ...]:
    """What a line says; names of files are another person's words as far as the terminal goes."""
    source, target, total = one["from"], one["to"], one.get("total")
    state = _(STATES.get(str(one["state"]), str(one["state"])))
    if one.get("problem"):
        state += f": {visible(one['problem']['message'], 200)}"
    part = f"{100 * one['moved'] // total} %" if total else ""
    where = (visible(source["path"], 200), visible(source["centre"], 40), visible(target["centre"], 40))
    return visible(one["id"], 40), *where, state, part


def _row(one: Listed) -> tuple[str, ...]:
    """What a line says."""
    from perijove.hub.languages import of_environment

    title = one.title.get(of_environment().code) or one.title.get("en") or one.name
    size = amount("memory", one.bytes // 2**20) if one.bytes else ""
    where = ", ".join(f"{centre}:{path}" for centre, path in one.places) or _("with the app")
    return one.name, str(title), size, one.licence, where, ", ".join(name for name, _title in one.apps)
