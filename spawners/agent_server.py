"""The agent's SSH server, and its two loopback listeners for the ways back: to the hub, and to the gateway's proxy.

What the gateway may do here: exec requests that are words of a small protocol (no shell, no file transfer, no
terminal), and channels to the session's own socket. What anybody else may do: nothing; every other key and user name
is refused.

A loopback listener exists as long as the job, so that nobody can take its port over while no gateway is connected;
it serves connections of the agent's own uid only (looked up in /proc/net/tcp), and leads to the gateway that asked for
it last. Connections that come while there is none wait a little for it to come back. The one to the proxy leads to what
anybody can reach who can reach the gateway: a compute node may have no other way to it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncssh
from perijove.spawners.agent_net import owner_of
from perijove.spawners.pipe import PACKET, WINDOW, Gate, Pipe, keep_buffers, to_socket

if TYPE_CHECKING:
    from perijove.spawners.agent import Agent

USER = "perijove"
#: The longest request in bytes: an environment and an argument list.
REQUEST_LIMIT = 4 << 20
#: Seconds that a connection to the hub waits for a gateway that is away.
GATEWAY_WAIT = 15.0


class Back:
    """A way back: a loopback port of the agent whose connections go to the gateway."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._gateway: asyncssh.SSHServerConnection | None = None
        self._gate: Gate | None = None
        self._here = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take a port, for the life of the job."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _BackPipe(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Give the port back."""
        if self._server is not None:
            self._server.close()

    def lead_to(self, gateway: asyncssh.SSHServerConnection, gate: Gate | None) -> None:
        """From now on connections go to `gateway`."""
        self._gateway, self._gate = gateway, gate
        self._here.set()

    def forget(self, gateway: asyncssh.SSHServerConnection) -> None:
        """`gateway` is gone."""
        if gateway is self._gateway:
            self._gateway = None
            self._here.clear()

    def accepted(self, pipe: Pipe) -> None:
        """A connection came."""
        task = asyncio.create_task(self._forward(pipe))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, pipe: Pipe) -> None:
        """Lead one connection to the gateway."""
        transport = pipe.transport
        if transport is None:
            return
        host, port = transport.get_extra_info("peername")[:2]
        if owner_of(host, port, self.port) != os.getuid():
            transport.abort()
            return
        try:
            async with asyncio.timeout(GATEWAY_WAIT):
                await self._here.wait()
                gateway = self._gateway
                if gateway is None:
                    pipe.close()
                    return
                gate = self._gate
                _, session = await gateway.create_connection(
                    lambda: Pipe(gate),  # type: ignore[arg-type,return-value]  # it has all call-backs of a session
                    "127.0.0.1",
                    self.port,
                    host,
                    port,
                    window=WINDOW,
                    max_pktsize=PACKET,
                )
        except (TimeoutError, asyncssh.Error, OSError):
            pipe.close()
            return
        pipe.join(session)  # type: ignore[arg-type]


class _BackPipe(Pipe):
    """A connection to the loopback port."""

    def __init__(self, back: Back) -> None:
        super().__init__()
        self._back = back

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._back.accepted(self)


class _Listener(asyncssh.SSHListener):
    """The loopback port as asyncssh sees it: the gateway's request for a forwarding only turns it to that gateway."""

    def __init__(self, back: Back, gateway: asyncssh.SSHServerConnection) -> None:
        super().__init__()
        self._back, self._gateway = back, gateway

    def get_port(self) -> int:
        return self._back.port

    def close(self) -> None:
        self._back.forget(self._gateway)

    async def wait_closed(self) -> None:
        """It never closes before the agent does."""


class GatewaySide(asyncssh.SSHServer):
    """One connection of somebody who says to be the gateway."""

    def __init__(self, agent: Agent, backs: Sequence[Back], keys: list[asyncssh.SSHKey]) -> None:
        self._agent, self._backs = agent, backs
        self._keys = {key.public_data for key in keys}
        self._connection: asyncssh.SSHServerConnection | None = None
        self._gate: Gate | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection, self._gate = conn, Gate(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            for back in self._backs:
                back.forget(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key.public_data in self._keys

    def unix_connection_requested(self, dest_path: str) -> Any:
        """A channel to the session's own socket, and to no other."""
        if self._connection is None or dest_path != str(self._agent.socket):
            return False
        channel = self._connection.create_unix_channel(window=WINDOW, max_pktsize=PACKET)
        return channel, _to_server(dest_path, self._gate)

    def server_requested(self, listen_host: str, listen_port: int) -> Any:
        """The gateway offers to serve a loopback port; 0 is the first one's, the hub's."""
        if self._connection is None or listen_host != "127.0.0.1":
            return False
        wanted = listen_port or self._backs[0].port
        for back in self._backs:
            if back.port == wanted:
                back.lead_to(self._connection, self._gate)
                return _Listener(back, self._connection)
        return False


async def _to_server(path: str, gate: Gate | None) -> Pipe:
    """The session that serves a channel to the socket at `path`."""
    try:
        socket_side = await to_socket(path)
    except OSError as error:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(error)) from None
    return _ChannelSide(socket_side, gate)


class _ChannelSide(Pipe):
    """The channel's side, which is joined to the socket as soon as the channel is open."""

    def __init__(self, socket_side: Pipe, gate: Gate | None) -> None:
        super().__init__(gate)
        self._socket_side = socket_side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.join(self._socket_side)


async def _serve_request(agent: Agent, process: asyncssh.SSHServerProcess[bytes]) -> None:
    """One request: the verb is the command, its arguments are JSON on standard input, so is the answer on output."""
    try:
        pieces, length = [], 0
        while piece := await process.stdin.read(65536):
            pieces.append(piece)
            length += len(piece)
            if length > REQUEST_LIMIT:
                raise ValueError("the request is too long")
        request = json.loads(b"".join(pieces) or b"{}")
        answer = await agent.answer(process.command or "", request)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        answer = {"ok": False, "error": f"not a request: {type(error).__name__}"}
    try:
        process.stdout.write(json.dumps(answer).encode())
        await process.stdout.drain()
    except (asyncssh.Error, OSError):
        return
    finally:
        process.exit(0 if answer.get("ok") else 1)


async def listen(agent: Agent, sockets: Sequence[socket.socket]) -> list[Any]:
    """Serve on the agent's `sockets` (`agent_net.bind`); everything that is to be closed at the end. Raises OSError.

    Where that fails or is cancelled, the sockets are closed.
    """
    try:
        return await _listen(agent, sockets)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise


async def _listen(agent: Agent, sockets: Sequence[socket.socket]) -> list[Any]:
    keep_buffers()
    host_key = asyncssh.import_private_key(agent.keys.host_key)
    keys = [asyncssh.import_public_key(key) for key in agent.keys.client_keys]
    backs = (Back(), Back())
    for back in backs:
        await back.open()
    agent.api_port, agent.gateway_port = (back.port for back in backs)
    opened: list[Any] = [*backs]
    for sock in sockets:
        acceptor = await asyncssh.listen(
            sock=sock,
            server_factory=lambda: GatewaySide(agent, backs, keys),
            process_factory=lambda process: _serve_request(agent, process),
            server_host_keys=[host_key],
            config=[],
            encoding=None,
            allow_pty=False,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            gss_host=None,
            password_auth=False,
            kbdint_auth=False,
            encryption_algs=["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"],
            kex_algs=["curve25519-sha256"],
            compression_algs=None,
            login_timeout=10,
            keepalive_interval=5,
            keepalive_count_max=6,
            rekey_bytes=1 << 34,
        )
        opened.append(acceptor)
    return opened


async def close(opened: list[Any]) -> None:
    """Close what `listen` opened."""
    for thing in opened:
        thing.close()
    await asyncio.sleep(0)
