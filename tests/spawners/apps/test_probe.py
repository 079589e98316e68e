"""What runs on this machine: found where it is, and whatever a program does, the probe ends and says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from perijove.spawners.apps import probe
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.parts import Code

Change = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program called `thing` into PATH: the lines of a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(lines: str) -> None:
        file = folder / "thing"
        file.write_text(f"#!/bin/sh\n{lines}\n")
        file.chmod(0o755)

    return write


def code(**more: object) -> Code:
    return Code.model_validate(
        {"program": "thing", "title": "Thing", "version": ("thing", "--version"), "apt": "thing", **more}
    )


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        ("echo thing version 1.9.10-rc1 of today", "1.9.10-rc1"),
        ("echo 2.0 >&2; exit 1", "2.0"),
        ("echo nothing to see", ""),
        ("kill -9 $$", None),
        ("exit 127", None),
        ("cat; echo 3.1", "3.1"),
        ("echo '4.0\033[31m'", "4.0\\x1b[31m"),
        ("while :; do echo 5.5; done", "5.5"),
    ],
)
def test_a_program_is_asked_and_need_not_behave(
    program: Callable[[str], None], lines: str, version: str | None
) -> None:
    program(lines)
    assert probe.version_of(code()) == version


def test_a_program_that_an_author_named_hears_no_token(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "2.0")
    program("echo version ${JUPYTERHUB_API_TOKEN:-1.0}")
    assert probe.version_of(code()) == "1.0"


def test_a_program_that_hangs_is_ended_with_all_that_it_started(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "ASK", 0.2)
    program("sleep 1000 & echo 1.0; sleep 1000")
    assert probe.version_of(code()) is None


def test_words_with_the_shells_own_characters_stay_words(program: Callable[[str], None]) -> None:
    program('printf "%s" "$1"')
    assert probe.version_of(code(version=("thing", "$(id);1.2 'x'"), version_pattern="(.*)")) == "$(id);1.2 'x'"


def test_a_program_without_a_version_is_there_and_one_that_is_not_is_not(
    program: Callable[[str], None],
) -> None:
    assert probe.version_of(code()) is None
    program("exit 3")
    assert probe.version_of(code(version=())) == ""


def test_programs_are_found_beside_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert probe.program_path(Path(sys.executable).name) == str(Path(sys.executable).parent / Path(sys.executable).name)


def test_packages_are_found_without_importing_them() -> None:
    known = Code.model_validate({"import": "hypothesis", "title": "H", "pypi": "hypothesis"})
    assert (probe.version_of(known) or "").count(".") >= 1
    script = (
        "import sys; from perijove.spawners.apps import probe; from perijove.spawners.apps.parts import Code\n"
        "for name in ('matplotlib', 'matplotlib.figure', 'xarray'):\n"
        "    assert probe.version_of(Code.model_validate({'import': name, 'title': 't'})) is not None, name\n"
        "assert not {'matplotlib', 'xarray', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    for name in ("no_such_package", "hypothesis.no_such", "no_such.package"):
        assert probe.version_of(Code.model_validate({"import": name, "title": "t"})) is None


def test_the_first_complete_way_is_taken_and_what_lacks_says_how_to_get_it(changed: Change) -> None:
    fast = '[[ways]]\nname = "fast"\ncodes = ["thing"]\ntitle = { en = "F", zh = "快" }\n\n'
    changed('[[ways]]\nname = "python"', f'{fast}[[ways]]\nname = "python"')
    folder = changed(
        "# The first way",
        '[codes.thing]\nprogram = "no-such-program"\ntitle = "T"\napt = "thing"\nmodule = "thing/1"\n\n# The first way',
    )
    found = probe.look(load(folder)).as_dict()
    assert found["way"] == "python"
    assert found["codes"]["thing"] is None
    assert found["codes"]["matplotlib"]
    assert found["missing"] == [{"code": "thing", "how": {"module": "thing/1", "apt": "thing"}}]
    assert json.loads(json.dumps(found)) == found


def test_an_app_without_a_complete_way_has_none(changed: Change) -> None:
    app = load(changed('import = "matplotlib"', 'import = "no_such_package"'))
    assert probe.look(app).way is None


def test_data_are_where_they_are_or_nowhere(every: App, tmp_path: Path) -> None:
    data = probe.look(every).data
    assert data == {"reads": str(every.folder / "data" / "reads.fq"), "far": None}
    assert probe.look(every, {"far": str(tmp_path)}).data["far"] == str(tmp_path)


def test_the_command_prints_every_app(every: App) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "perijove.spawners.apps.probe", str(every.folder)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert set(found["every"]) == {"way", "codes", "missing", "data"}
