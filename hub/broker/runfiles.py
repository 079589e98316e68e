"""Copies of runs' files that the broker keeps: figures, tables and records, so that a run can be read when its centre
is away. The files themselves stay at the centre, in the person's own folder; only copies are ever dropped here.

What one person's copies may take together is bounded (`[apps] kept`): beyond it those of the oldest runs give way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from perijove.hub.broker.database import Database
from perijove.hub.broker.sessions import Clock
from perijove.hub.broker.store import run_files, runs
from perijove.spawners.request import below
from sqlalchemy import Connection, delete, func, insert, select

#: Bytes of one kept file and of those of one run; files of one run.
MOST_FILE, MOST_RUN, MOST_FILES = 8 << 20, 64 << 20, 500
#: What a file is shown as, by its ending; anything else is only saved.
MEDIA: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".csv": "text/csv; charset=utf-8",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".json": "application/json",
}
SAVED = "application/octet-stream"


class TooLarge(Exception):
    """A file, or the files of a run together, are more than is kept; the words say which limit."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept copy, without its content."""

    file: str
    bytes: int
    sha256: str
    media: str

    def view(self) -> dict[str, Any]:
        """For the API."""
        return {"file": self.file, "bytes": self.bytes, "sha256": self.sha256, "media": self.media}


def media_of(file: str) -> str:
    """The content type of a file, from its ending alone: never from what somebody said."""
    return MEDIA.get(PurePosixPath(file).suffix.lower(), SAVED)


def headers(file: str) -> dict[str, str]:
    """What goes with a file that came from a run: a browser neither guesses its type nor runs anything in it."""
    shown = media_of(file) != SAVED
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in PurePosixPath(file).name)[-100:]
    return {
        "Content-Disposition": f'{"inline" if shown else "attachment"}; filename="{name or "file"}"',
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }


class RunFiles:
    """The kept copies of all runs. `most`: bytes of one person's together."""

    def __init__(self, database: Database, clock: Clock, most: int) -> None:
        self.database = database
        self.clock = clock
        self.most = most

    async def keep(self, run: str, file: str, content: bytes) -> Kept:
        """Keep `content` as the copy of `file` of a run, in place of the one there was.

        Raises:
            ValueError: the name is none that is below a folder.
            TooLarge: it is too large, or the run's files are together.
            LookupError: there is no such run.
        """
        below(file)
        if len(content) > MOST_FILE:
            raise TooLarge(f"a kept file has at most {MOST_FILE >> 20} MiB")
        kept = Kept(file, len(content), hashlib.sha256(content).hexdigest(), media_of(file))
        row = {"run": run, "kept": self.clock(), "content": content, **kept.view()}

        def work(c: Connection) -> Kept:
            owner = c.scalar(select(runs.c.owner).where(runs.c.id == run).with_for_update())
            if owner is None:
                raise LookupError(run)
            this = (run_files.c.run == run) & (run_files.c.file == file)
            total = select(func.coalesce(func.sum(run_files.c.bytes), 0), func.count())
            others, many = c.execute(total.where(run_files.c.run == run, ~this)).one()
            if others + kept.bytes > MOST_RUN or many >= MOST_FILES:
                raise TooLarge(f"at most {MOST_FILES} files of {MOST_RUN >> 20} MiB together are kept of a run")
            c.execute(delete(run_files).where(this))
            self._make_room(c, owner, run, kept.bytes)
            c.execute(insert(run_files).values(**row))
            return kept

        return await self.database.write(work)

    def _make_room(self, c: Connection, owner: str, run: str, more: int) -> None:
        """Drop the copies of the person's oldest other runs until `more` bytes fit."""
        size = func.sum(run_files.c.bytes)
        query = select(runs.c.id, size).join(run_files, run_files.c.run == runs.c.id).where(runs.c.owner == owner)
        held = c.execute(query.group_by(runs.c.id, runs.c.created).order_by(runs.c.created)).all()
        total = sum(int(held_bytes) for _, held_bytes in held) + more
        for oldest, held_bytes in held:
            if total <= self.most:
                return
            if oldest != run:
                c.execute(delete(run_files).where(run_files.c.run == oldest))
                total -= int(held_bytes)

    async def listing(self, *ids: str) -> dict[str, list[Kept]]:
        """What is kept of runs, by run."""
        columns = (run_files.c.run, run_files.c.file, run_files.c.bytes, run_files.c.sha256, run_files.c.media)

        def work(c: Connection) -> dict[str, list[Kept]]:
            found: dict[str, list[Kept]] = {run: [] for run in ids}
            for some in (ids[i : i + 500] for i in range(0, len(ids), 500)):
                query = select(*columns).where(run_files.c.run.in_(some)).order_by(run_files.c.file)
                for run, *values in c.execute(query):
                    found[run].append(Kept(*values))
            return found

        return await self.database.read(work)

    async def read(self, run: str, file: str) -> bytes | None:
        """The kept copy, if there is one."""
        query = select(run_files.c.content).where(run_files.c.run == run, run_files.c.file == file)

        def work(c: Connection) -> bytes | None:
            content = c.scalar(query)
            return None if content is None else bytes(content)

        return await self.database.read(work)


__all__ = ["MEDIA", "MOST_FILE", "MOST_RUN", "SAVED", "Kept", "RunFiles", "TooLarge", "headers", "media_of"]
