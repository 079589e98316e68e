"""Files from the browser into a session: streamed to disk in pieces, resumed after any break, in place whole or not.

    PUT    {base_url}perijove/upload/NAME?offset&total&key[&sha256]   a piece at `offset` of a file of `total` bytes
    HEAD   {base_url}perijove/upload/NAME?total&key                   `Upload-Offset`: how much of it is there
    DELETE {base_url}perijove/upload/NAME?total&key                   forget what is there

`key` says which file of that name and size it is (when it was changed, how it begins and ends), so that a resumed
upload never mixes two. Where and how they lie on disk is `uploads`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from perijove.widgets.uploads import Part, Uploaded, Uploads, UploadTrouble, trouble_of
from tornado import web

T = TypeVar("T")
#: Bytes of one request.
PIECE = 64 << 20


@web.stream_request_body
class UploadHandler(ExtensionHandlerMixin, APIHandler):
    """`perijove/upload/NAME`."""

    _handle: int | None = None
    _mark: str = ""
    #: A thread uses the handle; and the browser has gone meanwhile.
    _working = _gone = False

    @property
    def uploads(self) -> Uploads:
        """The uploads of this server."""
        found = self.settings.get("perijove_uploads")
        if found is None:
            found = self.settings["perijove_uploads"] = Uploads(parent=self.extensionapp)
        return found

    async def prepare(self) -> None:  # type: ignore[override]
        """Before the body comes: who it is, and whether the piece fits."""
        await super().prepare()
        self.set_header("Cache-Control", "no-store")
        if self._finished:
            return
        if not self.current_user:
            raise web.HTTPError(403)
        try:
            self.part = self._asked()
            if self.request.method == "PUT":
                await self._begin()
        except UploadTrouble as trouble:
            self._say(trouble)
        except OSError as error:
            self._say(trouble_of(error, self.uploads.place))

    def _asked(self) -> Part:
        total = self.get_query_argument("total", "")
        if not re.fullmatch(r"\d{1,18}", total, re.ASCII):
            raise UploadTrouble(400, "bad-request", detail="total")
        return self.uploads.part(self.path_kwargs["name"], int(total), self.get_query_argument("key", "")[:200])

    async def _begin(self) -> None:
        offset = self.get_query_argument("offset", "0")
        length = self.request.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,18}", offset, re.ASCII) or not re.fullmatch(r"\d{1,18}", length, re.ASCII):
            raise UploadTrouble(400, "bad-request", detail="offset, or the length of the piece")
        if int(length) > PIECE or int(offset) + int(length) > self.part.total:
            raise UploadTrouble(400, "bad-request", detail="the piece is too long")
        if (done := self.uploads.finished(self.part)) is not None:
            self.set_status(201)
            self._answer(done.size, done)
            return
        if self.part.id in self.uploads.busy:
            raise UploadTrouble(409, "busy")
        self.uploads.room(self.part)
        self.uploads.busy.add(self.part.id)
        self._mark = self.part.id
        self._handle = self.part.open(int(offset))

    async def data_received(self, chunk: bytes) -> None:
        """Some of the piece: written at once, so that a break loses nothing that came."""
        if self._handle is None:
            return
        try:
            await self._work(_write, self._handle, chunk)
        except OSError as error:
            self._release()
            self._say(trouble_of(error, self.part.folder))

    @web.authenticated
    async def put(self, name: str) -> None:
        """The piece is there; the last one puts the file in place."""
        if self._handle is None:
            return
        size = os.fstat(self._handle).st_size
        try:
            if size == self.part.total:
                done = await self._work(self.part.place, self.get_query_argument("sha256", ""))
                self.uploads.done[self.part.id] = done
                self.set_status(201)
                self._answer(size, done)
            else:
                self._answer(size, None)
        except UploadTrouble as trouble:
            self._say(trouble)
        except OSError as error:
            self._say(trouble_of(error, self.part.folder))
        finally:
            self._release()

    @web.authenticated
    async def head(self, name: str) -> None:
        """How much is there."""
        if self._finished:
            return
        done = self.uploads.finished(self.part)
        self.set_header("Upload-Offset", str(self.part.total if done else self.part.size))
        self.finish()

    @web.authenticated
    async def delete(self, name: str) -> None:
        """Forget what is there."""
        if self._finished:
            return
        if self.part.id in self.uploads.busy:
            self._say(UploadTrouble(409, "busy"))
            return
        self.uploads.done.pop(self.part.id, None)
        self.part.path.unlink(missing_ok=True)
        self.set_status(204)
        self.finish()

    async def _work(self, what: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread; nothing is closed under it."""
        self._working = True
        try:
            return await asyncio.to_thread(what, *arguments)
        finally:
            self._working = False
            if self._gone:
                self._release()

    def on_connection_close(self) -> None:
        """The browser is gone in the middle of a piece."""
        self._gone = True
        if not self._working:
            self._release()
        super().on_connection_close()

    def on_finish(self) -> None:
        self._release()
        super().on_finish()

    def _release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self.uploads.busy.discard(self._mark)
        self._mark = ""

    def _answer(self, size: int, done: Uploaded | None) -> None:
        self.set_header("Upload-Offset", str(size))
        self.finish(json.dumps({"offset": size, "done": asdict(done) if done else None}))

    def _say(self, trouble: UploadTrouble) -> None:
        """The answer in words, with the place to go on at."""
        if self._finished:
            return
        self.set_status(trouble.status)
        if (part := getattr(self, "part", None)) is not None:
            self.set_header("Upload-Offset", str(part.size))
        if self.request.method == "HEAD":
            self.finish()
            return
        said = {"error": trouble.code, "message": str(trouble), "values": trouble.values}
        self.finish(json.dumps(said))


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


ROUTES = [(r"/perijove/upload/(?P<name>.+)", UploadHandler)]
