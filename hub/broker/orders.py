"""What operators order for a centre: a drain (no new sessions, those that are there go on) and a notice to people.

Both are in the store, so that they outlive every process and hold for all brokers on it: each broker reads them again
every few seconds, and the one that was called knows at once. A request is held against a drain here and not in the
centre's model: that one says what a centre is, an operator says what is to happen there today.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from perijove.hub.broker.database import Database
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import drains, notices
from perijove.spawners.link import printable
from perijove.spawners.request import Fault
from sqlalchemy import Connection, Table, delete, insert, select
from sqlalchemy.exc import IntegrityError

Level = Literal["info", "warning"]
#: Characters of a drain's note, and of a notice in one language.
LONGEST_NOTE, LONGEST_TEXT = 500, 1000


@dataclass(frozen=True, slots=True)
class Drain:
    """No new sessions at `centre`."""

    centre: str
    by: str
    since: datetime
    note: str = ""

    def view(self) -> dict[str, Any]:
        """For the API."""
        return {"by": self.by, "since": self.since.isoformat(), "note": self.note}

    def fault(self) -> Fault:
        """What a request for a new session is told."""
        words = f"{self.centre} takes no new sessions at the moment" + (f": {self.note}" if self.note else "")
        values = {"centre": self.centre, "note": self.note, "since": self.since.isoformat()}
        return Fault("centre", "centre-drained", words, values)


@dataclass(frozen=True, slots=True)
class Notice:
    """Words to everybody who looks at `centre`."""

    centre: str
    en: str
    zh: str
    level: str
    by: str
    since: datetime

    def view(self) -> dict[str, Any]:
        """For the API."""
        text = {"en": self.en, "zh": self.zh}
        return {"text": text, "level": self.level, "by": self.by, "since": self.since.isoformat()}


class Orders:
    """All drains and notices, by centre, as they were when they were last read."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.drains: Mapping[str, Drain] = {}
        self.notices: Mapping[str, Notice] = {}
        #: One reading at a time: an older one must not be believed after a newer one.
        self._reading = asyncio.Lock()

    async def load(self) -> None:
        """Read them from the store."""

        def work(c: Connection) -> tuple[dict[str, Drain], dict[str, Notice]]:
            drained = {row.centre: Drain(**row._mapping) for row in c.execute(select(drains))}
            return drained, {row.centre: Notice(**row._mapping) for row in c.execute(select(notices))}

        async with self._reading:
            self.drains, self.notices = await self.database.read(work)

    def faults(self, centre: str) -> list[Fault]:
        """What speaks against a new session at `centre`."""
        drain = self.drains.get(centre)
        return [drain.fault()] if drain else []

    async def drain(self, centre: str, by: str, note: str = "") -> Drain:
        """Take no new sessions at `centre`. Said again, `since` stays and the note is the new one."""
        known = self.drains.get(centre)
        order = Drain(centre, by, known.since if known else self.clock(), printable(note, LONGEST_NOTE))
        row = {"centre": centre, "by": order.by, "since": order.since, "note": order.note}
        await self._replace(drains, centre, row)
        return order

    async def undrain(self, centre: str) -> None:
        """Take new sessions again."""
        await self._replace(drains, centre, None)

    async def notify(self, centre: str, text: Mapping[str, str], level: Level, by: str) -> Notice:
        """Set the notice of `centre`, in place of the one there was."""
        en, zh = (printable(text[language], LONGEST_TEXT) for language in ("en", "zh"))
        order = Notice(centre, en, zh, level, by, self.clock())
        row = {"centre": centre, "en": en, "zh": zh, "level": level, "by": by, "since": order.since}
        await self._replace(notices, centre, row)
        return order

    async def unnotify(self, centre: str) -> None:
        """Remove the notice of `centre`."""
        await self._replace(notices, centre, None)

    async def _replace(self, table: Table, centre: str, row: Mapping[str, Any] | None) -> None:
        def work(c: Connection) -> None:
            c.execute(delete(table).where(table.c.centre == centre))
            if row is not None:
                c.execute(insert(table).values(**row))

        try:
            await self.database.write(work)
        except IntegrityError:  # another broker wrote its own between our two steps: the last word counts
            await self.database.write(work)
        await self.load()


__all__ = ["Drain", "Level", "Notice", "Orders"]
