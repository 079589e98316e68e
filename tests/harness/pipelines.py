"""Runs of pipelines that a test writes in a line or two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from doubles.tinyapp import HEAD, app_in, run


def report_of(tmp_path: Path, body: str, **more: Any) -> dict[str, Any]:
    return run(tmp_path, app_in(tmp_path, HEAD + body), **more)


def failure(tmp_path: Path, body: str, **more: Any) -> dict[str, Any]:
    """The failure of a run with this pipeline; nothing of it may count as a result."""
    report = report_of(tmp_path, body, **more)
    assert report["state"] == "failed"
    assert report["results"] is None
    assert not list((tmp_path / "run/steps/.tries").glob("*"))
    assert json.loads((tmp_path / "run/state.json").read_text()) == report
    found: dict[str, Any] = report["failure"]
    assert found["message"]["en"]
    assert found["message"]["zh"]
    assert found["advice"]["en"]
    assert found["advice"]["zh"]
    return found


def one(do: str, makes: str = "[]", more: str = "") -> str:
    return f"def steps(case):\n    return [Step('one', {do}, makes={makes}{more})]\n"


def python(code: str, more: str = "") -> str:
    return f"Command([PY, '-c', {code!r}]{more})"
