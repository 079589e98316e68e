"""The API of Dask clusters: opened and asked for workers by their heads, looked at and closed by their people."""

# No postponed annotations here: FastAPI could not resolve `Who`, which each router makes for itself.
import json
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from perijove.hub.broker.api_sessions import LONGEST_WAIT
from perijove.hub.broker.auth import Caller
from perijove.hub.broker.broker import Broker
from perijove.hub.broker.clusterdesk import ClusterDesk
from perijove.hub.broker.clusterrecords import Cluster
from perijove.hub.broker.clusters import Closed, KeyUsed, NameTaken, TooManyClusters
from perijove.hub.broker.clusterviews import asked
from perijove.hub.broker.errors import Refusal
from perijove.hub.limits import OverLimit
from perijove.spawners.units import credits_text
from pydantic import BaseModel, ConfigDict, Field

_NAME = re.compile(r"([a-z][a-z0-9-]{0,29})?\Z")
#: Workers in one request, and bytes of a head's report.
MOST_WORKERS, MOST_REPORT = 10_000, 64 << 10
Person = Callable[[Request], Awaitable[Caller]]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewCluster(_Body):
    """A cluster whose head is in a session."""

    session: str = Field(max_length=64, description="the session in whose job the head runs")
    name: str = Field(default="", max_length=30, description='the name; "" takes a free one, such as dask-1')
    shape: dict[str, Any] = Field(
        default_factory=dict, description="of one worker: queue, cores, memory, gpus, walltime, project"
    )


class Report(_Body):
    """What a head says of itself."""

    report: dict[str, Any] = Field(description="any JSON of at most 64 kB; shown to the owner as it is")


class MoreWorkers(_Body):
    """A request for workers."""

    key: str = Field(min_length=1, max_length=64, description="names the request: repeated, it is made once")
    count: int = Field(ge=1, le=MOST_WORKERS, strict=True, description="how many")
    confirmed: bool = Field(default=False, description="the person has agreed to the cost")


class FewerWorkers(_Body):
    """Workers that are to end."""

    names: list[Annotated[str, Field(max_length=64)]] = Field(max_length=MOST_WORKERS, description="their names")


def router(broker: Broker, person: Person) -> APIRouter:  # noqa: PLR0915 - one function per address
    """The routes."""
    routes = APIRouter(tags=["clusters"])
    Who = Annotated[Caller, Depends(person)]
    desk = ClusterDesk(broker)

    async def one(name: str, who: Caller) -> Cluster:
        found = await desk.find(name[:64], who.name)
        if found is None or not who.may_see(found.owner):
            raise Refusal(404, "no-cluster", "there is no such cluster")
        return found

    @routes.post("/clusters", status_code=201)
    async def start(body: NewCluster, who: Who) -> dict[str, Any]:
        """Open a cluster beside a session of one's own, or give the live one of this name. Asks for no workers yet."""
        host = await broker.sessions.get(body.session)
        if host is None or not (who.gateway or who.name == host.owner):
            raise Refusal(404, "no-session", "there is no such session")
        if not _NAME.match(body.name):
            words = "name: a name has lower-case letters, digits and -, at most 30"
            raise Refusal(status=400, code="bad-request", message=words)
        try:
            return await desk.view(await desk.open(host, body.name, body.shape))
        except NameTaken:
            raise Refusal(
                409,
                "cluster-exists",
                "you have a live cluster of this name with another session; choose another name or close it",
                values={"name": body.name},
            ) from None
        except TooManyClusters:
            raise Refusal(
                409, "too-many-clusters", "you have as many clusters as one person may have; close one first"
            ) from None

    @routes.get("/clusters")
    async def listing(
        who: Who,
        owner: str | None = None,
        live: bool | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> dict[str, Any]:
        """Clusters, newest first: one's own, or (operators) everybody's."""
        if owner is not None and not who.may_see(owner):
            raise Refusal(403, "forbidden", "you see your own clusters only")
        whose = owner if owner is not None or who.operator else who.name
        found = await desk.clusters.listing(whose, live, limit)
        return {"clusters": [await desk.view(cluster) for cluster in found]}

    @routes.get("/clusters/{cluster}")
    async def get(cluster: str, who: Who) -> dict[str, Any]:
        """One cluster, by its id or one's own name for it."""
        return await desk.view(await one(cluster, who))

    @routes.delete("/clusters/{cluster}")
    async def close(cluster: str, who: Who) -> dict[str, Any]:
        """Close a cluster: all its workers are cancelled. Asking again is harmless."""
        return await desk.view(await desk.close(await one(cluster, who), who.name))

    @routes.put("/clusters/{cluster}/report")
    async def report(cluster: str, body: Report, who: Who) -> dict[str, Any]:
        """What the head says of its cluster, for the pages."""
        found = await one(cluster, who)
        if len(json.dumps(body.report)) > MOST_REPORT:
            raise Refusal(status=413, code="too-large", message=f"a report has at most {MOST_REPORT} bytes")
        return await desk.view(await desk.clusters.report(found.id, body.report))

    @routes.post("/clusters/{cluster}/workers", status_code=201)
    async def more(cluster: str, body: MoreWorkers, who: Who) -> dict[str, Any]:
        """Ask for workers: one submission, where the centre takes so large an array. This spends."""
        found = await one(cluster, who)
        try:
            return asked(await desk.ask(found, body.key, body.count, body.confirmed))
        except OverLimit as over:
            raise _over(over) from None
        except Closed:
            raise Refusal(409, "cluster-closed", "the cluster is closed, or being closed") from None
        except KeyUsed:
            raise Refusal(409, "key-used", "this key was used for another number of workers") from None

    @routes.get("/clusters/{cluster}/workers")
    async def workers(
        cluster: str,
        who: Who,
        after: Annotated[int, Query(ge=-1)] = -1,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0.0,
    ) -> dict[str, Any]:
        """What the batch system says of the workers; waits up to `wait` seconds for a version beyond `after`."""
        return await desk.workers(await one(cluster, who), after, wait)

    @routes.delete("/clusters/{cluster}/workers")
    async def fewer(cluster: str, body: FewerWorkers, who: Who) -> dict[str, Any]:
        """Cancel workers, all with one command. Those that have ended are left as they are."""
        return await desk.workers(await desk.let_go(await one(cluster, who), body.names))

    @routes.get("/clusters/{cluster}/workers/{worker}/log")
    async def log(cluster: str, worker: str, who: Who) -> dict[str, Any]:
        """The last lines of a worker's log."""
        text = await desk.log(await one(cluster, who), worker)
        if text is None:
            raise Refusal(404, "no-worker", "there is no such worker")
        return {"log": text}

    return routes


def _over(over: OverLimit) -> Refusal:
    """The words for more workers than one person may have, or than was confirmed."""
    values = over.values
    most, more, has = (values.get(key, 0) for key in ("most", "asked", "used"))
    if over.code == "limit-workers":
        return Refusal(
            409,
            "limit-workers",
            f"you may have {most} Dask workers at this centre; {has} are there, and {more} more were asked for",
            values=values,
        )
    if over.code == "limit-cores":
        return Refusal(
            409,
            "limit-cores",
            f"your Dask workers may have {most} cores at this centre; they have {has}, and {more} more were asked for",
            values=values,
        )
    if over.code == "limit-cost":
        limit, cost, added = (credits_text(number) for number in (most, has, more))
        return Refusal(
            409,
            "limit-cost",
            f"your Dask workers here may cost {limit} credits an hour; it is {cost}, and {added} more were asked for",
            values=values,
        )
    cost = credits_text(values["cost"])
    return Refusal(
        409,
        "confirm-cost",
        f"all your Dask workers here would cost {cost} credits an hour: say that you agree",
        values=values,
    )
