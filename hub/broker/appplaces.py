"""What is known of where apps run: at each centre the newest answer of a look around there (`spawners/apps/probe.py`).

The broker looks at centres on its own machine, an operator's doctor looks wherever he asks it to: what they say counts
for everybody. A session looks at its start and tells, but what runs in it is its person's to change: so its word counts
for that person alone. The last word that counts for somebody is theirs. A wrong one is a wrong hint until the next:
nothing is refused because of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from perijove.hub.broker.database import Database
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import app_places
from perijove.hub.broker.views import iso
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

Known = Literal["ready", "missing", "unknown"]
#: For whom a word of the operators counts.
EVERYBODY = ""


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of an app at a centre."""

    centre: str
    app: str
    person: str
    digest: str
    found: Mapping[str, Any]
    by: str
    seen: datetime

    @property
    def state(self) -> Known:
        """Whether it runs there."""
        return "ready" if self.found.get("way") else "missing"

    def view(self) -> dict[str, Any]:
        """For the API."""
        found = {"way": self.found.get("way"), "missing": self.found.get("missing", [])}
        return {"centre": self.centre, "state": self.state, "seen": iso(self.seen), **found}


def unknown(centre: str) -> dict[str, Any]:
    """A centre where nobody has looked."""
    return {"centre": centre, "state": "unknown", "way": None, "missing": [], "seen": None}


class Places:
    """What is known of all apps at all centres."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    async def put(
        self, centre: str, app: str, digest: str, found: Mapping[str, Any], by: str, *, person: str = EVERYBODY
    ) -> Place:
        """Somebody (`by`) has looked, for everybody or for `person` alone."""
        place = Place(centre, app, person, digest, dict(found), by[:255], self.clock())
        row = {key: getattr(place, key) for key in Place.__slots__}

        def work(c: Connection) -> None:
            same = (app_places.c.centre == centre, app_places.c.app == app, app_places.c.person == person)
            c.execute(delete(app_places).where(*same))
            c.execute(insert(app_places).values(**row))

        try:
            await self.database.write(work)
        except IntegrityError:  # somebody else looked between our two steps: the last word counts
            await self.database.write(work)
        return place

    async def known(self, person: str = EVERYBODY) -> dict[str, dict[str, Place]]:
        """By app and centre: the last word of those that count for `person`."""
        query = select(app_places).where(app_places.c.person.in_((EVERYBODY, person))).order_by(app_places.c.seen)

        def work(c: Connection) -> dict[str, dict[str, Place]]:
            found: dict[str, dict[str, Place]] = {}
            for row in c.execute(query):
                found.setdefault(row.app, {})[row.centre] = Place(**row._mapping)
            return found

        return await self.database.read(work)


__all__ = ["EVERYBODY", "Place", "Places", "unknown"]
