"""The hub's way to the broker: its HTTP API with the gateway's own token, and nothing else.

One connection pool per process and broker. An answer that the broker gave is a value or `BrokerRefused`; silence is
`BrokerUnreachable`, which callers must never take for an end of a session: unknown is not dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

#: Seconds for an answer of the broker that does not wait for anything.
PROMPT = 30.0
#: Seconds for which one long poll waits for news.
LONG_POLL = 25.0

Session = Mapping[str, Any]


class BrokerError(Exception):
    """The broker did not do what was asked."""


class BrokerUnreachable(BrokerError):
    """The broker does not answer, or answers that it cannot work now. Nothing is known."""


class BrokerRefused(BrokerError):
    """The broker refused: `code` and `message` say why, `faults` by field where fields are at fault."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("error") or "refused")
        self.message = str(body.get("message") or "the broker refused")
        self.faults: Sequence[Mapping[str, Any]] = [f for f in body.get("faults") or [] if isinstance(f, Mapping)]
        super().__init__(f"{status} {self.code}: {self.message}")

    @property
    def words(self) -> str:
        """Why, for a person: every fault with its field."""
        named = [f"{f.get('field') or 'request'}: {f.get('message', '')}" for f in self.faults]
        return "; ".join(named) or self.message


@dataclass(frozen=True, slots=True)
class News:
    """Events of a session after the number that was asked for, oldest first; `last` is the number to go on from."""

    events: tuple[Mapping[str, Any], ...]
    last: int


class BrokerClient:
    """The calls that the spawner makes. `url` ends in "/api/v1"; the token is read when the first call is made."""

    def __init__(self, url: str, token_file: Path) -> None:
        self.url = url.rstrip("/")
        self._token_file = token_file
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        """Closes the connections; the client may be used again."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def put(
        self, owner: str, server: str, options: Mapping[str, Any], environment: Mapping[str, str], argv: Sequence[str]
    ) -> Session:
        """Creates the live session of (owner, server) or adopts it; an empty `environment` withdraws the one given.

        Raises:
            BrokerRefused: the request cannot be served.
            BrokerUnreachable: it may have been received, or not; asking again is safe.
        """
        body = {"options": dict(options), "environment": dict(environment), "argv": list(argv)}
        return _object(await self._call("PUT", _by_name(owner, server), body))

    async def by_name(self, owner: str, server: str) -> Session | None:
        """The latest session of (owner, server), or None."""
        return await self._find(_by_name(owner, server))

    async def get(self, session: str) -> Session | None:
        """The session with this id, or None."""
        return await self._find(f"/sessions/{quote(session, safe='')}")

    async def events(self, session: str, after: int = 0, wait: float = LONG_POLL) -> News:
        """Events after number `after`; waits up to `wait` seconds for the first."""
        path = f"/sessions/{quote(session, safe='')}/events?after={after}&wait={wait:g}"
        answer = await self._call("GET", path, timeout=wait + PROMPT)
        found = answer.get("events", []) if isinstance(answer, dict) else answer
        events = tuple(event for event in found if isinstance(event, Mapping))
        return News(events, max([after, *(int(event.get("id", 0)) for event in events)]))

    async def stop(self, session: str) -> Session | None:
        """Asks that the session be stopped; None if there is none."""
        try:
            answer = await self._call("DELETE", f"/sessions/{quote(session, safe='')}")
        except BrokerRefused as refused:
            if refused.status == 404:
                return None
            raise
        return answer if isinstance(answer, dict) else {}

    async def watch(self, session: str) -> None:
        """Tells the broker that somebody waits for this session."""
        await self._call("POST", f"/sessions/{quote(session, safe='')}/watch", {})

    async def _find(self, path: str) -> Session | None:
        try:
            return _object(await self._call("GET", path))
        except BrokerRefused as refused:
            if refused.status == 404:
                return None
            raise

    async def _call(self, method: str, path: str, body: object = None, timeout: float = PROMPT) -> Any:  # noqa: ASYNC109
        try:
            async with self._connections().request(
                method, self.url + path, json=body, timeout=aiohttp.ClientTimeout(total=timeout)
            ) as answer:
                content = await answer.json(content_type=None) if answer.status != 204 else {}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise BrokerUnreachable(f"{method} {path}: {type(error).__name__}: {error}") from error
        if answer.status >= 500 or answer.status == 429:
            raise BrokerUnreachable(f"{method} {path}: the broker answered {answer.status}")
        if answer.status >= 400:
            raise BrokerRefused(answer.status, content if isinstance(content, dict) else {})
        return content

    def _connections(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            token = self._token_file.read_text(encoding="ascii").strip()
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"token {token}"},
                # Each waiting session holds one long poll; a limit would make the rest wait behind them.
                connector=aiohttp.TCPConnector(limit=0),
            )
            self._loop = loop
        return self._session


def _by_name(owner: str, server: str) -> str:
    # An empty path segment does not survive proxies: "-" cannot be a server's name and stands for the default one.
    return f"/sessions/by-name/{quote(owner, safe='')}/{quote(server or '-', safe='')}"


def _object(answer: object) -> Session:
    if not isinstance(answer, dict):
        raise BrokerUnreachable("the broker's answer is not a session")
    return answer


_clients: dict[tuple[str, str], BrokerClient] = {}


def client_for(url: str, token_file: str) -> BrokerClient:
    """This process's client for the broker at `url`."""
    return _clients.setdefault((url, token_file), BrokerClient(url, Path(token_file)))
