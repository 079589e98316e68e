"""Sessions in the store: queries, each one transaction; a change is made together with the events that tell of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from perijove.hub.broker import events as words
from perijove.hub.broker import paying
from perijove.hub.broker.database import Database
from perijove.hub.broker.events import Bulletin
from perijove.hub.broker.records import Change, News, Record, Transition
from perijove.hub.broker.store import events, gateway, sessions
from perijove.spawners.job import new_session_id, new_tag
from perijove.spawners.session import Stage
from sqlalchemy import Connection, Row, func, insert, select, update

Clock = Callable[[], datetime]
#: Puts the money for a session on hold that was just written.
Holder = Callable[[Connection, Record], object]


def _nothing(c: Connection, record: Record) -> None:
    """It costs nothing."""


def utc_now() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)


class NoPort(Exception):
    """Every local port for sessions is taken."""


class TooMany(Exception):
    """The person has as many live sessions as one person may have."""


class Sessions:
    """All sessions of this gateway."""

    def __init__(
        self, database: Database, bulletin: Bulletin, clock: Clock = utc_now, ports: tuple[int, int] = (20000, 29999)
    ) -> None:
        self.database = database
        self.bulletin = bulletin
        self.clock = clock
        #: The first and the last local port of sessions' tunnels.
        self.ports = ports
        #: Hears of each change that was made, with the session before and after it.
        self.on_change: Callable[[Record, Record], None] = lambda before, after: None

    async def tag(self) -> str:
        """The gateway's own mark; made when it is first asked for."""

        def work(c: Connection) -> str:
            known = c.scalar(select(gateway.c.tag).where(gateway.c.id == 1))
            if known is None:
                known = new_tag()
                c.execute(insert(gateway).values(id=1, tag=known, created=self.clock()))
            return str(known)

        return await self.database.write(work)

    async def open(
        self, draft: Record, tag: str, news: Sequence[News], most: int, hold: Holder = _nothing
    ) -> tuple[Record, bool]:
        """The live session of `draft`'s owner and server, made from `draft` if there is none (then True).

        It gets an id and a local port. At most `most` live sessions of one owner. `hold` holds its money, in the same
        transaction: what it raises is raised, and there is no session.

        Raises:
            NoPort, TooMany.
        """

        def work(c: Connection) -> tuple[Record, bool]:
            mine = sessions.c.owner == draft.owner
            if live := one_session(c, mine, sessions.c.server == draft.server, sessions.c.live.is_(True)):
                return live, False
            if len(c.scalars(select(sessions.c.id).where(mine, sessions.c.live.is_(True))).all()) >= most:
                raise TooMany
            port = _free_port(c, self.ports)
            record = replace(draft, id=new_session_id(tag), live=True, local_port=port, created=self.clock())
            c.execute(insert(sessions).values(**_plain(record.row())))
            hold(c, record)
            return apply_change(c, record, Change({}, tuple(news)), self.clock()), True

        record, new = await self.database.write(work)
        if new:
            self.bulletin.announce(record.id)
        return record, new

    async def move(self, session: str) -> Record:
        """Another local port for a session: a program that is not ours listens on the one it has.

        Raises:
            NoPort.
        """

        def work(c: Connection) -> Record:
            record = one_session(c, sessions.c.id == session)
            if record is None:
                raise LookupError(session)
            return apply_change(c, record, Change({"local_port": _free_port(c, self.ports)}), self.clock())

        return await self.database.write(work)

    async def change(
        self, session: str, transition: Transition, also: Callable[[Connection, Record, Record], object] | None = None
    ) -> Record:
        """The session after `transition`, which sees it as it is in the store now; None from it leaves it as it is.

        A change is made together with what `also` does with the session before and after it.
        """

        def work(c: Connection) -> tuple[Record, Record | None]:
            record = Record.of(c.execute(select(sessions).where(sessions.c.id == session).with_for_update()).one())
            if (change := transition(record)) is None:
                return record, None
            after = apply_change(c, record, change, self.clock())
            if also is not None:
                also(c, record, after)
            return record, after

        before, after = await self.database.write(work)
        if after is None:
            return before
        self._changed(before, after)
        return after

    def _changed(self, before: Record, after: Record) -> None:
        self.on_change(before, after)
        self.bulletin.announce(after.id)

    async def change_all(self, ids: Iterable[str], transition: Transition) -> list[Record]:
        """As `change` for many sessions in one transaction; gives those that changed."""
        wanted = list(ids)

        def work(c: Connection) -> list[tuple[Record, Record]]:
            changed = []
            for some in (wanted[i : i + 500] for i in range(0, len(wanted), 500)):
                for row in c.execute(select(sessions).where(sessions.c.id.in_(some)).with_for_update()).all():
                    record = Record.of(row)
                    if (change := transition(record)) is not None:
                        changed.append((record, apply_change(c, record, change, self.clock())))
            return changed

        changed = await self.database.write(work)
        for before, after in changed:
            self._changed(before, after)
        return [after for _, after in changed]

    async def get(self, session: str) -> Record | None:
        """The session with this id."""
        return await self.database.read(lambda c: one_session(c, sessions.c.id == session))

    async def by_name(self, owner: str, server: str) -> Record | None:
        """The live session of (owner, server), else the latest one."""

        def work(c: Connection) -> Record | None:
            query = select(sessions).where(sessions.c.owner == owner, sessions.c.server == server)
            row = c.execute(
                query.order_by(sessions.c.live.is_(True).desc(), sessions.c.created.desc()).limit(1)
            ).first()
            return Record.of(row) if row else None

        return await self.database.read(work)

    async def listing(
        self,
        owner: str | None = None,
        live: bool | None = None,
        limit: int = 1000,
        *,
        centre: str | None = None,
        stage: Stage | None = None,
    ) -> list[Record]:
        """Sessions, newest first: of `owner` if given; with `live` those that are not ended (False: that are)."""
        given = {sessions.c.owner: owner, sessions.c.centre: centre, sessions.c.stage: stage and stage.value}

        def work(c: Connection) -> list[Record]:
            query = select(sessions).order_by(sessions.c.created.desc()).limit(limit)
            query = query.where(*(column == value for column, value in given.items() if value is not None))
            if live is not None:
                ended = sessions.c.stage == Stage.ENDED.value
                query = query.where(~ended if live else ended)
            return [Record.of(row) for row in c.execute(query)]

        return await self.database.read(work)

    async def counts(self) -> dict[str, dict[str, int]]:
        """How many sessions that have not ended there are, by centre and stage."""

        def work(c: Connection) -> dict[str, dict[str, int]]:
            query = select(sessions.c.centre, sessions.c.stage, func.count()).where(
                sessions.c.stage != Stage.ENDED.value
            )
            found: dict[str, dict[str, int]] = {}
            for centre, stage, number in c.execute(query.group_by(sessions.c.centre, sessions.c.stage)):
                found.setdefault(str(centre), {})[str(stage)] = int(number)
            return found

        return await self.database.read(work)

    async def unfinished(self, centre: str) -> list[Record]:
        """The sessions at `centre` for which something is still to be done."""

        def work(c: Connection) -> list[Record]:
            query = select(sessions).where(sessions.c.centre == centre)
            todo = (sessions.c.stage != Stage.ENDED.value) | ~sessions.c.hub_cleared | ~sessions.c.forgotten
            return [Record.of(row) for row in c.execute(query.where(todo))]

        return await self.database.read(work)

    async def centres_in_use(self) -> set[str]:
        """The centres with sessions for which something is still to be done."""

        def work(c: Connection) -> set[str]:
            todo = (sessions.c.stage != Stage.ENDED.value) | ~sessions.c.hub_cleared | ~sessions.c.forgotten
            return set(c.scalars(select(sessions.c.centre).where(todo).distinct()))

        return await self.database.read(work)

    async def stages(self, ids: Sequence[str]) -> dict[str, Stage]:
        """The stages of those of `ids` that are sessions of ours."""

        def work(c: Connection) -> dict[str, Stage]:
            found: dict[str, Stage] = {}
            for some in (ids[i : i + 500] for i in range(0, len(ids), 500)):  # all: who is missing here is cancelled
                query = select(sessions.c.id, sessions.c.stage).where(sessions.c.id.in_(some))
                found |= {str(row.id): Stage(row.stage) for row in c.execute(query)}
            return found

        return await self.database.read(work)

    async def past(self, centre: str, queues: Iterable[str], limit: int) -> dict[str, list[Row[Any]]]:
        """What forecasts learn from: of each queue the newest `limit` sessions that were submitted and waited."""
        s = sessions.c
        columns = (s.id, s.queue, s.cores, s.walltime, s.stage, s.outcome, s.restarts, s.situation, s.forecast)
        times = (s.submitted, s.started, s.ready, s.ended, s.asked_at)

        def work(c: Connection) -> dict[str, list[Row[Any]]]:
            known = s.started.is_not(None) | (s.stage == Stage.ENDED.value)
            query = select(*columns, *times).where(s.centre == centre, s.submitted.is_not(None), known)
            newest = query.order_by(s.submitted.desc()).limit(limit)
            return {queue: list(c.execute(newest.where(s.queue == queue))) for queue in queues}

        return await self.database.read(work)

    async def tell(self, session: str, *news: News) -> None:
        """Only events, no new values."""
        await self.change(session, lambda record: Change({}, news))

    async def events(self, session: str, after: int = 0, limit: int = 500) -> list[dict[str, Any]]:
        """The events of a session after number `after`, oldest first."""

        def work(c: Connection) -> list[dict[str, Any]]:
            query = select(events).where(events.c.session == session, events.c.id > after)
            return [_event(dict(row._mapping)) for row in c.execute(query.order_by(events.c.id).limit(limit))]

        return await self.database.read(work)


def one_session(c: Connection, *where: Any) -> Record | None:
    """The session that fits, inside a transaction."""
    row = c.execute(select(sessions).where(*where)).first()
    return Record.of(row) if row else None


def _free_port(c: Connection, ports: tuple[int, int]) -> int:
    first, last = ports
    for _ in range(20):
        port = first + secrets.randbelow(last - first + 1)
        if c.scalar(select(sessions.c.id).where(sessions.c.local_port == port)) is None:
            return port
    taken = set(c.scalars(select(sessions.c.local_port).where(sessions.c.local_port.is_not(None))))
    free = [port for port in range(first, last + 1) if port not in taken]
    if not free:
        raise NoPort
    return secrets.choice(free)


def apply_change(c: Connection, record: Record, change: Change, now: datetime) -> Record:
    """Writes the events and the values, and with an end what it cost; the record knows the number of its last event."""
    values = dict(change.values)
    after = replace(record, **values)
    for one in change.news:
        row = {"session": record.id, "at": now, "stage": after.stage.value, "code": one.code}
        result = c.execute(insert(events), row | {"values": words.bounded(one.values)})
        values["last_event"] = int((result.inserted_primary_key or (0,))[0])
    if values:
        c.execute(update(sessions).where(sessions.c.id == record.id).values(**_plain(values)))
    if after.stage is Stage.ENDED and record.stage is not Stage.ENDED:
        paying.settle_session(c, after, change.unknown, now)
    return replace(record, **values)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, StrEnum) else value for key, value in values.items()}


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "session": row["session"],
        "at": row["at"].isoformat(),
        "stage": row["stage"],
        "code": row["code"],
        "values": row["values"],
        "message": words.message(row["code"], row["values"]),
    }
