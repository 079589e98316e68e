"""Requests passed on to a head's unix socket, once the server knows who asks; websockets are spliced.

No cookie and no token goes on: the head asks nobody who they are, its socket is its owner's alone. A websocket is
passed on as bytes after its handshake, in both directions with back pressure: a side that does not read stops the
other one from being read.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tornado import httputil
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import HTTPError, RequestHandler

#: Bytes moved at once, and of an answer's head at most.
PIECE, HEAD = 256 * 1024, 64 * 1024
#: Seconds for a head to begin its answer.
ANSWER = 60.0
#: Of a request's headers these go on; `Host` and `Origin` belong together, as Bokeh compares them.
_PASSED = {
    *("accept", "accept-language", "content-type", "host", "origin", "user-agent", "if-none-match"),
    *("if-modified-since", "range"),
}
_UPGRADE = ("sec-websocket-",)
#: Of an answer's headers these do not come back: what is between two hops only, and cookies.
_DROPPED = {
    *("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "trailer"),
    *("set-cookie", "server", "date", "content-security-policy"),
}
#: What makes an address in a query a secret.
_SECRET = {"token", "_xsrf"}


def wants_websocket(request: httputil.HTTPServerRequest) -> bool:
    """Whether a request asks to become a websocket."""
    words = request.headers.get("Connection", "").lower().replace(" ", "").split(",")
    return request.headers.get("Upgrade", "").lower() == "websocket" and "upgrade" in words


def without_secrets(query: str) -> str:
    """A query without tokens."""
    if not query:
        return ""
    kept = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key not in _SECRET]
    return "?" + urlencode(kept) if kept else ""


async def pass_on(handler: RequestHandler, path: str, to: str) -> None:
    """Have the head at the socket `to` answer the handler's request, as one for `path`.

    Raises:
        HTTPError: 503, the head does not answer.
    """
    request = handler.request
    websocket = wants_websocket(request)
    try:
        reader, writer = await asyncio.open_unix_connection(to, limit=PIECE)
    except OSError as error:
        raise HTTPError(503, f"the head of the cluster does not answer: {error.strerror}") from None
    try:
        writer.write(_head(request, path + without_secrets(request.query), websocket) + (request.body or b""))
        await writer.drain()
        try:
            async with asyncio.timeout(ANSWER):
                raw = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, TimeoutError):
            raise HTTPError(503, "the head of the cluster does not answer") from None
        first, _, rest = raw.decode("latin-1").partition("\r\n")
        status = httputil.parse_response_start_line(first)
        if status.code == 101 and websocket:
            await _splice(handler.detach(), raw, reader, writer)
            return
        handler.set_status(status.code)
        for name, value in httputil.HTTPHeaders.parse(rest).get_all():
            if name.lower() not in _DROPPED:
                handler.set_header(name, value)
        await _stream(handler, reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _head(request: httputil.HTTPServerRequest, target: str, websocket: bool) -> bytes:
    """The request's first lines. HTTP/1.0 keeps an answer free of chunks and ends it with the connection."""
    lines = [f"{request.method} {target} HTTP/1.{1 if websocket else 0}"]
    for name, value in request.headers.get_all():
        small = name.lower()
        if small in _PASSED or (websocket and small.startswith(_UPGRADE)):
            lines.append(f"{name}: {value}")
    if websocket:
        lines += ["Upgrade: websocket", "Connection: Upgrade"]
    elif request.method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(request.body or b'')}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _stream(handler: RequestHandler, reader: asyncio.StreamReader) -> None:
    """The body of an answer, as fast as the client takes it."""
    try:
        while piece := await reader.read(PIECE):
            handler.write(piece)
            await handler.flush()
        if not handler._finished:
            await handler.finish()
    except StreamClosedError:
        pass  # the client left


async def _splice(client: IOStream, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on in both directions until one side ends. What the stream has read already is passed on, too."""
    client.set_nodelay(True)
    tasks = [
        asyncio.ensure_future(_to_client(client, first, reader)),
        asyncio.ensure_future(_from_client(client, writer)),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        client.close()


async def _to_client(client: IOStream, first: bytes, reader: asyncio.StreamReader) -> None:
    with suppress(OSError, StreamClosedError):
        await client.write(first)
        while piece := await reader.read(PIECE):
            await client.write(piece)


async def _from_client(client: IOStream, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, StreamClosedError):
        while True:
            piece: Any = await client.read_bytes(PIECE, partial=True)
            writer.write(piece)
            await writer.drain()
