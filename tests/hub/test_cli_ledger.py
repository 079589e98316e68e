"""`perijove usage|projects|grants|prices|reconcile`, over a broker's answers, in both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from perijove.hub.cli import api, main

ID = "abcdefghijklm"
SEA = {
    "key": "project:sea",
    "title": "Sea\u202e",
    "role": "manager",
    "closed": None,
    "next_end": "2027-01-01T00:00:00Z",
}
SEA |= {"available": 12_500_000, "held": 1_000_000, "spent": 500_000, "burn": 250_000}
GRANT = {"id": 4, "budget": "project:sea", "amount": 14_000_000, "left": 12_500_000, "starts": "2026-11-01T00:00:00Z"}
GRANT |= {"ends": None, "by": "root", "note": "first", "withdrawn": None, "expired": None}
DETAIL = SEA | {"grants": [GRANT], "members": [{"person": "bob", "role": "member", "limit": 5_000_000, "held": 0}]}
DETAIL |= {"limits": [{"person": "", "centre": "alpha", "limit": 9_000_000}]}
USAGE = [{"key": "alpha", "charged": 1_500_000, "absorbed": 0, "core_hours": 2.5, "gpu_hours": 0.0, "jobs": 3}]
PRICE = {"id": 1, "centre": "alpha", "queue": "cpu", "valid_from": "2026-11-24T10:11:12Z", "core_hour": 100_000}
PRICES = [PRICE | {"now": True}, PRICE | {"id": 2, "core_hour": 120_000, "now": False}]
DIFFERENCE = {"kind": "hours", "subject": ID, "job_id": "17", "ours": 60, "theirs": 7200, "detail": "COMPLETED"}
SOUND = {"id": 7, "centre": "alpha", "day": "2026-11-23", "state": "sound", "jobs_ours": 2, "jobs_theirs": 2}
SOUND |= {"detail": "sacct", "differences": []}
DIFFERS = SOUND | {"id": 8, "centre": "beta", "state": "differences", "differences": [DIFFERENCE]}
HOLD = {"kind": "session", "subject": ID, "budget": "person:ann", "person": "ann", "centre": "alpha", "open": 3_000_000}
ANSWERS: dict[tuple[str, str], Any] = {
    ("GET", "/budgets"): {"budgets": [SEA]},
    ("GET", "/budgets/project:sea"): DETAIL,
    ("GET", "/usage"): {"usage": USAGE},
    ("GET", "/prices"): {"prices": PRICES},
    ("GET", "/centres"): {"centres": [{"id": "alpha"}, {"id": "beta"}]},
    ("GET", "/holds"): {"holds": [HOLD | {"why": "it vanished"}]},
    ("GET", "/reconciliations"): {"reconciliations": [DIFFERS, SOUND]},
    ("POST", "/reconciliations/alpha"): SOUND,
    ("POST", "/reconciliations/beta"): DIFFERS,
    ("POST", f"/holds/session/{ID}/decision"): HOLD | {"charged": 2_500_000},
    ("POST", "/projects"): SEA,
    ("DELETE", "/projects/sea"): SEA | {"closed": "2026-11-24T00:00:00Z"},
    ("POST", "/projects/sea/members"): DETAIL,
    ("DELETE", "/projects/sea/members/bob"): DETAIL,
    ("PUT", "/projects/sea/limits"): DETAIL,
    ("POST", "/budgets/project:sea/grants"): GRANT,
    ("DELETE", "/budgets/project:sea/grants/4"): {"left": 12_500_000, "budget": SEA},
}
asked: list[tuple[str, str, dict[str, str], Any]] = []


def run(*arguments: str, language: str = "C") -> Result:
    environment = {"PERIJOVE_TOKEN": "t" * 20, "LC_ALL": "", "LC_MESSAGES": "", "LANG": language, "LANGUAGE": ""}
    return CliRunner().invoke(main, list(arguments), env=environment)


def lines(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines()]


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker with a project, in the place of a real one."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(api.PATH)
        body = json.loads(request.content) if request.content else None
        asked.append((request.method, path, dict(request.url.params), body))
        if path == "/usage" and request.url.params.get("format") == "csv":
            return httpx.Response(200, content=b"key;jobs")
        if (request.method, path) in ANSWERS:
            return httpx.Response(200, json=ANSWERS[request.method, path])
        return httpx.Response(404, json={"error": "no-budget", "message": "there is no such budget"})

    class Doubled(api.Api):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(answer))

    asked.clear()
    monkeypatch.setattr(api, "Api", Doubled)


def test_use_is_summed_up_with_its_total() -> None:
    head, row, total = lines(run("usage", "--by", "centre", "--since", "2026-11-01"))
    assert head == ["CENTRE", "JOBS", "CORE", "HOURS", "GPU", "HOURS", "COST"]
    assert row == ["alpha", "3", "2.50", "0.00", "1.50", "credits"]
    assert total == ["in", "all", "3", "2.50", "0.00", "1.50", "credits"]
    assert asked[0][2] == {"by": "centre", "since": "2026-11-01T00:00:00+00:00"}
    assert json.loads(run("usage", "--json").output) == USAGE


def test_use_is_written_for_a_spreadsheet(tmp_path: Path) -> None:
    file = tmp_path / "use.csv"
    assert run("usage", "--budget", "project:sea", "--csv", str(file)).exit_code == 0
    assert file.read_bytes() == b"key;jobs"
    assert asked[0][2] == {"by": "day", "budget": "project:sea", "format": "csv"}


def test_budgets_are_listed_and_what_a_person_wrote_is_made_visible() -> None:
    head, row = run("projects", "list").output.splitlines()
    assert head.split()[:4] == ["BUDGET", "TITLE", "ROLE", "AVAILABLE"]
    assert "12.50 credits" in row and "2027-01-01" in row and "\u202e" not in row
    run("projects", "list", "--all")
    assert asked[-1][2] == {"everybody": "true"}


def test_a_budget_shows_its_members_and_limits() -> None:
    shown = run("projects", "show", "project:sea").output
    assert "bob     member  5.00 credits" in shown and "alpha   *       9.00 credits" in shown
    assert json.loads(run("projects", "show", "project:sea", "--json").output) == DETAIL


@pytest.mark.parametrize(
    ("words", "method", "path", "body"),
    [
        (
            ["projects", "create", "sea", "--title", "Sea"],
            "POST",
            "/projects",
            {"slug": "sea", "title": "Sea", "manager": None},
        ),
        (
            ["projects", "add", "sea", "bob", "--limit", "5"],
            "POST",
            "/projects/sea/members",
            {"person": "bob", "role": "member", "limit": 5_000_000},
        ),
        (["projects", "remove", "sea", "bob"], "DELETE", "/projects/sea/members/bob", None),
        (
            ["projects", "limit", "sea", "9.5", "--centre", "alpha"],
            "PUT",
            "/projects/sea/limits",
            {"limit": 9_500_000, "person": "", "centre": "alpha"},
        ),
        (
            ["projects", "limit", "sea", "--person", "bob"],
            "PUT",
            "/projects/sea/limits",
            {"limit": None, "person": "bob", "centre": ""},
        ),
        (["projects", "close", "sea"], "DELETE", "/projects/sea", None),
        (["grants", "withdraw", "project:sea", "4"], "DELETE", "/budgets/project:sea/grants/4", None),
    ],
)
def test_projects_and_grants_are_changed(words: list[str], method: str, path: str, body: Any) -> None:
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert asked == [(method, path, {}, body)]
    assert isinstance(json.loads(run(*words, "--json").output), dict)


def test_a_grant_is_given_in_credits_and_for_a_time() -> None:
    done = run("grants", "give", "project:sea", "14", "--until", "2027-01-01", "--note", "first", "--key", "k1")
    assert done.exit_code == 0 and "14.00 credits" in done.output
    body = {"amount": 14_000_000, "starts": None, "ends": "2027-01-01T00:00:00+00:00", "note": "first", "key": "k1"}
    assert asked == [("POST", "/budgets/project:sea/grants", {}, body)]
    assert "first" in run("grants", "list", "project:sea").output


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["grants", "give", "project:sea", "-1"], "No such option"),
        (["grants", "give", "project:sea", "1.0000001"], "no amount"),
        (["grants", "give", "sea", "1"], "no budget"),
        (["projects", "show", "project:a/../b"], "no budget"),
        (["projects", "add", "sea", "a/b"], "nobody's name"),
        (["projects", "create", "Sea"], "no project's name"),
        (["projects", "limit", "sea", "5"], "--person"),
        (["usage", "--since", "yesterday"], "does not match"),
        (["reconcile", "decide", "session", "../x", "1"], "no id"),
        (["reconcile", "run", "alhpa"], "did you mean 'alpha'"),
    ],
)
def test_a_slip_is_said_before_anything_is_asked(words: list[str], fault: str) -> None:
    done = run(*words)
    assert done.exit_code == 2 and fault in done.output
    assert [one for one in asked if one[0] != "GET"] == []


def test_prices_are_those_that_hold_now_unless_all_are_wanted() -> None:
    _, row = lines(run("prices"))
    assert row == ["1", "alpha", "cpu", "2026-11-24", "10:11", "0.1", "*"]
    assert len(lines(run("prices", "alpha", "--all"))) == 3
    assert asked[-1][2] == {"centre": "alpha"}
    assert json.loads(run("prices", "--json").output) == PRICES[:1]


def test_reports_are_listed_with_their_differences() -> None:
    shown = run("reconcile", "list").output
    assert "report 8" in shown and "other hours" in shown and "2 h" in shown
    assert json.loads(run("reconcile", "list", "--json").output) == [DIFFERS, SOUND]


def test_a_report_that_is_sound_and_one_that_is_not_end_differently() -> None:
    assert run("reconcile", "run", "alpha", "--day", "2026-11-23").exit_code == 0
    assert asked[-1][:3] == ("POST", "/reconciliations/alpha", {"day": "2026-11-23"})
    differs = run("reconcile", "run", "beta", "--json")
    assert differs.exit_code == 1 and json.loads(differs.output) == DIFFERS


def test_what_nobody_knows_is_listed_and_decided() -> None:
    assert "it vanished" in run("reconcile", "undecided").output
    done = run("reconcile", "decide", "session", ID, "2.5", "--note", "asked the centre")
    assert "2.50 credits charged" in done.output
    assert asked[-1][3] == {"charge": 2_500_000, "note": "asked the centre"}


def test_they_speak_chinese() -> None:
    assert "核时" in run("usage", language="zh_CN.UTF-8").output
    assert "可用" in run("projects", "list", language="zh_CN.UTF-8").output
    assert "对账" in run("reconcile", "--help", language="zh_CN.UTF-8").output
