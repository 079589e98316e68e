"""How the centres are watched, as operators and supervisors see it. It only reads; words are made where they show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perijove.hub.broker.clusters import Clusters
from perijove.spawners.centre import Centre
from perijove.spawners.launcher import VERSION as LAUNCHER

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker


async def watchers(broker: Broker) -> list[dict[str, Any]]:
    """Every centre: its lease, its newest answer and its failures, its sessions by stage, its tunnels, its orders."""
    holders, counts = await broker.leases.holders(), await broker.sessions.counts()
    clusters, workers = await Clusters(broker.sessions).counts()
    return [
        health(broker, centre, holders)
        | _details(broker, centre, holders, counts.get(centre.id, {}))
        | {"clusters": clusters.get(centre.id, 0)}
        | {"workers": {state: number for (where, state), number in workers.items() if where == centre.id}}
        for centre in broker.parts.centres.values()
    ]


def health(broker: Broker, centre: Centre, holders: Mapping[str, str]) -> dict[str, Any]:
    """Whether a centre answers this broker.

    `lease` is "here", "elsewhere" (then only the broker that has it knows more) or "nobody". `answering` is None as
    long as it is not known: nobody has asked yet, because nobody has a session there.
    """
    keeper, holder = broker.keepers.get(centre.id), holders.get(centre.id)
    watcher = keeper.watcher if keeper and keeper.held else None
    worst = watcher.worst if watcher else None
    answered = watcher.answered if watcher else None
    return {
        "id": centre.id,
        "answering": False if worst else True if answered else None,
        "unknown_since": _iso(worst.since) if worst else None,
        "as_of": _iso(answered),
        "lease": "here" if holder == broker.holder else "elsewhere" if holder else "nobody",
    }


def _details(broker: Broker, centre: Centre, holders: Mapping[str, str], stages: Mapping[str, int]) -> dict[str, Any]:
    keeper = broker.keepers.get(centre.id)
    watcher = keeper.watcher if keeper and keeper.held else None
    worst = watcher.worst if watcher else None
    drain, notice = broker.orders.drains.get(centre.id), broker.orders.notices.get(centre.id)
    return {
        "name": centre.name.model_dump(),
        "system": centre.scheduler.system,
        "holder": holders.get(centre.id),
        "failures": worst.count if worst else 0,
        "problem": worst.problem if worst else None,
        "detail": worst.detail if worst else "",
        "launcher": _launcher(centre, watcher.launcher if watcher else None),
        "commands": watcher.commands if watcher else 0,
        "commands_per_minute": watcher.per_minute() if watcher else 0,
        "sessions": dict(stages),
        "tunnels": tunnels(broker, centre.id),
        "enabled": centre.enabled,
        "drained": drain.view() if drain else None,
        "notice": notice.view() if notice else None,
    }


def _launcher(centre: Centre, version: int | None) -> dict[str, Any] | None:
    """An installed launcher that is older than this gateway's; None: there is none as far as it is known."""
    if version is None or version >= LAUNCHER:
        return None
    return {"version": version, "wanted": LAUNCHER, "path": centre.login.launcher}


def tunnels(broker: Broker, centre: str) -> dict[str, int]:
    """How many tunnels to sessions at a centre are up, and how many are being made again."""
    keeper = broker.keepers.get(centre)
    made = [work.tunnel.up for work in keeper.works.values() if work.tunnel is not None] if keeper else []
    return {"up": sum(made), "down": len(made) - sum(made)}


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


__all__ = ["health", "tunnels", "watchers"]
