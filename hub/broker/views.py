"""The API's JSON for sessions and centres."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from perijove.hub.broker.keeper import Keeper
from perijove.hub.broker.memory import Memory
from perijove.hub.broker.orders import Orders
from perijove.hub.broker.records import Record
from perijove.spawners.centre import Centre, DataSet, Queue
from perijove.spawners.request import Fault

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
    "request",
    "forecast",
]
_TIMES = ["unknown_since", "created", "submitted", "started", "ready", "ended", "ends_by", "expected", "taken"]


def session(
    record: Record, needs_environment: bool, ahead: int | None = None, money: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A session; see `perijove.spawners.session.SessionView`. `money`: see `perijove.hub.broker.money`."""
    view: dict[str, Any] = {key: getattr(record, key) for key in _SAME}
    view |= {key: iso(getattr(record, key)) for key in _TIMES}
    view["stage"] = record.stage.value
    view["url"] = f"http://127.0.0.1:{record.local_port}" if record.local_port else None
    view["needs_environment"] = needs_environment
    view["ahead"] = ahead
    view["money"] = money
    return view


def centre(described: Centre, keeper: Keeper | None, now: datetime, orders: Orders) -> dict[str, Any]:
    """A centre for people to choose from: nothing of how it is reached."""
    names = {"name": described.name, "place": described.place, "description": described.description}
    window = described.maintenance_between(now, now)
    silent = next(iter(keeper.unknown.values()), None) if keeper else None
    drain, notice = orders.drains.get(described.id), orders.notices.get(described.id)
    memory = keeper.memory if keeper else Memory()
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
        "as_of": iso(memory.as_of),
        "last_ready": iso(memory.last_ready),
        "datasets": [_data(one) for one in described.datasets],
        "queues": [_queue(queue, memory, now) for queue in described.queues],
    }


def _data(described: DataSet) -> dict[str, Any]:
    size = described.size * 2**20 if described.size is not None else None
    return described.model_dump(mode="json", exclude={"size"}) | {"bytes": size}


def _queue(queue: Queue, memory: Memory, now: datetime) -> dict[str, Any]:
    status = memory.queues.get(queue.label)
    keys = ["open", "cores", "cores_free", "cores_down", "jobs_running", "jobs_queued"]
    return queue.model_dump(mode="json", exclude={"at_centre", "account"}) | {
        "status": {key: getattr(status, key) for key in keys} if status else None,
        **memory.record(queue.name, now),
        "load": [[iso(at), *numbers] for at, *numbers in memory.load(queue.label, now)],
    }


def fault_view(fault: Fault) -> dict[str, Any]:
    """A fault for the API."""
    return {"field": fault.field, "code": fault.code, "message": fault.message, "values": dict(fault.values)}


def iso(value: datetime | None) -> str | None:
    """A time in the API's JSON."""
    return value.isoformat() if value else None
