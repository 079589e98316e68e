"""The tunnel: from a port of the gateway's loopback, through the login node and the agent, to a session's socket.

It finds the agent on the session's sequence of ports by its host key, hands over the environment, and serves the ways
back from the session: to the hub, and to the gateway's proxy. The local port stays bound for the life of the tunnel.
When the connection is lost it is made again in the background: the session, the server and the person's page live on.

    browser - proxy - 127.0.0.1:local_port =[login node]= agent - unix socket of the session's server
                      hub's API            =[login node]= agent's loopback port - the session's server
                      proxy                =[login node]= agent's second loopback port - the session's kernels
"""

# A caller says how long it waits.
# ruff: noqa: ASYNC109
from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import asyncssh
from perijove.spawners import remote
from perijove.spawners.link import Link, LinkError, NoAgent, WrongKey, printable
from perijove.spawners.pipe import PACKET, WINDOW, Gate, Pipe, keep_buffers, to_address
from perijove.spawners.ports import ports
from perijove.spawners.tunnel_listener import Listener
from perijove.spawners.tunnel_types import AgentAddress, AgentInfo, Hello, TunnelError, TunnelProblem

#: The agent's longest answer in bytes, and seconds to wait for it.
ANSWER_LIMIT, ANSWER_TIMEOUT = 2 << 20, 15.0
#: Seconds between attempts to reconnect: doubled from the first to the last.
BACKOFF = (0.2, 5.0)
#: So many ports of the sequence are tried at once: the first ones, and a few of the rest in turn.
FIRST, MORE = 4, 4

_PROBLEM: dict[type[Exception], TunnelProblem] = {
    LinkError: TunnelProblem.LINK,
    NoAgent: TunnelProblem.NO_AGENT,
    WrongKey: TunnelProblem.WRONG_KEY,
}
#: Which refusal says most, if the ports tried were refused for several reasons.
_WEIGHT = list(_PROBLEM)


class Tunnel:
    """The tunnel to one session."""

    def __init__(
        self,
        link: Link,
        address: AgentAddress,
        client_key: asyncssh.SSHKey,
        *,
        local_port: int,
        api: tuple[str, int],
        gateway: tuple[str, int] | None = None,
        on_change: Callable[[bool], None] = lambda up: None,
    ) -> None:
        self.link = link
        self.address = address
        self.hello: Hello | None = None
        self._client_key = client_key
        self._api, self._proxy = api, gateway
        self._on_change = on_change
        self._connection: asyncssh.SSHClientConnection | None = None
        self._gate: Gate | None = None
        self._listener = Listener(local_port, self._channel)
        self._keeper: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._port = 0
        self._turn = 0

    @property
    def up(self) -> bool:
        """Whether the agent is connected now."""
        return self._connection is not None and not self._connection.is_closed()

    @property
    def local_port(self) -> int:
        """The port of the gateway's loopback; what 0 became once it is open."""
        return self._listener.port

    async def open(self) -> Hello:
        """Find the agent and connect to it: one attempt. From the first success on the tunnel reconnects by itself.

        Raises:
            TunnelError: NO_AGENT while nothing listens yet, WRONG_KEY, LINK, LOST.
            OSError: the local port is taken.
        """
        async with self._opening:
            if self.up and self.hello is not None:
                return self.hello
            keep_buffers()
            await self._listener.open()
            connection = await self._find()
            try:
                hello = Hello.parse(await _ask(connection, "hello", {}))
                # Before the ways back are served: what waits there for a gateway comes at once.
                gate = Gate(connection)
                await _serve_back(connection, hello.api_port, self._api, gate)
                if self._proxy is not None and hello.gateway_port:
                    await _serve_back(connection, hello.gateway_port, self._proxy, gate)
            except (asyncssh.Error, asyncssh.ChannelListenError, OSError) as error:
                connection.abort()
                raise TunnelError(TunnelProblem.LOST, str(error)) from None
            except BaseException:
                connection.abort()
                raise
            self._connection, self.hello, self._gate = connection, hello, gate
            self._listener.set_up(True)
        self._on_change(True)
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        return hello

    async def start_server(self, argv: Sequence[str], environment: Mapping[str, str], cwd: str) -> None:
        """Hand over the environment and start the server; nothing happens where it runs already. Raises TunnelError."""
        await self._request("start", {"argv": list(argv), "env": dict(environment), "cwd": cwd})

    async def info(self, log_lines: int = 40) -> AgentInfo:
        """What the agent knows of the job now. Raises TunnelError."""
        return AgentInfo.parse(await self._request("info", {"log_lines": log_lines}))

    async def stop_server(self, grace: float) -> None:
        """Stop the server in order, by force after `grace` seconds. Raises TunnelError."""
        await self._request("stop", {"grace": grace}, timeout=grace + ANSWER_TIMEOUT)

    async def bye(self) -> None:
        """Tell the agent that the end of the server is known, so that the job can end. Raises TunnelError."""
        await self._request("bye", {})

    async def ready(self, path: str) -> bool:
        """Whether the session's server answers an HTTP GET of `path` (with whatever status)."""
        if not path.startswith("/") or any(c in path for c in " \r\n"):
            raise ValueError(f"not a path: {path!r}")
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        if self._connection is None or self.hello is None:
            return False
        try:
            async with asyncio.timeout(10):
                reader, writer = await self._connection.open_unix_connection(self.hello.socket, encoding=None)
                writer.write(head)
                answer = await reader.read(64)
                writer.channel.abort()
        except (asyncssh.Error, OSError):
            return False
        return bytes(answer).startswith(b"HTTP/1.")

    async def close(self) -> None:
        """Close it for good; the job goes on."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        connection, self._connection = self._connection, None
        await self._listener.close()
        if connection is not None:
            connection.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(connection.wait_closed(), 2)
            connection.abort()

    async def _request(self, verb: str, arguments: dict[str, Any], timeout: float = ANSWER_TIMEOUT) -> dict[str, Any]:
        """The agent's answer. Raises TunnelError."""
        if self._connection is None:
            raise TunnelError(TunnelProblem.LOST, "the tunnel is not open")
        return await _ask(self._connection, verb, arguments, timeout)

    async def _keep(self) -> None:
        """Reconnect whenever the connection is lost."""
        while True:
            if self._connection is not None:
                await self._connection.wait_closed()
            self._listener.set_up(False)
            self._on_change(False)
            wait = BACKOFF[0]
            while not self.up:
                with suppress(TunnelError, OSError):
                    await self.open()
                    break
                await asyncio.sleep(wait)
                wait = min(2 * wait, BACKOFF[1])

    def _candidates(self) -> list[int]:
        """The ports to try now: where it was, the first of the sequence, and some of the rest in turn."""
        sequence = list(ports(self.address.session, *self.address.ports))
        rest = sequence[FIRST:]
        start = self._turn * MORE % max(1, len(rest))
        self._turn += 1
        known = [self._port] if self._port else []
        return list(dict.fromkeys([*known, *sequence[:FIRST], *islice(rest, start, start + MORE)]))

    async def _find(self) -> asyncssh.SSHClientConnection:
        """A connection to the agent. Raises TunnelError."""
        tasks = [asyncio.create_task(self._connect(port)) for port in self._candidates()]
        refusals: list[Exception] = []
        found: asyncssh.SSHClientConnection | None = None
        try:
            for attempt in asyncio.as_completed(tasks):
                try:
                    found = await attempt
                    return found
                except (NoAgent, WrongKey, LinkError) as refusal:
                    refusals.append(refusal)
        finally:
            for task in tasks:
                task.cancel()
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(end, asyncssh.SSHClientConnection) and end is not found:
                    end.abort()
        refusals.sort(key=lambda refusal: _WEIGHT.index(type(refusal)))
        raise TunnelError(_PROBLEM[type(refusals[0])], str(refusals[0])) from refusals[0]

    async def _connect(self, port: int) -> asyncssh.SSHClientConnection:
        """The agent on `port`, or what is there instead."""
        connection = await self.link.connect(
            self.address.node, port, host_key=self.address.host_key, client_key=self._client_key
        )
        self._port = port
        return connection

    async def _channel(self) -> Pipe:
        """A pipe side that is a channel to the session's socket. Raises asyncssh.Error or OSError."""
        if self._connection is None or self.hello is None:
            raise ConnectionError("the tunnel is not open")
        _, session = await self._connection.create_unix_connection(
            lambda: Pipe(self._gate),  # type: ignore[arg-type,return-value]  # it has all call-backs of a session
            self.hello.socket,
            window=WINDOW,
            max_pktsize=PACKET,
        )
        assert isinstance(session, Pipe)  # noqa: S101 - it is what the factory makes
        return session


async def _serve_back(connection: asyncssh.SSHClientConnection, port: int, to: tuple[str, int], gate: Gate) -> None:
    """Lead the connections to the agent's loopback `port` to an address of the gateway. Raises as asyncssh does."""

    async def serve(host: str, origin: int) -> Any:
        try:
            there = await to_address(*to)
        except OSError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from None
        return _BackSide(there, gate)

    await connection.create_server(serve, "127.0.0.1", port, window=WINDOW, max_pktsize=PACKET)


class _BackSide(Pipe):
    """The channel's side of a connection from the job to the hub or the proxy."""

    def __init__(self, there: Pipe, gate: Gate | None) -> None:
        super().__init__(gate)
        self._there = there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.join(self._there)


async def _ask(
    connection: asyncssh.SSHClientConnection, verb: str, arguments: dict[str, Any], timeout: float = ANSWER_TIMEOUT
) -> dict[str, Any]:
    """The agent's answer to one request. The person's own code runs beside the agent: it is not believed blindly.

    Raises:
        TunnelError: LOST if there is no answer, REFUSED if the agent says no.
    """
    data = json.dumps(arguments).encode()
    try:
        answer = await remote.run(connection, verb, data, limit=ANSWER_LIMIT, timeout=timeout)
        parsed = json.loads(answer.stdout)
    except (asyncssh.Error, OSError, remote.TooMuch, ValueError, RecursionError) as error:
        raise TunnelError(TunnelProblem.LOST, f"no answer to {verb}: {type(error).__name__} {error}") from None
    if not isinstance(parsed, dict):
        raise TunnelError(TunnelProblem.LOST, f"no answer to {verb}")
    if parsed.get("ok") is not True:
        raise TunnelError(TunnelProblem.REFUSED, printable(str(parsed.get("error", ""))))
    return parsed


__all__ = ["AgentAddress", "AgentInfo", "Hello", "Tunnel", "TunnelError", "TunnelProblem"]
