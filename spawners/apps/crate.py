"""The record of a run (not written yet)."""

from typing import Any


def write(*args: Any) -> None:
    pass
