"""Clusters in the store: what is asked of it without changing anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from perijove.hub.broker import clusterstore as rows
from perijove.hub.broker.clusterrecords import Batch, Cluster, WorkerState
from perijove.hub.broker.sessions import Sessions
from perijove.hub.broker.store import clusters, sessions, worker_jobs, workers
from perijove.hub.limits import Used
from perijove.spawners.session import Stage
from sqlalchemy import Connection, func, select

#: Workers that have ended stay listed so long.
LISTED = timedelta(minutes=10)


class ClusterReads:
    """Questions to the store; each is one transaction."""

    def __init__(self, known: Sessions) -> None:
        self.database = known.database
        self.bulletin = known.bulletin
        self.clock = known.clock

    async def get(self, cluster: str) -> Cluster | None:
        """The cluster with this id."""
        return await self.database.read(lambda c: rows.one(c, clusters.c.id == cluster))

    async def by_name(self, owner: str, name: str) -> Cluster | None:
        """The live cluster of (owner, name), else the latest one."""
        order = (clusters.c.live.is_(True).desc(), clusters.c.created.desc())
        query = select(clusters).where(clusters.c.owner == owner, clusters.c.name == name).order_by(*order).limit(1)

        def work(c: Connection) -> Cluster | None:
            row = c.execute(query).first()
            return Cluster.of(row) if row else None

        return await self.database.read(work)

    async def listing(self, owner: str | None, live: bool | None, limit: int = 1000) -> list[Cluster]:
        """Clusters, newest first: of `owner` if given; with `live` those that have not ended (False: that have)."""
        query = select(clusters).order_by(clusters.c.created.desc()).limit(limit)
        if owner is not None:
            query = query.where(clusters.c.owner == owner)
        if live is not None:
            query = query.where(clusters.c.ended.is_(None) if live else clusters.c.ended.is_not(None))
        return await self.database.read(lambda c: [Cluster.of(row) for row in c.execute(query)])

    async def batches(self, cluster: str) -> list[Batch]:
        """The worker jobs of a cluster whose folders are not removed, with their workers, oldest first."""

        def work(c: Connection) -> list[Batch]:
            found = rows.one(c, clusters.c.id == cluster)
            return rows.batches(c, found, ~worker_jobs.c.forgotten) if found else []

        return await self.database.read(work)

    async def of_key(self, cluster: str, key: str) -> list[Batch]:
        """The worker jobs of the request that was called `key`."""

        def work(c: Connection) -> list[Batch]:
            found = rows.one(c, clusters.c.id == cluster)
            return rows.batches(c, found, worker_jobs.c.key == key) if found else []

        return await self.database.read(work)

    async def listed(self, cluster: str) -> tuple[Cluster, list[Batch]] | None:
        """A cluster and the worker jobs of which workers go on, or ended a short while ago; in one transaction."""
        ended = worker_jobs.c.ended
        recent = ended.is_(None) | (ended > self.clock() - LISTED)

        def work(c: Connection) -> tuple[Cluster, list[Batch]] | None:
            found = rows.one(c, clusters.c.id == cluster)
            return (found, rows.batches(c, found, recent)) if found else None

        return await self.database.read(work)

    async def job(self, worker_job: str) -> Batch | None:
        """A worker job with its cluster and its workers."""
        return await self.database.read(lambda c: rows.batch(c, worker_job))

    async def unfinished(self, centre: str) -> list[Cluster]:
        """The clusters at `centre` for which something is still to be done."""
        query = select(clusters).where(clusters.c.centre == centre, ~clusters.c.forgotten)
        return await self.database.read(lambda c: [Cluster.of(row) for row in c.execute(query)])

    async def orphans(self, centre: str) -> list[Cluster]:
        """The live clusters at `centre` whose host session is being stopped, has ended, or is there no more."""
        alive = select(sessions.c.id).where(sessions.c.live.is_(True))
        query = select(clusters).where(clusters.c.centre == centre, clusters.c.live.is_(True))
        query = query.where(clusters.c.session.not_in(alive))
        return await self.database.read(lambda c: [Cluster.of(row) for row in c.execute(query)])

    async def headless(self, centre: str) -> list[Cluster]:
        """The live clusters at `centre` whose host session was put back into the queue: it cannot have a head."""
        waits = [Stage.CHECKED.value, Stage.SUBMITTED.value, Stage.QUEUED.value]
        without = select(sessions.c.id).where(sessions.c.stage.in_(waits))
        query = select(clusters).where(clusters.c.centre == centre, clusters.c.live.is_(True))
        query = query.where(clusters.c.session.in_(without))
        return await self.database.read(lambda c: [Cluster.of(row) for row in c.execute(query)])

    async def going(self, ids: Sequence[str]) -> dict[str, bool]:
        """Of those of `ids` that are worker jobs of ours: whether they have not ended."""

        def work(c: Connection) -> dict[str, bool]:
            found: dict[str, bool] = {}
            for some in (ids[i : i + 500] for i in range(0, len(ids), 500)):  # all: who is missing here is cancelled
                query = select(worker_jobs.c.id, worker_jobs.c.ended).where(worker_jobs.c.id.in_(some))
                found |= {str(row.id): row.ended is None for row in c.execute(query)}
            return found

        return await self.database.read(work)

    async def used(self, owner: str, centre: str) -> Used:
        """What the workers of a person at a centre are, together."""
        return await self.database.read(lambda c: rows.used(c, owner, centre))

    async def counts(self) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
        """Live clusters by centre, and workers that have not ended by centre and state."""
        over = [state.value for state in WorkerState if state.over]
        query = select(clusters.c.centre, workers.c.state, func.count()).select_from(rows.JOINED)
        query = query.where(workers.c.state.not_in(over)).group_by(clusters.c.centre, workers.c.state)
        living = select(clusters.c.centre, func.count()).where(clusters.c.live.is_(True)).group_by(clusters.c.centre)

        def work(c: Connection) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
            live = {str(centre): int(n) for centre, n in c.execute(living)}
            return live, {(str(centre), str(state)): int(n) for centre, state, n in c.execute(query)}

        return await self.database.read(work)
