"""A broker on doubles that can be killed at any named point and started again on the same store."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from broker.simulated import SimulatedCentre
from broker.simulated_tunnel import SimTunnel
from perijove.hub.broker.broker import Broker, Parts
from perijove.hub.broker.config import Timing
from perijove.hub.broker.context import Context
from perijove.hub.broker.database import Database
from perijove.hub.broker.hubtrouble import HubSilent
from perijove.hub.broker.identity import Identities
from perijove.hub.broker.records import Record
from perijove.hub.broker.sessions import Sessions, utc_now
from perijove.hub.limits import LedgerSettings
from perijove.spawners.apps.catalogue import Catalogue
from perijove.spawners.centre import Centre
from perijove.spawners.session import Stage
from perijove.spawners.watcher import Pace

KEY = asyncssh.generate_private_key("ssh-ed25519")
FAST = Timing(
    pace=Pace(0.05, 0.03, 0.02, 1000, 1000.0, 0.2, (0.02, 0.1), 0.1, 2.0),
    submit_timeout=1.0,
    submit_grace=0.3,
    retry=(0.03, 0.1),
    absent_for=0.2,
    open_every=(0.02, 0.1),
    open_quiet=0.1,
    launch_limit=1.0,
    ready_every=(0.01, 0.05),
    stop_grace=0.2,
    cancel_every=(0.05, 0.1),
    forget_after=0.2,
    hub_every=(0.02, 0.1),
    hub_alone=0.05,
    watched_for=1.0,
    lease=0.6,
    lease_every=0.1,
    scan_every=0.1,
    attach_every=0.1,
    attach_all_every=0.5,
    orders_every=0.1,
    purge_every=0.5,
    runs_every=0.05,
    warm_every=0.05,
    ledger_every=0.05,
)


async def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """What `condition` gives, once that is true; it is looked at often."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        await asyncio.sleep(0.01)


_empty: list[bytes] = []


async def empty_store(file: Path) -> None:
    """Put a SQLite store with all tables at `file`, unless one is there. The tables are made once."""
    if await asyncio.to_thread(file.exists):
        return
    if not _empty:
        database = Database(f"sqlite:///{file}")
        await database.migrate()
        await database.close()
        _empty.append(await asyncio.to_thread(file.read_bytes))
    await asyncio.to_thread(file.write_bytes, _empty[0])


@dataclass
class FakeHub:
    """A hub whose spawner does what `CentreSpawner` does: comes for the session by name, with a token."""

    servers_up: dict[tuple[str, str], str] = field(default_factory=dict)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)
    stops: list[tuple[str, str]] = field(default_factory=list)
    broker: Broker | None = None
    silent: bool = False

    def _answer(self) -> None:
        if self.silent:
            raise HubSilent("the hub is away")

    async def start(self, owner: str, server: str, session: str) -> None:
        self._answer()
        self.starts.append(session)
        if (owner, server) not in self.servers_up:
            await self.spawn(owner, server, session)

    async def spawn(self, owner: str, server: str, session: str = "") -> None:
        """The spawner's door."""
        assert self.broker is not None
        self.servers_up[owner, server] = "spawn"
        record = await self.broker.sessions.by_name(owner, server)
        if record is not None and record.live:
            await self.broker.hand_over(record, self.environment(owner, server), ())

    def environment(self, owner: str, server: str) -> dict[str, str]:
        token = secrets.token_hex(8)
        self.tokens[token] = (owner, server)
        path = f"/user/{owner}/{server}/" if server else f"/user/{owner}/"
        return {
            "JUPYTERHUB_API_TOKEN": token,
            "JUPYTERHUB_SERVICE_PREFIX": path,
            "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
        }

    async def stop(self, owner: str, server: str) -> bool:
        self._answer()
        self.stops.append((owner, server))
        self.servers_up.pop((owner, server), None)
        for token in [token for token, whose in self.tokens.items() if whose == (owner, server)]:
            del self.tokens[token]
        return True

    async def servers(self, owners: Collection[str] | None = None) -> dict[tuple[str, str], str]:
        self._answer()
        await self._spawners()
        return {whose: state for whose, state in self.servers_up.items() if owners is None or whose[0] in owners}

    async def _spawners(self) -> None:
        """What each server's spawner does all the time: see whether its session needs an environment."""
        assert self.broker is not None
        for owner, server in self.servers_up:
            record = await self.broker.sessions.by_name(owner, server)
            if record is not None and self.broker.needs_environment(record):
                await self.broker.hand_over(record, self.environment(owner, server), ())

    async def alive(self, token: str) -> bool:
        self._answer()
        return token in self.tokens

    def forget(self) -> None:
        """The hub was killed while starts were pending: it knows nothing of them."""
        self.servers_up.clear()


class Gateway:
    """A broker, its store, its hub and its centres; the broker can be killed and started anew."""

    def __init__(self, folder: Path, *centres: SimulatedCentre, url: str = "", timing: Timing = FAST) -> None:
        self.folder = folder
        self.simulated = {one.described.id: one for one in centres or (SimulatedCentre(),)}
        self.url = url or f"sqlite:///{folder / 'broker.sqlite'}"
        self.timing = timing
        self.hub = FakeHub()
        self.point = ""
        self.reached = asyncio.Event()
        self.points: list[str] = []
        self._broker: Broker | None = None
        self.ledger = LedgerSettings()
        #: The operator's folder of apps.
        self.apps = folder / "apps"

    @property
    def broker(self) -> Broker:
        assert self._broker is not None
        return self._broker

    @property
    def centre(self) -> SimulatedCentre:
        return next(iter(self.simulated.values()))

    def get(self, centre: Centre, account: Any = None) -> Any:
        """As a pool of links."""
        return self.simulated[centre.id].get(centre, *([account] if account is not None else []))

    async def start(self) -> Broker:
        if self.url.startswith("sqlite"):
            await empty_store(Path(self.url.removeprefix("sqlite:///")))
        self._broker = Broker(self.parts())
        self.hub.broker = self._broker
        self._broker.runs.keeper.reach = self._reach
        await self._broker.start()
        return self._broker

    def parts(self) -> Parts:
        database = Database(self.url)
        return Parts(
            database=database,
            centres={name: one.described for name, one in self.simulated.items()},
            links=self,
            hub=self.hub,
            identities=Identities(database, self.folder / "keys", None, utc_now),
            clock=utc_now,
            timing=self.timing,
            ports=(20000, 29999),
            per_person=5000,
            context=self._context,
            catalogue=Catalogue([self.apps]),
            ledger=self.ledger,
        )

    def _context(self, centre: Centre, sessions: Sessions) -> Context:
        return Context(
            centre=centre,
            system=self.simulated[centre.id].system,
            links=self,
            sessions=sessions,
            hub=self.hub,
            timing=self.timing,
            tunnels=SimTunnel,
            client_key=KEY,
            api=("127.0.0.1", 8081),
            clock=utc_now,
            authorised=(KEY.export_public_key().decode().strip(),),
            reach=self._reach,
        )

    async def _reach(self, point: str) -> None:
        self.points.append(point)
        if point == self.point:
            self.point = ""
            self.reached.set()
            # The process is dead from here on: nothing of this step goes on.
            await asyncio.Event().wait()

    async def kill(self) -> None:
        """As kill -9: nothing is given back; connections drop."""
        await self.broker.stop(release=False)
        for one in self.simulated.values():
            for tunnel in list(one.tunnels):
                await tunnel.close()
            one.taken.clear()

    async def restart(self) -> Broker:
        await self.kill()
        return await self.start()

    async def stop(self) -> None:
        if self._broker is not None:
            await self.broker.stop()

    # --- what people do ------------------------------------------------------------------------------------------

    async def open(self, owner: str = "ada", server: str = "", **options: Any) -> Record:
        """The person's door."""
        wanted = {"centre": self.centre.described.id, "cores": 1, "memory": "1G"} | options
        record = await self.broker.open(owner, server, wanted)
        await self.broker.start_at_hub(record)
        return record

    async def get_session(self, session: str) -> Record:
        record = await self.broker.sessions.get(session)
        assert record is not None
        return record

    async def at(self, session: str, *stages: Stage, seconds: float = 10.0) -> Record:
        """The session, once it is at one of the stages."""

        async def there() -> Record | None:
            record = await self.get_session(session)
            return record if record.stage in stages else None

        found: Record = await until(there, seconds, f"{session} at {stages}")
        return found

    async def codes(self, session: str) -> list[str]:
        return [event["code"] for event in await self.broker.sessions.events(session)]
