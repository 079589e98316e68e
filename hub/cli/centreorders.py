"""`perijove centres drain | undrain | notice | health`: what an operator says and asks of centres, through the API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.inwords import problem, stage
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _
from perijove.spawners.visible import visible

_LEASES = {"here": N_("here"), "elsewhere": N_("elsewhere"), "nobody": N_("nobody")}
JSON = click.option("--json", "json_", is_flag=True, help="The answer as JSON, for programs.")


class CentreName(click.ParamType[str]):
    """The id of a centre: lower-case letters, digits and hyphens, as `perijove centres` shows it."""

    name = "CENTRE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id, or a fault in words."""
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", str(value)):
            words = _("'{value}' is no centre's id; `perijove centres` shows them")
            self.fail(words.format(value=visible(value, 40)), param, ctx)
        return str(value)


@click.command()
@click.argument("centre", type=CentreName())
@click.option("--note", default="", help="Why, in a sentence: people whose start is refused read it.")
@api.options
@JSON
def drain(centre: str, note: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Take no new sessions at CENTRE. Those that run or wait there go on."""
    with api.connect(url, token_file, config) as gateway:
        order = gateway.send("PUT", f"/centres/{centre}/drain", {"note": note})
    said = _(
        "{centre} takes no new sessions; those that run or wait go on. `perijove centres undrain {centre}` ends that."
    )
    click.echo(as_json(order) if json_ else said.format(centre=centre))


@click.command()
@click.argument("centre", type=CentreName())
@api.options
def undrain(centre: str, url: str | None, token_file: Path | None, config: Path | None) -> None:
    """Take new sessions at CENTRE again."""
    with api.connect(url, token_file, config) as gateway:
        gateway.call("DELETE", f"/centres/{centre}/drain")
    click.echo(_("{centre} takes new sessions").format(centre=centre))


@click.command()
@click.argument("centre", type=CentreName())
@click.option("--en", default="", help="The text in English.")
@click.option("--zh", default="", help="The text in Chinese.")
@click.option("--level", default="info", show_default=True, type=click.Choice(["info", "warning"]), help="How loud.")
@click.option("--remove", is_flag=True, help="Remove the notice that there is.")
@api.options
@JSON
def notice(  # noqa: PLR0913, PLR0917  (click gives each option as an argument)
    centre: str,
    en: str,
    zh: str,
    level: str,
    remove: bool,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Tell everybody who looks at CENTRE something, in both languages.

    For example: perijove centres notice tianjin --level warning --en "New nodes on Monday" --zh "周一更换节点"
    """
    if remove == bool(en or zh) or (not remove and not (en.strip() and zh.strip())):
        raise click.UsageError(_("give the text in both languages (--en and --zh), or --remove alone"))
    with api.connect(url, token_file, config) as gateway:
        if remove:
            gateway.call("DELETE", f"/centres/{centre}/notice")
            click.echo("null" if json_ else _("{centre} has no notice").format(centre=centre))
            return
        body = {"text": {"en": en, "zh": zh}, "level": level}
        order = gateway.send("PUT", f"/centres/{centre}/notice", body)
    click.echo(as_json(order) if json_ else _("whoever looks at {centre} reads it").format(centre=centre))


@click.command()
@api.options
@JSON
def health(url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Show how each centre is watched: does it answer, since when not, how many sessions it has."""
    with api.connect(url, token_file, config) as gateway:
        answer = gateway.call("GET", "/watchers")
    rows = answer.get("watchers") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise api.ApiFailed(_("the gateway's list of watchers cannot be read: is it of another version?"))
    if json_:
        click.echo(as_json(rows))
        return
    times = (_("ANSWERS"), _("SINCE"), _("LEASE"), _("A MINUTE"))
    head = (_("CENTRE"), *times, _("SESSIONS"), _("STARTS"), _("DETAIL"))
    click.echo(table(head, [_row(row) for row in rows]))


def _row(row: Mapping[str, Any]) -> list[object]:
    answering = row.get("answering")
    answers = _("not asked") if answering is None else _("yes") if answering else _("no")
    lease, stages = row.get("lease"), row.get("sessions") or {}
    return [
        row.get("id"),
        answers,
        row.get("unknown_since") or row.get("as_of"),
        _(_LEASES[lease]) if lease in _LEASES else lease,
        row.get("commands_per_minute"),
        ", ".join(f"{count} {stage(code)}" for code, count in stages.items()) if isinstance(stages, dict) else "",
        _("drained") if row.get("drained") else _("closed") if row.get("enabled") is False else _("yes"),
        problem(str(row["problem"]), str(row.get("detail"))) if row.get("problem") else "",
    ]
