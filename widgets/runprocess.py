"""One run of an app, `python -m perijove.widgets.runprocess FOLDER`: the engine, on Dask workers if it asks for some.

A process of its own beside the session's server; without workers it is `perijove.spawners.apps.runner`. The workers are
jobs of the centre, of a cluster whose head the session's server keeps; it is closed at the end, however the run ends.
"""

# Dask says that it is typed, and for the most part is not.
# mypy: allow-untyped-calls
from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from perijove.spawners.apps import runner


def with_workers(folder: Path, told: dict[str, Any]) -> int:
    """Run on a cluster beside this session; the exit code, as the engine's. SIGTERM cancels in good order."""
    from perijove.spawners.apps.daskpool import OnDask
    from perijove.spawners.apps.manifest import load
    from perijove.widgets.cluster import Cluster
    from perijove.widgets.clustererror import ClusterError

    shape = told.get("worker") or {}
    wanted: dict[str, Any] = {name: shape[name] for name in ("cores", "memory", "walltime") if shape.get(name)}
    if isinstance(wanted.get("memory"), int):
        wanted["memory"] = f"{wanted['memory']}M"
    name = f"run-{told['run']}".lower().replace("_", "-")[:30].rstrip("-")
    try:
        cluster = Cluster(name, workers=int(told["workers"]), **wanted)
    except ClusterError as error:
        print(f"no workers, so the run goes on in this job's own cores: {error}", file=sys.stderr)
        return runner.main([str(folder)])
    try:
        with cluster.get_client() as client:
            run = runner.Runner(folder, load(told["app_folder"]), OnDask(client))
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: run.cancel())
            return {"done": 0, "failed": 1}.get(run.run()["state"], 3)
    finally:
        cluster.close()


def main(argv: list[str]) -> int:
    """Run what the folder's run.json says; its state.json says how it went."""
    folder = Path(argv[0]).resolve()
    told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if int(told.get("workers") or 0) > 0:
        return with_workers(folder, told)
    return runner.main([str(folder)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
