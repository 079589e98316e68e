"""What the broker is told of one run: its report at changes, once a second at most, and the files that are kept.

The newest report counts; where the gateway is away it waits, and goes out when it is back. Files follow at the end,
small ones first: pictures, tables, the record. The broker may answer that the run is to be cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from perijove.widgets.clustererror import ClusterError
from perijove.widgets.way import Unreachable, Way

#: Seconds between two reports; between attempts while the gateway is away; for the last ones.
EVERY, AGAIN, LAST = 1.0, 3.0, 600.0
#: Of a running run the broker is told at least so often, and asked whether it is to be cancelled.
BEAT = 15.0
#: Bytes of one kept file, and of all of a run.
ONE, ALL = 8 << 20, 64 << 20
#: What is kept beside what the report names.
_RECORD = ("ro-crate-metadata.json", "inputs.json", "log.txt")


class Reporter:
    """Tells the broker of one run."""

    def __init__(self, run: str, folder: str, session: str, way: Callable[[], Way], log: Any) -> None:
        self._session = session
        self._run, self._folder, self._way, self._log = run, folder, way, log
        self._report: dict[str, Any] | None = None
        self._latest: dict[str, Any] | None = None
        self._new = asyncio.Event()

    def say(self, report: dict[str, Any]) -> None:
        """This is how it is now."""
        self._report = self._latest = report
        self._new.set()

    async def run(self, cancel: Callable[[], None]) -> None:
        """Report until this is cancelled; call `cancel` where the broker wants the run to end."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._new.wait()
            self._new.clear()
            report, self._report = self._report or self._latest, None
            if report is None:
                continue
            try:
                answer = await self.put(report)
            except Unreachable:
                self._report = self._report or report
                self._new.set()
                await asyncio.sleep(AGAIN)
                continue
            if answer.get("wanted") == "cancel":
                cancel()
            await asyncio.sleep(EVERY)

    async def put(self, report: dict[str, Any]) -> dict[str, Any]:
        """Tell it once; the broker's answer. Raises Unreachable."""
        try:
            body = {"report": report, "folder": self._folder, "session": self._session}
            return (await self._way().broker("PUT", f"/runs/{self._run}/report", body)).good()
        except ClusterError as error:
            self._log.warning("perijove: the gateway refuses the report of the run %s: %s", self._run, error)
            return {}

    async def finish(self, report: dict[str, Any]) -> None:
        """The last report and the files, tried for `LAST` seconds; what cannot be brought is said in the log."""
        try:
            async with asyncio.timeout(LAST):
                # Files first: who sees "done" at the gateway finds the pictures there.
                for path in await asyncio.to_thread(kept, report, Path(self._folder) / "results"):
                    await self._until(self._file, path)
                await self._until(self.put, report)
        except TimeoutError:
            self._log.error("perijove: the gateway did not take the end of the run %s", self._run)

    async def _until(self, what: Any, *arguments: Any) -> None:
        while True:
            try:
                await what(*arguments)
                return
            except Unreachable:
                await asyncio.sleep(AGAIN)

    async def _file(self, path: str) -> None:
        """Raises Unreachable."""
        try:
            content = await asyncio.to_thread((Path(self._folder) / "results" / path).read_bytes)
        except OSError as error:
            self._log.warning("perijove: %s of the run %s is not kept: %s", path, self._run, error)
            return
        answer = await self._way().broker_bytes("PUT", f"/runs/{self._run}/files/{quote(path)}", content)
        if answer.code >= 400:
            self._log.warning("perijove: the gateway does not keep %s of the run %s: %s", path, self._run, answer.code)


def kept(report: dict[str, Any], results: Path) -> list[str]:
    """The names below `results` of what the broker keeps: figures, tables, the record, then small files."""
    found = report.get("results") or {}
    named = [str(one.get("file") or "") for kind in ("figures", "tables", "files") for one in found.get(kind) or []]
    names: list[str] = []
    total = 0
    for name in dict.fromkeys([*_RECORD, *named]):
        path = results / name
        try:
            inside = path.resolve().is_relative_to(results.resolve()) and path.is_file()
            size = path.stat().st_size if inside else 0
        except OSError:
            continue
        if name and inside and size <= ONE and total + size <= ALL:
            names.append(name)
            total += size
    return names
