"""Links that show one run to whoever has them: they expire, can be taken back, and the store cannot make one.

A link is a token of 256 random bits, shown once; the store has its hash. It opens this one run and nothing else.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from perijove.hub.broker.database import Database
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import shares
from perijove.hub.broker.views import iso
from perijove.spawners.job import ALPHABET
from sqlalchemy import Connection, func, insert, select, update

#: `rerun`: whoever is signed in may run the app with these inputs.
Mode = Literal["view", "rerun"]
#: Days for which a link may be good; links of one run that are.
LONGEST_DAYS, MOST_SHARES = 365, 100


class TooManyShares(Exception):
    """The run has as many good links as one may have."""


@dataclass(frozen=True, slots=True)
class Share:
    """One row of `shares`; `token` is the hash."""

    id: str
    run: str
    token: str
    mode: str
    by: str
    created: datetime
    expires: datetime
    revoked: datetime | None = None

    def good(self, now: datetime) -> bool:
        """It opens its run."""
        return self.revoked is None and now < self.expires

    def view(self, now: datetime) -> dict[str, Any]:
        """For the API: nothing from which the link could be made."""
        times = {"created": iso(self.created), "expires": iso(self.expires), "revoked": iso(self.revoked)}
        return {"id": self.id, "mode": self.mode, "by": self.by, "good": self.good(now)} | times


def hashed(token: str) -> str:
    """What the store has of a link."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Shares:
    """The links of all runs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    async def make(self, run: str, mode: Mode, days: int, by: str) -> tuple[Share, str]:
        """A new link, and its token, which nobody can tell again.

        Raises:
            TooManyShares.
        """
        token, now = secrets.token_urlsafe(32), self.clock()
        name = "".join(secrets.choice(ALPHABET) for _ in range(12))
        made = Share(name, run, hashed(token), mode, by[:255], now, now + timedelta(days=days))
        good = (shares.c.run == run) & shares.c.revoked.is_(None) & (shares.c.expires > now)

        def work(c: Connection) -> None:
            if int(c.scalar(select(func.count()).select_from(shares).where(good)) or 0) >= MOST_SHARES:
                raise TooManyShares
            row = {key: getattr(made, key) for key in ("id", "run", "token", "mode", "by", "created", "expires")}
            c.execute(insert(shares).values(**row, revoked=None))

        await self.database.write(work)
        return made, token

    async def listing(self, run: str) -> list[Share]:
        """The links of a run, newest first."""
        query = select(shares).where(shares.c.run == run).order_by(shares.c.created.desc(), shares.c.id)
        return await self.database.read(lambda c: [Share(**row._mapping) for row in c.execute(query)])

    async def revoke(self, run: str, share: str) -> bool:
        """Take a link back; whether the run has it."""
        this = (shares.c.run == run) & (shares.c.id == share)

        def work(c: Connection) -> bool:
            c.execute(update(shares).where(this, shares.c.revoked.is_(None)).values(revoked=self.clock()))
            return c.scalar(select(shares.c.id).where(this)) is not None

        return await self.database.write(work)

    async def find(self, token: str) -> Share | None:
        """The good link with this token."""
        query = select(shares).where(shares.c.token == hashed(token))

        def work(c: Connection) -> Share | None:
            row = c.execute(query).first()
            return Share(**row._mapping) if row else None

        found = await self.database.read(work)
        return found if found is not None and found.good(self.clock()) else None


__all__ = ["LONGEST_DAYS", "Mode", "Share", "Shares", "TooManyShares"]
