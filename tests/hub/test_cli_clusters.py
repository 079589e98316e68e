"""`perijove clusters`, over a broker's answers, in both languages."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from perijove.hub.cli import api, main

COUNTS = {"requested": 0, "queued": 8, "running": 12, "lost": 1}
CLUSTER = {"id": "abcdefghijklm", "owner": "al\u202eice", "name": "dask-1", "centre": "tianjin", "queue": "cpu"}
CLUSTER |= {"counts": COUNTS, "cost_per_hour": 9_600_000}
WORKERS = [
    {"name": "nopqrstuvwxyz-1", "state": "running", "reason": "", "node": "cn01", "job_id": "4711"},
    {"name": "nopqrstuvwxyz-2", "state": "queued", "reason": "priority", "node": None, "job_id": "4711"},
]
asked: list[tuple[str, str, str]] = []


def run(*arguments: str, language: str = "C") -> Result:
    environment = {"PERIJOVE_TOKEN": "t" * 20, "LC_ALL": "", "LC_MESSAGES": "", "LANG": language, "LANGUAGE": ""}
    return CliRunner().invoke(main, list(arguments), env=environment)


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker with one cluster, in the place of a real one."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(api.PATH)
        asked.append((request.method, path, request.url.query.decode()))
        found: dict[str, Any] = {"/clusters": {"clusters": [CLUSTER]}, "/clusters/dask-1": CLUSTER}
        found |= {"/clusters/dask-1/workers": {"version": 3, "workers": WORKERS}}
        if path in found:
            return httpx.Response(200, json=found[path])
        return httpx.Response(404, json={"error": "no-cluster", "message": "there is no such cluster"})

    class Doubled(api.Api):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(answer))

    asked.clear()
    monkeypatch.setattr(api, "Api", Doubled)


def test_clusters_are_listed_with_what_their_workers_do_and_cost() -> None:
    result = run("clusters", "list")
    assert result.exit_code == 0, result.output
    head, row = result.output.splitlines()
    assert re.split(r"  +", head)[5:] == ["RUNNING", "QUEUED", "REQUESTED", "LOST", "AN HOUR"]
    assert row.split()[1:] == ["al\\u{202e}ice", "dask-1", "tianjin", "cpu", "12", "8", "0", "1", "9.60", "credits"]
    assert asked == [("GET", "/clusters", "live=true")]
    run("clusters", "list", "--all", "--owner", "bob")
    assert asked[-1] == ("GET", "/clusters", "owner=bob")


def test_a_cluster_is_shown_with_each_worker_and_why_it_waits() -> None:
    lines = run("clusters", "show", "dask-1").output.splitlines()
    assert lines[-1].split() == ["nopqrstuvwxyz-2", "queued", "priority", "4711"]
    shown = json.loads(run("clusters", "show", "dask-1", "--json").output)
    assert (shown["id"], shown["workers"]) == ("abcdefghijklm", WORKERS)
    chinese = run("clusters", "show", "dask-1", language="zh_CN.UTF-8").output
    assert "每小时费用" in chinese
    assert "排队中" in chinese
    assert "其他作业优先" in chinese


def test_workers_that_are_there_stand_before_those_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"name": "gone-1", "state": "ended", "ends_by": "2026-11-24T12:27:23.843663+00:00"}
    here = {"name": "here-1", "state": "running", "ends_by": "2026-11-24T12:30:31.691257+00:00"}
    monkeypatch.setattr(sys.modules[__name__], "WORKERS", [gone, here])
    one, other = run("clusters", "show", "dask-1").output.splitlines()[-2:]
    assert one.split() == ["here-1", "running", "2026-11-24T12:30:31+00:00"]
    assert other.split() == ["gone-1", "ended"]


def test_a_cluster_is_stopped_by_its_name() -> None:
    result = run("clusters", "stop", "dask-1")
    assert result.output == "dask-1 is being stopped; its workers are cancelled\n"
    assert asked == [("DELETE", "/clusters/dask-1", "")]


def test_a_name_that_cannot_be_one_is_not_asked_for() -> None:
    result = run("clusters", "stop", "../sessions/abc")
    assert result.exit_code == 2
    assert "is no cluster's name or id" in result.stderr
    assert not asked


def test_a_cluster_that_is_not_there_is_said() -> None:
    result = run("clusters", "show", "other")
    assert result.exit_code == 1
    assert "there is no such cluster" in result.stderr
