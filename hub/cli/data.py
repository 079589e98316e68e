"""`perijove data`: the data sets that lie at centres and those that come with apps."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.inwords import amount
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import _
from perijove.hub.datasets import Listed, catalogue


@click.group()
def data() -> None:
    """List the data sets that lie at centres or come with apps."""


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


def _row(one: Listed) -> tuple[str, ...]:
    """What a line says."""
    from perijove.hub.languages import of_environment

    title = one.title.get(of_environment().code) or one.title.get("en") or one.name
    size = amount("memory", one.bytes // 2**20) if one.bytes else ""
    where = ", ".join(f"{centre}:{path}" for centre, path in one.places) or _("with the app")
    return one.name, str(title), size, one.licence, where, ", ".join(name for name, _title in one.apps)
