"""Data sets that centres keep, in a run: read where they lie, and named with the centres that have them where not."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner
from doubles.tinyapp import app_in, run
from perijove.hub.cli import main
from perijove.spawners.apps.manifest import App, load

PLACES = {"words": [{"centre": "wuxi", "name": {"en": "Wuxi", "zh": "无锡"}, "path": "/data/words"}]}


def app_of(folder: Path) -> App:
    """The tiny app; its words are a data set that centres keep."""
    manifest = app_in(folder).folder / "app.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('{ app = "data/words.txt" }', '{ dataset = "lexicon" }'), encoding="utf-8")
    return load(manifest.parent)


def test_a_run_reads_it_where_the_order_says_that_it_lies(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("b\na\n")
    report = run(tmp_path, app_of(tmp_path), datasets={"lexicon": str(tmp_path / "here.txt")})
    assert report["state"] == "done", report["failure"]
    assert report["results"]["tables"][0]["rows"] == [["b", "1"], ["a", "1"]]


def test_where_it_is_not_the_run_names_the_centres_that_have_it(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    found = run(tmp_path, app, lies=PLACES)["failure"]
    assert (found["code"], found["input"]) == ("missing-code", "words")
    assert found["message"] == {"en": "Words is not to be found at this centre.", "zh": "该中心没有数据集“词”。"}
    assert "It lies at Wuxi" in found["advice"]["en"] and "无锡" in found["advice"]["zh"]
    # A path that leads nowhere is no data set either.
    gone = run(tmp_path, app, lies=PLACES, datasets={"lexicon": str(tmp_path / "gone")})["failure"]
    assert gone["message"] == found["message"]
    assert run(tmp_path, app)["failure"]["advice"] == {"en": "Choose other data.", "zh": "请选择其他数据。"}


def test_in_a_terminal_one_says_where_it_lies(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    (tmp_path / "here.txt").write_text("b\na\n")
    words = ["apps", "run", str(app.folder), "--folder", str(tmp_path / "r"), "--json"]
    done = CliRunner().invoke(main, [*words, "--dataset-at", f"lexicon={tmp_path / 'here.txt'}"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["results"]["tables"][0]["count"] == 2
    wrong = CliRunner().invoke(main, [*words, "--dataset-at", "lexicon"])
    assert wrong.exit_code == 2 and "NAME=PATH" in wrong.output
