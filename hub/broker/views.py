"""The API's JSON for sessions, centres and offers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from perijove.hub.broker.keeper import Keeper
from perijove.hub.broker.orders import Orders
from perijove.hub.broker.records import Record
from perijove.spawners.centre import Centre
from perijove.spawners.request import BadRequest, Fault, Request, fit

_SAME = [
    "id",
    "owner",
    "server",
    "kind",
    "centre",
    "queue",
    "cores",
    "memory",
    "gpus",
    "walltime",
    "price",
    "reason",
    "raw_reason",
    "job_id",
    "node",
    "connected",
    "outcome",
    "exit_code",
    "asked_by",
    "detail",
    "log_tail",
    "last_event",
]
_TIMES = ["unknown_since", "created", "submitted", "started", "ready", "ended", "ends_by", "expected"]


def session(record: Record, needs_environment: bool) -> dict[str, Any]:
    """A session; see `perijove.spawners.session.SessionView`."""
    view: dict[str, Any] = {key: getattr(record, key) for key in _SAME}
    view |= {key: _iso(getattr(record, key)) for key in _TIMES}
    view["stage"] = record.stage.value
    view["url"] = f"http://127.0.0.1:{record.local_port}" if record.local_port else None
    view["needs_environment"] = needs_environment
    return view


def centre(described: Centre, keeper: Keeper | None, now: datetime, orders: Orders) -> dict[str, Any]:
    """A centre for people to choose from: nothing of how it is reached."""
    names = {"name": described.name, "place": described.place, "description": described.description}
    window = described.maintenance_between(now, now)
    silent = next(iter(keeper.unknown.values()), None) if keeper else None
    drain, notice = orders.drains.get(described.id), orders.notices.get(described.id)
    return {
        "id": described.id,
        **{key: text.model_dump() if text else None for key, text in names.items()},
        "system": described.scheduler.system,
        "identity": described.login.identity,
        "software": list(described.environment.software),
        "enabled": described.enabled,
        "maintenance": window.model_dump(mode="json") if window else None,
        "next_maintenance": [m.model_dump(mode="json") for m in described.maintenance if m.end > now],
        "unknown_since": silent.since.isoformat() if silent else None,
        "drained": drain.view() if drain else None,
        "notice": notice.view() if notice else None,
        "queues": [_queue(described, queue.name, keeper) for queue in described.queues],
    }


def _queue(described: Centre, name: str, keeper: Keeper | None) -> dict[str, Any]:
    queue = described.queue(name)
    assert queue is not None  # noqa: S101 - it is one of this centre's
    view = queue.model_dump(mode="json", exclude={"at_centre", "account"})
    status = next((one for one in keeper.queues if one.name == queue.label), None) if keeper else None
    keys = ["open", "cores", "cores_free", "cores_down", "jobs_running", "jobs_queued"]
    return view | {"status": {key: getattr(status, key) for key in keys} if status else None}


def offers(
    request: Mapping[str, Any], centres: Mapping[str, Centre], now: datetime, orders: Orders
) -> list[dict[str, Any]]:
    """What every queue says to a request; one that names no centre is held against all.

    Raises:
        BadRequest: the request itself is faulty.
    """
    named = str(request.get("centre") or "")
    found: list[dict[str, Any]] = []
    parsed = Request.parse({**request, "centre": named or next(iter(centres), "none")})
    for one in centres.values():
        for queue in one.queues:
            if (named and one.id != named) or parsed.queue not in (None, queue.name):
                continue
            outcome = fit(parsed, one, queue, now)
            faults = orders.faults(one.id) + (outcome if isinstance(outcome, list) else [])
            offer: dict[str, Any] = {"centre": one.id, "queue": queue.name, "fits": not faults}
            offer["faults"] = [fault_view(fault) for fault in faults]
            if not faults and not isinstance(outcome, list):
                offer |= {"price": outcome.price, "cores": outcome.cores, "memory": outcome.memory}
                offer |= {"gpus": outcome.gpus, "walltime": outcome.walltime}
            found.append(offer)
    if named and named not in centres:
        words = f"there is no centre {named!r}"
        raise BadRequest([Fault("centre", "unknown-centre", words, {"centre": named})])
    return found


def fault_view(fault: Fault) -> dict[str, Any]:
    """A fault for the API."""
    return {"field": fault.field, "code": fault.code, "message": fault.message, "values": dict(fault.values)}


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
