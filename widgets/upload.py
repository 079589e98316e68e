"""Files from the browser into a session: streamed to disk in pieces, resumed after any break, in place whole or not.

    PUT    {base_url}perijove/upload/NAME?offset&total&key[&sha256]   a piece at `offset` of a file of `total` bytes
    HEAD   {base_url}perijove/upload/NAME?total&key                   `Upload-Offset`: how much of it is there
    DELETE {base_url}perijove/upload/NAME?total&key                   forget what is there

`key` says which file of that name and size it is (when it was changed, how it begins and ends), so that a resumed
upload never mixes two. Nothing of a name reaches a path but its safe form (`safe_name`), and no file replaces another.
Settings:

    c.Uploads.folder = "~/perijove-data"
    c.Uploads.most = 0                  # bytes of one file; 0: what the disk takes
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import re
import shutil
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web
from traitlets import Int, Unicode
from traitlets.config import Configurable

T = TypeVar("T")
#: Bytes of a name, of one request, and days after which a part that nobody goes on with is removed.
NAME, PIECE, KEPT = 200, 64 << 20, 7
#: Kinds of compression, which come after the suffix that says what a file is.
_PACKED = {".gz", ".bz2", ".xz", ".zst", ".bgz"}
_WORDS = {
    "disk-full": "There is no room left for this file: the disk or your quota at the centre is full. "
    "Remove files, or ask the centre for more room.",
    "too-large": "A file may have at most {most} bytes here.",
    "offset": "The upload goes on at another place than the browser said.",
    "busy": "This file is being uploaded in another window.",
    "checksum": "The file arrived changed. Upload it again.",
    "bad-request": "The upload was not understood: {detail}.",
    "no-folder": "Files cannot be written to {folder}: {detail}.",
}


class UploadTrouble(Exception):
    """An upload cannot go on: a code with the answer's status, and words."""

    def __init__(self, status: int, code: str, **values: Any) -> None:
        self.status, self.code, self.values = status, code, values
        super().__init__(_WORDS[code].format(**values))


def safe_name(name: str) -> str:
    """`name` as a file may be called: as it was, but for what would be hidden, an option, a path or unreadable."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = "".join(letter if letter.isprintable() else "_" for letter in name).strip()
    if name[:1] in (".", "-", "~", ""):
        name = "_" + name[1:]
    stem, suffix = _split(name)
    room = NAME - len(suffix.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip() + suffix


def _split(name: str) -> tuple[str, str]:
    """The stem of a name, and what says its kind: ("reads", ".fastq.gz")."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name, which need not be a path
    if suffix.lower() in _PACKED:
        stem, kind = os.path.splitext(stem)  # noqa: PTH122
        suffix = kind + suffix
    return (stem, suffix) if stem and len(suffix.encode()) <= 40 else (name, "")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that is in place. `path` as people write it, below the home directory where it is there."""

    name: str
    path: str
    size: int
    sha256: str


class Part:
    """One file on its way: its partial file, and who writes to it."""

    def __init__(self, folder: Path, name: str, total: int, key: str) -> None:
        self.folder, self.name, self.total = folder, safe_name(name), total
        mark = hashlib.sha256(json.dumps([self.name, total, key]).encode()).hexdigest()[:24]
        self.id = mark
        self.path = folder / f".upload-{mark}.part"

    @property
    def size(self) -> int:
        """Bytes that are there."""
        with suppress(OSError):
            return self.path.lstat().st_size
        return 0

    def open(self, offset: int) -> int:
        """A handle to write on from `offset`. Raises UploadTrouble, OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(self.path, flags, 0o600)
        if os.fstat(handle).st_size < offset:
            os.close(handle)
            raise UploadTrouble(409, "offset")
        os.ftruncate(handle, offset)
        os.lseek(handle, offset, os.SEEK_SET)
        return handle

    def place(self, sha256: str) -> Uploaded:
        """Put it in place under its name, or the next free one. Raises UploadTrouble, OSError."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        if sha256 and digest != sha256.lower():
            self.path.unlink()
            raise UploadTrouble(422, "checksum")
        stem, suffix = _split(self.name)
        number, target = 1, self.folder / self.name
        while not self._takes(target):
            if self._is(target, digest):  # it was there already: the answer to its last piece was lost
                break
            number += 1
            target = self.folder / f"{stem} ({number}){suffix}"
        self.path.unlink()
        return Uploaded(target.name, _shown(target), self.total, digest)

    def _takes(self, target: Path) -> bool:
        try:
            os.link(self.path, target)  # unlike a rename it never replaces what is there
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                raise
            try:
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                return False
            shutil.copyfile(self.path, target.with_name(f"{self.path.name}.copy"))
            target.with_name(f"{self.path.name}.copy").replace(target)
        return True

    def _is(self, target: Path, digest: str) -> bool:
        """Whether a plain file has that content."""
        try:
            if target.is_symlink() or not target.is_file() or target.stat().st_size != self.total:
                return False
            with target.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digest
        except OSError:
            return False


def _shown(path: Path) -> str:
    """A path as people write it."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


class Uploads(Configurable):
    """Where files go, and what is on its way."""

    folder = Unicode("~/perijove-data", help="The directory for files that are uploaded.").tag(config=True)
    most = Int(0, min=0, help="The most bytes of one file; 0: what the disk takes.").tag(config=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.busy: set[str] = set()
        self.done: dict[str, Uploaded] = {}

    @property
    def place(self) -> Path:
        """The directory for files that are uploaded."""
        return Path(self.folder).expanduser()

    def finished(self, part: Part) -> Uploaded | None:
        """The file that this part became, if it is still there: an answer may have been lost."""
        done = self.done.get(part.id)
        with suppress(OSError):
            if done is not None and (part.folder / done.name).lstat().st_size == done.size:
                return done
        self.done.pop(part.id, None)
        return None

    def part(self, name: str, total: int, key: str) -> Part:
        """The part for a file. Raises UploadTrouble: it may not be."""
        folder = self.place
        try:
            folder.mkdir(0o700, parents=True, exist_ok=True)
            if self.most and total > self.most:
                raise UploadTrouble(413, "too-large", most=self.most)
            self._tidy(folder)
        except OSError as error:
            raise trouble_of(error, folder) from None
        return Part(folder.resolve(), name, total, key)

    def room(self, part: Part) -> None:
        """Raises UploadTrouble where the disk cannot take what is missing."""
        if shutil.disk_usage(part.folder).free < part.total - part.size:
            raise UploadTrouble(507, "disk-full")

    def _tidy(self, folder: Path) -> None:
        """Remove parts that nobody went on with."""
        for path in folder.glob(".upload-*.part"):
            with suppress(OSError):
                if path.lstat().st_mtime < time.time() - KEPT * 86400:
                    path.unlink()


def trouble_of(error: OSError, folder: Path) -> UploadTrouble:
    """What a fault of the disk means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UploadTrouble(507, "disk-full")
    return UploadTrouble(403, "no-folder", folder=_shown(folder), detail=error.strerror or "")


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
