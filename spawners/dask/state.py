"""What a head says of itself: the status of its control interface, the report to the broker, and news worth telling."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perijove.spawners.dask.cluster import HeadCluster


def iso(seconds: float | None) -> str | None:
    """A time as the broker writes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


class News:
    """The newest things worth telling, each a code with values; the words are the panel's."""

    def __init__(self, most: int = 20) -> None:
        self._said: deque[dict[str, Any]] = deque(maxlen=most)

    def say(self, code: str, /, **values: Any) -> None:
        """Tell it, unless it was told last."""
        if self._said and (self._said[-1]["code"], self._said[-1]["values"]) == (code, values):
            return
        self._said.append({"code": code, "values": values, "at": iso(time.time())})

    def all(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return list(self._said)


def state(cluster: HeadCluster) -> dict[str, Any]:
    """The status: units as in the broker's API (micro-credits, MiB in `shape`; bytes and shares of a core here)."""
    config, view = cluster.config, cluster.keeper.view
    counts = cluster.members.counts()
    price = cluster.price
    adaptive = cluster._adaptive
    bounds = {"minimum": adaptive.minimum, "maximum": adaptive.maximum} if adaptive is not None else None
    silent = cluster.keeper.silent_since
    return {
        "id": config.id,
        "name": config.name,
        "centre": str(view.get("centre") or config.centre),
        "queue": str(view.get("queue") or config.queue),
        "beside": config.beside,
        "shape": dict(config.shape),
        "address": cluster.scheduler.address,
        "folder": str(config.folder),
        "target": cluster.target,
        "adaptive": bounds,
        "counts": counts,
        "workers": _workers(cluster),
        "price": price,
        "cost_per_hour": price * counts["running"],
        "limits": view.get("limits"),
        "used": view.get("used"),
        "money": view.get("money"),
        "ends_by": config.ends_by,
        "started": iso(cluster.started),
        "idle_for": idle_for(cluster),
        "dashboard": config.prefix + "/status",
        "said": cluster.news.all(),
        "broker": "ok" if silent is None else f"silent since {iso(silent)}",
        "stopped": cluster.keeper.stopped,
    }


def idle_for(cluster: HeadCluster) -> float:
    """Seconds without a task; 0 while there are some."""
    since = cluster.scheduler.check_idle()
    # distributed's clock is its own, in seconds since the epoch, too.
    return max(0.0, time.time() - since) if since else 0.0


def report(cluster: HeadCluster) -> dict[str, Any]:
    """The part of the status that the gateway's pages show; without workers it stays small."""
    full = state(cluster)
    kept = ("target", "adaptive", "counts", "idle_for", "dashboard", "said", "stopped", "started")
    return {key: full[key] for key in kept} | {"said": [_short(news) for news in full["said"][-5:]]}


def _short(news: dict[str, Any]) -> dict[str, Any]:
    """Of a log the end says most, of anything else the beginning."""
    part = {"log": slice(-300, None)}
    values = {
        key: value[part.get(key, slice(300))] if isinstance(value, str) else value
        for key, value in news["values"].items()
    }
    return {**news, "values": values}


def _workers(cluster: HeadCluster) -> list[dict[str, Any]]:
    """The broker's rows with what the scheduler knows; a worker that the broker has not listed yet has a short row."""
    known = {str(ws.name): ws for ws in cluster.scheduler.workers.values()}
    rows: dict[str, dict[str, Any]] = {
        name: {"name": name, "state": "requested"} for name in cluster.members.all if name not in cluster.members.rows
    }
    rows |= {name: dict(row) for name, row in cluster.members.rows.items()}
    for name, row in rows.items():
        ws = known.get(name)
        member = cluster.members.all.get(name)
        row |= {
            "connected": ws is not None,
            "silent": member is not None and member.silent and ws is None,
            "memory_used": int(ws.metrics.get("memory", 0)) if ws else None,
            "cpu": float(ws.metrics.get("cpu", 0)) if ws else None,
            "tasks": len(ws.processing) if ws else None,
        }
    return list(rows.values())
