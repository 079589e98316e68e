"""A person's files at a centre: listed, read and written by the launcher, as their own account, over the centre's link.

Bulk never starves submissions: of the commands that a login node runs at once it takes a quarter at most, and each
moves 16 MiB, so that others get their turn, and a slow reader keeps no command waiting. Nothing here knows whose files
a caller may see: a `Place` is made for a person's own account (`place`), or by the broker itself for what lies in the
gateway's directory there (`ours`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from perijove.hub.broker.identity import Identities
from perijove.spawners.centre import Centre
from perijove.spawners.launcher import VERSION as LAUNCHER
from perijove.spawners.link import Account, LinkError, LinkProblem
from perijove.spawners.watcher import LinkPool

#: Bytes in one command (the launcher takes no more), and how many of them are under way for one stream.
PIECE, AHEAD = 16 << 20, 2
#: Seconds for a piece, and for each GiB of a file whose digest is asked for.
TIMEOUT, PER_GIB = 60.0, 60.0
#: What can be wrong with a file: the launcher's codes and our own, with the status of the API's answer and its words.
WORDS = {
    "no-file": (404, "there is no such file"),
    "no-folder": (404, "there is no such folder"),
    "not-a-file": (409, "this is no plain file"),
    "no-access": (403, "the centre does not let this account read it"),
    "outside": (403, "only files below the home directory, and none that are hidden, are reached from here"),
    "exists": (409, "there is a file of that name already"),
    "checksum": (502, "what arrived is not what was sent; the partial file was removed"),
    "offset": (409, "the partial file at the centre is not what was expected"),
    "home-full": (507, "there is no room left at the centre: the disk or the quota is full"),
    "home-denied": (403, "the centre does not let this account write there"),
    "home-missing": (409, "the account has no home directory at the centre"),
    "changed": (409, "the file was changed while it was read"),
    "launcher-older": (
        502,
        f"the launcher installed there is older and moves no files: its operators have to install launcher {LAUNCHER}",
    ),
    "centre-silent": (503, "the centre cannot be asked for files now"),
    "centre-refuses": (502, "the centre refuses what was asked"),
}


class FileTrouble(Exception):
    """A file cannot be read or written. `passing`: trying again later may help."""

    def __init__(self, code: str, message: str = "", status: int = 0, *, passing: bool = False) -> None:
        known = WORDS.get(code, (502, code))
        self.code, self.status, self.message, self.passing = code, status or known[0], message or known[1], passing
        super().__init__(self.message)

    @classmethod
    def of(cls, error: LinkError, centre: Centre) -> FileTrouble:
        """What the answer of a link means for a file."""
        if error.code in WORDS:
            return cls(error.code)
        if error.code == "request" and error.detail.startswith("request: KeyError"):
            return cls("launcher-older", f"{centre.id}: {WORDS['launcher-older'][1]}")
        passing = error.problem in (LinkProblem.UNREACHABLE, LinkProblem.TIMEOUT, LinkProblem.OUTPUT)
        code = "centre-silent" if passing else "centre-refuses"
        return cls(code, f"{centre.id}: {WORDS[code][1]}: {error.detail or error.problem.value}"[:500], passing=passing)


@dataclass(frozen=True, slots=True)
class Place:
    """An account at a centre. `ours`: the gateway's own directory there may be reached, too."""

    centre: Centre
    account: Account
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """A file: bytes, when it was changed (seconds since 1970), and its SHA-256 if that was asked for."""

    total: int
    mtime: float
    sha256: str = ""


class Files:
    """Reads and writes files at centres."""

    def __init__(self, centres: Mapping[str, Centre], links: LinkPool, identities: Identities) -> None:
        self.centres, self.links, self.identities = centres, links, identities
        self._turns: dict[tuple[str, Account], asyncio.Semaphore] = {}

    async def place(self, owner: str, centre: str, *, ours: bool = False) -> Place:
        """The account of a person at a centre.

        Raises:
            FileTrouble: there is no such centre.
            BadRequest: the person has no account there.
        """
        found = self.centres.get(centre)
        if found is None:
            raise FileTrouble("unknown-centre", "there is no such centre", 404)
        return Place(found, await self.identities.account(owner, found), ours)

    async def listing(self, place: Place, path: str) -> dict[str, Any]:
        """What is in a folder: `entries` of {name, kind: file|folder|other, size (bytes), mtime}, and `more` if it
        holds more than the launcher lists. Names that are no UTF-8 have lone surrogates. Raises FileTrouble."""
        answer = await self._ask(place, {"verb": "list", "path": path})
        return {"entries": answer["entries"], "more": bool(answer["more"])}

    async def look(self, place: Place, path: str, *, digest: bool = False, size: int = 0) -> Facts:
        """A file's size and time; its digest takes the centre a while, by its `size` in bytes. Raises FileTrouble."""
        wanted = {"verb": "read", "path": path, "offset": 0, "length": 0, "sha256": digest}
        answer = await self._ask(place, wanted, TIMEOUT + PER_GIB * size / 2**30 if digest else TIMEOUT)
        return Facts(int(answer["total"]), float(answer["mtime"]), str(answer.get("sha256", "")))

    async def read(self, place: Place, path: str, offset: int = 0, length: int = PIECE) -> tuple[bytes, Facts]:
        """At most `length` bytes (and no more than PIECE) from `offset`, and what the file is. Raises FileTrouble."""
        wanted = {"verb": "read", "path": path, "offset": offset, "length": min(length, PIECE)}
        answer = await self._ask(place, wanted)
        return bytes(answer.get("body", b"")), Facts(int(answer["total"]), float(answer["mtime"]))

    async def stream(
        self, place: Place, path: str, facts: Facts, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop`, in pieces, read ahead a little. `facts` is what `look` said.

        Raises:
            FileTrouble: also if the file is changed meanwhile ("changed").
        """
        end = facts.total if stop is None else min(stop, facts.total)
        coming: deque[asyncio.Task[tuple[bytes, Facts]]] = deque()
        offset = start
        try:
            while offset < end or coming:
                while offset < end and len(coming) < AHEAD:
                    length = min(PIECE, end - offset)
                    coming.append(asyncio.create_task(self.read(place, path, offset, length)))
                    offset += length
                data, now = await coming[0]
                coming.popleft()
                if (now.total, now.mtime) != (facts.total, facts.mtime) or not data:
                    raise FileTrouble("changed")
                yield data
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def partial(self, place: Place, path: str, part: str) -> int:
        """How many bytes of the partial file `part` (lower case letters and 2-7) for `path` are there."""
        return int((await self._ask(place, {"verb": "write", "path": path, "part": part}))["size"])

    async def write(self, place: Place, path: str, part: str, offset: int, data: bytes) -> int:
        """Put at most PIECE bytes at `offset` of the partial file; its size now. Raises FileTrouble."""
        wanted = {"verb": "write", "path": path, "part": part, "offset": offset, "length": len(data), "body": data}
        return int((await self._ask(place, wanted))["size"])

    async def finish(self, place: Place, path: str, part: str, sha256: str, size: int, *, replace: bool) -> None:
        """Put the partial file in place if its digest is `sha256`. Raises FileTrouble: "checksum", "exists"."""
        wanted = {"verb": "write", "path": path, "part": part, "done": sha256, "replace": replace}
        await self._ask(place, wanted, TIMEOUT + PER_GIB * size / 2**30)

    async def drop(self, place: Place, path: str, part: str) -> None:
        """Remove the partial file, if it is there. Raises FileTrouble."""
        await self._ask(place, {"verb": "write", "path": path, "part": part, "drop": True})

    async def _ask(self, place: Place, wanted: dict[str, Any], timeout: float = TIMEOUT) -> dict[str, Any]:  # noqa: ASYNC109
        """The launcher's answer, when it is the turn of files."""
        key = (place.centre.id, place.account)
        turns = self._turns.setdefault(key, asyncio.Semaphore(max(1, min(AHEAD, place.centre.login.sessions // 4))))
        request = wanted | {"base": place.centre.paths.base, "own": not place.ours}
        try:
            async with turns:
                return await self.links.get(place.centre, place.account).launch(request, timeout=timeout)
        except LinkError as error:
            raise FileTrouble.of(error, place.centre) from None
