"""The climate app, its pipeline, and ways to run them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.climate import FOLDER, Quick, Run, execute
from perijove.spawners.apps.call import load as load_pipeline
from perijove.spawners.apps.case import Case
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.probe import look


@pytest.fixture(scope="module")
def app() -> App:
    return load(FOLDER)


@pytest.fixture
def case(app: App, tmp_path: Path) -> Case:
    """The case with all inputs as they are at first, without a run."""
    found = look(app)
    return Case(
        inputs=Inputs(app).parse({}),
        way="python",
        cores=1,
        here=app.folder,
        work=tmp_path / "work",
        results=tmp_path / "results",
        datasets={name: Path(path) for name, path in found.data.items() if path},
    )


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Any]:
    yield load_pipeline(FOLDER / "pipeline.py")


@pytest.fixture
def quick(pipeline: Any, case: Case, tmp_path: Path) -> Quick:
    """The pipeline without engine and figures."""
    return Quick(pipeline, case, tmp_path)


@pytest.fixture
def run(app: App, tmp_path: Path) -> Run:
    """Runs the app one way; the report and the run's folder."""

    def start(way: str, language: str = "en", **inputs: Any) -> tuple[dict[str, Any], Path]:
        return execute(app, tmp_path, way, language, **inputs)

    return start
