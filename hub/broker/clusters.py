"""Clusters in the store: each call is one transaction, and the cluster's row is locked first in it, whatever it does.

A change of a worker makes the cluster's version grow and wakes those who wait for it; what a person should know of it
becomes an event of the session in which the cluster's head is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from perijove.hub.broker import clusterstore as rows
from perijove.hub.broker import workerjobs
from perijove.hub.broker.clusterreads import ClusterReads
from perijove.hub.broker.clusterrecords import Batch, BatchTransition, Cluster, Worker, WorkerJob
from perijove.hub.broker.records import News
from perijove.hub.broker.store import clusters, worker_jobs, workers
from perijove.hub.limits import ClusterLimits, check
from perijove.spawners.job import Reason, new_session_id
from sqlalchemy import Connection, insert, update

#: Clusters that one person may have at a time.
MOST = 100


class NameTaken(Exception):
    """A live cluster of this name has another host; its id is the exception's text."""


class TooManyClusters(Exception):
    """The person has as many live clusters as one person may have."""


class Closed(Exception):
    """The cluster is closed or being closed."""


class KeyUsed(Exception):
    """The key was used for a request of another size."""


def _nothing(c: Connection, cluster: Cluster, job: WorkerJob) -> None:
    """They cost nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """More workers of a cluster, as they are asked for."""

    key: str
    count: int
    confirmed: bool
    #: Tasks of one array at most; 1: each worker is a job of its own.
    max_array: int
    #: Micro-credits an hour of one worker, and of each thing, as the prices are now.
    price: int
    tariff: Mapping[str, int]
    limits: ClusterLimits
    #: Puts the money for a worker job on hold that was just written.
    hold: Callable[[Connection, Cluster, WorkerJob], object] = _nothing

    def parts(self) -> list[int]:
        """The sizes of the submissions."""
        most = max(1, self.max_array)
        return [min(most, self.count - begun) for begun in range(0, self.count, most)]


class Clusters(ClusterReads):
    """All clusters of this gateway."""

    async def open(self, draft: Cluster, tag: str) -> tuple[Cluster, bool]:
        """The live cluster of `draft`'s owner, name and host, made if there is none (then True); it gets an id.

        Without a name it gets a free one: dask-1, dask-2, ...

        Raises:
            NameTaken, TooManyClusters.
        """

        def work(c: Connection) -> tuple[Cluster, bool]:
            mine = [Cluster.of(row) for row in c.execute(rows.living(draft.owner))]
            taken = {cluster.name: cluster for cluster in mine}
            if found := taken.get(draft.name):
                if found.session != draft.session:
                    raise NameTaken(found.id)
                return found, False
            if len(mine) >= MOST:
                raise TooManyClusters
            free = (f"dask-{number}" for number in range(1, MOST + 2))
            name = draft.name or next(name for name in free if name not in taken)
            made = replace(draft, id=new_session_id(tag), name=name, created=self.clock())
            c.execute(insert(clusters).values(**made.row()))
            rows.tell(c, made, [News.of("cluster-opened", cluster=name, queue=made.queue)], made.created)
            return made, True

        made, new = await self.database.write(work)
        if new:
            self._announce(made, told=True)
        return made, new

    async def ask(self, cluster: str, asked: Asked, tag: str) -> list[Batch]:
        """The worker jobs of one request for workers, written down unless its key is known already.

        Raises:
            Closed, KeyUsed, OverLimit; LedgerError where the money for them is not there.
        """

        def work(c: Connection) -> tuple[list[Batch], bool]:
            found = rows.locked(c, cluster)
            known = rows.batches(c, found, worker_jobs.c.key == asked.key)
            if known:
                if sum(batch.job.count for batch in known) != asked.count:
                    raise KeyUsed
                return known, False
            if not found.live:
                raise Closed
            # Nobody else of this person's clusters here may ask until this is written.
            list(c.execute(rows.living(found.owner, found.centre).order_by(clusters.c.id).with_for_update()))
            used = rows.used(c, found.owner, found.centre)
            check(asked.limits, used, asked.count, found.cores, asked.price, asked.confirmed)
            now, made = self.clock(), []
            for part, count in enumerate(asked.parts()):
                given = (new_session_id(tag), found.id, asked.key, part, count, asked.max_array > 1)
                job = WorkerJob(*given, asked.price, asked.tariff, now)
                c.execute(insert(worker_jobs).values(**job.row()))
                tasks = tuple(Worker(job.id, task) for task in range(1, count + 1))
                c.execute(insert(workers), [worker.row() for worker in tasks])
                made.append(Batch(found, job, tasks))
            told = News.of("workers-asked", count=asked.count, cluster=found.name, queue=found.queue)
            grown = rows.grow(c, found, [told], now)
            for batch in made:  # last, as everywhere: who locks rows of the ledger first would wait for the others'
                asked.hold(c, found, batch.job)
            return [replace(batch, cluster=grown) for batch in made], True

        batches, new = await self.database.write(work)
        if new:
            self._announce(batches[0].cluster, told=True)
        return batches

    async def change(self, worker_job: str, transition: BatchTransition) -> Batch:
        """The worker job after `transition`, which sees it as it is in the store now; None leaves it as it is."""

        def work(c: Connection) -> tuple[Batch, bool, bool]:
            before = rows.locked_batch(c, worker_job)
            change = transition(before)
            if change is None:
                return before, False, False
            return rows.apply(c, before, change, self.clock()), True, bool(change.news)

        batch, changed, told = await self.database.write(work)
        if changed:
            self._announce(batch.cluster, told)
        return batch

    async def let_go(self, cluster: str, names: Collection[str] | None = None) -> Cluster:
        """These workers (None: all) are asked to end; names that are not the cluster's are none of its business."""

        def work(c: Connection) -> tuple[Cluster, bool]:
            return self._let_go(c, rows.locked(c, cluster), names)

        found, changed = await self.database.write(work)
        if changed:
            self._announce(found)
        return found

    async def close(self, cluster: str, by: str) -> Cluster:
        """Mark a cluster as to be closed, and all its workers as unwanted. Doing so again changes nothing."""

        def work(c: Connection) -> tuple[Cluster, bool]:
            found = rows.locked(c, cluster)
            if not found.live:
                return found, False
            self._let_go(c, found, None)
            now = self.clock()
            values = {"live": None, "closed_by": by[:255], "closed": now}
            c.execute(update(clusters).where(clusters.c.id == cluster).values(**values))
            told = News.of("cluster-closed", cluster=found.name, by=by)
            return rows.grow(c, rows.locked(c, cluster), [told], now), True

        found, changed = await self.database.write(work)
        if changed:
            self._announce(found, told=True)
        return found

    def _let_go(self, c: Connection, found: Cluster, names: Collection[str] | None) -> tuple[Cluster, bool]:
        now, changed = self.clock(), False
        for batch in rows.batches(c, found, worker_jobs.c.ended.is_(None)):
            tasks = None if names is None else {w.task for w in batch.workers if w.name in names}
            change = workerjobs.unwanted(tasks)(batch)
            if change is not None:
                found, changed = rows.apply(c, replace(batch, cluster=found), change, now).cluster, True
        return found, changed

    async def ended(self, cluster: str) -> Cluster:
        """All workers of a closed cluster have ended: so has it."""
        outcome = Reason.COMPLETED.value
        return await self._set(cluster, {"ended": self.clock(), "outcome": outcome}, grows=True)

    async def forgotten(self, cluster: str, jobs: Iterable[str], *, whole: bool) -> Cluster:
        """The folders of these worker jobs are removed; `whole`: and that of the cluster."""
        gone = list(jobs)

        def work(c: Connection) -> Cluster:
            rows.locked(c, cluster)
            for some in (gone[i : i + 500] for i in range(0, len(gone), 500)):
                c.execute(update(worker_jobs).where(worker_jobs.c.id.in_(some)).values(forgotten=True))
            if whole:
                c.execute(update(clusters).where(clusters.c.id == cluster).values(forgotten=True))
            return rows.locked(c, cluster)

        return await self.database.write(work)

    async def report(self, cluster: str, said: Mapping[str, Any]) -> Cluster:
        """What the head says of itself, kept as it is; wakes nobody."""
        return await self._set(cluster, {"report": dict(said), "seen": self.clock()})

    async def _set(self, cluster: str, values: Mapping[str, Any], *, grows: bool = False) -> Cluster:
        def work(c: Connection) -> Cluster:
            rows.locked(c, cluster)
            c.execute(update(clusters).where(clusters.c.id == cluster).values(**values))
            found = rows.locked(c, cluster)
            return rows.grow(c, found, [], self.clock()) if grows else found

        found = await self.database.write(work)
        if grows:
            self._announce(found)
        return found

    def _announce(self, cluster: Cluster, told: bool = False) -> None:
        self.bulletin.announce(cluster.id)
        if told:
            self.bulletin.announce(cluster.session)
