"""`perijove sessions`: list, show, follow and stop sessions through the broker's API."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.answers import JSON, Name, entries, mapping
from perijove.hub.cli.inwords import event, reason, stage
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _
from perijove.spawners.visible import visible

#: The columns of a list, by the API's keys.
_HEAD = {
    "id": N_("ID"),
    "owner": N_("OWNER"),
    "server": N_("SERVER"),
    "centre": N_("CENTRE"),
    "queue": N_("QUEUE"),
    "stage": N_("STAGE"),
    "reason": N_("REASON"),
    "job_id": N_("JOB_ID"),
    "node": N_("NODE"),
    "created": N_("CREATED"),
}
#: How the words for a code are found.
_WORDS = {"stage": stage, "reason": reason}
SESSION = Name("SESSION", r"[a-z2-7]{1,32}", N_("'{value}' is no session's id; `perijove sessions list` shows them"))


@click.group()
def sessions() -> None:
    """List, show and stop sessions."""


@sessions.command("list")
@click.option("--owner", help="Only those of this person.")
@click.option("--all", "everything", is_flag=True, help="Those that ended, too.")
@api.options
@JSON
def list_(
    owner: str | None, everything: bool, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """List live sessions."""
    query: dict[str, str | int | bool] = {} if everything else {"live": True}
    if owner:
        query["owner"] = owner
    with api.connect(url, token_file, config) as gateway:
        found = entries(gateway.call("GET", "/sessions", **query), "sessions")
    if json_:
        click.echo(as_json(found))
        return
    click.echo(table([_(title) for title in _HEAD.values()], [_row(entry) for entry in found]))
    if not found:
        none = _("no sessions") if everything else _("no live sessions (--all lists those that ended, too)")
        click.echo(none, err=True)


@sessions.command()
@click.argument("session", type=SESSION)
@api.options
@JSON
def show(session: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Show everything that the gateway knows of SESSION."""
    with api.connect(url, token_file, config) as gateway:
        found = mapping(gateway.call("GET", f"/sessions/{session}"))
    if json_:
        click.echo(as_json(found))
        return
    for key, value in found.items():
        if key == "log_tail" and isinstance(value, str) and value:
            click.echo("log_tail:")
            for line in value.splitlines()[-40:]:
                click.echo(f"    {visible(line)}")
        elif value not in (None, ""):
            click.echo(f"{visible(key, 40)}: {visible(value, 500)}")


@sessions.command()
@click.argument("session", type=SESSION)
@api.options
@JSON
def stop(session: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Stop SESSION: its job is cancelled. Files in the person's home stay."""
    with api.connect(url, token_file, config) as gateway:
        answer = gateway.call("DELETE", f"/sessions/{session}")
    if json_:
        click.echo(as_json(answer or {"id": session}))
    else:
        words = _("{session} is being stopped; `perijove sessions show {session}` says when it has ended")
        click.echo(words.format(session=session))


@sessions.command()
@click.argument("session", type=SESSION)
@click.option("--follow", is_flag=True, help="Wait for further events until the session ends (Ctrl-C leaves it).")
@api.options
@JSON
def events(
    session: str, follow: bool, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """Print what happened to SESSION, oldest first."""
    after, wait = 0, 0
    with api.connect(url, token_file, config) as gateway:
        while True:
            answer = gateway.call("GET", f"/sessions/{session}/events", after=after, wait=wait)
            fresh = entries(answer, "events")
            for one in fresh:
                click.echo(as_json(one) if json_ else _line(one))
                after = max(after, number if isinstance(number := one.get("id"), int) else 0)
            if not follow or any(one.get("stage") == "ended" for one in fresh):
                return
            wait = 25


def _row(entry: Mapping[str, Any]) -> list[object]:
    return [_WORDS[key](str(entry.get(key) or "")) if key in _WORDS else entry.get(key) for key in _HEAD]


def _line(entry: Mapping[str, Any]) -> str:
    words = (stage(str(entry.get("stage") or "")), event(entry))
    return " ".join([visible(entry.get("at"), 40), *(visible(word, 300) for word in words if word)])
