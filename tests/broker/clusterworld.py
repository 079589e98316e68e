"""What the tests of clusters do: a session that is up, a cluster beside it, workers asked for."""

from __future__ import annotations

from typing import Any

from broker.harness import Gateway, until
from broker.simulated import Job
from perijove.hub.broker.clusterdesk import ClusterDesk
from perijove.hub.broker.clusterrecords import Cluster
from perijove.spawners.session import Stage


class World:
    """One person's cluster."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.id = ""

    @property
    def desk(self) -> ClusterDesk:
        return ClusterDesk(self.gateway.broker)

    async def begin(self, kind: str = "lab", **shape: Any) -> Cluster:
        """A session whose job runs, and a cluster whose head is in it."""
        await self.gateway.start()
        self.gateway.centre.auto = True
        record = await self.gateway.open(kind=kind)
        host = await self.gateway.at(record.id, Stage.READY)
        self.gateway.centre.auto = False
        cluster = await self.desk.open(host, "", shape)
        self.id = cluster.id
        return cluster

    async def cluster(self) -> Cluster:
        found = await self.desk.clusters.get(self.id)
        assert found is not None
        return found

    async def ask(self, count: int, key: str = "k") -> list[str]:
        """The names of the workers."""
        batches = await self.desk.ask(await self.cluster(), key, count, False)
        return [worker.name for batch in batches for worker in batch.workers]

    async def view(self) -> dict[str, dict[str, Any]]:
        """The workers by name."""
        found = await self.desk.workers(await self.cluster())
        return {worker["name"]: worker for worker in found["workers"]}

    async def states(self) -> list[str]:
        return [worker["state"] for worker in (await self.view()).values()]

    async def until(self, *states: str, seconds: float = 10.0) -> dict[str, dict[str, Any]]:
        """The workers, once their states are these."""

        async def there() -> dict[str, dict[str, Any]] | None:
            found = await self.view()
            return found if [worker["state"] for worker in found.values()] == list(states) else None

        found: dict[str, dict[str, Any]] = await until(there, seconds, f"workers are {states}")
        return found

    def jobs(self) -> list[Job]:
        """The workers' jobs at the centre, in order."""
        return [job for job in self.gateway.centre.jobs.values() if job.array]

    async def closed(self) -> Cluster:
        """The cluster, once it is over and its folders are removed."""

        async def over() -> Cluster | None:
            found = await self.cluster()
            return found if found.forgotten else None

        found: Cluster = await until(over, what="the cluster is over")
        return found

    async def codes(self) -> list[str]:
        return await self.gateway.codes((await self.cluster()).session)
