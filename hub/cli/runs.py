"""`perijove runs`: list, show, cancel, download and share runs of apps through the broker's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.answers import JSON, Name, entries, mapping
from perijove.hub.cli.inwords import money, run_state
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _

_HEAD = (
    *(N_("ID"), N_("OWNER"), N_("APP"), N_("LABEL"), N_("CENTRE"), N_("STATE")),
    *(N_("PROGRESS"), N_("COST"), N_("CREATED")),
)
_STEPS = (N_("STEP"), N_("STATE"), N_("PROGRESS"), N_("SECONDS"))
RUN = Name("run", r"[a-z2-7]{13}", N_("'{value}' is no run's id; `perijove runs list` shows them"))


def _of_one(command: Callable[..., Any]) -> Callable[..., Any]:
    """What each command about one run takes: RUN, where the gateway is, and --json."""
    return click.argument("run", type=RUN)(api.options(JSON(command)))


@click.group()
def runs() -> None:
    """List, show, cancel, download and share runs of apps."""


@runs.command("list")
@click.option("--owner", help="Only those of this person.")
@click.option("--app", help="Only those of this app.")
@api.options
@JSON
def list_(
    owner: str | None, app: str | None, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """List runs, newest first: your own, or everybody's for an operator."""
    query: dict[str, str | int | bool] = {k: v for k, v in (("owner", owner), ("app", app)) if v is not None}
    with api.connect(url, token_file, config) as gateway:
        found = entries(gateway.call("GET", "/runs", **query), "runs")
    if json_:
        click.echo(as_json(found))
        return
    click.echo(_listed(found))
    if not found:
        click.echo(_("no runs"), err=True)


@runs.command()
@_of_one
def show(run: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Show RUN: its steps, its results, and the files that are kept of it."""
    with api.connect(url, token_file, config) as gateway:
        found = mapping(gateway.call("GET", f"/runs/{run}"))
    if json_:
        click.echo(as_json(found))
        return
    click.echo(_listed([found]))
    report = _table(found.get("report"))
    if steps := _rows(report.get("steps")):
        click.echo()
        click.echo(table([_(title) for title in _STEPS], [_step(step) for step in steps]))
    if numbers := _rows(_table(report.get("results")).get("numbers")):
        click.echo()
        head = [_(title) for title in (N_("RESULT"), N_("VALUE"), N_("UNIT"))]
        click.echo(table(head, [[one.get("name"), one.get("value"), one.get("unit")] for one in numbers]))
    if kept := _rows(found.get("kept")):
        click.echo()
        head = [_(title) for title in (N_("FILE"), N_("BYTES"))]
        click.echo(table(head, [[one.get("file"), one.get("bytes")] for one in kept]))


@runs.command()
@_of_one
def cancel(run: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Cancel RUN. Finished steps are kept: it can be resumed."""
    with api.connect(url, token_file, config) as gateway:
        answer = mapping(gateway.call("DELETE", f"/runs/{run}"))
    if json_:
        click.echo(as_json(answer))
    elif answer.get("wanted") == "cancel":
        click.echo(_("{run} is being cancelled").format(run=run))
    else:
        click.echo(_("{run} is {state}").format(run=run, state=run_state(str(answer.get("state") or ""))))


@runs.command()
@click.option("--to", type=click.Path(path_type=Path), help="The file to write.  [default: RUN.zip]")
@_of_one
def download(
    run: str, to: Path | None, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """Save all files of RUN as a ZIP."""
    place = to or Path(f"{run}.zip")
    with api.connect(url, token_file, config) as gateway:
        size = gateway.save(f"/runs/{run}/download", place)
    if json_:
        click.echo(as_json({"file": str(place), "bytes": size}))
    else:
        click.echo(_("{file}: {size} bytes").format(file=place, size=size))


@runs.command()
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="For how long it is good.")
@click.option("--rerun", is_flag=True, help="Whoever is signed in may run the app with these inputs.")
@click.option("--revoke", metavar="SHARE", help="Take the link with this id back instead.")
@_of_one
def share(
    run: str,
    days: int,
    rerun: bool,
    revoke: str | None,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Make a link that shows RUN to whoever has it, and nothing else. It is told once."""
    with api.connect(url, token_file, config) as gateway:
        if revoke is not None:
            if not re.fullmatch(r"[a-z2-7]{12}", revoke):
                raise click.UsageError(_("--revoke takes the id of a link, as it was told with it"))
            gateway.call("DELETE", f"/runs/{run}/shares/{revoke}")
            click.echo(as_json({"id": revoke}) if json_ else _("the link is not good any more"))
            return
        body = {"mode": "rerun" if rerun else "view", "days": days}
        made = mapping(gateway.send("POST", f"/runs/{run}/shares", body))
    if json_:
        click.echo(as_json(made))
    else:
        words = _("{url} is good until {expires}; `perijove runs share {run} --revoke {share}` takes it back")
        expires = str(made.get("expires") or "")[:10]
        click.echo(words.format(url=made.get("url"), expires=expires, run=run, share=made.get("id")))


def _listed(found: Sequence[Mapping[str, Any]]) -> str:
    return table([_(title) for title in _HEAD], [_row(entry) for entry in found])


def _row(entry: Mapping[str, Any]) -> list[object]:
    cost = entry.get("cost")
    state = run_state(str(entry.get("state") or ""))
    created = re.sub(r"\.\d+", "", str(entry.get("created") or ""))
    return [
        *(entry.get(key) for key in ("id", "owner", "app", "label", "centre")),
        *(state, _percent(entry.get("progress")), money(cost if isinstance(cost, int) else 0), created),
    ]


def _step(step: Mapping[str, Any]) -> list[object]:
    seconds = step.get("seconds")
    shown = f"{seconds:.1f}" if isinstance(seconds, int | float) else ""
    return [step.get("name"), run_state(str(step.get("state") or "")), _percent(step.get("progress")), shown]


def _percent(value: Any) -> str:
    return f"{value:.0%}" if isinstance(value, int | float) else ""


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
