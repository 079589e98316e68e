"""One run of an app, `python -m perijove.widgets.runprocess FOLDER`: the engine, with Dask workers where it asks for some.

A process of its own beside the session's server. The workers are jobs of the centre, of a cluster whose head the
session's server keeps; it is closed at the end, however the run ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def with_workers(folder: Path, told: dict[str, Any]) -> int:
    """Run on a cluster beside this session; the exit code."""
    from perijove.spawners.apps import runner
    from perijove.spawners.apps.daskpool import OnDask
    from perijove.widgets.cluster import Cluster

    shape = told.get("worker") or {}
    wanted = {name: shape[name] for name in ("cores", "memory", "walltime") if shape.get(name)}
    name = f"run-{told['run']}".lower()[:30].rstrip("-")
    cluster = Cluster(name, workers=int(told["workers"]), **wanted)
    try:
        with cluster.get_client() as client:
            return runner.execute(folder, OnDask(client))
    finally:
        cluster.close()


def main(argv: list[str]) -> int:
    """Run what the folder's run.json says; its state.json says how it went."""
    folder = Path(argv[0])
    told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if int(told.get("workers") or 0) > 0:
        return with_workers(folder, told)
    from perijove.spawners.apps import runner

    return runner.execute(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
