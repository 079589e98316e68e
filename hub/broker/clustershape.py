"""The shape of a cluster's workers: what was asked for, and what the centre's description says where nothing was.

Nothing of a person's own configuration goes in: the same call gives the same workers at every desk.

- queue: the host session's own if a worker fits there, else the first of the centre that fits;
- cores: a quarter of a node's, at least 1 and at most 8: small enough to start soon, large enough to share data;
- memory: the share of the node that goes with the cores, at least 1 GiB where the node has it;
- walltime: the queue's usual time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from perijove.hub.broker.clusterrecords import Cluster
from perijove.spawners.centre import Centre, Queue
from perijove.spawners.request import BadRequest, Fault, Placement, Request, fit, named_queues

#: What a shape may say, in the words of a request.
KEYS = ("queue", "cores", "memory", "gpus", "walltime", "project")


def usual_cores(queue: Queue) -> int:
    """The cores of a worker where none are asked for."""
    return max(1, min(8, queue.cores // 4))


def placed(
    shape: Mapping[str, Any], centre: Centre, own_queue: str, now: datetime, project: str | None = None
) -> tuple[Placement, str | None]:
    """Where a worker of this shape runs, and the project that it is billed to (`project` is the host session's).

    Raises:
        BadRequest: with every reason why it cannot be.
    """
    if unknown := [key for key in shape if key not in KEYS]:
        words = "is not part of a worker's shape"
        raise BadRequest([Fault(str(key)[:60], "unknown-option", words, {}) for key in unknown[:100]])
    request = Request.parse({**shape, "centre": centre.id})
    _, queues = named_queues(request, {centre.id: centre})
    queues.sort(key=lambda queue: queue.name != own_queue)  # the sort keeps the description's order otherwise
    missing = shape.get("cores") in (None, "")
    faults: list[list[Fault]] = []
    for queue in queues:
        filled = request.model_copy(update={"cores": usual_cores(queue)}) if missing else request
        outcome = fit(filled, centre, queue, now)
        if isinstance(outcome, Placement):
            return outcome, request.project or project
        faults.append(outcome)
    raise BadRequest(min(faults, key=len))


def again(cluster: Cluster, centre: Centre, now: datetime) -> Placement:
    """Where one more worker of a cluster runs today: the description may have changed, or a maintenance be near.

    Raises:
        BadRequest: with every reason why it cannot be.
    """
    shape = {key: getattr(cluster, key) for key in ("queue", "cores", "memory", "gpus", "walltime")}
    return placed(shape, centre, cluster.queue, now)[0]


def tariff(queue: Queue, now: datetime) -> dict[str, int]:
    """The prices of a queue as they are now: micro-credits an hour."""
    return queue.price_at(now).model_dump(include={"core_hour", "gpu_hour", "memory_hour"})
