"""Writes an app's example for the gallery: `python -m perijove.spawners.apps.example apps/climate`.

The app is run here with its inputs as they are at first. What the gallery shows of it stays in `example/`: the report,
without this machine's name, and the figures. Run it again when results or figures change, and look at what it drew.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.pool import Here
from perijove.spawners.apps.runner import ORDER, Runner

FOLDER, REPORT = "example", "report.json"


def write(app: App, cores: int = 2) -> dict[str, Any]:
    """Runs `app` and writes its example; the report. One that failed is not written."""
    inputs = Inputs(app).parse({})
    with tempfile.TemporaryDirectory() as home:
        run = Path(home) / "run"
        run.mkdir()
        order = {"run": FOLDER, "app": app.name, "digest": app.digest, "inputs": inputs, "language": "en", "home": home}
        (run / ORDER).write_text(json.dumps(order), encoding="utf-8")
        report = Runner(run, app, Here(cores)).run()
        if report["state"] != "done":
            return report
        report["node"] = ""
        for step in report["steps"]:
            step.pop("node", None)
        place = app.folder / FOLDER
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        results = report["results"]
        shown_files = {figure["file"] for figure in results["figures"]}
        for file in shown_files:
            shutil.copyfile(run / "results" / file, place / file)
        # What is not here must not be offered.
        results["files"] = [one for one in results["files"] if one["file"] in shown_files]
        shown = {"app_version": app.version, "inputs": inputs, "report": report}
        (place / REPORT).write_text(json.dumps(shown, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return report


def main() -> None:
    """Writes the examples of the apps whose folders are given."""
    for folder in sys.argv[1:]:
        report = write(load(Path(folder)))
        if report["state"] != "done":
            sys.exit(f"{folder}: {report['failure']['message']['en']}")


if __name__ == "__main__":
    main()
