"""The doctor looks at the machine and at the centres, and says what to mend."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from perijove.hub import machine
from perijove.hub.cli import api, main, running
from perijove.hub.settings import Settings

LOCAL = """\
id = "{id}"
name = {{ en = "Here", zh = "这里" }}
[scheduler]
system = "local"
root = "{folder}/queue"
[environment]
python = "/nowhere/python"
[paths]
base = "{folder}/base"
[[queues]]
name = "a"
cores = 1
memory = "1G"
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


def states(settings: Settings) -> dict[str, str]:
    return {step.name: step.state for step in machine.check(settings)}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return Settings(state_dir=state, centres_dir=tmp_path / "centres")


def test_a_good_machine_has_only_advice(settings: Settings) -> None:
    found = states(settings)
    assert found.pop("domains") == "advice"
    assert set(found.values()) == {"ok"}


def test_what_others_may_read_is_told(settings: Settings) -> None:
    settings.state_dir.chmod(0o755)
    token = settings.state_dir / "broker.token"
    token.write_text("x")
    token.chmod(0o644)
    steps = {step.name: step for step in machine.check(settings)}
    assert steps["state directory"].mend == f"chmod 700 {settings.state_dir}"
    assert str(token) in steps["secrets"].detail
    assert token.read_text() == "x", "the doctor changes nothing"


def test_ports_that_the_kernel_gives_to_clients_are_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    told = settings.state_dir / "range"
    told.write_text("25000\t60999\n")
    monkeypatch.setattr(machine, "_RANGE", told)
    assert states(settings)["session ports"] == "failed"
    told.write_text("32768\t60999\n")
    assert states(settings)["session ports"] == "ok"


@pytest.mark.parametrize(
    ("url", "state"),
    [("http://127.0.0.1:8000", "ok"), ("http://gateway.example:80", "failed"), ("https://gateway.example", "ok")],
)
def test_signing_in_over_plain_http_is_told(settings: Settings, url: str, state: str) -> None:
    assert states(settings.model_copy(update={"public_url": url}))["encryption"] == state


def test_per_user_domains_are_recommended(settings: Settings) -> None:
    assert states(settings.model_copy(update={"subdomain_host": "https://a.example"}))["domains"] == "ok"


def test_centres_are_tried_and_a_failure_gives_exit_code_1(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(LOCAL.format(id=name, folder=tmp_path / name))
    result = run("--centres", tmp_path, "--no-job", "--json", "two")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert list(found["centres"]) == ["two"]
    steps = {step["name"]: step for step in found["centres"]["two"]}
    assert {step["name"] for step in found["centres"]["two"] if step["state"] == "failed"} <= {
        "programs",
        "environment",
    }
    assert steps["launcher"]["state"] == "ok"
    result = run("--centres", tmp_path, "--no-job")
    assert "\none\n" in result.stdout
    assert "mend: " in result.stdout


def test_a_wrong_command_line_gives_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(LOCAL.format(id="one", folder=tmp_path))
    for arguments, words in (
        (["here"], "where are the centres described?"),
        (["--centres", tmp_path, "oen"], "did you mean 'one'?"),
        (["--centres", tmp_path / "gone"], "cannot be read"),
        (["--config", tmp_path / "gone.toml"], "gone.toml"),
        (["--centres", tmp_path, "--account", "a b"], "not an account name"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert words in result.stderr


def test_without_a_centre_the_machine_is_looked_at() -> None:
    result = run()
    assert result.exit_code == 0
    assert "no centre was tried" in result.stderr


PLAIN = api.Api
WATCHERS = [
    {"id": "well", "answering": True, "lease": "here", "drained": None},
    {"id": "key", "answering": False, "problem": "host-key", "detail": "host-key: \x1b[2J", "unknown_since": "14:02"},
    {"id": "batch", "answering": False, "problem": "batch-unavailable", "detail": "slurm_load: down", "lease": "here"},
    {"id": "new", "answering": False, "problem": "of-a-newer-broker", "detail": "", "lease": "here"},
    {
        "id": "idle",
        "answering": None,
        "lease": "nobody",
        "drained": {"by": "root", "since": "13:00", "note": "cooling"},
    },
]


def asked(monkeypatch: pytest.MonkeyPatch, answer: httpx.Response) -> None:
    """Puts a double in the place of the broker."""

    class Doubled(PLAIN):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(lambda request: answer))

    monkeypatch.setattr(api, "Api", Doubled)


def test_a_gateway_that_runs_says_which_centres_need_somebody(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.state_dir / "broker.token").write_text("a-token-of-a-test")
    asked(monkeypatch, httpx.Response(200, json={"watchers": WATCHERS}))
    steps = running.check(settings)
    assert [(step.name, step.state) for step in steps] == [
        ("gateway", "ok"),
        *((name, "failed") for name in ("key", "batch", "new", "idle")),
        ("idle", "advice"),
    ]
    assert "only then change login.host_keys" in steps[1].mend
    assert "\\x1b[2J" in steps[1].detail
    assert "tell the centre" in steps[2].mend
    assert "perijove doctor" in steps[3].mend
    assert steps[5].detail.endswith("(root): cooling")
    assert steps[5].mend.endswith("perijove centres undrain idle")


def test_a_gateway_that_does_not_run_is_no_fault(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (step,) = running.check(settings)
    assert (step.state, "never started" in step.detail) == ("skipped", True)
    assert not list(settings.state_dir.iterdir()), "the doctor changes nothing"
    (settings.state_dir / "broker.token").write_text("a-token-of-a-test")
    for answer in (httpx.Response(403, json={"message": "no"}), httpx.Response(200, text="<html>")):
        asked(monkeypatch, answer)
        (step,) = running.check(settings)
        assert step.state == "skipped"


def test_what_the_gateway_says_is_part_of_the_report(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "perijove.toml"
    file.write_text(f'state_dir = "{settings.state_dir}"\ncentres_dir = "{tmp_path / "centres"}"\n')
    (tmp_path / "centres").mkdir()
    (tmp_path / "centres" / "one.toml").write_text(LOCAL.format(id="one", folder=tmp_path))
    found = json.loads(run("--config", file, "--no-job", "--json").stdout)
    assert [step["state"] for step in found["gateway"]] == ["skipped"]
    assert "the gateway that runs" in run("--config", file, "--no-job").stdout


def test_an_older_launcher_at_a_centre_is_advice(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    (settings.state_dir / "broker.token").write_text("a-token-of-a-test")
    old = {"id": "wuxi", "answering": True, "lease": "here", "launcher": {"version": 2, "wanted": 3, "path": "/opt/l"}}
    asked(monkeypatch, httpx.Response(200, json={"watchers": [old, {"id": "new", "launcher": None}]}))
    steps = running.check(settings)
    assert [(step.name, step.state) for step in steps] == [("gateway", "ok"), ("wuxi", "advice")]
    assert "launcher 2 is installed" in steps[1].detail and "launcher.py /opt/l" in steps[1].mend
