"""The airfoil app: a sketch that shows that the framework carries the next app; with the real XFOIL where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import perijove.apps
import pytest
from doubles import tinyapp
from harness.codes import need
from perijove.spawners.apps.call import load as load_pipeline
from perijove.spawners.apps.case import Case
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.steps import Unfit
from perijove.spawners.request import BadRequest

FOLDER = Path(perijove.apps.__file__).parent / "airfoil"
HEAD = (
    "  alpha    CL        CD       CDp       CM     Top_Xtr  Bot_Xtr\n  ------ -------- --------- --------- --------\n"
)


@pytest.fixture(scope="module")
def app() -> App:
    return load(FOLDER)


@pytest.fixture
def pipeline() -> Iterator[Any]:
    yield load_pipeline(FOLDER / "pipeline.py")


@pytest.fixture
def case(app: App, tmp_path: Path) -> Case:
    programs = {"xfoil": "/usr/bin/xfoil", "cc": "/usr/bin/gcc"}
    return Case(Inputs(app).parse({}), "xfoil", 2, app.folder, tmp_path, tmp_path / "results", programs=programs)


def test_a_polar_for_each_reynolds_number_with_the_slope_that_theory_gives(app: App, tmp_path: Path) -> None:
    need("xfoil")
    need("gcc")
    inputs = {"section": "0012", "reynolds": ["1000000", "5000000"], "angles": [-4, 4], "increment": 1}
    report = tinyapp.run(tmp_path, app, inputs=inputs)
    assert report["state"] == "done", report["failure"]
    numbers = {one["name"]: one["value"] for one in report["results"]["numbers"]}
    assert numbers["converged"] >= 15
    rows = [list(map(float, row)) for row in report["results"]["tables"][0]["rows"]]
    lift = {(reynolds, alpha): cl for reynolds, alpha, cl, *_ in rows}
    # A symmetric section lifts as much up as down; thin airfoil theory gives 2 pi per radian, thickness a little more.
    assert lift[5e6, 4.0] == pytest.approx(-lift[5e6, -4.0], abs=0.01)
    assert lift[5e6, 4.0] / 4 == pytest.approx(0.11, abs=0.01)
    assert next(step for step in report["steps"] if step["name"] == "polar")["parts"]["total"] == 2


def test_a_success_with_a_header_and_no_rows_is_none(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("gcc")
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "xfoil"
    program.write_text(f"#!/bin/sh\necho ' XFOIL Version 6.99'\ncat <<END > polar-1000000.txt\n{HEAD}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    report = tinyapp.run(tmp_path, app, inputs={"reynolds": ["1000000"]})
    assert (report["state"], report["failure"]["code"]) == ("failed", "check-failed")
    assert "0 of 37 angles converged" in report["failure"]["message"]["en"]
    assert "smaller steps" in report["failure"]["advice"]["en"]
    assert not (tmp_path / "run" / "work" / "polar-1000000.txt").exists()


def test_the_orders_are_numbers_and_four_digits(
    pipeline: Any, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline.order_for(case, "200000")
    lines = (tmp_path / "order-200000.txt").read_text().splitlines()
    assert {"NACA 2412", "VISC 200000", "MACH 0", "N 9", "ASEQ -4 14 0.5", "QUIT"} <= set(lines)


@pytest.mark.parametrize("section", ["2012", "0212", "2400", "2499", "24120", "2412\nQUIT", "2412; ls", ""])
def test_what_is_no_section_is_refused(app: App, section: str) -> None:
    with pytest.raises(BadRequest) as caught:
        Inputs(app).parse({"section": section})
    assert caught.value.faults[0].field == "section"


def test_rows_are_read_in_order_and_counted(pipeline: Any, case: Case, tmp_path: Path) -> None:
    polar = tmp_path / "polar-1.txt"
    rows = [f"  {alpha:.3f}  {alpha / 9:.4f}  0.00700  0.00100  -0.0500  0.8000  0.2000\n" for alpha in (1, 0, -1)]
    polar.write_text(HEAD + "".join(rows))
    assert [row["alpha"] for row in pipeline.read(polar)] == [-1, 0, 1]
    pipeline.has_rows(case, tmp_path)
    polar.write_text(HEAD + rows[0])
    with pytest.raises(Unfit, match="only 1 of 37"):
        pipeline.has_rows(replace(case), tmp_path)


def test_a_crooked_range_of_angles_ends_within_it(pipeline: Any, case: Case) -> None:
    asked = pipeline.angles(replace(case, inputs={**case.inputs, "angles": [0.0, 2.0], "increment": 0.75}))
    assert asked == [0.0, 0.75, 1.5]
