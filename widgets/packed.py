"""Static files, packed once and kept by the browser for good: Voila's JavaScript, the few extensions, our own page.

Their addresses carry a fingerprint of what is installed, so that a browser asks for each file once. They are gzipped
when they are first asked for and kept in memory: of 10 MB some 4 MB are ever used, and thirty people share them.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".json": "application/json"}
_TYPES |= {".woff2": "font/woff2", ".woff": "font/woff", ".ttf": "font/ttf", ".svg": "image/svg+xml"}
#: Shorter ones are not worth it, and fonts and pictures are packed already.
_WORTH = 1024
_PLAIN = re.compile(r"[A-Za-z0-9@_-][\w.@-]*(?:/[A-Za-z0-9@_-][\w.@-]*)*")


@dataclass
class Packed:
    """Files below `roots`, the first one that has it; `only` bounds which, by the beginning of the path."""

    roots: Sequence[Path]
    only: tuple[str, ...] = ()
    _kept: dict[str, tuple[bytes, bool, str]] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """A fingerprint of the files: names, sizes and times."""
        seen = hashlib.sha256()
        for root in self.roots:
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    status = path.stat()
                    seen.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return seen.hexdigest()[:12]

    def get(self, name: str) -> tuple[bytes, bool, str] | None:
        """Content, whether it is gzipped, and its media type; None where there is no such file. Blocks at first."""
        if not _PLAIN.fullmatch(name) or (self.only and not name.startswith(self.only)):
            return None
        if name not in self._kept:
            found = next((root / name for root in self.roots if (root / name).is_file()), None)
            kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0]
            if found is None or kind is None:
                return None
            raw = found.read_bytes()
            pack = len(raw) >= _WORTH and not kind.startswith(("font/woff", "image/png"))
            self._kept[name] = (gzip.compress(raw, 6, mtime=0) if pack else raw, pack, kind)
        return self._kept[name]


class PackedHandler(JupyterHandler):
    """`GET VERSION/PATH` of a `Packed`. The files are public ones, of packages: no login, no XSRF token."""

    _track_activity = False

    def initialize(self, files: Packed) -> None:
        """`files` is what is served."""
        self._files = files

    def check_xsrf_cookie(self) -> None:
        """Nothing changes."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Without the login that Jupyter's handlers do."""

    @web.removeslash
    async def get(self, path: str) -> None:
        """The file; 404 where there is none, or where the version is another one."""
        version, _, name = path.partition("/")
        found = await asyncio.to_thread(self._files.get, name) if version == self._files.version else None
        if found is None:
            raise web.HTTPError(404)
        content, packed, kind = found
        if packed and "gzip" not in self.request.headers.get("Accept-Encoding", ""):
            content, packed = await asyncio.to_thread(gzip.decompress, content), False
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "private, max-age=31536000, immutable")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Vary", "Accept-Encoding")
        if packed:
            self.set_header("Content-Encoding", "gzip")
        self.finish(content)

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        """Plain words."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: there is no such file\n")
