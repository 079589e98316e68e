"""Runs in the store: each call is one transaction; a change makes the run's version grow and wakes who waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from perijove.hub.broker.charges import charge
from perijove.hub.broker.records import Record
from perijove.hub.broker.runrecords import Run, RunState, RunTransition
from perijove.hub.broker.sessions import Sessions
from perijove.hub.broker.store import clusters, run_files, runs, sessions, shares, worker_jobs, workers
from perijove.spawners.job import new_session_id
from perijove.spawners.session import Stage
from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

#: Live runs of one person at a time; finished runs of which an app's usual time is told.
MOST_LIVE, HISTORY = 200, 500


class KeyUsed(Exception):
    """The key was used for a run of another app or of other inputs."""


class TooManyRuns(Exception):
    """The person has as many live runs as one person may have."""


class Runs:
    """All runs of this gateway."""

    def __init__(self, known: Sessions) -> None:
        self.database = known.database
        self.bulletin = known.bulletin
        self.clock = known.clock

    async def add(self, draft: Run, tag: str) -> tuple[Run, bool]:
        """The run of `draft`'s owner and key, written down if there is none (then True); it gets an id.

        Raises:
            KeyUsed, TooManyRuns.
        """

        def work(c: Connection) -> tuple[Run, bool]:
            mine = runs.c.owner == draft.owner
            if known := _one(c, mine, runs.c.key == draft.key):
                if (known.app, known.asked) != (draft.app, draft.asked):
                    raise KeyUsed
                return known, False
            live = runs.c.state.in_([state.value for state in RunState if state.live])
            if int(c.scalar(select(func.count()).select_from(runs).where(mine, live)) or 0) >= MOST_LIVE:
                raise TooManyRuns
            made = replace(draft, id=new_session_id(tag), created=self.clock())
            c.execute(insert(runs).values(**made.row()))
            return made, True

        try:
            return await self.database.write(work)
        except IntegrityError:
            return await self.database.write(work)  # another broker wrote the same request down at the same time

    async def change(self, run: str, transition: RunTransition) -> Run | None:
        """The run after `transition`, which sees it as it is in the store now; None: there is no such run."""

        def work(c: Connection) -> tuple[Run | None, bool]:
            row = c.execute(select(runs).where(runs.c.id == run).with_for_update()).first()
            if row is None:
                return None, False
            found = Run.of(row)
            values = transition(found)
            if values is None:
                return found, False
            after = replace(found, **values, version=found.version + 1)
            plain = {key: getattr(value, "value", value) for key, value in values.items()}
            c.execute(update(runs).where(runs.c.id == run).values(**plain, version=after.version))
            return after, True

        found, changed = await self.database.write(work)
        if changed:
            self.bulletin.announce(run)
        return found

    async def get(self, run: str) -> Run | None:
        """The run with this id."""
        return await self.database.read(lambda c: _one(c, runs.c.id == run))

    async def of_key(self, owner: str, key: str) -> Run | None:
        """The run that its owner's request called `key` made."""
        return await self.database.read(lambda c: _one(c, runs.c.owner == owner, runs.c.key == key))

    async def listing(
        self,
        owner: str | None = None,
        *,
        app: str | None = None,
        state: RunState | None = None,
        session: str | None = None,
        limit: int = 200,
    ) -> list[tuple[Run, Record | None]]:
        """Runs with their sessions, newest first."""
        given = {runs.c.owner: owner, runs.c.app: app, runs.c.state: state and state.value, runs.c.session: session}
        where = [column == value for column, value in given.items() if value is not None]
        query = select(runs).where(*where).order_by(runs.c.created.desc(), runs.c.id).limit(limit)
        return await self.database.read(lambda c: _with_sessions(c, [Run.of(row) for row in c.execute(query)]))

    async def unsettled(self, silent: datetime) -> list[tuple[Run, Record | None]]:
        """The runs for which something is to be done now, with their sessions, oldest first.

        Not those that go on in a session that has not ended: of them there may be many, with long reports. But those
        of which nothing was ever heard, though their session was ready before `silent`.
        """
        live = runs.c.state.in_([state.value for state in RunState if state.live])
        there = select(sessions.c.id).where(sessions.c.stage != Stage.ENDED.value, sessions.c.id == runs.c.session)
        heard = (runs.c.state != RunState.STARTING.value) | ~there.where(sessions.c.ready < silent).exists()
        goes_on = live & runs.c.wanted.is_(None) & there.exists() & heard
        query = select(runs).where(~runs.c.settled, ~goes_on).order_by(runs.c.created)
        return await self.database.read(lambda c: _with_sessions(c, [Run.of(row) for row in c.execute(query)]))

    async def replays(self, run: Run) -> list[tuple[Run, Run]]:
        """Of the replays that `run` is or has: those that are done, with their parents, where these are done, too."""
        parents = runs.alias()
        both = (runs.c.state == RunState.DONE.value) & (parents.c.state == RunState.DONE.value)
        query = select(runs.c.id, parents.c.id).join(parents, runs.c.parent == parents.c.id)
        query = query.where(both, runs.c.relation == "replay", (runs.c.id == run.id) | (parents.c.id == run.id))

        def work(c: Connection) -> list[tuple[Run, Run]]:
            pairs = [(_one(c, runs.c.id == a), _one(c, runs.c.id == b)) for a, b in c.execute(query).all()]
            return [(a, b) for a, b in pairs if a and b]

        return await self.database.read(work)

    async def opened_for(self, run: Run) -> Record | None:
        """The newest session that was opened for this attempt of a run, whatever became of it."""
        mine = (sessions.c.owner == run.owner) & (sessions.c.server == run.own_server)
        query = select(sessions).where(mine, sessions.c.created >= run.created)

        def work(c: Connection) -> Record | None:
            row = c.execute(query.order_by(sessions.c.created.desc()).limit(1)).first()
            return Record.of(row) if row else None

        return await self.database.read(work)

    async def workers_cost(self, session: str, begin: datetime, end: datetime) -> int:
        """Micro-credits of the Dask workers of a session between two times, as the prices were when each was asked."""
        joined = clusters.join(worker_jobs, worker_jobs.c.cluster == clusters.c.id)
        joined = joined.join(workers, workers.c.job == worker_jobs.c.id)
        columns = (worker_jobs.c.price, workers.c.started, workers.c.ended)
        query = select(*columns).select_from(joined).where(clusters.c.session == session)
        query = query.where(workers.c.started.is_not(None), workers.c.started < end)

        def work(c: Connection) -> int:
            return sum(
                charge(row.price, min(row.ended or end, end) - max(row.started, begin)) for row in c.execute(query)
            )

        return await self.database.read(work)

    async def history(self) -> Mapping[str, Sequence[tuple[float, int]]]:
        """Of each app the seconds and micro-credits of its newest runs that were done."""
        columns = (runs.c.app, runs.c.started, runs.c.ended, runs.c.spent)
        query = select(*columns).where(runs.c.state == RunState.DONE.value, runs.c.settled, runs.c.started.is_not(None))

        def work(c: Connection) -> dict[str, list[tuple[float, int]]]:
            found: dict[str, list[tuple[float, int]]] = {}
            for row in c.execute(query.order_by(runs.c.ended.desc()).limit(HISTORY)):
                found.setdefault(row.app, []).append(((row.ended - row.started).total_seconds(), row.spent))
            return found

        return await self.database.read(work)

    async def counts(self) -> dict[tuple[str, str], int]:
        """How many live runs there are, by app and state."""
        live = [state.value for state in RunState if state.live]
        query = select(runs.c.app, runs.c.state, func.count()).where(runs.c.state.in_(live))
        query = query.group_by(runs.c.app, runs.c.state)
        return await self.database.read(lambda c: {(str(a), str(s)): int(n) for a, s, n in c.execute(query)})

    async def forget(self, run: str) -> bool:
        """Remove a run that is not live, with its kept files and its shares; whether it was there."""

        def work(c: Connection) -> bool:
            row = c.execute(select(runs).where(runs.c.id == run).with_for_update()).first()
            if row is None or Run.of(row).state.live:
                return False
            for table in (run_files, shares):
                c.execute(delete(table).where(table.c.run == run))
            c.execute(delete(runs).where(runs.c.id == run))
            return True

        gone = await self.database.write(work)
        if gone:
            self.bulletin.announce(run)
        return gone


def _one(c: Connection, *where: Any) -> Run | None:
    row = c.execute(select(runs).where(*where)).first()
    return Run.of(row) if row else None


def _with_sessions(c: Connection, found: list[Run]) -> list[tuple[Run, Record | None]]:
    """The session of each, in few queries."""
    ids, known = sorted({run.session for run in found if run.session}), dict[str, Record]()
    for some in (ids[i : i + 500] for i in range(0, len(ids), 500)):
        for row in c.execute(select(sessions).where(sessions.c.id.in_(some))):
            known[row.id] = Record.of(row)
    return [(run, known.get(run.session or "")) for run in found]


__all__ = ["KeyUsed", "Runs", "TooManyRuns"]
