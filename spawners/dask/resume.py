"""Dask's way through the gateway: comm schemes `pjws://` and `pjwss://`, a websocket that may be cut and goes on.

The gateway may restart, a login node may vanish for a minute: with Dask's own `ws` scheme that loses every future of
the client. Here the comm rides on a `Channel` (its protocol is in `channel.py`), and the client's side dials again, for
ten minutes. A message of Dask is one websocket message up to 1 MiB and several beyond (plain `ws` sends one for the
count and one for each frame, which wait for each other's acknowledgement), so a round trip costs no more than there.

Handshake, in text messages, before any frame:

    client  {"perijove-comm": 1, "channel": null or its id, "got": bytes got so far}
    head    {"channel": id, "got": bytes got so far}    or    {"error": "unknown-channel" | "bad-hello"}

The id is a secret that both ends keep; it stands in no address and no log.

    register()
    Client("pjwss://hub.example.org/user/anna/s/perijove/clusters/dask-1/comm",
           security=Security(extra_conn_args={"headers": {"Authorization": "token ..."}}))

`extra_conn_args` may also have `ssl_options` (an `ssl.SSLContext`) and, for tools on the same node, `resolver`.
"""

from __future__ import annotations

import asyncio
import json
import random
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from distributed.comm.core import Comm, CommClosedError, Connector, FatalCommClosedError
from distributed.comm.registry import Backend, backends
from distributed.comm.utils import from_frames, to_frames
from perijove.spawners.dask.channel import Channel, ChannelClosed
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketError, websocket_connect

VERSION = 1
#: How the websocket's scheme is called here.
SCHEMES = {"pjws": "ws", "pjwss": "wss"}
#: Seconds: for one attempt, between attempts (first and longest), and of being refused before a resumption is given up:
#: routes are missing for a while after the gateway has restarted.
DIAL, AGAIN, REFUSED = 30.0, (0.1, 5.0), 60.0
#: Answers that say no, rather than "not now".
NO = {
    401: "the gateway does not accept the token",
    403: "the token may not use this cluster",
    404: "there is no such cluster, or its session has ended",
}


class Unknown(Exception):
    """The head does not know the channel: it is another one than before."""


class Socket:
    """The link of a channel: a websocket of tornado, of either side."""

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket

    def send(self, frame: bytes) -> None:
        """Send without waiting: the channel's window bounds what can pile up."""
        with suppress(WebSocketClosedError):  # the reading side notices, and detaches
            self._websocket.write_message(frame, binary=True).add_done_callback(_seen)

    def close(self) -> None:
        """Close after what was sent."""
        self._websocket.close()


def _seen(future: asyncio.Future[Any]) -> None:
    """A write that failed with its connection is not news."""
    if not future.cancelled():
        future.exception()


class ResumableComm(Comm):
    """A comm on a channel."""

    def __init__(self, channel: Channel, local: str, peer: str, deserialize: bool, allow_offload: bool = True) -> None:
        super().__init__(deserialize=deserialize)
        self.allow_offload = allow_offload
        self.channel = channel
        self._local_addr, self._peer_addr = local, peer
        # Dropped without close(): from whatever thread the garbage collector runs in.
        loop = asyncio.get_running_loop()
        self._finalizer = weakref.finalize(self, _abandon, loop, channel)
        self._finalizer.atexit = False

    async def read(self, deserializers: Any = None) -> Any:
        """The next message. Raises CommClosedError."""
        try:
            frames = await self.channel.read()
        except ChannelClosed as error:
            raise CommClosedError(f"in {self}: {error}") from error
        return await from_frames(
            frames, deserialize=self.deserialize, deserializers=deserializers, allow_offload=self.allow_offload
        )

    async def write(self, msg: Any, serializers: Any = None, on_error: Any = None) -> int:
        """Send a message; returns its bytes. Raises CommClosedError."""
        context = {"sender": self.local_info, "recipient": self.remote_info, **self.handshake_options}
        frames = await to_frames(
            msg, allow_offload=self.allow_offload, serializers=serializers, on_error=on_error, context=context
        )
        try:
            return await self.channel.write(frames)
        except ChannelClosed as error:
            raise CommClosedError(f"in {self}: {error}") from error

    async def close(self) -> None:
        """Close both ends."""
        self.abort()

    def abort(self) -> None:
        """Close both ends at once."""
        self._finalizer.detach()
        self.channel.close()

    def closed(self) -> bool:
        """Nothing can be read or written any more."""
        return self.channel.closed

    @property
    def local_address(self) -> str:
        return self._local_addr

    @property
    def peer_address(self) -> str:
        return self._peer_addr

    @property
    def same_host(self) -> bool:
        """Never assumed: there is a gateway in between."""
        return False


def _abandon(loop: asyncio.AbstractEventLoop, channel: Channel) -> None:
    with suppress(RuntimeError):  # the loop is closed, and so is everything in it
        loop.call_soon_threadsafe(channel.close)


class Dialler:
    """Keeps the client's end of one channel connected."""

    def __init__(self, url: str, options: Mapping[str, Any], channel: Channel) -> None:
        self._url, self._options = url, dict(options)
        self.channel = channel
        self._id: str | None = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        channel.on_closed = self._stop

    async def dial(self) -> None:
        """One attempt to connect. Raises HTTPClientError, WebSocketError, OSError, TimeoutError, Unknown."""
        hello: asyncio.Future[str | bytes | None] = asyncio.get_running_loop().create_future()
        link: Socket | None = None
        # Frames may come with the head's answer, before this coroutine has heard of it.
        early: list[str | bytes | None] = []

        def on_message(message: str | bytes | None) -> None:
            if not hello.done():
                hello.set_result(message)
            elif link is None:
                early.append(message)
            elif message is None:
                self.channel.detach(link)
                link.close()  # tornado wants to be told even so
                self._lost.set()
            elif isinstance(message, bytes):
                self.channel.on_frame(link, message)

        websocket: Any = await self._open(on_message)
        try:
            websocket.protocol.set_nodelay(True)  # else small messages wait for acknowledgements
            said = {"perijove-comm": VERSION, "channel": self._id, "got": self.channel.got}
            await websocket.write_message(json.dumps(said))
            answer = _hello(await asyncio.wait_for(hello, DIAL))
        except BaseException:
            websocket.close()
            raise
        self._id, link = answer["channel"], Socket(websocket)
        self._lost.clear()
        self.channel.attach(link, answer["got"])
        for message in early:
            on_message(message)

    async def _open(self, on_message: Any) -> WebSocketClientConnection:
        options = {key: value for key, value in self._options.items() if key != "resolver"}
        request = HTTPRequest(self._url, follow_redirects=False, connect_timeout=DIAL, request_timeout=DIAL, **options)
        connecting = websocket_connect(request, on_message_callback=on_message, resolver=self._options.get("resolver"))
        return await asyncio.wait_for(connecting, DIAL)

    def keep(self) -> None:
        """Dial again whenever the connection is lost, until the channel is over."""
        self._task = asyncio.ensure_future(self._keep())

    async def _keep(self) -> None:
        while not self.channel.ended:
            await self._lost.wait()
            await self._redial()

    async def _redial(self) -> None:
        pause, refused_since = AGAIN[0], 0.0
        loop = asyncio.get_running_loop()
        while not self.channel.ended and not self.channel.attached:
            try:
                await self.dial()
                return
            except Unknown as error:
                self.channel.fail(str(error))
                return
            except HTTPClientError as error:
                refused_since = (refused_since or loop.time()) if error.code in NO else 0.0
                if refused_since and loop.time() - refused_since > REFUSED:
                    self.channel.fail(NO[error.code])
                    return
            except (OSError, TimeoutError, WebSocketError):
                refused_since = 0.0
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - so that clients do not come all at once
            pause = min(2 * pause, AGAIN[1])

    def _stop(self) -> None:
        self._lost.set()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()


def _hello(message: str | bytes | None) -> dict[str, Any]:
    """The head's answer. Raises OSError, Unknown."""
    if message is None:
        raise ConnectionResetError("the connection was closed before the head answered")
    try:
        found = json.loads(message)
        if "error" in found:
            raise Unknown(f"the head of the cluster does not know this connection any more ({found['error']})")
        return {"channel": str(found["channel"]), "got": int(found["got"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ConnectionResetError(f"no answer of a cluster's head: {message[:80]!r}") from error


class ResumableConnector(Connector):
    """The client's side of a new comm."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    async def connect(self, address: str, deserialize: bool = True, **connection_args: Any) -> ResumableComm:
        """Connect. Raises FatalCommClosedError where there is no sense in trying again, CommClosedError else."""
        options = dict(connection_args.get("extra_conn_args") or {})
        timing = options.pop("channel", {})
        if self._scheme == "pjwss" and connection_args.get("ssl_context") is not None:
            options.setdefault("ssl_options", connection_args["ssl_context"])
        dialler = Dialler(f"{SCHEMES[self._scheme]}://{address}", options, Channel(**timing))
        try:
            await dialler.dial()
        except HTTPClientError as error:
            if error.code in NO:
                raise FatalCommClosedError(f"{address}: {NO[error.code]} (HTTP {error.code})") from error
            raise CommClosedError(f"{address}: {error}") from error
        except (OSError, WebSocketError, Unknown) as error:
            raise CommClosedError(f"{address}: {type(error).__name__}: {error}") from error
        dialler.keep()
        return ResumableComm(dialler.channel, f"{self._scheme}://", f"{self._scheme}://{address}", deserialize)


class ResumableBackend(Backend):
    """For distributed's registry; listening is the head's, on its unix socket."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    def get_connector(self) -> ResumableConnector:
        return ResumableConnector(self._scheme)

    def get_listener(self, loc: str, handle_comm: Any, deserialize: bool, **connection_args: Any) -> Any:
        raise NotImplementedError(f"{self._scheme}: only the head of a cluster listens, on a unix socket")

    def get_address_host(self, loc: str) -> str:
        return self.get_address_host_port(loc)[0]

    def get_address_host_port(self, loc: str) -> tuple[str, int]:
        parts = urlsplit(f"//{loc}")
        return parts.hostname or "", parts.port or (443 if self._scheme == "pjwss" else 80)

    def resolve_address(self, loc: str) -> str:
        return loc

    def get_local_address_for(self, loc: str) -> str:
        return ""


def register() -> None:
    """Make the schemes known to distributed; done twice it is the same."""
    for scheme in SCHEMES:
        backends.setdefault(scheme, ResumableBackend(scheme))
