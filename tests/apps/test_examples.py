"""The example notebooks run as they stand, on workers of this machine, and hold what they say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

TOP = Path(__file__).parent.parent.parent
EXAMPLES = TOP / "apps/examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
#: Stands before the first cell: the notebooks' own words, with the double behind them.
DOUBLE = """\
import perijove.widgets
from doubles.local_cluster import Cluster
perijove.widgets.Cluster = Cluster
"""
#: In place of the cell that says what one may want to change: small enough for a test.
SMALL = {
    "larger-than-memory": 'WORKERS, CORES, MEMORY, TIMES, FOLDER = 2, 1, "300M", 1.2, "{folder}"',
    "where-the-data-is": 'CENTRE, WORKERS, CORES, MEMORY = "wuxi", 1, 1, "500M"',
}


def outputs(book: Any) -> str:
    """Everything that the cells printed."""
    return "".join(out.get("text", "") for cell in book.cells for out in cell.get("outputs", ()))


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The notebook, executed."""
    book: Any = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    (cell,) = (cell for cell in book.cells if "parameters" in cell.metadata.get("tags", ()))
    cell.source = SMALL[name].format(folder=folder)
    book.cells.insert(0, nbformat.v4.new_code_cell(DOUBLE))
    paths = [str(TOP / "tests"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("HOME", str(folder))
    NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return book


def test_every_example_is_tested_and_is_kept_without_results() -> None:
    assert set(NAMES) == set(SMALL)
    for name in NAMES:
        book: Any = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
        nbformat.validate(book)
        assert not [cell for cell in book.cells if cell.get("outputs") or cell.get("execution_count")], name
        for cell in book.cells:
            if cell.cell_type == "code":
                compile(cell.source, name, "exec")


@pytest.mark.soak  # some 20 s of processor time, and what it does on workers the other one does, too
@pytest.mark.timeout(400)
def test_an_array_that_no_worker_could_hold_is_written_and_reduced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = outputs(run("larger-than-memory", tmp_path, monkeypatch))
    assert "one worker has 286.10 MiB" in said
    warming = {line[:3].strip(":"): float(line.split()[1]) for line in said.splitlines() if "nine of ten" in line}
    # What the two runs themselves warm by, as the mean of each period gives it.
    assert warming["A1B"] > warming["E1"] > 1
    assert not list(tmp_path.glob("perijove-examples/*.zarr"))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_only_results_come_back_from_where_the_data_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = outputs(run("where-the-data-is", tmp_path, monkeypatch))
    assert "A1B: computed on" in said
    assert "of 1.74 MiB" in said
