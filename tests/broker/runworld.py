"""What the tests of runs do: an operator's app, runs of it, and what a session says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from broker.harness import Gateway, until
from broker.simulated import Job
from perijove.hub.broker.rundesk import RunDesk
from perijove.hub.broker.runrecords import Run, RunState
from perijove.spawners import kinds
from perijove.spawners.job import Reason
from perijove.spawners.kinds import Kind
from perijove.spawners.session import Stage

MANIFEST = """
name = "sums"
version = "1.0"
domain = "other"
title = {en = "Sums", zh = "求和"}
question = {en = "What is the sum?", zh = "和是多少？"}
about = {en = "Adds.", zh = "相加。"}
limits = {en = "Whole numbers only.", zh = "仅限整数。"}
licence = "BSD-3-Clause"
picture = "picture.svg"
picture_alt = {en = "A plus sign", zh = "加号"}
[codes.python]
import = "json"
title = "Python"
apt = "python3"
[[ways]]
name = "python"
codes = ["python"]
title = {en = "Python", zh = "Python"}
[inputs.count]
type = "integer"
title = {en = "Count", zh = "数量"}
help = {en = "How many.", zh = "多少。"}
default = 3
min = 1
max = 100
[inputs.reads]
type = "file"
title = {en = "Reads", zh = "读段"}
help = {en = "A file.", zh = "文件。"}
optional = true
[needs]
cores = "2"
memory = "2G"
seconds = "count * 60"
[steps.add]
title = {en = "Add", zh = "相加"}
[outputs.sum]
kind = "number"
title = {en = "Sum", zh = "和"}
tolerance = 0.01
[outputs.table]
kind = "table"
title = {en = "Table", zh = "表"}
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
APP = Kind("app", ("-m", "perijove.widgets.appserver"))


def write_app(folder: Path, text: str = MANIFEST) -> Path:
    """An app that can be read; nobody runs it."""
    place = folder / "sums"
    (place / "example").mkdir(parents=True, exist_ok=True)
    (place / "app.toml").write_text(text, encoding="utf-8")
    (place / "pipeline.py").write_text("def steps(case):\n    return []\n")
    (place / "picture.svg").write_text(SVG)
    cell = {"cell_type": "code", "source": "", "outputs": [], "metadata": {}, "id": "a", "execution_count": None}
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (place / "app.ipynb").write_text(json.dumps(book))
    (place / "example" / "report.json").write_text('{"state": "done", "results": null}')
    (place / "example" / "one.png").write_bytes(b"\x89PNG")
    return place


def report(state: str = "running", steps: tuple[str, ...] = ("running",), **more: Any) -> dict[str, Any]:
    """As the engine writes it."""
    told = [{"name": f"s{n}", "state": step} for n, step in enumerate(steps)]
    return {"version": 1, "state": state, "progress": 0.5, "cores": 2, "steps": told, "results": None} | more


def results(value: float, table: str = "a" * 64) -> dict[str, Any]:
    """Of a run that is done."""
    title = {"en": "Sum", "zh": "和"}
    return {
        "numbers": [{"name": "sum", "title": title, "value": value, "unit": ""}],
        "figures": [{"name": "f", "file": "f.png", "title": title, "alt": title, "width": 1, "height": 1}],
        "tables": [
            {
                "name": "table",
                "file": "t.csv",
                "title": title,
                "columns": ["a"],
                "rows": [["1" if table.startswith("a") else "2"]],
                "count": 1,
            }
        ],
        "files": [{"name": "table", "file": "t.csv", "bytes": 3, "sha256": table, "media": "text/csv"}],
    }


class Runs:
    """One gateway with the app."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    @property
    def desk(self) -> RunDesk:
        return self.gateway.broker.runs

    async def begin(self) -> None:
        write_app(self.gateway.apps)
        await self.gateway.start()
        keepers = self.gateway.broker.keepers
        await until(lambda: all(keeper.held for keeper in keepers.values()))

    async def start(self, owner: str = "ada", count: int = 3, **more: Any) -> Run:
        app = self.gateway.broker.apps.app("sums")
        return await self.desk.start(owner, app, {"count": count}, **more)

    async def get(self, run: str) -> Run:
        found = await self.desk.runs.get(run)
        assert found is not None
        return found

    async def at(self, run: str, *states: RunState, seconds: float = 10.0) -> Run:
        async def there() -> Run | None:
            found = await self.get(run)
            return found if found.state in states else None

        found: Run = await until(there, seconds, f"{run} is {states}")
        return found

    async def with_session(self, run: str, attempt: int = 1) -> Run:
        """The run, once it is in its own session of this attempt."""

        async def there() -> Run | None:
            found = await self.get(run)
            return found if found.session is not None and found.attempt == attempt else None

        found: Run = await until(there, what=f"{run} has its session")
        return found

    async def up(self, run: str, attempt: int = 1) -> Run:
        """The run, once its session is ready."""
        found = await self.with_session(run, attempt)
        await until(lambda: self.job(found) is not None)
        self.gateway.centre.run(self.job(found))
        await self.gateway.at(str(found.session), Stage.READY)
        return found

    def job(self, run: Run) -> Job | None:
        """The job of the session that it is in."""
        jobs = self.gateway.centre.jobs.values()
        return next((job for job in jobs if job.session == run.session), None)

    async def say(self, run: Run, said: dict[str, Any]) -> Run:
        """The session reports."""
        return await self.desk.report(await self.get(run.id), said, "/home/ada/perijove/runs/x", run.session)

    async def ends(self, run: Run, reason: Reason = Reason.NODE_FAILED) -> None:
        """The job of its session ends."""
        job = self.job(run)
        assert job is not None
        self.gateway.centre.end(job, reason, 1)
        await self.gateway.at(str(run.session), Stage.ENDED)

    async def sessions(self) -> list[str]:
        """The servers of all sessions that were ever opened, oldest first."""
        return [record.server for record in reversed(await self.gateway.broker.sessions.listing())]


@pytest.fixture(autouse=True)
def app_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of kind `app` are there, whether or not this installation has their server."""
    monkeypatch.setitem(kinds._BUILT_IN, "app", APP)
