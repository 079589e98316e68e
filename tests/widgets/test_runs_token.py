"""A run that asks for workers acts for its person, and yet no process of it has a token in its environment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.run_broker import TINY, TOKEN, RunBroker, run_broker
from harness.app_session import app_server
from perijove.spawners.apps.manifest import load

pytestmark = [pytest.mark.slow]
#: A step that writes down what it, and who started it, have in the environment.
LOOKS = """def grow(case):
    import os
    mine, parents = (Path(f"/proc/{pid}/environ").read_bytes() for pid in (os.getpid(), os.getppid()))
    Path("seen.txt").write_bytes(mine + b"\\n" + parents)
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunBroker]:
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    pipeline, manifest = (folder / "pipeline.py").read_text(), (folder / "app.toml").read_text(encoding="utf-8")
    pipeline = pipeline.replace("def grow(case):\n", LOOKS).replace(
        'makes=("sizes.txt",)', 'makes=("sizes.txt", "seen.txt")'
    )
    (folder / "pipeline.py").write_text(pipeline)
    head, needs, rest = manifest.partition("[needs]\n")
    rest = "\n".join(line for line in rest.split("\n") if not line.startswith(("workers", "small")))
    (folder / "app.toml").write_text(f'{head}{needs}workers = "2"\nsmall = "0"\n{rest}', encoding="utf-8")
    with run_broker(load(folder)) as made:
        yield made


def test_the_token_goes_to_the_gateway_and_into_no_environment(broker: RunBroker, tmp_path: Path) -> None:
    with app_server(tmp_path / "home", broker.facts()) as server:
        run = str(server.ask("POST", "perijove/runs", json={"inputs": {}, "key": "a"}).json()["id"])
        done = server.until(f"perijove/runs/{run}", lambda one: one["state"] in ("done", "failed") and not one["live"])
        assert done["state"] == "done", done["report"]["failure"]
        folder = server.home / ".perijove/runs" / run
    # It asked for its workers as the person; there are none to be had here, so it went on in its own cores.
    assert [one for one in broker.asked if one.startswith("GET /clusters/run-")]
    assert broker.strangers == []
    assert "no workers" in (folder / "process.log").read_text()
    seen = (folder / "work/seen.txt").read_bytes()
    assert seen.count(b"PATH=") >= 2  # both were read
    for secret in (TOKEN.encode(), b"JUPYTERHUB_API_TOKEN"):
        assert secret not in seen
    # Nor does it stand in anything that the run leaves behind.
    for path in folder.rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes(), path
