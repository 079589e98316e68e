"""A session before there is one: what will be written down, submitted and shown for a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from perijove.hub.broker.records import Record
from perijove.hub.broker.submission import job_spec
from perijove.spawners.batch import BatchSystem
from perijove.spawners.centre import Centre, Queue
from perijove.spawners.job import JobSpec
from perijove.spawners.kinds import kind
from perijove.spawners.link import Account
from perijove.spawners.request import BadRequest, Fault, Placement, Request, place

#: In the place of a session's id in a preview; no session has it by chance, since ids begin with the gateway's tag.
SAMPLE = "previewsample"
#: The small job whose start is asked for is this part of a node.
SMALL = 4
EPOCH = datetime.fromtimestamp(0, UTC)


def placed(options: Mapping[str, Any], centres: Mapping[str, Centre], now: datetime) -> tuple[Request, Placement]:
    """The request that raw `options` mean, and where it would run.

    Raises:
        BadRequest: with every reason why it cannot be.
    """
    request = Request.parse(options)
    try:
        kind(request.kind)
    except LookupError as error:
        raise BadRequest([Fault("kind", "unknown-kind", str(error), {"kind": request.kind})]) from None
    return request, place(request, centres, now)


def draft(owner: str, server: str, request: Request, placement: Placement, account: Account, now: datetime) -> Record:
    """A record without an id."""
    return Record(
        id="",
        owner=owner,
        server=server,
        live=True,
        kind=request.kind,
        centre=placement.centre.id,
        queue=placement.queue.name,
        request=request.model_dump(mode="json"),
        cores=placement.cores,
        memory=placement.memory,
        gpus=placement.gpus,
        walltime=placement.walltime,
        price=placement.price,
        account={"name": account.name, "key_file": account.key_file, "run_as": account.run_as},
        created=now,
    )


def preview(record: Record, centre: Centre, system: BatchSystem) -> dict[str, Any]:
    """The job script of a draft, and the command that would submit it. No secret is in either, as in real ones."""
    spec = job_spec(centre, replace(record, id=SAMPLE))
    command = system.submit(spec)
    return {"script": command.stdin or system.script(spec), "argv": list(command.argv)}


def sample(centre: Centre, queue: Queue) -> JobSpec:
    """A small job of the queue's usual time: what a batch system is asked about when nobody has asked for anything."""
    cores = max(1, queue.cores // SMALL)
    request = Request(centre=centre.id, queue=queue.name, cores=cores)
    placement = Placement(centre, queue, cores, max(1, queue.memory // SMALL), 0, queue.usual_time)
    record = draft("", "", request, placement, Account(), EPOCH)
    return job_spec(centre, replace(record, id=SAMPLE))


__all__ = ["SAMPLE", "draft", "placed", "preview", "sample"]
