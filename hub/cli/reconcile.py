"""`perijove reconcile`: what was charged against what centres say, and what nobody knows, through the broker's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.answers import JSON, Name, entries, mapping
from perijove.hub.cli.inwords import money, no_such_centre, span
from perijove.hub.cli.ledgerwords import DAY, Credits, amount, query
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _

_HEAD = (
    *(N_("REPORT"), N_("CENTRE"), N_("DAY"), N_("STATE")),
    *(N_("JOBS HERE"), N_("JOBS THERE"), N_("DIFFERENCES"), N_("DETAIL")),
)
_DIFFERENCES = (N_("KIND"), N_("OF"), N_("JOB"), N_("CHARGED FOR"), N_("CENTRE SAYS"), N_("DECIDED BY"), N_("DETAIL"))
#: Codes of the API, in words.
_WORDS = {
    "running": N_("being made"),
    "sound": N_("sound"),
    "partial": N_("sound as far as it goes"),
    "differences": N_("differences"),
    "failed": N_("failed"),
    "not-at-centre": N_("the centre does not know it"),
    "not-ours": N_("not known here"),
    "hours": N_("other hours"),
    "undecided": N_("cost not known here"),
    "accounting": N_("the centre's accounting"),
}
SUBJECT = Name("id", r"[a-z2-7]{13}", N_("'{value}' is no id; `perijove reconcile undecided` shows them"))


@click.group()
def reconcile() -> None:
    """Compare what was charged with each centre's own accounting; decide what nobody knows. For operators."""


@reconcile.command("list")
@click.argument("centre", required=False)
@api.options
@JSON
def list_(centre: str | None, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """List the reports of CENTRE, or of all, newest first, with their differences."""
    with api.connect(url, token_file, config) as gateway:
        found = entries(gateway.call("GET", "/reconciliations", **query(centre=centre)), "reconciliations")
    _tell(found, json_, found)


@reconcile.command()
@click.argument("centre")
@click.option("--day", type=DAY, metavar="DAY", help="Which (UTC), e.g. 2026-12-01.  [default: yesterday]")
@api.options
@JSON
def run(
    centre: str, day: datetime | None, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """Compare a day at CENTRE now. Exit code 1 if something differs, or the centre could not be asked."""
    asked = f"?day={day.date().isoformat()}" if day else ""
    with api.connect(url, token_file, config) as gateway:
        known = [str(one.get("id")) for one in entries(gateway.call("GET", "/centres"), "centres")]
        if centre not in known:
            raise click.UsageError(no_such_centre(centre, dict.fromkeys(known)))
        report = mapping(gateway.send("POST", f"/reconciliations/{centre}{asked}", {}))
    _tell([report], json_, report)
    if report.get("state") not in ("sound", "partial"):
        raise click.exceptions.Exit(1)


@reconcile.command()
@api.options
@JSON
def undecided(url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """List what nobody knows the cost of: it stays on hold until the centre's accounting, or you, say."""
    with api.connect(url, token_file, config) as gateway:
        found = entries(gateway.call("GET", "/holds"), "holds")
    if json_:
        click.echo(as_json(found))
        return
    head = (N_("KIND"), N_("ID"), N_("BUDGET"), N_("PERSON"), N_("CENTRE"), N_("ON HOLD"), N_("WHY"))
    rows = [
        [
            *(one.get(key) for key in ("kind", "subject", "budget", "person", "centre")),
            amount(one, "open"),
            one.get("why"),
        ]
        for one in found
    ]
    click.echo(table([_(title) for title in head], rows))


@reconcile.command()
@click.argument("kind", type=click.Choice(["session", "workers", "warm"]))
@click.argument("id_", metavar="ID", type=SUBJECT)
@click.argument("credits_", metavar="CREDITS", type=Credits())
@click.option("--note", default="", help="Why; it stands in the books.")
@api.options
@JSON
def decide(
    kind: str,
    id_: str,
    credits_: int,
    note: str,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Say that what nobody knows of cost CREDITS in all, or correct what was settled; the rest goes back."""
    with api.connect(url, token_file, config) as gateway:
        found = mapping(gateway.send("POST", f"/holds/{kind}/{id_}/decision", {"charge": credits_, "note": note}))
    if json_:
        click.echo(as_json(found))
    else:
        charged = found.get("charged")
        click.echo(_("{cost} charged").format(cost=money(charged if isinstance(charged, int) else 0)))


def _tell(reports: Sequence[Mapping[str, Any]], json_: bool, answer: Any) -> None:
    if json_:
        click.echo(as_json(answer))
        return
    click.echo(table([_(title) for title in _HEAD], [_row(report) for report in reports]))
    for report in reports:
        if found := entries(report.get("differences"), "differences"):
            click.echo("\n" + _("report {number}").format(number=report.get("id")))
            click.echo(table([_(title) for title in _DIFFERENCES], [_difference(one) for one in found]))


def _row(report: Mapping[str, Any]) -> list[object]:
    first = [report.get("id"), report.get("centre"), report.get("day"), _word(report.get("state"))]
    differences = report.get("differences")
    count = len(differences) if isinstance(differences, list) else ""
    return [*first, report.get("jobs_ours"), report.get("jobs_theirs"), count, report.get("detail")]


def _difference(one: Mapping[str, Any]) -> list[object]:
    times = [span(value, value) if isinstance(value := one.get(key), int) else "-" for key in ("ours", "theirs")]
    decided = _word(one.get("decided_by") or "")
    return [_word(one.get("kind")), one.get("subject"), one.get("job_id"), *times, decided, one.get("detail")]


def _word(code: object) -> str:
    return _(_WORDS[str(code)]) if str(code) in _WORDS else str(code)
