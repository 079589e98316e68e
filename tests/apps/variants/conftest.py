"""Machines with and without the programs of the variant finder."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from harness.variants import TOOLS


@pytest.fixture
def python_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where none of the programs is installed."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    beside = [tool for tool in TOOLS if (Path(sys.executable).parent / tool).exists()]
    assert not beside


@pytest.fixture(scope="module")
def tools() -> None:
    """A machine where all of them are; without them the test is skipped, but not where the real thing is asked for."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        say = pytest.fail if os.environ.get("PERIJOVE_REAL") == "1" else pytest.skip
        say(f"apt-get install {' '.join(missing)}")
