"""The commands about centres and sessions, as a new user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from perijove.hub.cli import api, main
from perijove.hub.cli.tables import table, width

EXAMPLES = Path(__file__).parents[2] / "deploy/centres"
TOKEN = "a-token-of-a-test"


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], env={"PERIJOVE_TOKEN": "", **environment})


def test_good_files_are_checked_with_exit_code_0() -> None:
    result = run("config", "check", EXAMPLES, EXAMPLES / "national", "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.output)["centres"]) == 16


def test_faults_give_exit_code_2_and_a_report(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('id = "a"\nsheduler = 1\n')
    result = run("config", "check", tmp_path)
    assert result.exit_code == 2
    assert "bad.toml:2: sheduler: is not a key" in result.stderr
    assert "did you mean: scheduler" in result.stderr
    faults = json.loads(run("config", "check", tmp_path, "--json").output)["faults"]
    assert {"file", "line", "key", "message", "given", "allowed", "nearest"} == set(faults[0])


def test_a_folder_that_is_not_there_is_told() -> None:
    result = run("config", "check", "/nowhere/at/all")
    assert result.exit_code == 2
    assert "cannot be read: No such file" in result.stderr


def test_a_centre_is_shown_and_a_misspelt_one_is_guessed() -> None:
    shown = json.loads(run("config", "show", "wuxi", "--centres", EXAMPLES / "national").output)
    assert shown["scheduler"]["system"] == "lsf"
    result = run("config", "show", "wuix", "--centres", EXAMPLES / "national")
    assert result.exit_code == 2
    assert "did you mean 'wuxi'?" in result.stderr


def test_schema_and_reference_are_printed() -> None:
    assert "queues" in json.loads(run("config", "schema").output)["properties"]
    assert run("config", "reference").output == (EXAMPLES / "README.md").read_text()


def test_centres_of_files_are_listed() -> None:
    result = run("centres", EXAMPLES / "national")
    assert "Zhengzhou" in result.output
    assert len(result.output.splitlines()) == 10
    assert len(json.loads(run("centres", EXAMPLES / "national", "--json").output)) == 9


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[httpx.Request], httpx.Response]], None]:
    """Puts a double in the place of the broker."""

    def put(answer: Callable[[httpx.Request], httpx.Response]) -> None:
        class Doubled(api.Api):
            def __init__(self, url: str, token: str) -> None:
                super().__init__(url, token, httpx.MockTransport(answer))

        monkeypatch.setattr(api, "Api", Doubled)

    return put


def test_sessions_are_listed_shown_followed_and_stopped(broker: Any, tmp_path: Path) -> None:
    asked: list[tuple[str, str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.url.query.decode()))
        assert request.headers["authorization"] == f"token {TOKEN}"
        if request.url.path.endswith("/events"):
            return httpx.Response(
                200, json={"events": [{"id": 1, "at": "08:00", "stage": "ended", "message": "it is over"}]}
            )
        if request.method == "DELETE":
            return httpx.Response(204)
        session = {"id": "abc", "owner": "al\u202eice", "stage": "queued", "log_tail": "one\n\x1b[2Jtwo"}
        return httpx.Response(200, json={"sessions": [session]} if request.url.path.endswith("/sessions") else session)

    broker(answer)
    token = tmp_path / "broker.token"
    token.write_text(TOKEN + "\n")
    here = ("--token-file", token)
    listed = run("sessions", "list", *here)
    assert listed.exit_code == 0, listed.output
    assert "al\\u{202e}ice" in listed.output
    shown = run("sessions", "show", "abc", *here)
    assert "    \\x1b[2Jtwo" in shown.output
    assert "stage: queued" in shown.output
    assert "08:00 ended it is over" in run("sessions", "events", "abc", "--follow", *here).output
    assert "is being stopped" in run("sessions", "stop", "abc", *here).output
    base = "/services/perijove/api/v1/sessions"
    assert asked[0] == ("GET", base, "live=true")
    assert asked[-1] == ("DELETE", f"{base}/abc", "")


def test_without_a_token_it_says_where_one_is() -> None:
    result = run("sessions", "list")
    assert result.exit_code == 2
    assert "broker.token" in result.stderr
    result = run("sessions", "list", "--token-file", "/nowhere")
    assert result.exit_code == 2
    assert "/nowhere: No such file" in result.stderr


def test_a_gateway_that_does_not_run_is_told() -> None:
    result = run("sessions", "list", "--url", "http://127.0.0.1:1", PERIJOVE_TOKEN=TOKEN)
    assert result.exit_code == 1
    assert "nothing answers at http://127.0.0.1:1" in result.stderr
    assert TOKEN not in result.output


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(403, json={"message": "no\u202e"}), "refuses this token (no\\u{202e})"),
        (httpx.Response(404, json={"message": "there is no session abc"}), "there is no session abc"),
        (httpx.Response(500, text="<html>"), "answered 500: no reason given"),
        (httpx.Response(200, text="<html>"), "not JSON"),
        (httpx.Response(200, json=3), "cannot be read"),
        (httpx.Response(302, headers={"location": "http://elsewhere/"}), "answered 302"),
    ],
)
def test_a_refusal_is_said_in_words(broker: Any, answer: httpx.Response, words: str) -> None:
    broker(lambda request: answer)
    result = run("sessions", "show", "abc", PERIJOVE_TOKEN=TOKEN)
    assert result.exit_code == 1
    assert words in result.stderr


@pytest.mark.parametrize("name", ["../x", "ABC", "a b", "\u202e", "x" * 10_000])
def test_what_is_no_sessions_id_is_refused_before_it_is_sent(name: str) -> None:
    result = run("sessions", "stop", "--", name, PERIJOVE_TOKEN=TOKEN)
    assert result.exit_code == 2
    assert "is no session's id" in result.stderr
    assert len(result.stderr) < 500


def test_a_table_is_aligned_with_chinese_names() -> None:
    lines = table(["A", "B"], [["天津", "x"], ["ab", "y"]]).splitlines()
    assert [width(line) for line in lines] == [7, 7, 7]


@pytest.mark.parametrize(("variable", "value"), [("LANG", "zh_CN.UTF-8"), ("LC_ALL", "zh_CN")])
def test_help_is_in_the_language_of_the_terminal(variable: str, value: str) -> None:
    clean = {"LC_ALL": "", "LC_MESSAGES": "", "LANG": ""}
    result = run("sessions", "--help", **clean | {variable: value})
    assert "列出、查看和停止会话。" in result.output
    assert "列出正在进行的会话。" in result.output
    assert "列出各中心及其资源" in run("--help", **clean | {variable: value}).output
    assert "List live sessions." in run("sessions", "--help", **clean).output
