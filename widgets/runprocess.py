"""One run of an app, `python -m perijove.widgets.runprocess FOLDER`: the engine, on Dask workers if it asks for some.

A process of its own beside the session's server; without workers it is `perijove.spawners.apps.runner`. The workers are
jobs of the centre, of a cluster whose head the session's server keeps; it is closed at the end, however the run ends.

Only for that a run's process must act for the person: what it takes (`secrets`) comes through standard input and stays
with the cluster, so that neither this process's environment nor that of any step has a token in it.
"""

# Dask says that it is typed, and for the most part is not.
# mypy: allow-untyped-calls
from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perijove.spawners.apps import runner


def secrets(environment: Mapping[str, str]) -> bytes:
    """What a process whose run has workers is told: how it reaches the gateway as the person."""
    return json.dumps({name: value for name, value in environment.items() if name.startswith("JUPYTERHUB_")}).encode()


def with_workers(folder: Path, told: dict[str, Any], given: Mapping[str, str]) -> int:
    """Run on a cluster beside this session; the exit code, as the engine's. SIGTERM cancels in good order.

    `given` are the `secrets`.
    """
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
        cluster = Cluster(name, workers=int(told["workers"]), _environment={**os.environ, **given}, **wanted)
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


def _leave(*_: object) -> None:
    raise SystemExit(3)


def main(argv: list[str]) -> int:
    """Run what the folder's run.json says; its state.json says how it went."""
    # Until the engine takes over: an orderly way out, so that workers that are just asked for are given back.
    signal.signal(signal.SIGTERM, _leave)
    folder = Path(argv[0]).resolve()
    told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if int(told.get("workers") or 0) > 0:
        return with_workers(folder, told, json.loads(sys.stdin.buffer.read() or b"{}"))
    return runner.main([str(folder)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
