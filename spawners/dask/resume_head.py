"""The head's side of resumable comms: websockets on its unix socket, each of which carries a new or a known channel."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from typing import Any

from distributed.comm.core import BaseListener, CommClosedError
from distributed.scheduler import Scheduler
from perijove.spawners.dask.channel import Channel
from perijove.spawners.dask.resume import VERSION, ResumableComm, Socket
from tornado.websocket import WebSocketHandler

logger = logging.getLogger("perijove.dask")

#: Seconds that a connection has to say hello, and how many channels one head keeps.
HELLO, MOST = 20.0, 2000
ADDRESS = "pjws://head"


class _Door(BaseListener):
    """distributed's handshake without a listening socket."""

    async def start(self) -> None:
        """Nothing listens here."""

    def stop(self) -> None:
        """Nothing listens here."""

    @property
    def listen_address(self) -> str:
        return ADDRESS

    @property
    def contact_address(self) -> str:
        return ADDRESS


class Channels:
    """All channels of one head."""

    def __init__(self, scheduler: Scheduler, **timing: Any) -> None:
        self._scheduler, self._timing = scheduler, timing
        self._door = _Door()
        self._known: dict[str, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Any]:
        """For the head's application."""
        return [("/comm", CommHandler, {"channels": self})]

    def find(self, identity: str) -> Channel | None:
        """A channel that is not over."""
        return self._known.get(identity)

    def new(self) -> tuple[str, Channel] | None:
        """A new channel, served from now on; None where there are too many."""
        if len(self._known) >= MOST:
            return None
        identity, channel = secrets.token_urlsafe(24), Channel(**self._timing)
        self._known[identity] = channel
        channel.on_closed = lambda: self._forget(identity)
        task = asyncio.ensure_future(self._serve(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return identity, channel

    def close(self) -> None:
        """The head ends."""
        for channel in list(self._known.values()):
            channel.close()

    def _forget(self, identity: str) -> None:
        self._known.pop(identity, None)

    async def _serve(self, channel: Channel) -> None:
        """What distributed's listeners do with a new connection."""
        comm = ResumableComm(channel, ADDRESS, "pjws://client", deserialize=False, allow_offload=False)
        try:
            await self._door.on_connection(comm, {"pickle-protocol": 4, "compression": None})
        except (CommClosedError, ValueError) as error:
            logger.info("perijove: a client left during the handshake: %s", error)
            comm.abort()
            return
        await self._scheduler.handle_comm(comm)


class CommHandler(WebSocketHandler):
    """One connection. Who reaches the unix socket has been let in by the session's server."""

    def initialize(self, channels: Channels) -> None:
        self._channels = channels
        self._channel: Channel | None = None
        self._link = Socket(self)
        self._timer: asyncio.TimerHandle | None = None

    def check_origin(self, origin: str) -> bool:
        """The session's server has judged it."""
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        """Wait for the hello, not for ever."""
        self.set_nodelay(True)
        self._timer = asyncio.get_running_loop().call_later(HELLO, self.close)

    def on_message(self, message: str | bytes) -> None:
        if self._channel is not None:
            if isinstance(message, bytes):
                self._channel.on_frame(self._link, message)
            return
        if self._timer is not None:
            self._timer.cancel()
        try:
            hello = json.loads(message)
            version, identity, got = hello["perijove-comm"], hello["channel"], int(hello["got"])
            if version != VERSION or not (identity is None or isinstance(identity, str)):
                raise ValueError(version)
        except (ValueError, KeyError, TypeError):
            self._refuse("bad-hello")
            return
        if identity is None:
            made = self._channels.new()
            if made is None:
                self._refuse("too-many")
                return
            identity, channel = made
        else:
            found = self._channels.find(identity)
            if found is None:
                self._refuse("unknown-channel")
                return
            channel = found
        self.write_message(json.dumps({"channel": identity, "got": channel.got}))
        self._channel = channel
        channel.attach(self._link, got)

    def on_close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._channel is not None:
            self._channel.detach(self._link)

    def _refuse(self, why: str) -> None:
        self.write_message(json.dumps({"error": why}))
        self.close()
