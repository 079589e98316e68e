"""What is said inside JupyterLab is the gateway's catalogue, and everything that is needed there is shipped."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from perijove.hub.pages.languages import languages

TOP = Path(__file__).parent.parent.parent


def extraction() -> ModuleType:
    """The extraction of messages, which the pages' tests use, too."""
    spec = importlib.util.spec_from_file_location("messages_inside", TOP / "tests/pages/messages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("place", ["INSIDE", "PANEL", "APP"])
def test_the_words_are_those_of_the_catalogue(place: str) -> None:
    messages = extraction()
    folder = getattr(messages, place)
    assert len(messages.inside(folder)) > 15
    made = messages.words_inside(dict(languages()["zh"].words), folder)
    assert (folder / "words.zh.json").read_text(encoding="utf-8") == made, "run: python tests/pages/messages.py"


def test_every_file_for_jupyter_is_package_data() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]
    shipped = {path for pattern in patterns["perijove.widgets"] for path in (TOP / "widgets").glob(pattern)}
    wanted = {path for path in (TOP / "widgets/jupyter").rglob("*") if path.is_file()}
    assert len(wanted) > 8
    assert wanted - shipped == set()
    (package,) = (path for path in wanted if path.name == "package.json")
    assert json.loads(package.read_text())["version"] == project["project"]["version"]
