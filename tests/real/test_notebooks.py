"""The example notebooks, cell by cell in a session at a real centre: workers on its two nodes, and at another one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.flow import Flow
from harness.kernel import Kernel

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(500)]

EXAMPLES = Path(__file__).parents[2] / "apps/examples"


async def printed(kernel: Kernel, name: str, parameters: str) -> str:
    """What the notebook's cells print, with other parameters than its own."""
    said = ""
    for cell in json.loads((EXAMPLES / f"{name}.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            tagged = "parameters" in cell["metadata"].get("tags", ())
            said += await kernel.run(f"{source}\n{parameters}" if tagged else source, 240)
    return said


async def test_an_array_larger_than_a_workers_memory_is_reduced_on_two_nodes(site: Flow, notebook: Kernel) -> None:
    # Five of eight cores each, so that the second worker needs the other node.
    parameters = "WORKERS, CORES, MEMORY, TIMES = 2, 5, '600M', 1.2"
    await notebook.run("import matplotlib; matplotlib.use('agg')")
    said = await printed(notebook, "larger-than-memory", parameters)
    assert "one worker has 572.20 MiB" in said, said
    assert "A1B: " in said and "E1: " in said, said
    (cluster,) = [row for row in await clusters(site) if row["server"] == "notebook"]
    rows = (await site.broker("GET", f"/clusters/{cluster['id']}/workers")).json()["workers"]
    assert {row["node"] for row in rows} == {"alpha-c1", "alpha-c2"}, rows


async def test_what_lies_at_another_centre_is_computed_there(site: Flow, notebook: Kernel) -> None:
    await notebook.run("import matplotlib; matplotlib.use('agg')")
    said = await printed(notebook, "where-the-data-is", "CENTRE = 'gamma'")
    assert "this notebook runs on alpha-c" in said and "computed on gamma-c" in said, said


async def clusters(site: Flow) -> list[dict[str, str]]:
    """Alice's, also those that are over."""
    found: list[dict[str, str]] = (await site.broker("GET", "/clusters", params={"owner": "alice"})).json()["clusters"]
    return found
