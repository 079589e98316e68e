"""What all the work at one centre shares: the seams to the outside, and the words in which the steps speak of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from perijove.hub.broker.clusters import Clusters
from perijove.hub.broker.config import OPENING, TAILING, Timing
from perijove.hub.broker.sessions import Clock, Sessions
from perijove.spawners.batch import BatchSystem
from perijove.spawners.centre import Centre
from perijove.spawners.link import Link
from perijove.spawners.tunnel_types import AgentAddress, AgentInfo, Hello
from perijove.spawners.watcher import LinkPool, Watcher

if TYPE_CHECKING:
    import asyncssh
    from perijove.hub.broker.memory import Memory
    from perijove.hub.broker.records import Record
    from perijove.hub.broker.tails import Tails


class AnyTunnel(Protocol):
    """What is used of `perijove.spawners.tunnel.Tunnel`; see there."""

    @property
    def up(self) -> bool: ...
    async def open(self) -> Hello: ...
    async def start_server(self, argv: Sequence[str], environment: Mapping[str, str], cwd: str) -> None: ...
    async def info(self, log_lines: int = ...) -> AgentInfo: ...
    async def stop_server(self, grace: float) -> None: ...
    async def bye(self) -> None: ...
    async def ready(self, path: str) -> bool: ...
    async def close(self) -> None: ...


class TunnelMaker(Protocol):
    """How a tunnel is made; `perijove.spawners.tunnel.Tunnel` is one."""

    def __call__(
        self,
        link: Link,
        address: AgentAddress,
        client_key: asyncssh.SSHKey,
        *,
        local_port: int,
        api: tuple[str, int],
        gateway: tuple[str, int] | None,
        on_change: Callable[[bool], None],
    ) -> AnyTunnel: ...


class HubSide(Protocol):
    """What is asked of the hub; `perijove.hub.broker.hubclient.HubClient` is one. All raise HubSilent, HubRefused."""

    async def start(self, owner: str, server: str, session: str) -> None:
        """Have the server started (or be glad that it is)."""

    async def stop(self, owner: str, server: str) -> bool:
        """Have the server stopped; True once it is."""

    async def servers(self, owners: Collection[str] | None = None) -> dict[tuple[str, str], str]:
        """Active servers, of `owners` or of everybody: (owner, server) -> "ready", or what is pending."""

    async def alive(self, token: str) -> bool:
        """Whether the hub still takes this token."""


async def _nothing(point: str) -> None:
    """The seam for fault injection: does nothing in earnest."""


@dataclass(slots=True)
class Context:
    """One centre, and what the work there needs."""

    centre: Centre
    system: BatchSystem
    links: LinkPool
    sessions: Sessions
    hub: HubSide
    timing: Timing
    tunnels: TunnelMaker
    client_key: asyncssh.SSHKey
    api: tuple[str, int]
    clock: Clock
    #: Public halves of the keys that agents accept.
    authorised: tuple[str, ...]
    #: The proxy's address, which sessions reach through their agents; None: they do not.
    gateway: tuple[str, int] | None = None
    #: Tests stop the broker here; called at each named point between two steps.
    reach: Callable[[str], Awaitable[None]] = _nothing
    submitting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
    #: Those about to be submitted: their attempts are in the store, so this many may be in doubt after a crash.
    preparing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(24))
    opening: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OPENING))
    watcher: Watcher | None = None
    tails: Tails | None = None
    memory: Memory | None = None
    clusters: Clusters = field(init=False)

    def __post_init__(self) -> None:
        self.clusters = Clusters(self.sessions)

    def learn(self, record: Record) -> None:
        """A session has its node, is ready, or has ended: what forecasts learn from."""
        if self.memory is not None:
            self.memory.learn(record)

    def hurry(self) -> None:
        """News is about to come."""
        if self.watcher is not None:
            self.watcher.hurry()

    def wait_for(self, seconds: float) -> None:
        """Somebody waits."""
        if self.watcher is not None:
            self.watcher.wait_for(seconds)


__all__ = ["TAILING", "AnyTunnel", "Context", "HubSide", "TunnelMaker"]
