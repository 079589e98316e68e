"""Runs of a session: a real app in a real server, from the form's request to what the broker keeps."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubles.run_broker import TOKEN, RunBroker
from harness.app_session import AppServer, app_server
from perijove.spawners.apps.marks import MARK, mark
from perijove.spawners.localqueue_process import born
from perijove.widgets.runreport import kept

pytestmark = [pytest.mark.slow]


def eventually(what: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "did not happen in time"
        threading.Event().wait(0.05)
    return value


def start(server: AppServer, key: str, **inputs: Any) -> str:
    answer = server.ask("POST", "perijove/runs", json={"inputs": inputs, "key": key})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def over(server: AppServer, run: str) -> dict[str, Any]:
    found: dict[str, Any] = server.until(
        f"perijove/runs/{run}", lambda one: one["state"] in ("done", "failed", "cancelled") and not one["live"]
    )
    return found


def slow(server: AppServer, key: str) -> str:
    """A run that goes on until somebody ends it."""
    run = start(server, key, slow=True, years=5000)
    server.until(f"perijove/runs/{run}", lambda one: (one["report"] or {}).get("progress", 0) > 0)
    return run


def test_a_run_is_done_shown_and_kept(app_session: AppServer, app_broker: RunBroker) -> None:
    run = start(app_session, "first", rate=2.5)
    assert start(app_session, "first", rate=2.5) == run  # asked twice, started once
    done = over(app_session, run)
    report = done["report"]
    assert report["state"] == "done"
    assert report["results"]["numbers"][0]["value"] == pytest.approx(60, abs=0.1)
    assert eventually(lambda: app_broker.runs[run]["state"] == "done")
    assert app_broker.files[run]["curve.png"].startswith(b"\x89PNG")
    assert "sizes.csv" in app_broker.files[run]
    # The mode of what is told: nobody else reads it.
    folder = app_session.home / ".perijove/runs" / run
    assert (folder.stat().st_mode & 0o777, (folder / "run.json").stat().st_mode & 0o777) == (0o700, 0o600)
    assert [one["id"] for one in app_session.ask("GET", "perijove/runs").json()["runs"]].count(run) == 1
    assert "grow" in app_session.ask("GET", f"perijove/runs/{run}/log").json()["log"]


def test_results_are_files_with_ranges_and_as_a_zip_and_nothing_else_is(app_session: AppServer) -> None:
    run = start(app_session, "files")
    over(app_session, run)
    at = f"perijove/runs/{run}"
    whole = app_session.ask("GET", f"{at}/files/curve.png")
    assert whole.headers["Content-Type"] == "image/png"
    assert "sandbox" in whole.headers["Content-Security-Policy"]
    part = app_session.ask("GET", f"{at}/files/curve.png", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    table = app_session.ask("GET", f"{at}/files/sizes.csv")
    assert table.headers["Content-Disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(app_session.ask("GET", f"{at}/download").content)) as archive:
        assert {"curve.png", "sizes.csv"} <= set(archive.namelist())
    results = app_session.home / ".perijove/runs" / run / "results"
    (results / "link").symlink_to(app_session.home / "secret.txt")
    (results / "folder").symlink_to(app_session.home)
    names = ["link", "folder/secret.txt", "../run.json", "%2e%2e/run.json", "..%2frun.json", "nothing"]
    for name in [*names, "/etc/passwd", "a%00b"]:
        answer = app_session.ask("GET", f"{at}/files/{name}")
        assert answer.status_code in (403, 404), name
        assert "secret" not in answer.text
    with zipfile.ZipFile(io.BytesIO(app_session.ask("GET", f"{at}/download").content)) as archive:
        assert not {"link", "folder/secret.txt"} & set(archive.namelist())


def test_bad_input_is_found_and_says_which(app_session: AppServer) -> None:
    (app_session.home / "work/empty.csv").write_text("nothing\n")
    failed = over(app_session, start(app_session, "bad", counts="work/empty.csv"))
    failure = failed["report"]["failure"]
    assert (failed["state"], failure["code"], failure["input"]) == ("failed", "bad-input", "counts")
    assert "no number" in failure["message"]["en"]


def test_a_file_with_a_strange_name_is_read(app_session: AppServer) -> None:
    name = "work/$(touch hacked) 'a' \"b\".csv"
    (app_session.home / name).write_text("0.3\n")
    assert over(app_session, start(app_session, "strange", counts=name))["state"] == "done"
    assert not list(app_session.home.rglob("hacked"))


def test_a_file_is_read_where_the_centre_links_scratch_into_the_home(app_session: AppServer) -> None:
    listed = app_session.ask("GET", "perijove/files?path=scratch&formats=csv").json()
    assert [one["path"] for one in listed["files"]] == ["scratch/large.csv"]
    done = over(app_session, start(app_session, "large", counts="scratch/large.csv"))
    assert done["state"] == "done", done["report"]["failure"]


def test_a_run_knows_no_token_and_when_it_is_killed_its_commands_end_with_it(app_session: AppServer) -> None:
    run = slow(app_session, "killed")
    pid = process_of(run)
    assert TOKEN.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    # As the engine marks a step's command, which leads a session of its own.
    sign = f"{mark(app_session.home / '.perijove/runs' / run)}:{pid}:{born(pid)}:grow-1"
    command = subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: sign}, start_new_session=True)
    try:
        os.kill(pid, signal.SIGKILL)
        failed = over(app_session, run)
        assert (failed["state"], failed["report"]["failure"]["code"]) == ("failed", "killed")
        assert command.wait(20) == -signal.SIGKILL
    finally:
        command.kill()
        command.wait()


def test_it_is_cancelled_by_the_page_and_by_the_gateway(app_session: AppServer, app_broker: RunBroker) -> None:
    run = slow(app_session, "page")
    assert app_session.ask("DELETE", f"perijove/runs/{run}").status_code == 202
    assert over(app_session, run)["state"] == "cancelled"
    run = slow(app_session, "gateway")
    app_broker.wanted = "cancel"
    try:
        assert over(app_session, run)["state"] == "cancelled"
    finally:
        app_broker.wanted = None


def test_a_page_that_waits_hears_of_a_change_at_once(app_session: AppServer) -> None:
    run = slow(app_session, "wait")
    version = app_session.ask("GET", f"perijove/runs/{run}").json()["version"]
    later = app_session.ask("GET", f"perijove/runs/{run}?after={version}&wait=20").json()
    assert later["version"] > version
    app_session.ask("DELETE", f"perijove/runs/{run}")
    over(app_session, run)


def test_while_the_gateway_is_away_a_run_goes_on_and_is_told_later(
    app_session: AppServer, app_broker: RunBroker
) -> None:
    run = slow(app_session, "away")
    app_broker.away = True
    try:
        refused = app_session.ask("POST", "perijove/runs", json={"inputs": {}, "key": "none"})
        assert (refused.status_code, refused.json()["error"]) == (503, "broker-silent")
        app_session.ask("DELETE", f"perijove/runs/{run}")
        assert over(app_session, run)["state"] == "cancelled"
        assert app_broker.runs[run]["state"] == "running"
    finally:
        app_broker.away = False
    assert eventually(lambda: app_broker.runs[run]["state"] == "cancelled")


@pytest.mark.parametrize(("inputs", "code"), [({}, 0), ({"counts": "missing.csv"}, 69)])
def test_a_session_for_one_run_ends_with_it(
    app_broker: RunBroker, tmp_path: Path, inputs: dict[str, Any], code: int
) -> None:
    run = app_broker.run(f"own-{code}", inputs=inputs, own_session=True)["id"]
    given = app_broker.facts(options=json.dumps({"app": "tiny", "run": run}))
    with app_server(tmp_path / "home", given) as server:
        assert server.process.wait(90) == code, server.log.read_text()[-3000:]
    assert app_broker.runs[run]["state"] == ("failed" if code else "done")
    assert ("curve.png" in app_broker.files.get(run, {})) is not bool(code)


def test_a_session_that_ends_leaves_its_run_to_go_on(app_broker: RunBroker, tmp_path: Path) -> None:
    with app_server(tmp_path / "home", app_broker.facts()) as server:
        run = slow(server, "left")
        pid = process_of(run)
        server.process.terminate()
        server.process.wait(40)
    assert not Path(f"/proc/{pid}").exists()
    # Nobody cancelled it: what the broker last heard is that it runs, and that the session is over it sees by itself.
    assert app_broker.runs[run]["state"] == "running"


def process_of(run: str) -> int:
    """The process that executes a run."""
    return next(int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit() and _runs(one.name, run))


def _runs(pid: str, run: str) -> bool:
    try:
        return b"runprocess" in (line := Path(f"/proc/{pid}/cmdline").read_bytes()) and run.encode() in line
    except OSError:
        return False


def test_what_is_kept_is_small_and_inside(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (tmp_path / "outside").write_text("x")
    for name in ("a.png", "log.txt", "b.csv"):
        (results / name).write_text("x")
    with (results / "large.nc").open("wb") as large:
        large.truncate(9 << 20)
    files = [{"file": name} for name in ("large.nc", "b.csv", "../outside", "", "gone")]
    report = {"results": {"figures": [{"file": "a.png"}], "files": files}}
    assert kept(report, results) == ["log.txt", "a.png", "b.csv"]
    assert kept({}, results) == ["log.txt"]
