"""`perijove apps`: an app is made, checked, run and published from a terminal, without a gateway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from harness.basics import until
from perijove.hub.cli import api, main, running
from perijove.hub.publish import publish
from perijove.hub.settings import Settings
from perijove.spawners.apps import skeleton
from perijove.spawners.apps.catalogue import Catalogue
from perijove.spawners.apps.manifest import load
from perijove.spawners.apps.reading import BadApp

CHANGES = {
    "a step that the manifest does not have": ('Step("compute"', 'Step("computee"'),
    "a fault in the pipeline's own code": ("    return [Step(", "    return 1 / 0 or [Step("),
    "a pipeline that ends its process": ("import csv", "import csv, os\nos._exit(3)"),
    "a pipeline that cannot be loaded": ("import csv", "import no_such_module"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    return tmp_path


@pytest.fixture
def app(here: Path) -> Path:
    return skeleton.write(here / "wave")


def perijove(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["apps", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def change(app: Path, name: str, old: str, new: str) -> None:
    text = (app / name).read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    (app / name).write_text(text.replace(old, new), encoding="utf-8")


def test_a_new_app_is_sound_runs_and_its_own_tests_pass(here: Path) -> None:
    assert "perijove apps validate wave" in perijove("new", "wave").output
    assert "ok caesium: 1 step\n" in perijove("validate", "wave").output
    done = perijove("run", "./wave", "--preset", "caesium", "--years", "30")
    assert "After 30 years, 50 % of the sample is left." in done.output
    assert "Left at the end: 50 %" in done.output
    for name in ("curve.png", "table.csv"):
        assert str(here / "wave-1" / "results" / name) in done.output
        assert (here / "wave-1" / "results" / name).stat().st_size > 0
    own = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "wave"]
    subprocess.run(own, check=True, timeout=100, capture_output=True)


def test_a_name_that_is_none_or_taken_is_refused(app: Path) -> None:
    assert "there already" in perijove("new", "wave", code=1).output
    assert "lower-case" in perijove("new", "Wave", code=2).output
    assert not Path("Wave").exists()


def test_faults_are_printed_with_file_and_line(app: Path) -> None:
    change(app, "app.toml", "default = 30\n", "default = 0\n")
    text = (app / "app.toml").read_text(encoding="utf-8").splitlines()
    line = 1 + text.index("default = 0")
    result = perijove("validate", app, code=2)
    assert f"{app}/app.toml:{line}: inputs.half_life.default: must be at least 0.1 a" in result.output
    told = json.loads(perijove("validate", app, "--json", code=2).output)
    assert told["ok"] is False
    assert told["apps"][0]["faults"][0]["line"] == line


@pytest.mark.parametrize("what", CHANGES)
def test_the_pipeline_is_asked_for_its_steps_in_a_process_of_its_own(app: Path, what: str) -> None:
    change(app, "pipeline.py", *CHANGES[what])
    result = perijove("validate", app, code=2)
    assert "FAILED" in result.output, result.output


def test_a_preset_whose_codes_are_not_here_is_skipped_with_how_to_get_them(app: Path) -> None:
    change(app, "app.toml", 'import = "matplotlib"', 'import = "no_such_package"')
    assert "skipped caesium" in perijove("validate", app).output
    listed = json.loads(perijove("list", app, "--json").output)
    (wave,) = [one for one in listed["apps"] if one["name"] == "wave"]
    assert wave["way"] is None
    table = perijove("list", app).output
    assert "missing matplotlib: apt-get install python3-matplotlib / pip" in table


def test_the_flags_of_an_app_are_its_inputs_in_the_persons_language(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = perijove("run", app, "--help").output
    assert "--half-life NUMBER" in told
    assert "0.1 .. 1000000 a" in told
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "半衰期" in perijove("run", app, "--help").output
    assert "--years: 必须是整数" in perijove("run", app, "--years", "1.5", code=2).output


def test_wrong_inputs_are_told_all_at_once_and_nothing_is_written(app: Path, here: Path) -> None:
    result = perijove("run", app, "--years", "0", "--half-life", "$(id)", code=2)
    assert "--half-life: must be a number" in result.output
    assert "--years: must be at least 1 a" in result.output
    assert [path.name for path in here.iterdir()] == ["wave"]


def test_an_app_that_is_not_there_is_told() -> None:
    assert "there is no app 'nothing'" in perijove("run", "nothing", code=2).output
    assert "cannot be read" in perijove("run", "./nothing", code=2).output


def test_a_run_goes_on_in_its_folder_and_in_no_other_apps(app: Path, here: Path) -> None:
    first = json.loads(perijove("run", app, "--folder", "r", "--json").stdout)
    again = json.loads(perijove("run", app, "--folder", "r", "--json").stdout)
    assert [step["state"] for step in first["steps"]] == ["done"]
    assert [step["state"] for step in again["steps"]] == ["kept"]
    assert again["folder"] == str(here / "r")
    other = skeleton.write(here / "other")
    assert "another app" in perijove("run", other, "--folder", "r", code=2).output
    assert "not empty" in perijove("run", app, "--folder", other, code=2).output


def test_a_run_that_fails_names_what_failed_and_what_to_change(app: Path) -> None:
    change(app, "pipeline.py", "    report(0.5", "    raise RuntimeError('too hot')\n    report(0.5")
    result = perijove("run", app, code=1)
    assert "too hot" in result.output
    assert "mend: Ask for fewer years." in result.output


def test_a_file_of_this_machine_is_given_by_its_path(app: Path, here: Path) -> None:
    change(
        app, "app.toml", "[[presets]]",
        '[inputs.notes]\ntype = "file"\noptional = true\nformats = ["txt"]\ntitle = { en = "N", zh = "记" }\n'
        'help = { en = "N.", zh = "记。" }\n\n[[presets]]',
    )  # fmt: skip
    change(app, "pipeline.py", "    report(0.5", "    print(case.inputs['notes'].read_text())\n    report(0.5")
    odd = here / "my $(id) 'notes'.txt"
    odd.write_text("what was noted")
    perijove("run", app, "--notes", odd.name, "--folder", "r")
    assert "what was noted" in (here / "r" / "log" / "compute.txt").read_text()
    missing = perijove("run", app, "--notes", "none.txt", code=1)
    assert "none.txt" in missing.output


def test_ctrl_c_ends_a_run_in_order(app: Path, here: Path) -> None:
    change(app, "pipeline.py", "    report(0.5", "    import time\n    time.sleep(600)\n    report(0.5")
    argv = [sys.executable, "-m", "perijove.hub.cli", "apps", "run", "./wave", "--folder", "r"]
    running = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: running_step(here / "r" / "state.json"))
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 1
    assert "goes on" in said
    assert json.loads((here / "r" / "state.json").read_text())["state"] == "cancelled"


def running_step(file: Path) -> bool:
    """Whether the run whose state is in `file` has begun a step."""
    return file.exists() and any(step["state"] == "running" for step in json.loads(file.read_text())["steps"])


# --- publish ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(here: Path) -> Iterator[Path]:
    """A gateway's apps folder; whatever happens, nothing half-made stays in it."""
    folder = here / "state" / "apps"
    yield folder
    assert not list(folder.glob(".versions/.new-*"))


def settings(here: Path) -> Path:
    file = here / "perijove.toml"
    file.write_text('state_dir = "state"\ncentres_dir = "centres"\n')
    return file


def test_an_app_is_published_into_the_settings_folder_and_seen(app: Path, here: Path, place: Path) -> None:
    assert "it is new there" in perijove("publish", app, "--config", settings(here)).output
    assert Catalogue([place]).apps()["wave"].digest == load(app).digest
    assert "nothing is different" in perijove("publish", app, "--config", settings(here)).output


def test_what_changed_is_said_and_the_version_before_stays_until_the_next(app: Path, place: Path) -> None:
    perijove("publish", app, "--apps-dir", place)
    catalogue = Catalogue([place])
    before = catalogue.apps()["wave"]
    change(app, "app.toml", "max = 1e6", "max = 1e7")
    said = perijove("publish", app, "--apps-dir", place).output
    assert "inputs: ~ half_life" in said
    assert "raise `version`" in said
    assert catalogue.apps()["wave"].digest == load(app).digest != before.digest
    assert load(before.folder).digest == before.digest
    change(app, "app.toml", 'version = "0.1"', 'version = "0.2"')
    assert "version: 0.1 -> 0.2" in perijove("publish", app, "--apps-dir", place).output
    assert not before.folder.exists()


def test_a_faulty_app_is_not_published_and_a_published_one_stays(app: Path, place: Path) -> None:
    perijove("publish", app, "--apps-dir", place)
    before = load(place / "wave").digest
    change(app, "pipeline.py", "def steps", "def stepz")
    perijove("publish", app, "--apps-dir", place, code=2)
    assert load(place / "wave").digest == before
    assert "where to?" in perijove("publish", app, code=2).output


def test_an_app_that_changes_while_it_is_published_is_refused(app: Path, place: Path) -> None:
    checked = load(app)
    (app / "pipeline.py").write_text("def broken(")
    with pytest.raises(BadApp):
        publish(checked, place)
    assert not (place / "wave").exists()


def test_a_folder_that_was_put_there_by_hand_is_replaced_and_examples_come_along(app: Path, place: Path) -> None:
    place.mkdir(parents=True)
    skeleton.write(place / "wave")
    (app / "example").mkdir()
    (app / "example" / "report.json").write_text("{}")
    (app / "tests" / "__pycache__").mkdir()
    done = publish(load(app), place)
    assert done.before is not None
    assert (place / "wave" / "example" / "report.json").exists()
    assert not (place / "wave" / "tests").exists()
    assert os.readlink(place / "wave").startswith(".versions/")  # noqa: PTH115


# --- the doctor tells the gateway ------------------------------------------------------------------------------------


def test_a_gateway_that_runs_is_told_what_the_nodes_have(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        told[f"{request.method} {request.url.path.partition('/api/v1')[2]}"] = json.loads(request.content)
        return httpx.Response(404 if "unknown" in request.url.path else 200, json={})

    class Doubled(api.Api):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(answer))

    monkeypatch.setattr(api, "Api", Doubled)
    own = Settings.load(settings(here))
    found = {"way": "cdo", "codes": {"cdo": "2.1"}, "missing": [], "data": {}}
    running.tell(own, {"tianjin": {"unknown": found, "climate": found}})
    assert told == {}  # it was never started: there is no token, and nobody to tell
    own.state_dir.mkdir()
    (own.state_dir / "broker.token").write_text("t" * 32)
    running.tell(own, {"tianjin": {"unknown": found, "climate": found}})
    assert told == {f"PUT /apps/{name}/places/tianjin": found for name in ("unknown", "climate")}
