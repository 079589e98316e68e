"""Leases: which broker looks after a centre. A second one leaves it alone until the lease has run out."""

from __future__ import annotations

from datetime import timedelta

from perijove.hub.broker.database import Database
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import leases
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError


class Leases:
    """The leases that this broker, known as `holder`, takes; each for `length` seconds from its last renewal."""

    def __init__(self, database: Database, holder: str, clock: Clock, length: float = 30.0) -> None:
        self.database = database
        self.holder = holder
        self.clock = clock
        self.length = timedelta(seconds=length)

    async def take(self, centre: str) -> bool:
        """Take or renew the lease of `centre`; False if another broker has it."""

        def work(c: Connection) -> bool:
            now = self.clock()
            mine = {"holder": self.holder, "until": now + self.length}
            known = c.execute(select(leases).where(leases.c.centre == centre).with_for_update()).first()
            if known is None:
                c.execute(insert(leases).values(centre=centre, **mine))
                return True
            if known.holder != self.holder and known.until > now:
                return False
            c.execute(update(leases).where(leases.c.centre == centre).values(**mine))
            return True

        try:
            return await self.database.write(work)
        except IntegrityError:  # another broker was first, this very moment
            return False

    async def holders(self) -> dict[str, str]:
        """Who has the lease of each centre now."""

        def work(c: Connection) -> dict[str, str]:
            query = select(leases.c.centre, leases.c.holder).where(leases.c.until > self.clock())
            return {str(row.centre): str(row.holder) for row in c.execute(query)}

        return await self.database.read(work)

    async def release(self, centre: str) -> None:
        """Give the lease of `centre` back, if we have it."""
        await self.database.write(
            lambda c: (
                c.execute(delete(leases).where(leases.c.centre == centre, leases.c.holder == self.holder)) and None
            )
        )
