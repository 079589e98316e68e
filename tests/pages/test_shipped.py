"""What the pages need at run time is in the package: templates, scripts, words."""

from __future__ import annotations

import tomllib
from pathlib import Path

TOP = Path(__file__).parent.parent.parent


def test_every_file_of_the_pages_is_package_data() -> None:
    data = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {
        path for room, folder in (("perijove.hub", "hub"), ("perijove.hub.pages", "hub/pages"))
        for pattern in data[room] for path in (TOP / folder).glob(pattern)
    }  # fmt: skip
    wanted = {
        path
        for folder in ("hub/pages/static", "hub/pages/templates", "hub/locales", "hub/templates")
        for path in (TOP / folder).rglob("*")
        if path.is_file()
    }
    assert len(wanted) > 15
    assert wanted - shipped == set()
