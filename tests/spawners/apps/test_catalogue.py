"""The catalogue: every good app, whoever brings it; a broken one stops nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from perijove.spawners.apps import skeleton
from perijove.spawners.apps.catalogue import Catalogue


@pytest.fixture
def operators(tmp_path: Path) -> Path:
    folder = tmp_path / "operators"
    folder.mkdir()
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an app in an installed package, found by its entry point; importing it would fail."""
    site = tmp_path / "site"
    (site / "their_apps-1.0.dist-info").mkdir(parents=True)
    (site / "their_apps-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: their-apps\nVersion: 1.0\n"
    )
    (site / "their_apps-1.0.dist-info" / "entry_points.txt").write_text("[perijove.apps]\nwave = their_apps.wave\n")
    (site / "their_apps").mkdir()
    (site / "their_apps" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(site))
    return skeleton.write(site / "their_apps" / "wave")


def test_apps_come_from_the_operator_and_from_packages_without_any_import(operators: Path, package: Path) -> None:
    skeleton.write(operators / "decay")
    apps = Catalogue([operators]).apps()
    assert apps["decay"].folder == operators / "decay"
    assert apps["wave"].folder == package
    assert list(apps) == sorted(apps)


def test_a_folder_may_be_an_app_itself(operators: Path) -> None:
    assert "decay" in Catalogue([skeleton.write(operators / "decay")]).apps()


def test_a_broken_app_is_kept_aside_and_told(operators: Path) -> None:
    skeleton.write(operators / "good")
    bad = skeleton.write(operators / "bad")
    (bad / "pipeline.py").unlink()
    (operators / "no-app").mkdir()
    catalogue = Catalogue([operators, operators / "nowhere"])
    assert "good" in catalogue.apps()
    assert "bad" not in catalogue.apps()
    assert list(catalogue.broken) == [str(bad)]
    assert "pipeline" in catalogue.broken[str(bad)][0]


def test_of_two_with_one_name_the_operators_wins_and_it_is_said(operators: Path, package: Path) -> None:
    ours = skeleton.write(operators / "wave")
    catalogue = Catalogue([operators])
    assert catalogue.apps()["wave"].folder == ours
    assert catalogue.replaced == {"wave": [package]}
    (ours / "app.toml").write_text("broken")
    assert catalogue.apps()["wave"].folder == package  # a broken one hides nothing
    assert catalogue.replaced == {}


def test_a_change_is_seen_and_what_did_not_change_is_not_read_again(operators: Path) -> None:
    folder = skeleton.write(operators / "decay")
    catalogue = Catalogue([operators])
    first = catalogue.apps()["decay"]
    assert catalogue.apps()["decay"] is first
    (folder / "more.txt").write_text("x")
    second = catalogue.apps()["decay"]
    assert second.digest != first.digest
    skeleton.write(operators / "new")
    assert "new" in catalogue.apps()


def test_the_catalogue_imports_neither_apps_nor_anything_heavy() -> None:
    script = (
        "import sys; from perijove.spawners.apps.catalogue import Catalogue; Catalogue().apps()\n"
        "heavy = {'perijove.apps', 'perijove.widgets', 'numpy', 'dask', 'rocrate', 'jupyterhub', 'fastapi'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
