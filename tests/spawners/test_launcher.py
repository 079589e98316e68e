"""The launcher, as the gateway runs it: a real process, JSON in and out."""

from __future__ import annotations

import ast
import json
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from perijove.spawners import launcher
from perijove.spawners.link import BOOTSTRAP, launcher_source


def ask(request: object, *, in_band: bool = True, **options: Any) -> dict[str, Any]:
    """The launcher's answer."""
    data = request if isinstance(request, bytes) else json.dumps(request).encode()
    argv = [sys.executable, "-I", str(Path(launcher.__file__))]
    if in_band:
        argv = [sys.executable, "-I", "-S", "-c", BOOTSTRAP.format(size=len(launcher_source()))]
        data = launcher_source() + data
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, timeout=60, check=True, **options)
    return dict(json.loads(done.stdout))


def status(base: Path, *argvs: list[str], allow: list[str], timeout: float = 10, **more: Any) -> dict[str, Any]:
    """The answer to a status request."""
    commands = [{"argv": argv, "stdin": ""} for argv in argvs]
    return ask({"verb": "status", "base": str(base), "commands": commands, "timeout": timeout, "allow": allow} | more)


def test_submit_runs_the_command_in_a_private_folder_with_its_input_and_files(tmp_path: Path) -> None:
    request = {
        "verb": "submit", "session": "abc", "base": str(tmp_path / "base"), "argv": ["sh", "-c", "pwd; cat"],
        "stdin": "脚本", "files": {"agent.json": "secret"}, "timeout": 5, "allow": ["sh"],
    }  # fmt: skip
    answer = ask(request)
    folder = tmp_path / "base" / "abc"
    assert answer["ok"]
    assert answer["outputs"] == [{"status": 0, "stdout": f"{folder}\n脚本", "stderr": ""}]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "agent.json").stat().st_mode) == 0o600
    assert (folder / "agent.json").read_text() == "secret"


def test_files_are_handed_over_again_without_a_command_and_replace_a_planted_link(tmp_path: Path) -> None:
    folder = tmp_path / "abc"
    folder.mkdir()
    (tmp_path / "victim").write_text("kept")
    (folder / "agent.json").symlink_to(tmp_path / "victim")
    request = {"verb": "submit", "session": "abc", "base": str(tmp_path), "argv": None, "files": {"agent.json": "new"}}
    assert ask(request)["outputs"] == []
    assert (tmp_path / "victim").read_text() == "kept"
    assert not (folder / "agent.json").is_symlink()


@pytest.mark.parametrize("session", ["", "../abc", "a/b", "ABC", "a" * 40, None, 7, "abc\n"])
def test_a_session_that_is_none_is_refused(tmp_path: Path, session: object) -> None:
    answer = ask({"verb": "submit", "session": session, "base": str(tmp_path), "argv": None, "files": {}})
    assert (answer["ok"], answer["problem"]) == (False, "request")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../x", "/etc/x", ".ssh", "a/b", ""])
def test_a_file_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    request = {"verb": "submit", "session": "abc", "base": str(tmp_path), "argv": None, "files": {name: "x"}}
    assert ask(request)["problem"] == "request"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"verb": "run"}', b"\xff\xfe", b"[" * 5000])
def test_nonsense_gets_an_answer(data: bytes) -> None:
    assert ask(data)["problem"] == "request"


def test_installed_it_runs_batch_commands_only_whatever_the_request_allows(tmp_path: Path) -> None:
    request = {"verb": "status", "base": str(tmp_path), "timeout": 5, "allow": ["sh"]}
    request["commands"] = [{"argv": ["sh", "-c", "echo no"]}, {"argv": ["/tmp/squeue"]}, {"argv": ["./squeue"]}]
    outputs = ask(request, in_band=False)["outputs"]
    assert [output["problem"] for output in outputs] == ["not-allowed"] * 3
    assert all(output["stdout"] == "" for output in outputs)


def test_a_missing_command_fails_alone(tmp_path: Path) -> None:
    answer = status(tmp_path, ["squeue-of-nowhere"], ["true"], allow=["squeue-of-nowhere", "true"])
    assert [output["status"] for output in answer["outputs"]] == [127, 0]
    assert answer["outputs"][0]["problem"] == "not-found"


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = f"{time.time_ns() % 10**6 + 10**5}"
    begun = time.monotonic()
    answer = status(tmp_path, ["sh", "-c", f"sleep {mark} & echo $!; sleep {mark}"], allow=["sh"], timeout=0.5)
    assert answer["outputs"][0]["problem"] == "timeout"
    assert time.monotonic() - begun < 5
    pid = int(answer["outputs"][0]["stdout"])
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]


def test_output_without_end_is_bounded_in_size_and_memory(tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    request = {"verb": "status", "base": str(tmp_path), "timeout": 1, "allow": ["yes"]}
    request["commands"] = [{"argv": ["yes"]}, {"argv": ["yes"]}, {"argv": ["yes"]}]
    outputs = ask(request, preexec_fn=limited)["outputs"]
    assert [len(output["stdout"]) for output in outputs] == [8 << 20, 8 << 20, 0]


def test_the_ends_of_logs_come_along_but_not_through_links(tmp_path: Path) -> None:
    for name in ("abc", "def", "ghi"):
        (tmp_path / name).mkdir()
    (tmp_path / "abc" / "log").write_bytes(b"x" * 50_000 + b"the end\xff")
    (tmp_path / "def" / "log").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "ghi" / "log")
    tails = status(tmp_path, allow=[], tails=["abc", "def", "ghi", "mnop"])["tails"]
    assert list(tails) == ["abc"]
    assert tails["abc"].endswith("the end\ufffd")
    assert len(tails["abc"]) == 16 << 10


def test_a_tail_may_name_a_file_of_the_session_but_nothing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "log").write_text("the job")
    (tmp_path / "abc" / "log.12").write_text("task 12")
    (tmp_path / "abc" / "log.13").symlink_to("/etc/passwd")
    (tmp_path / "def").symlink_to("/etc")
    asked = ["abc", "abc/log.12", "abc/log.13", "abc/log.14"]
    assert status(tmp_path, allow=[], tails=asked)["tails"] == {"abc": "the job", "abc/log.12": "task 12"}
    for name in ("abc/", "abc/../x", "abc/.ssh", "abc/log/12", "abc/log\n", "/etc/passwd", "../abc/log"):
        assert status(tmp_path, allow=[], tails=[name])["problem"] == "request", name


def test_cancel_forgets_folders_of_ended_sessions(tmp_path: Path) -> None:
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "log").touch()
    (tmp_path / "abc" / "link").symlink_to("/etc")
    (tmp_path / "def").mkdir()
    assert ask({"verb": "cancel", "argv": None, "base": str(tmp_path), "forget": ["abc", "xyz"], "timeout": 5})["ok"]
    assert [path.name for path in tmp_path.iterdir()] == ["def"]
    assert Path("/etc/passwd").exists()


def test_check_says_what_an_operator_wants_to_know(tmp_path: Path) -> None:
    request = {"verb": "check", "base": str(tmp_path / "new"), "programs": ["sh", "no-such"], "python": sys.executable}
    answer = ask({**request, "timeout": 30, "allow": [sys.executable]})
    assert answer["ok"]
    assert answer["programs"]["sh"]
    assert answer["programs"]["no-such"] is None
    assert answer["free"] > 0
    assert json.loads(answer["outputs"][0]["stdout"])["agent"] is True


def test_a_full_disk_is_named() -> None:
    request = {"verb": "submit", "session": "abc", "base": "/dev/full/x", "argv": None, "files": {}}
    assert ask(request)["problem"] == "system"  # not a directory: another fault than a full disk
    error = OSError(28, "No space left on device")
    original, launcher.submit = launcher.submit, _raise(error)
    try:
        assert launcher.answer_to(json.dumps(request))["problem"] == "home-full"
    finally:
        launcher.submit = original


def _raise(error: Exception) -> Any:
    """A function that raises `error`."""

    def fail(_: object) -> None:
        raise error

    return fail


def test_a_home_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    person = launcher.pwd.getpwuid(os.getuid())

    class Homeless:
        pw_name, pw_dir = person.pw_name, "/nowhere/at/all"

    monkeypatch.setattr(launcher.pwd, "getpwuid", lambda _: Homeless)
    request = {"verb": "submit", "session": "abc", "base": "~/.perijove", "argv": None, "files": {}}
    assert launcher.answer_to(json.dumps(request))["problem"] == "home-missing"


def test_it_is_python_3_6() -> None:
    source = launcher_source().decode()
    ast.parse(source, feature_version=(3, 6))
    assert not any(isinstance(node, (ast.NamedExpr, ast.AsyncFunctionDef)) for node in ast.walk(ast.parse(source)))
