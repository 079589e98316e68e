"""A data set of the centre's in an app's session: found where the gateway says it lies, read by a real run."""

from __future__ import annotations

import os
import pwd
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubles.run_broker import TINY, RunBroker, run_broker
from harness.app_session import AppServer, app_server
from perijove.spawners.apps.manifest import load

pytestmark = [pytest.mark.slow]
DATA = """
[data.colony]
title = {en = "A colony", zh = "一个菌落"}
licence = "CC0-1.0"
source = {dataset = "colony"}

[data.away]
title = {en = "Another colony", zh = "另一个菌落"}
licence = "CC0-1.0"
source = {dataset = "away"}
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunBroker]:
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    text = (folder / "app.toml").read_text(encoding="utf-8")
    (folder / "app.toml").write_text(text.replace("[inputs.rate]", DATA + "\n[inputs.rate]"), encoding="utf-8")
    account = pwd.getpwuid(os.getuid()).pw_name
    (tmp_path / account).mkdir()
    (tmp_path / account / "colony.csv").write_text("0.4\n")
    here = {"centre": "guangzhou", "name": {"en": "Guangzhou", "zh": "广州"}}
    there = {"centre": "wuxi", "name": {"en": "Wuxi", "zh": "无锡"}, "path": "/data/away.csv"}
    with run_broker(load(folder)) as made:
        made.lies = {"colony": [here | {"path": f"{tmp_path}/{{account}}/colony.csv"}], "away": [there]}
        yield made


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_run_reads_it_and_one_that_lies_elsewhere_is_refused_in_words(
    broker: RunBroker, tmp_path: Path, language: str
) -> None:
    with app_server(tmp_path / "home", broker.facts(language=language)) as server:
        done = run(server, "data:colony")
        assert done["state"] == "done", done["report"]["failure"]
        assert [one["name"] for one in done["report"]["data"]] == ["colony"]
        [app] = [server.until("perijove/app", lambda one: one["found"])]
        assert app["found"]["data"]["colony"] and app["found"]["data"]["away"] is None
        body = {"inputs": {"counts": "data:away"}, "key": "b"}
        words = {"en": "it lies at Wuxi", "zh": "以下中心有：无锡"}[language]
        for path in ("perijove/app/estimate", "perijove/runs"):
            [fault] = server.ask("POST", path, json=body).json()["faults"]
            assert (fault["field"], fault["code"]) == ("counts", "data-elsewhere")
            assert words in fault["message"]


def run(server: AppServer, counts: str) -> dict[str, Any]:
    made = server.ask("POST", "perijove/runs", json={"inputs": {"counts": counts}, "key": "a"})
    assert made.status_code == 201, made.text
    deadline = time.monotonic() + 60
    while True:
        found: dict[str, Any] = server.ask("GET", f"perijove/runs/{made.json()['id']}").json()
        if found["state"] in ("done", "failed") and not found["live"]:
            return found
        assert time.monotonic() < deadline, found
        threading.Event().wait(0.1)
