"""What the API asks about clusters: from a caller's words to the store, and to the keeper that has the work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from perijove.hub.broker import clustershape, clusterviews, paying
from perijove.hub.broker.clusterrecords import Batch, Cluster
from perijove.hub.broker.clusters import Asked, Clusters, KeyUsed
from perijove.hub.broker.errors import Refusal
from perijove.hub.ledger.records import LedgerError
from perijove.hub.limits import OverLimit
from perijove.spawners.request import BadRequest

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker
    from perijove.hub.broker.records import Record
    from perijove.spawners.centre import Centre

#: Seconds between looks into the store while one waits: another broker may have the work.
LOOK = 5.0


class ClusterDesk:
    """Clusters of one broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.clusters = Clusters(broker.sessions)

    async def find(self, name: str, owner: str) -> Cluster | None:
        """The cluster with this id, else `owner`'s of this name."""
        return await self.clusters.get(name) or await self.clusters.by_name(owner, name)

    async def open(self, host: Record, name: str, shape: Mapping[str, Any]) -> Cluster:
        """The live cluster of this name with its head in `host`, made if there is none.

        Raises:
            BadRequest, Refusal, NameTaken, TooManyClusters.
        """
        if not host.live:
            raise Refusal(409, "session-over", "this session has ended or is being stopped")
        known = await self.clusters.by_name(host.owner, name) if name else None
        if known is not None and known.live and known.session == host.id:
            return known
        now, centre = self.broker.parts.clock(), self._centre(host.centre)
        self._refuse_drained(centre)
        place, project = clustershape.placed(shape, centre, host.queue, now, host.request.get("project"))
        draft = Cluster(
            id="",
            owner=host.owner,
            name=name,
            session=host.id,
            server=host.server,
            beside=host.kind != "dask",
            centre=centre.id,
            queue=place.queue.name,
            cores=place.cores,
            memory=place.memory,
            gpus=place.gpus,
            walltime=place.walltime,
            price=place.hourly,
            account=host.account,
            created=now,
            project=project,
        )
        found, _ = await self.clusters.open(draft, self.broker.tag)
        self.wake(found)
        return found

    async def ask(self, cluster: Cluster, key: str, count: int, confirmed: bool) -> list[Batch]:
        """So many more workers; the same key again gives what came of the first time.

        Raises:
            BadRequest, Refusal, Closed, KeyUsed, OverLimit.
        """
        if known := await self.clusters.of_key(cluster.id, key):
            if sum(batch.job.count for batch in known) != count:
                raise KeyUsed
            return known
        centre = self._centre(cluster.centre)
        self._refuse_drained(centre)
        place = clustershape.again(cluster, centre, self.broker.parts.clock())
        asked = Asked(
            key=key,
            count=count,
            confirmed=confirmed,
            max_array=centre.scheduler.max_array,
            price=place.hourly,
            tariff=clustershape.tariff(place.queue, self.broker.parts.clock()),
            limits=self.broker.parts.cluster_limits,
            hold=partial(paying.hold_workers, settings=self.broker.parts.ledger),
        )
        try:
            batches = await self.clusters.ask(cluster.id, asked, self.broker.tag)
        except OverLimit as over:
            await self.broker.meters.refused(cluster.owner, "", cluster.centre, cluster.queue, over.code)
            raise
        except LedgerError as error:
            raise await self.broker.refused(cluster.owner, cluster.centre, cluster.queue, error) from None
        self.wake(cluster)
        return batches

    async def let_go(self, cluster: Cluster, names: Collection[str]) -> Cluster:
        """These workers are to end."""
        found = await self.clusters.let_go(cluster.id, frozenset(names))
        self.wake(found)
        return found

    async def close(self, cluster: Cluster, by: str) -> Cluster:
        """The cluster is to end, with all its workers; so is a session that is there for its head alone."""
        found = await self.clusters.close(cluster.id, by)
        self.wake(found)
        if not found.beside and found.ended is None:
            host = await self.broker.sessions.get(found.session)
            if host is not None and host.live:
                await self.broker.ask_to_stop(host, by)
        return found

    async def view(self, cluster: Cluster) -> dict[str, Any]:
        """The API's JSON of a cluster."""
        found, batches = await self.clusters.listed(cluster.id) or (cluster, [])
        limits, used = self.broker.parts.cluster_limits, await self.clusters.used(cluster.owner, cluster.centre)
        money = await self.broker.meters.cluster(found, batches)
        return clusterviews.cluster(found, batches, limits, used, self.broker.parts.clock(), money)

    async def workers(self, cluster: Cluster, after: int = -1, wait: float = 0.0) -> dict[str, Any]:
        """The workers, once the cluster's version is beyond `after`, or after `wait` seconds."""
        bulletin, loop = self.broker.bulletin, asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            news = bulletin.listen(cluster.id)
            try:
                # A version alone is cheap to read: the head of a quiet cluster waits here all the time.
                found = await self.clusters.get(cluster.id) or cluster
                left = deadline - loop.time()
                if found.version > after or left <= 0:
                    found, batches = await self.clusters.listed(cluster.id) or (cluster, [])
                    return clusterviews.workers(found, batches, self.broker.parts.clock())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, LOOK)):
                        await news
            finally:
                bulletin.leave(cluster.id, news)

    async def log(self, cluster: Cluster, name: str) -> str | None:
        """The last lines of a worker's log; "" if there is none, None if there is no such worker."""
        job, _, task = name.rpartition("-")
        batch = await self.clusters.job(job[:32]) if job else None
        if batch is None or batch.cluster.id != cluster.id or name not in {w.name for w in batch.workers}:
            return None
        keeper = self.broker.keepers.get(cluster.centre)
        if keeper is None or keeper.context.tails is None or not batch.job.attempt or batch.job.forgotten:
            return ""
        where = f"{job}/log.{task}" if batch.job.array else job
        return await keeper.context.tails.get(cluster.login, where)

    def wake(self, cluster: Cluster) -> None:
        """The keeper, if it is this broker's, takes up what was written."""
        if (keeper := self.broker.keepers.get(cluster.centre)) is not None:
            keeper.clusters.poke(cluster)

    def _centre(self, name: str) -> Centre:
        centre = self.broker.parts.centres.get(name)
        if centre is None:
            raise Refusal(404, "unknown-centre", "the centre is not described any more")
        return centre

    def _refuse_drained(self, centre: Centre) -> None:
        if faults := self.broker.orders.faults(centre.id):
            raise BadRequest(list(faults))
