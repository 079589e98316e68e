"""`perijove runs`, over a broker's answers, in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from perijove.hub.cli import api, main

ID = "abcdefghijklm"
REPORT = {
    "steps": [{"name": "align", "state": "done", "progress": 1, "seconds": 3.21}, "odd"],
    "results": {"numbers": [{"name": "sum", "value": 4.83, "unit": "°C"}]},
}
RUN = {"id": ID, "owner": "al\u202eice", "app": "climate", "label": "mine", "centre": "tianjin", "state": "running"}
RUN |= {"progress": 0.42, "cost": 1_250_000, "created": "2026-01-02T03:04:05.678+00:00", "report": REPORT}
RUN |= {"kept": [{"file": "f.png", "bytes": 9}]}
asked: list[tuple[str, str, str]] = []


def run(*arguments: str, language: str = "C") -> Result:
    environment = {"PERIJOVE_TOKEN": "t" * 20, "LC_ALL": "", "LC_MESSAGES": "", "LANG": language, "LANGUAGE": ""}
    return CliRunner().invoke(main, list(arguments), env=environment)


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker with one run, in the place of a real one."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(api.PATH)
        asked.append((request.method, path, request.url.query.decode()))
        found: dict[tuple[str, str], Any] = {
            ("GET", "/runs"): {"runs": [RUN]},
            ("GET", f"/runs/{ID}"): RUN,
            ("DELETE", f"/runs/{ID}"): RUN | {"wanted": "cancel"},
            ("POST", f"/runs/{ID}/shares"): {"id": "s" * 12, "url": "/shared/x", "expires": "2026-02-01T00:00:00"},
        }
        if path == f"/runs/{ID}/download":
            return httpx.Response(200, content=b"PK-zip")
        if (request.method, path) == ("DELETE", f"/runs/{ID}/shares/{'s' * 12}"):
            return httpx.Response(204)
        if (request.method, path) in found:
            return httpx.Response(200, json=found[request.method, path])
        return httpx.Response(404, json={"error": "no-run", "message": "there is no such run"})

    class Doubled(api.Api):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(answer))

    asked.clear()
    monkeypatch.setattr(api, "Api", Doubled)


def test_runs_are_listed_with_their_progress_and_cost() -> None:
    result = run("runs", "list", "--app", "climate")
    assert result.exit_code == 0, result.output
    head, row = result.output.splitlines()
    assert re.split(r"  +", head) == ["ID", "OWNER", "APP", "LABEL", "CENTRE", "STATE", "PROGRESS", "COST", "CREATED"]
    cells = re.split(r"  +", row)
    assert cells[1:] == ["al\\u{202e}ice", "climate", "mine", "tianjin", "running", "42%", "1.25 credits", cells[-1]]
    assert cells[-1] == "2026-01-02T03:04:05+00:00" and asked == [("GET", "/runs", "app=climate")]


def test_a_run_is_shown_with_steps_results_and_files() -> None:
    text = run("runs", "show", ID).output
    assert re.search(r"align +done +100% +3\.2", text) and re.search(r"sum +4\.83 +°C", text) and "f.png" in text
    assert json.loads(run("runs", "show", ID, "--json").output)["id"] == ID


def test_what_is_asked_is_said_in_the_language_of_the_terminal() -> None:
    assert run("runs", "cancel", ID).output == f"{ID} is being cancelled\n"
    assert run("runs", "cancel", ID, language="zh_CN.UTF-8").output == f"{ID} 正在取消\n"
    assert "已完成" in run("runs", "show", ID, language="zh_CN.UTF-8").output


def test_a_download_is_whole_or_not_there(tmp_path: Path) -> None:
    place = tmp_path / "x.zip"
    result = run("runs", "download", ID, "--to", str(place))
    assert result.exit_code == 0 and place.read_bytes() == b"PK-zip" and result.output.endswith("6 bytes\n")
    other = "b" * 13
    failed = run("runs", "download", other, "--to", str(tmp_path / "no.zip"))
    assert failed.exit_code == 1 and "there is no such run" in failed.output
    nowhere = run("runs", "download", ID, "--to", str(tmp_path / "none" / "x.zip"))
    assert nowhere.exit_code == 1 and "cannot be written" in nowhere.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.zip"]


def test_a_link_is_made_and_taken_back() -> None:
    made = run("runs", "share", ID, "--rerun", "--days", "3")
    assert made.exit_code == 0 and "/shared/x is good until 2026-02-01" in made.output
    assert run("runs", "share", ID, "--revoke", "s" * 12).output == "the link is not good any more\n"
    assert run("runs", "share", ID, "--revoke", "../x").exit_code == 2
    assert run("runs", "show", "../x").exit_code == 2 and run("runs", "share", ID, "--days", "0").exit_code == 2
