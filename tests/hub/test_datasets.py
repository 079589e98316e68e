"""The catalogue of data sets, from centres and apps, on the command line."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from perijove.hub.cli import api, main
from perijove.hub.datasets import catalogue

ERA5 = {
    "name": "era5", "title": {"en": "ERA5", "zh": "再分析"}, "path": "/data/era5", "bytes": 2**40,
    "description": None, "licence": "", "cite": "",
}  # fmt: skip
CENTRES: list[dict[str, Any]] = [
    {"id": "alpha", "datasets": [ERA5]},
    {"id": "beta", "datasets": [ERA5 | {"path": "/b/era5", "licence": "CC-BY-4.0"}]},
    {"id": "gamma"},
]
APP = {
    "name": "climate",
    "title": {"en": "Climate", "zh": "气候"},
    "data": [
        {"name": "own", "title": {"en": "ERA5 here", "zh": "x"}, "licence": "X", "source": {"dataset": "era5"}},
        {"name": "scenarios", "title": {"en": "A1B", "zh": "A1B"}, "licence": "OGL", "source": {"python": "iris"}},
    ],
}


def test_a_data_set_lies_at_each_centre_that_has_it_and_is_read_by_the_apps_that_name_it() -> None:
    era5, scenarios = catalogue(CENTRES, [APP])
    assert era5.places == [("alpha", "/data/era5"), ("beta", "/b/era5")]
    assert (era5.licence, era5.bytes, [name for name, _title in era5.apps]) == ("CC-BY-4.0", 2**40, ["climate"])
    assert (scenarios.licence, scenarios.places, scenarios.with_app) == ("OGL", [], "climate")


def test_without_apps_there_are_the_centres_own() -> None:
    assert [one.name for one in catalogue(CENTRES, [])] == ["era5"]
    assert catalogue([], []) == []


def test_ones_files_on_their_way_are_listed_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    row = {
        "id": "t1", "from": {"centre": "alpha", "path": "a\x1b[2J.nc"}, "to": {"centre": "beta", "path": "b.nc"},
        "state": "running", "total": 400, "moved": 100, "problem": {"code": "centre-silent", "message": "no answer"},
    }  # fmt: skip

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path.rpartition("/v1")[2]))
        return httpx.Response(200, json=row | {"state": "cancelling"} if request.method == "DELETE" else listed)

    class Doubled(api.Api):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(answer))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["data", *arguments], env={"PERIJOVE_TOKEN": "a-token-of-a-test"})
        assert result.exit_code == 0, result.output
        return result.output

    monkeypatch.setattr(api, "Api", Doubled)
    listed: dict[str, Any] = {"transfers": [row]}
    text = run("transfers")
    assert "on its way: no answer" in text and "25 %" in text and "\x1b" not in text
    assert json.loads(run("transfers", "--json")) == [row]
    assert run("cancel", "t1") == "t1: being cancelled\n"
    assert asked[-1] == ("DELETE", "/transfers/t1")
    listed["transfers"] = []
    assert run("transfers") == "none of your files is on its way\n"
