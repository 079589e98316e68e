"""The addresses of what a run leaves: its log, its files, and all of them as a zip. See `runroutes`."""

from __future__ import annotations

import asyncio
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler
from perijove.widgets.runbase import Json, OfApp
from tornado import web

#: Bytes of a log that are shown; of a zip that are sent at once.
LOG, PIECE = 64 << 10, 1 << 20


class LogHandler(Json):
    """`runs/ID/log`."""

    @web.authenticated
    async def get(self, identity: str) -> None:
        """`{"log": text}`: the end of what its steps said, the newest part last."""
        self.say({"log": await asyncio.to_thread(_log, self.run_of(identity).folder)})


def _log(folder: Path) -> str:
    parts = []
    paths = [path for path in (folder / "log").glob("*") if path.is_file() and not path.is_symlink()]
    for path in sorted(paths, key=lambda one: one.stat().st_mtime)[-20:]:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG))
            parts.append(f"== {path.stem}\n{file.read(LOG).decode('utf-8', 'replace')}")
    return "\n".join(parts)[-LOG:]


def safe(handler: web.RequestHandler, name: str) -> None:
    """Headers under which a result can be shown, but no script of it runs."""
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    handler.set_header("Content-Security-Policy", policy)
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.set_header("Cache-Control", "private, no-cache")
    if not name.lower().endswith((".png", ".jpg", ".jpeg", ".svg", ".webp")) or handler.get_query_argument("save", ""):
        handler.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(Path(name).name, safe='')}")


class FileHandler(OfApp, JupyterHandler, web.StaticFileHandler):
    """`runs/ID/files/PATH`."""

    def initialize(self, **more: Any) -> None:  # type: ignore[override]
        """The folder depends on the run."""
        super().initialize(**more)
        self.root, self.default_filename = "/nowhere", None

    @web.authenticated
    async def get(self, identity: str, path: str) -> None:  # type: ignore[override]
        """The file, or the part that Range asks for; below the results alone, and through no link."""
        await self._serve(identity, path, True)

    @web.authenticated
    async def head(self, identity: str, path: str) -> None:  # type: ignore[override]
        """Its headers."""
        await self._serve(identity, path, False)

    async def _serve(self, identity: str, path: str, include_body: bool) -> None:
        results = (self.run_of(identity).folder / "results").resolve()
        self.root = str(results)
        found = results / path
        if "\0" in path or not found.resolve().is_relative_to(results) or found.is_symlink() or not found.is_file():
            raise web.HTTPError(404)
        await web.StaticFileHandler.get(self, path, include_body)

    def set_extra_headers(self, path: str) -> None:
        """See `safe`."""
        safe(self, path)


class DownloadHandler(OfApp, JupyterHandler):
    """`runs/ID/download`."""

    @web.authenticated
    async def get(self, identity: str) -> None:
        """All results as a zip, made on disk and sent in pieces."""
        run = self.run_of(identity)
        with tempfile.TemporaryFile(dir=run.folder) as file:
            await asyncio.to_thread(_zip, run.folder / "results", file)
            self.set_header("Content-Type", "application/zip")
            self.set_header("Content-Length", str(file.tell()))
            self.set_header("Content-Disposition", f'attachment; filename="{run.told.get("app")}-{run.id}.zip"')
            file.seek(0)
            while piece := await asyncio.to_thread(file.read, PIECE):
                self.write(piece)
                await self.flush()
        await self.finish()


def _zip(results: Path, file: Any) -> None:
    """Write all plain files below `results`, none through a link; what is packed already is not packed again."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as archive:
        for path in sorted(results.rglob("*")):
            if path.is_file() and not path.is_symlink():
                packed = path.suffix in (".png", ".gz", ".bam", ".nc", ".zip", ".jpg")
                how = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
                archive.write(path, str(path.relative_to(results)), how)
    file.seek(0, os.SEEK_END)
