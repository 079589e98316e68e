"""A rehearsal: the pipeline is loaded and asked for its steps, for each preset, and nothing is run.

An app's code is only ever loaded in a process of its own: `rehearse` starts one, bounded in time.
`python -m perijove.spawners.apps.rehearsal FOLDER` is that process; it prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.marks import clean
from perijove.spawners.apps.plan import Unready, plan
from perijove.spawners.apps.steps import BadPipeline
from perijove.spawners.request import BadRequest
from perijove.spawners.visible import visible

#: Seconds for all presets.
LONGEST = 120.0


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """How one preset went ("" for the defaults). `steps` counts the steps; `detail` says what is wrong or not here."""

    preset: str
    state: Literal["ok", "skipped", "failed"]
    steps: int = 0
    detail: str = ""


def rehearse(app: App) -> list[Rehearsed]:
    """How the presets of `app` go; never raises for what the pipeline does."""
    argv = [sys.executable, "-P", "-m", "perijove.spawners.apps.rehearsal", str(app.folder)]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
            env=clean(os.environ),
        )
    except subprocess.TimeoutExpired:
        return [Rehearsed("", "failed", 0, f"the pipeline gave no steps within {LONGEST:g} s")]
    try:
        return [Rehearsed(**one) for one in json.loads(done.stdout.rpartition("\0")[2])]
    except (ValueError, TypeError):
        said = visible((done.stderr or done.stdout).strip()[-400:], 500)
        return [Rehearsed("", "failed", 0, f"the pipeline ended its process: {said}")]


def _all(app: App) -> Iterator[Rehearsed]:
    for name, raw in [(preset.name, preset.inputs) for preset in app.presets] or [("", {})]:
        try:
            given = Inputs(app).parse(raw)
        except BadRequest as bad:  # a file that only a person has
            yield Rehearsed(name, "skipped", 0, str(bad))
            continue
        yield _one(app, name, given)


def _one(app: App, name: str, given: dict[str, Any]) -> Rehearsed:
    with tempfile.TemporaryDirectory(prefix="perijove-rehearsal-") as place:
        folder = Path(place)
        for inner in ("work", "results"):
            (folder / inner).mkdir()
        (folder / "run.json").write_text(json.dumps({"app": app.name, "inputs": given}), encoding="utf-8")
        try:
            made = plan(folder, app, 1)
        except Unready as error:
            outcome = error.outcome
            detail = f"{outcome.message['en']} {outcome.advice['en'] if outcome.advice else ''}".strip()
            return Rehearsed(name, "skipped" if outcome.code == "missing-code" else "failed", 0, detail)
        except BadPipeline as error:
            return Rehearsed(name, "failed", 0, str(error))
        return Rehearsed(name, "ok", len(made.graph.steps))


def main() -> None:
    """Rehearse the app in the folder that is given."""
    found = [asdict(one) for one in _all(load(sys.argv[1]))]
    # A pipeline may print: what counts stands behind the last NUL.
    sys.stdout.write("\0" + json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
