"""The gateway's end of a tunnel: a port of the loopback that stays bound while the way to the session is interrupted.

A request that comes meanwhile waits a little, as most interruptions are short, and then gets a small page that says
what is going on and loads itself again; the proxy and the hub never see a refused connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncssh
from perijove.spawners.pipe import Pipe

#: Seconds that a connection waits for the tunnel to come back.
HOLD = 2.0
#: Seconds that a refused client has to read the page.
READ = 5.0

_TEXT = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<title>Reconnecting - 正在重新连接</title></head><body><main><h1>Reconnecting</h1>
<p>The connection to the centre is interrupted, reconnecting. Your session goes on running.</p>
<h1 lang="zh-CN">正在重新连接</h1>
<p lang="zh-CN">与计算中心的连接中断，正在重新连接。您的会话仍在运行。</p></main></body></html>
"""


def unavailable() -> bytes:
    """The whole HTTP answer while a session cannot be reached."""
    body = _TEXT.encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\nRetry-After: 3\r\n"
        f"Cache-Control: no-store\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class _Client(Pipe):
    """A connection to the local port."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener
        self.refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._listener.accepted(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.clients.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        if not self.refused:
            super().data_received(data, datatype)

    def eof_received(self) -> bool:
        return False if self.refused else super().eof_received()

    def refuse(self) -> None:
        """Answer with the page. What the client still sends is read and dropped: a reset would eat the answer."""
        if self.transport is not None and not self.transport.is_closing():
            self.refused = True
            self.early.clear()
            self.transport.resume_reading()
            self.transport.write(unavailable())
            self.write_eof()
            asyncio.get_running_loop().call_later(READ, self.close)


class Listener:
    """The local port of one tunnel."""

    def __init__(self, port: int, channel: Callable[[], Awaitable[Pipe]]) -> None:
        self.port = port
        self.clients: set[_Client] = set()
        self._channel = channel
        self._server: asyncio.Server | None = None
        self._up = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Bind the port (0: any; `port` says which); nothing happens if it is bound. Raises OSError."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def set_up(self, up: bool) -> None:
        """Say whether the tunnel is up."""
        if up:
            self._up.set()
        else:
            self._up.clear()

    async def close(self) -> None:
        """Give the port back and end all its connections."""
        for task in list(self._tasks):
            task.cancel()
        for client in list(self.clients):
            if client.transport is not None:
                client.transport.abort()
        if self._server is not None:
            self._server.close()
            self._server = None

    def accepted(self, client: _Client) -> None:
        """A connection came."""
        self.clients.add(client)
        task = asyncio.create_task(self._lead(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lead(self, client: _Client) -> None:
        """Lead one connection through the tunnel."""
        try:
            if not self._up.is_set():
                await asyncio.wait_for(self._up.wait(), HOLD)
            channel = await self._channel()
        except (TimeoutError, asyncssh.Error, OSError):
            client.refuse()
            return
        client.join(channel)
