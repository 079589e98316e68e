"""`perijove projects`: budgets, their members and limits, through the broker's API."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.answers import JSON, entries, mapping
from perijove.hub.cli.ledgerwords import BUDGET, PERSON, PROJECT, Credits, amount, day, query
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _

_HEAD = (
    *(N_("BUDGET"), N_("TITLE"), N_("ROLE"), N_("AVAILABLE")),
    *(N_("ON HOLD"), N_("SPENT"), N_("AN HOUR NOW"), N_("NEXT END")),
)


@click.group()
def projects() -> None:
    """List budgets; make projects, and say who spends their money."""


@projects.command("list")
@click.option("--owner", help="Those of this person.")
@click.option("--all", "all_", is_flag=True, help="Everybody's, for operators.")
@api.options
@JSON
def list_(
    owner: str | None, all_: bool, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """List the budgets that you may spend: your own first, then your projects."""
    wanted = {**query(owner=owner), **({"everybody": "true"} if all_ else {})}
    with api.connect(url, token_file, config) as gateway:
        found = entries(gateway.call("GET", "/budgets", **wanted), "budgets")
    if json_:
        click.echo(as_json(found))
        return
    click.echo(table([_(title) for title in _HEAD], [_row(one) for one in found]))
    if not found:
        click.echo(_("no budgets"), err=True)


@projects.command()
@click.argument("budget", type=BUDGET)
@api.options
@JSON
def show(budget: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Show BUDGET (person:NAME or project:NAME): what is in it, and who may spend it."""
    with api.connect(url, token_file, config) as gateway:
        found = mapping(gateway.call("GET", f"/budgets/{budget}"))
    if json_:
        click.echo(as_json(found))
        return
    click.echo(table([_(title) for title in _HEAD], [_row(found)]))
    if members := entries(found.get("members"), "members"):
        head = [_(title) for title in (N_("MEMBER"), N_("ROLE"), N_("LIMIT"), N_("ON HOLD"), N_("SPENT"))]
        rows = [[m.get("person"), m.get("role"), *_amounts(m, "limit", "held", "spent")] for m in members]
        click.echo("\n" + table(head, rows))
    if limits := entries(found.get("limits"), "limits"):
        head = [_(title) for title in (N_("CENTRE"), N_("MEMBER"), N_("LIMIT"))]
        click.echo("\n" + table(head, [[m.get("centre"), m.get("person") or "*", amount(m, "limit")] for m in limits]))


@projects.command()
@click.argument("project", type=PROJECT)
@click.option("--title", default="", help="What people read.")
@click.option("--manager", type=PERSON, help="Who says who spends its money.  [default: you]")
@api.options
@JSON
def create(
    project: str,
    title: str,
    manager: str | None,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Make PROJECT, for operators. It has no money until `perijove grants give`."""
    body = {"slug": project, "title": title, "manager": manager}
    with api.connect(url, token_file, config) as gateway:
        _tell(mapping(gateway.send("POST", "/projects", body)), json_)


@projects.command()
@click.argument("project", type=PROJECT)
@api.options
@JSON
def close(project: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Close PROJECT, for operators: nothing more is spent of it, and what runs on it is stopped after a notice."""
    with api.connect(url, token_file, config) as gateway:
        _tell(mapping(gateway.call("DELETE", f"/projects/{project}")), json_)


@projects.command()
@click.argument("project", type=PROJECT)
@click.argument("person", type=PERSON)
@click.option("--manager", is_flag=True, help="They say who spends its money, too.")
@click.option("--limit", type=Credits(), help="The most that they may spend, in credits.")
@api.options
@JSON
def add(
    project: str,
    person: str,
    manager: bool,
    limit: int | None,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Make PERSON a member of PROJECT, or change their role."""
    body = {"person": person, "role": "manager" if manager else "member", "limit": limit}
    with api.connect(url, token_file, config) as gateway:
        _tell(mapping(gateway.send("POST", f"/projects/{project}/members", body)), json_)


@projects.command()
@click.argument("project", type=PROJECT)
@click.argument("person", type=PERSON)
@api.options
@JSON
def remove(
    project: str, person: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """Remove PERSON from PROJECT; what they run on it is stopped after a notice."""
    with api.connect(url, token_file, config) as gateway:
        _tell(mapping(gateway.call("DELETE", f"/projects/{project}/members/{person}")), json_)


@projects.command()
@click.argument("project", type=PROJECT)
@click.argument("limit", type=Credits(), required=False)
@click.option("--person", type=PERSON, help="Whose it is; without it that of all members together, at a centre.")
@click.option("--centre", help="Where; without it anywhere.")
@api.options
@JSON
def limit(
    project: str,
    limit: int | None,
    person: str | None,
    centre: str | None,
    url: str | None,
    token_file: Path | None,
    config: Path | None,
    json_: bool,
) -> None:
    """Say the most of PROJECT, LIMIT credits, that a member or all at a centre may spend; no LIMIT: no limit."""
    if not person and not centre:
        raise click.UsageError(_("a limit is a person's (--person), a centre's (--centre), or both"))
    body = {"limit": limit, "person": person or "", "centre": centre or ""}
    with api.connect(url, token_file, config) as gateway:
        _tell(mapping(gateway.send("PUT", f"/projects/{project}/limits", body)), json_)


def _tell(found: Mapping[str, Any], json_: bool) -> None:
    click.echo(as_json(found) if json_ else table([_(title) for title in _HEAD], [_row(found)]))


def _row(one: Mapping[str, Any]) -> list[object]:
    role = _("closed") if one.get("closed") else one.get("role")
    money = _amounts(one, "available", "held", "spent", "burn")
    return [one.get("key"), one.get("title"), role, *money, day(one, "next_end")]


def _amounts(one: Mapping[str, Any], *keys: str) -> list[str]:
    return [amount(one, key) for key in keys]
