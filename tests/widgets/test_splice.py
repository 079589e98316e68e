"""What is passed on to a head: nobody's secrets, and no faster than the other side reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from perijove.widgets.splice import PIECE, pass_on, without_secrets
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
#: Bytes that may be on the way: what the server holds in both directions, and the kernel's buffers of two sockets.
HELD = 8 * PIECE + (12 << 20)
#: Far more than that.
ALL = 6 * HELD
#: What the slow side takes at once; the fast one has a whole piece ready each time.
SIP = 8 * 1024

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Handler(RequestHandler):
    """Passes everything on."""

    async def get(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.settings["tasks"].append(task)
        await pass_on(self, "/comm", self.settings["to"])


@dataclass
class Line:
    """A client, the server between, and a head, all in this process."""

    port: int
    tasks: list[asyncio.Task[Any]]
    talk: Talk | None = None
    seen: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The head."""
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        self.seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(UPGRADE)
        assert self.talk is not None
        with suppress(OSError):
            await self.talk(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def connect(self, *headers: str, query: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client's websocket, after its handshake."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=PIECE)
        lines = [f"GET /comm{query} HTTP/1.1", "Host: hub.example", "Upgrade: websocket", "Connection: Upgrade"]
        writer.write(("\r\n".join([*lines, "Sec-WebSocket-Key: abc", *headers]) + "\r\n\r\n").encode())
        assert await reader.readuntil(b"\r\n\r\n") == UPGRADE
        return reader, writer


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    tasks: list[asyncio.Task[Any]] = []
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([(r"/comm", Handler)], to=str(tmp_path / "h"), tasks=tasks))
    server.add_sockets(sockets)
    made = Line(sockets[0].getsockname()[1], tasks)
    async with await asyncio.start_unix_server(made.serve, tmp_path / "h"):
        yield made
        await asyncio.gather(*tasks, return_exceptions=True)
    server.stop()
    await server.close_all_connections()


@pytest.mark.parametrize("to_client", [True, False])
async def test_a_side_that_reads_slowly_holds_the_other_one_back(line: Line, to_client: bool) -> None:
    sent = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < ALL:
            writer.write(bytes(PIECE))
            sent += PIECE
            await writer.drain()

    async def sip(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        read = most = 0
        # As often as the fast side could have sent everything, and a bit more.
        for _ in range(2 * ALL // PIECE):
            read += len(await reader.read(SIP))
            most = max(most, sent - read)
            await asyncio.sleep(0)
        ahead.set_result(most)

    ahead: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    line.talk = pour if to_client else sip
    reader, writer = await line.connect()
    ours: Any = asyncio.ensure_future((sip if to_client else pour)(reader, writer))
    most = await ahead
    ours.cancel()
    with suppress(asyncio.CancelledError, OSError):
        await ours
    writer.transport.abort()
    assert PIECE <= most < HELD


async def test_a_websockets_handshake_passes_nobodys_secrets_on(line: Line) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while got := await reader.read(PIECE):
            writer.write(got)
            await writer.drain()

    line.talk = echo
    secrets = ("Authorization: token S3CRET", "Cookie: jupyterhub-user-ada=S3CRET", "X-XSRFToken: S3CRET")
    reader, writer = await line.connect(*secrets, "Sec-WebSocket-Version: 13", query="?token=S3CRET&session=s1")
    writer.write(b"there and back")
    assert await reader.readexactly(14) == b"there and back"
    writer.close()
    await writer.wait_closed()
    (head,) = line.seen
    assert head.startswith(b"GET /comm?session=s1 HTTP/1.1\r\n")
    assert b"Sec-Websocket-Version: 13" in head
    assert b"S3CRET" not in head


async def test_an_end_on_either_side_ends_the_other(line: Line) -> None:
    over = asyncio.Event()

    async def until_end(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        assert await reader.read() == b"bye"
        over.set()

    line.talk = until_end
    _, writer = await line.connect()
    writer.write(b"bye")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await over.wait()

    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")

    line.talk = leave
    reader, writer = await line.connect()
    assert await reader.read() == b"last words"
    writer.close()
    await writer.wait_closed()


def test_a_query_keeps_all_but_tokens() -> None:
    assert without_secrets("") == without_secrets("token=a") == ""
    assert without_secrets("a=1&token=x&b=&_xsrf=y") == "?a=1&b="
