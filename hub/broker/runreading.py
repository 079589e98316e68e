"""The bytes of a run's files: the kept copy, else the file itself from its centre.

A file is the run's if it is kept or its report names it: nothing else can be had here. Where it lies at the centre
follows from the run's id alone, never from what a session said: several people may share an account there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.files import FileTrouble
from perijove.hub.broker.runcompare import results
from perijove.hub.broker.runrecords import Run
from perijove.hub.broker.runzip import zipped
from perijove.spawners.request import below

if TYPE_CHECKING:
    from perijove.hub.broker.broker import Broker

#: Bytes in one piece of a kept file.
PIECE = 256 << 10
#: In a download: the files that could not be had.
ABSENT = "not-included.txt"


class RunReading:
    """Files of the runs of one broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def file(self, run: Run, file: str) -> AsyncIterator[bytes]:
        """The pieces of a file.

        Raises:
            Refusal: it is none of this run, or cannot be had now.
        """
        if _safe(file):
            content = await self.broker.runs.files.read(run.id, file)
            if content is not None:
                return _pieces(content)
            if file in _named(run):
                return await self._from_centre(run, file)
        raise Refusal(404, "no-file", "the run has no such file")

    async def _from_centre(self, run: Run, file: str) -> AsyncIterator[bytes]:
        files = self.broker.files
        try:
            place = await files.place(run.owner, run.centre, ours=True)
            path = f"{place.centre.paths.base}/runs/{run.id}/results/{file}"
            facts = await files.look(place, path)
            pieces = files.stream(place, path, facts)
            first = await anext(pieces, b"")
        except FileTrouble as trouble:
            raise Refusal(trouble.status, trouble.code, trouble.message) from None

        async def all_of_it() -> AsyncIterator[bytes]:
            yield first
            async for piece in pieces:
                yield piece

        return all_of_it()

    async def download(self, run: Run) -> AsyncIterator[bytes]:
        """All its files, as a ZIP. Of what cannot be had the names are in it.

        Raises:
            Refusal: it has none.
        """
        kept = (await self.broker.runs.files.listing(run.id))[run.id]
        names = sorted({*(one.file for one in kept), *_named(run)})
        if not names:
            raise Refusal(404, "no-file", "the run has no files")
        return zipped(self._members(run, names), run.ended or run.created)

    async def _members(self, run: Run, names: list[str]) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        top, absent = f"{run.app}-{run.id}", []
        for name in names:
            try:
                pieces = await self.file(run, name)
            except Refusal as refusal:
                absent.append(f"{name}: {refusal.message}\n")
            else:
                yield f"{top}/{name}", pieces
        if absent:
            yield f"{top}/{ABSENT}", _pieces("".join(absent).encode("utf-8", "replace"))


def _named(run: Run) -> set[str]:
    """The files that its report names."""
    listed = [one.get("file") for key in ("files", "figures", "tables") for one in results(run, key).values()]
    return {file for file in listed if isinstance(file, str) and _safe(file)}


def _safe(file: str) -> bool:
    try:
        return below(file) == file
    except ValueError:
        return False


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for begun in range(0, len(content), PIECE):
        yield content[begun : begun + PIECE]


__all__ = ["RunReading"]
