"""Files that come from a browser, on disk: parts on their way, and how a part becomes a file. See `upload` for the way.

Nothing of a name reaches a path but its safe form (`safe_name`), and no file replaces another. Settings:

    c.Uploads.folder = "~/perijove-data"
    c.Uploads.most = 0                  # bytes of one file; 0: what the disk takes
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets import Int, Unicode
from traitlets.config import Configurable

#: Bytes of a name, and days after which a part that nobody goes on with is removed.
NAME, KEPT = 200, 7
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
        return Uploaded(target.name, shown(target), self.total, digest)

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


def shown(path: Path) -> str:
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
    return UploadTrouble(403, "no-folder", folder=shown(folder), detail=error.strerror or "")
