"""Codes of apps in tests: skipped where a program is missing, unless it must be there."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str) -> None:
    """Skips the test where `program` is missing; under PERIJOVE_REAL=1 it must be there, and the test fails."""
    if shutil.which(program) is None:
        words = f"{program} is not installed: apt-get install {program}"
        if os.environ.get("PERIJOVE_REAL") == "1":
            pytest.fail(words)
        pytest.skip(words)
