"""`perijove clusters`: list, show and stop Dask clusters through the broker's API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from perijove.hub.cli import api
from perijove.hub.cli.answers import JSON, Name, entries, mapping
from perijove.hub.cli.inwords import money, reason, worker_state
from perijove.hub.cli.tables import as_json, table
from perijove.hub.cli.words import N_, _

_HEAD = (
    N_("ID"),
    N_("OWNER"),
    N_("NAME"),
    N_("CENTRE"),
    N_("QUEUE"),
    N_("RUNNING"),
    N_("QUEUED"),
    N_("REQUESTED"),
    N_("LOST"),
    N_("AN HOUR"),
)
_WORKERS = (N_("WORKER"), N_("STATE"), N_("REASON"), N_("NODE"), N_("JOB_ID"), N_("ENDS BY"))
_STATES = ("running", "queued", "requested", "lost")
CLUSTER = Name(
    "CLUSTER", r"[a-z][a-z0-9-]{0,31}", N_("'{value}' is no cluster's name or id; `perijove clusters list` shows them")
)


@click.group()
def clusters() -> None:
    """List, show and stop Dask clusters."""


@clusters.command("list")
@click.option("--owner", help="Only those of this person.")
@click.option("--all", "everything", is_flag=True, help="Those that ended, too.")
@api.options
@JSON
def list_(
    owner: str | None, everything: bool, url: str | None, token_file: Path | None, config: Path | None, json_: bool
) -> None:
    """List clusters: your own, or everybody's for an operator."""
    query: dict[str, str | int | bool] = {} if everything else {"live": True}
    if owner is not None:
        query["owner"] = owner
    with api.connect(url, token_file, config) as gateway:
        found = entries(gateway.call("GET", "/clusters", **query), "clusters")
    if json_:
        click.echo(as_json(found))
        return
    click.echo(table([_(title) for title in _HEAD], [_row(entry) for entry in found]))
    if not found:
        none = _("no clusters") if everything else _("no live clusters (--all lists those that ended, too)")
        click.echo(none, err=True)


@clusters.command()
@click.argument("cluster", type=CLUSTER)
@api.options
@JSON
def show(cluster: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Show CLUSTER and each of its workers."""
    with api.connect(url, token_file, config) as gateway:
        found = mapping(gateway.call("GET", f"/clusters/{cluster}"))
        workers = entries(gateway.call("GET", f"/clusters/{cluster}/workers"), "workers")
    if json_:
        click.echo(as_json({**found, "workers": workers}))
        return
    click.echo(table([_(title) for title in _HEAD], [_row(found)]))
    if workers:
        click.echo()
        # Those that are there or come stand first: what has ended is listed for some minutes yet.
        workers = sorted(workers, key=lambda entry: entry.get("state") in ("ended", "lost"))
        click.echo(table([_(title) for title in _WORKERS], [_worker(entry) for entry in workers]))


@clusters.command()
@click.argument("cluster", type=CLUSTER)
@api.options
@JSON
def stop(cluster: str, url: str | None, token_file: Path | None, config: Path | None, json_: bool) -> None:
    """Stop CLUSTER: its workers are cancelled. What they have in memory is lost; files stay."""
    with api.connect(url, token_file, config) as gateway:
        answer = gateway.call("DELETE", f"/clusters/{cluster}")
    if json_:
        click.echo(as_json(answer or {"id": cluster}))
    else:
        click.echo(_("{cluster} is being stopped; its workers are cancelled").format(cluster=cluster))


def _row(entry: Mapping[str, Any]) -> list[object]:
    counts = entry.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    cost = entry.get("cost_per_hour")
    return [
        *(entry.get(key) for key in ("id", "owner", "name", "centre", "queue")),
        *(counts.get(state, 0) for state in _STATES),
        money(cost if isinstance(cost, int) else 0),
    ]


def _worker(entry: Mapping[str, Any]) -> list[object]:
    state = worker_state(str(entry.get("state") or ""))
    why = reason(str(entry.get("reason") or ""))
    # To the second, as any clock; what has ended has no end before it.
    ends = "" if entry.get("state") in ("ended", "lost") else re.sub(r"\.\d+", "", str(entry.get("ends_by") or ""))
    return [entry.get("name"), state, why, entry.get("node"), entry.get("job_id"), ends]
