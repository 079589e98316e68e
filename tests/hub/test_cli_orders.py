"""The commands with which an operator drains centres, sets notices and looks at their health."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from perijove.hub.cli import api, main

EXAMPLES = Path(__file__).parents[2] / "deploy/centres"
BASE = "/services/perijove/api/v1"
WATCHER = {
    "id": "tianjin",
    "answering": False,
    "unknown_since": "2026-11-24T14:02:00+00:00",
    "lease": "here",
    "problem": "unreachable",
    "detail": "no route\x1b[2J",
    "sessions": {"queued": 2, "ready": 1},
    "commands_per_minute": 6,
    "drained": {"by": "root", "since": "2026-11-24T14:00:00+00:00", "note": ""},
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["centres", *map(str, arguments)], env={"PERIJOVE_TOKEN": "a-token-of-a-test"})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """What the broker's double was asked; it says yes to everything."""
    calls: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        calls.append((request.method, request.url.path.removeprefix(BASE), body))
        if request.method == "GET":
            queues = [{"name": "work", "cores": 4, "memory": 1024, "max_time": 3600}]
            centre = {"id": "tianjin", "name": {"en": "Tianjin"}, "queues": queues, "drained": WATCHER["drained"]}
            found = {"watchers": [WATCHER], "centres": [centre]}
            return httpx.Response(200, json={key: found[key] for key in found if request.url.path.endswith(key)})
        return httpx.Response(204) if request.method == "DELETE" else httpx.Response(200, json={"by": "root"} | body)

    class Doubled(api.Api):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(answer))

    monkeypatch.setattr(api, "Api", Doubled)
    return calls


def test_a_centre_is_drained_with_a_note_and_opened_again(asked: list[Any]) -> None:
    result = run("drain", "tianjin", "--note", "cooling")
    assert result.exit_code == 0
    assert "`perijove centres undrain tianjin`" in result.output
    assert json.loads(run("drain", "tianjin", "--json").output) == {"by": "root", "note": ""}
    assert "takes new sessions" in run("undrain", "tianjin").output
    drain = "/centres/tianjin/drain"
    assert asked == [("PUT", drain, {"note": "cooling"}), ("PUT", drain, {"note": ""}), ("DELETE", drain, None)]


def test_a_notice_has_both_languages_or_goes(asked: list[Any]) -> None:
    words = ("--en", "Monday", "--zh", "周一", "--level", "warning")
    assert run("notice", "tianjin", *words).exit_code == 0
    assert json.loads(run("notice", "tianjin", *words, "--json").output)["text"]["zh"] == "周一"
    assert run("notice", "tianjin", "--remove").exit_code == 0
    body = {"text": {"en": "Monday", "zh": "周一"}, "level": "warning"}
    assert asked[0] == asked[1] == ("PUT", "/centres/tianjin/notice", body)
    assert asked[2] == ("DELETE", "/centres/tianjin/notice", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("notice", "tianjin"),
        ("notice", "tianjin", "--en", "only"),
        ("notice", "tianjin", "--en", "x", "--zh", " "),
        ("notice", "tianjin", "--en", "x", "--zh", "x", "--remove"),
        ("notice", "tianjin", "--en", "x", "--zh", "x", "--level", "loud"),
        ("drain",),
        ("drain", "../sessions"),
        ("undrain", "A"),
    ],
)
def test_a_wrong_command_line_asks_nothing(asked: list[Any], arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, asked) == (2, [])
    assert result.stderr


def test_the_health_of_centres_is_a_table_or_json(asked: list[Any]) -> None:
    result = run("health")
    head, row = result.output.splitlines()
    assert head.split()[:2] == ["CENTRE", "ANSWERS"]
    assert row.startswith("tianjin  no")
    assert "2 queued, 1 ready" in row
    assert "unreachable: no route\\x1b[2J" in row
    assert json.loads(run("health", "--json").output) == [WATCHER]


def test_the_list_is_still_what_one_gets_without_a_command(asked: list[Any]) -> None:
    assert run().output.splitlines()[1].endswith("drained")
    assert run("--json").exit_code == 0
    assert len(json.loads(run("list", EXAMPLES / "national", "--json").output)) == 9
    assert len(run(EXAMPLES / "national").output.splitlines()) == 10


def test_help_names_every_order() -> None:
    text = run("--help").output
    for word in ("list", "health", "drain", "undrain", "notice"):
        assert f"  {word} " in text
    assert "go on" in run("drain", "--help").output
