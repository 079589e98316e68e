"""Supply and demand of each queue, for operators: use, waits, refused requests, and what it earned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from statistics import quantiles
from typing import Any

from perijove.hub.broker.store import sessions
from perijove.hub.ledger import statements
from perijove.hub.ledger.tables import refusals
from perijove.spawners.session import Stage
from sqlalchemy import Connection, func, select

#: Starts of which waits are told, the newest.
MOST = 20_000


def demand(c: Connection, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """Of each centre and queue between two times. `waits` are seconds from submission to start; micro-credits."""
    used = {one.key: one for one in statements.usage(c, "queue", since=since, until=until)}
    waits, refused, going = _waits(c, since, until), _refused(c, since, until), _going(c)
    rows = []
    for key in sorted({*used, *waits, *refused, *going}):
        centre, _, queue = key.partition("/")
        use = used.get(key)
        rows.append(
            {
                "centre": centre,
                "queue": queue,
                "jobs": use.jobs if use else 0,
                "core_hours": use.core_hours if use else 0.0,
                "gpu_hours": use.gpu_hours if use else 0.0,
                "charged": use.charged if use else 0,
                "absorbed": use.absorbed if use else 0,
                "income": use.charged + use.absorbed if use else 0,
                "waits": _spread(waits.get(key, ())),
                "refused": refused.get(key, {}),
                **{"waiting": 0, "running": 0, **going.get(key, {})},
            }
        )
    return rows


def _waits(c: Connection, since: datetime, until: datetime) -> dict[str, list[float]]:
    s = sessions.c
    query = select(s.centre, s.queue, s.submitted, s.started).where(s.started >= since, s.started < until)
    query = query.where(s.submitted.is_not(None)).order_by(s.started.desc()).limit(MOST)
    found: dict[str, list[float]] = {}
    for centre, queue, submitted, started in c.execute(query):
        found.setdefault(f"{centre}/{queue}", []).append(max(0.0, (started - submitted).total_seconds()))
    return found


def _spread(seconds: Iterable[float]) -> dict[str, Any]:
    """How many, the middle one, and that which nine of ten do not exceed."""
    known = list(seconds)
    if not known:
        return {"count": 0, "p50": None, "p90": None}
    tenths = quantiles(known, n=10, method="inclusive") if len(known) > 1 else known * 9
    return {"count": len(known), "p50": round(tenths[4], 1), "p90": round(tenths[8], 1)}


def _refused(c: Connection, since: datetime, until: datetime) -> dict[str, dict[str, int]]:
    """How many requests were refused, by code."""
    r = refusals.c
    query = select(r.centre, r.queue, r.code, func.count()).where(r.time >= since, r.time < until)
    found: dict[str, dict[str, int]] = {}
    for centre, queue, code, count in c.execute(query.group_by(r.centre, r.queue, r.code)):
        found.setdefault(f"{centre}/{queue}", {})[str(code)] = int(count)
    return found


def _going(c: Connection) -> dict[str, dict[str, int]]:
    """Sessions that wait and that run now."""
    s = sessions.c
    query = select(s.centre, s.queue, s.started.is_not(None), func.count()).where(s.stage != Stage.ENDED.value)
    found: dict[str, dict[str, int]] = {}
    for centre, queue, started, count in c.execute(query.group_by(s.centre, s.queue, s.started.is_not(None))):
        found.setdefault(f"{centre}/{queue}", {})["running" if started else "waiting"] = int(count)
    return found


__all__ = ["demand"]
