"""The bytes of a run's files: the kept copy, else the file itself from its centre.

A file is the run's if it is kept or its report names it: nothing else below its folder can be had here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.runcompare import results
from perijove.hub.broker.runrecords import Run
from perijove.hub.broker.runzip import zipped
from perijove.spawners.request import below

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker

#: Bytes in one piece of a kept file.
PIECE = 256 << 10


class Remote(Protocol):
    """How a file at a centre is read, as the person's own account."""

    def stream(self, owner: str, centre: str, path: str) -> AsyncIterator[bytes]:
        """Its pieces. Raises Refusal: it cannot be read, in words."""


class RunReading:
    """Files of the runs of one broker; `remote` None: kept copies alone."""

    def __init__(self, broker: Broker, remote: Remote | None = None) -> None:
        self.broker = broker
        self.remote = remote

    async def names(self, run: Run) -> list[str]:
        """The files of a run that can be had, sorted."""
        kept = [one.file for one in (await self.broker.runs.files.listing(run.id))[run.id]]
        return sorted({*kept, *(self._named(run) if self.remote is not None and run.folder else [])})

    def _named(self, run: Run) -> list[str]:
        """The files that its report names."""
        listed: list[Mapping[str, Any]] = [
            one for key in ("files", "figures", "tables") for one in results(run, key).values()
        ]
        return [file for one in listed if isinstance(file := one.get("file"), str) and _safe(file)]

    async def file(self, run: Run, file: str) -> AsyncIterator[bytes]:
        """The pieces of a file.

        Raises:
            Refusal: it is none of this run, or cannot be had now.
        """
        if _safe(file):
            content = await self.broker.runs.files.read(run.id, file)
            if content is not None:
                return _pieces(content)
            if self.remote is not None and run.folder and file in self._named(run):
                return await _begun(self.remote.stream(run.owner, run.centre, f"{run.folder}/results/{file}"))
        raise Refusal(404, "no-file", "the run has no such file, or it is only at its centre")

    async def download(self, run: Run) -> AsyncIterator[bytes]:
        """All its files, as a ZIP."""
        names = await self.names(run)
        if not names:
            raise Refusal(404, "no-file", "nothing of this run is kept here; its files are at its centre")

        async def files() -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
            for name in names:
                yield f"{run.app}-{run.id}/{name}", await self.file(run, name)

        return zipped(files(), run.ended or run.created)


def _safe(file: str) -> bool:
    try:
        return below(file) == file
    except ValueError:
        return False


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for begun in range(0, len(content), PIECE):
        yield content[begun : begun + PIECE]


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, its first piece read: what is wrong with the file is said before the answer begins."""
    first = await anext(pieces, b"")

    async def all_of_it() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_it()


__all__ = ["Remote", "RunReading"]
