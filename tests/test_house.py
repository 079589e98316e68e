"""The house keeps its plan: packaging agrees with the folders, and imports run one way."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "deploy/package/perijove"
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
FOLDERS: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
ROOMS = {name.removeprefix("perijove."): TOP / folder for name, folder in FOLDERS.items() if "." in name}
#: A room may import only from itself and from the rooms named here.
MAY_IMPORT = {
    "spawners": set(),
    "hub": {"spawners", "testbed"},  # testbed: only for `perijove testbed`
    "widgets": {"spawners"},
    "apps": {"widgets", "spawners"},
    "testbed": {"spawners"},
}


def modules(room: str) -> list[Path]:
    return sorted(path for path in ROOMS[room].rglob("*.py") if "node_modules" not in path.parts)


def perijove_imports(path: Path) -> set[str]:
    """The rooms that a module imports from."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("perijove.")} & set(ROOMS)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_from_the_rooms_it_may(room: str) -> None:
    for path in modules(room):
        beyond = perijove_imports(path) - {room} - MAY_IMPORT[room]
        if "testbed" in beyond | (perijove_imports(path) & {"testbed"}) and room == "hub":
            assert path.name == "testbed.py", f"{path} imports the testbed"
        assert not beyond, f"{path.relative_to(TOP)} imports {', '.join(sorted(beyond))}"


def test_every_folder_with_code_is_a_package_that_is_shipped() -> None:
    found = {"perijove"}
    for room, folder in ROOMS.items():
        for init in folder.rglob("__init__.py"):
            inner = init.parent.relative_to(folder).parts
            found.add(".".join(["perijove", room, *inner]))
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])
    for folder in ROOMS.values():
        for path in folder.rglob("*.py"):
            # An app is a plain folder: its pipeline is loaded by its path, where it runs.
            if "bench" not in path.parts and not any((place / "app.toml").exists() for place in path.parents):
                assert (path.parent / "__init__.py").exists(), f"{path} is in no package"


def test_the_links_of_the_package_folder_lead_to_the_rooms() -> None:
    links = {path.name: path.resolve() for path in PACKAGE.iterdir() if path.is_symlink()}
    assert links == {room: folder.resolve() for room, folder in ROOMS.items()}


@pytest.mark.parametrize("room", ["hub", "spawners", "widgets", "apps"])
def test_a_room_refuses_to_be_imported_by_its_folder_name(room: str) -> None:
    run = subprocess.run([sys.executable, "-c", f"import {room}"], cwd=TOP, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"import perijove.{room}" in run.stderr


def test_what_runs_in_a_job_needs_no_gateway() -> None:
    """The agent and the launcher start in the centre's environment, which has no FastAPI and no SQLAlchemy."""
    code = (
        "import sys, perijove.spawners.agent\n"
        "heavy = {'fastapi', 'sqlalchemy', 'jupyterhub', 'batchspawner', 'uvicorn', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_version_stands_in_one_place_and_in_the_changelog() -> None:
    version = PROJECT["project"]["version"]
    assert f'__version__ = "{version}"' in (PACKAGE / "__init__.py").read_text()
    assert f"## {version}" in (TOP / "CHANGELOG.md").read_text()


def test_every_command_of_the_command_line_has_help() -> None:
    from click.testing import CliRunner
    from perijove.hub.cli import COMMANDS, main

    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0, f"{name}: {result.output}{result.exception!r}"
        assert "Usage: " in result.output


def test_every_make_target_that_the_readme_names_exists() -> None:
    readme, makefile = (TOP / "README.md").read_text(), (TOP / "Makefile").read_text()
    named = {line.split("make ")[1].split()[0].strip("`.,;") for line in readme.splitlines() if "make " in line}
    assert {"demo", "test"} <= named
    for target in named & {"demo", "test", "test-real", "bench", "lint", "soak", "clean"}:
        assert f"\n{target}:" in makefile


BANNED = {
    "shell=True": "a shell string",
    "create_subprocess_shell": "a shell string",
    "0.0.0" + ".0": "listens on every address",
    "accept-new": "trusts an unknown host key",
    "os.system(": "a shell string",
}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_what_must_never_be_is_nowhere(room: str) -> None:
    for path in modules(room):
        text = path.read_text()
        for word, why in BANNED.items():
            assert word not in text, f"{path.relative_to(TOP)}: {word} ({why})"
