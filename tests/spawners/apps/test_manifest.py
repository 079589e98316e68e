"""A manifest is either sound, or every fault of it is named with file, key and line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.needs import needs
from perijove.spawners.apps.parts import TYPE_KEYS, Input
from perijove.spawners.apps.reading import BadApp
from perijove.spawners.request import BadRequest

Change = Callable[[str, str], Path]
#: Values that are not what a key expects.
ODD = [
    *("1e999", "nan", "-1", "0", '""', "[]", "{}", "true", "[[[1]]]", "1979-05-27", "9" * 400, "'\\'"),
    *('"\\u202e"', '"${x}"', '"../x"', '"/etc/passwd"', '"a.b.c()"', '"a" * 3'),
    *(f'"{"(" * 3000}"', f'"{"x" * 7000}"'),
]
SAMPLE = (Path(__file__).parents[3] / "apps/examples/decay/app.toml").read_text(encoding="utf-8")


def fault_of(folder: Path) -> tuple[str, int, str]:
    """Key, line and words of the one fault."""
    with pytest.raises(BadApp) as caught:
        load(folder)
    (fault,) = caught.value.faults
    assert fault.file == str(folder / "app.toml")
    return fault.key, fault.line, str(fault)


def line_of(folder: Path, text: str) -> int:
    lines = (folder / "app.toml").read_text(encoding="utf-8").splitlines()
    return 1 + next(number for number, line in enumerate(lines) if text in line)


def test_the_sample_is_sound_and_knows_its_folder(sample: Path) -> None:
    app = load(sample)
    assert (app.name, app.folder) == ("decay", sample)
    assert app.title.in_language("zh-CN") == "放射性衰变"
    assert app.preset("caesium") is not None
    assert app.way("python") is not None
    assert app.preset("nothing") is app.way("nothing") is None


def test_a_manifest_says_the_same_after_a_round_through_json(every: App) -> None:
    text = every.model_dump_json(by_alias=True)
    assert App.model_validate_json(text).model_dump() == every.model_dump()
    assert json.loads(text)["codes"]["matplotlib"]["import"] == "matplotlib"


def test_every_type_of_input_has_its_keys() -> None:
    assert {key for keys in TYPE_KEYS.values() for key in keys} <= set(Input.model_fields)


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ('domain = "other"', 'domain = "cooking"', "domain", "climate"),
        ('domain = "other"', 'domain = "other"\ncite = "see `x`"', "cite", "without Markdown"),
        ('authors = ["Your name"]', 'autors = ["Your name"]', "autors", "did you mean: authors"),
        (', zh = "放射性衰变" }', " }", "title.zh", "is missing"),
        ('import = "matplotlib"', 'program = "a b"', "codes.matplotlib.program", "PATH"),
        ('import = "matplotlib"', 'import = "matplotlib"\nprogram = "x"', "codes.matplotlib", "exactly one"),
        ('import = "matplotlib"', 'import = "matplotlib"\nversion = ["x"]', "codes.matplotlib.version", "another"),
        ('codes = ["matplotlib"]', 'codes = ["matplotlib", "matpltlib"]', "ways[1].codes[2]", "matplotlib"),
        ('codes = ["matplotlib"]', "codes = []", "codes.matplotlib", "none of the ways"),
        ('type = "number"', 'type = "numbr"', "inputs.half_life.type", "did you mean: number"),
        ('type = "number"', 'type = "text"', "inputs.half_life.max", "does not go with the type text"),
        ("min = 0.1\n", "", "inputs.half_life", "`min` and `max`"),
        ("min = 0.1\n", "min = 1e7\n", "inputs.half_life.max", "larger than `min`"),
        ("min = 0.1\n", 'min = 0.1\npattern = "x"\n', "inputs.half_life.pattern", "does not go with the type number"),
        ("default = 30\n", "", "inputs.half_life", "needs a `default`"),
        ("default = 30\n", "default = 0\n", "inputs.half_life.default", "at least 0.1"),
        ("default = 30\n", 'default = 30\nshown_if = { input = "years", equals = 3 }\n', "inputs.half_life.shown_if",
         "before"),
        ("[inputs.half_life]", "[inputs.preset]", "inputs.preset", "another name"),
        ("inputs = { half_life = 30, years", "inputs = { half_life = 30, yeers", "presets[1].inputs.yeers", "years"),
        ("inputs = { half_life = 30, years = 100 }", "inputs = { years = 0 }", "presets[1].inputs.years", "at least 1"),
        ('seconds = "2 + years / 5000"', 'seconds = "2 + yeers"', "needs.seconds", "is 'years' meant?"),
        ('seconds = "2 + years / 5000"', 'seconds = "years.real"', "needs.seconds", "not allowed"),
        ('seconds = "2 + years / 5000"', 'seconds = "1 / (years - 100)"', "needs", "has no value"),
        ("cores = 1", 'cores = "workers"', "needs.cores", "is not an input"),
        ('picture = "picture.svg"', 'picture = "../picture.svg"', "picture", "below a folder"),
        ('picture = "picture.svg"', 'picture = "nothing.svg"', "picture", "no file of the app's folder"),
        ('picture = "picture.svg"', 'picture = "pipeline.py"', "picture", "an SVG or a PNG"),
        ('unit = "%"', 'unit = "%"\ncompare = "rows"', "outputs.left.compare", "does not go with a number"),
        ("alt = { en = \"A curve that falls by half in each half-life.\", zh = \"每个半衰期下降一半的曲线。\" }", "",
         "outputs.curve", "needs `alt`"),
        ("[steps.compute]", "[steps.compute]\nprogress = { pattern = '(\\d+)' }",
         "steps.compute.progress.pattern", "done"),
        ("[steps.compute]", "[steps.compute]\nprogress = { pattern = '(' }",
         "steps.compute.progress.pattern", "regular"),
        ("cores = 1", "cores = 1\nworker = { cores = 0 }", "needs.worker.cores", "at least 1"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_key_and_line(changed: Change, old: str, new: str, key: str, said: str) -> None:
    folder = changed(old, new)
    with pytest.raises(BadApp) as caught:
        load(folder)
    (fault,) = [fault for fault in caught.value.faults if fault.key == key]
    assert said in str(fault)
    text = (folder / "app.toml").read_text(encoding="utf-8").splitlines()[fault.line - 1]
    # The line is that of the key, or of the table in which it is missing.
    assert any(part in text for part in re.findall("[a-z_]+", key)), text


def test_every_fault_is_told_at_once(changed: Change) -> None:
    changed("default = 30\n", "default = 0\n")
    folder = changed("cores = 1", 'cores = "years +"')
    with pytest.raises(BadApp) as caught:
        load(folder)
    assert [fault.key for fault in caught.value.faults] == ["inputs.half_life.default", "needs.cores"]
    assert [fault.line for fault in caught.value.faults] == [
        line_of(folder, "default = 0"),
        line_of(folder, 'cores = "years +"'),
    ]


@pytest.mark.parametrize(
    ("pattern", "said"), [("([a-z]+)*", "repeats a group"), ("a*b*c*d", "more than two repeats"), ("(", "regular")]
)
def test_a_pattern_that_could_take_for_ever_is_refused(copy: Path, pattern: str, said: str) -> None:
    file = copy / "app.toml"
    file.write_text(file.read_text().replace('pattern = "[a-z ]+"', f"pattern = '{pattern}'"))
    key, line, words = fault_of(copy)
    assert (key, line) == ("inputs.label.pattern", line_of(copy, f"'{pattern}'"))
    assert said in words


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{ app = "data/reads.fq", dataset = "x" }', "one of app, python"),
        ('{ python = "iris_sample_data" }', "path of a file inside the package"),
        ('{ python = "iris_sample_data", path = "../x" }', "path of a file inside the package"),
        ('{ path = "x/y" }', "absolute"),
        ('{ path = "/usr/../etc/passwd" }', "absolute"),
        ("{}", "one of app, python"),
        ('{ app = "data/none.fq" }', "no file of the app's folder"),
    ],
)
def test_data_come_from_exactly_one_place(copy: Path, source: str, said: str) -> None:
    file = copy / "app.toml"
    file.write_text(file.read_text().replace('{ app = "data/reads.fq" }', source))
    key, _, words = fault_of(copy)
    assert key == "data.reads.source"
    assert said in words


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("pipeline.py", "def steps(case:\n", "is no Python, line 1"),
        ("pipeline.py", "x = 1\n", "no function `steps(case)`"),
        ("app.ipynb", "[]", "is no notebook"),
        ("app.ipynb", '{"nbformat": 4, "cells": []}', "no cell with code"),
        (
            "app.ipynb",
            '{"nbformat": 4, "cells": [{"cell_type": "code", "outputs": [1], "execution_count": null}]}',
            "outputs stored",
        ),
        ("picture.svg", "<svg><script>1</script></svg>", "scripts"),
        ("picture.svg", '<svg onload="x()"></svg>', "scripts"),
        ("picture.svg", '<svg><image href="https://x/y.png"/></svg>', "links to elsewhere"),
        ("picture.svg", "nothing", "no SVG"),
    ],
)
def test_the_files_of_an_app_are_looked_at(sample: Path, file: str, content: str, said: str) -> None:
    (sample / file).write_text(content)
    key, _, words = fault_of(sample)
    assert key in ("pipeline", "notebook", "picture")
    assert said in words


def test_links_are_refused_and_what_is_not_a_manifest_is_said(sample: Path, tmp_path: Path) -> None:
    (sample / "data").symlink_to("/etc")
    with pytest.raises(BadApp, match="data is no plain file"):
        load(sample)
    with pytest.raises(BadApp, match="cannot be read: No such file"):
        load(tmp_path / "nothing")
    (sample / "app.toml").write_text("a = [")
    with pytest.raises(BadApp, match="is not TOML"):
        load(sample)
    (sample / "app.toml").write_bytes(b"\xff")
    with pytest.raises(BadApp, match="is not UTF-8"):
        load(sample)


def test_the_digest_is_of_what_runs_and_of_nothing_else(sample: Path) -> None:
    before = load(sample).digest
    (sample / "__pycache__").mkdir()
    (sample / "__pycache__" / "x.pyc").write_text("x")
    (sample / "example").mkdir()
    (sample / "example" / "report.json").write_text("{}")
    (sample / ".hidden").write_text("x")
    assert load(sample).digest == before
    (sample / "more.txt").write_text("x")
    assert load(sample).digest != before


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_no_manifest_makes_it_raise_anything_but_its_own_error(sample: Path, data: st.DataObject) -> None:
    """A line of the sample's manifest is replaced, moved or torn, and a value made odd."""
    lines = SAMPLE.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    key = lines[at].partition("=")[0]
    odd = st.sampled_from(ODD)
    lines[at] = data.draw(
        st.one_of(odd.map(lambda value: f"{key}= {value}"), st.text(max_size=60), st.sampled_from([*lines, ""]))
    )
    (sample / "app.toml").write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        app = load(sample)
    except BadApp as bad:
        assert bad.faults
        assert all(fault.line >= 1 and fault.message.isprintable() for fault in bad.faults)
        return
    # What is taken can be shown, asked for and priced.
    jsonable = app.model_dump(mode="json", by_alias=True)
    assert App.model_validate(jsonable).model_dump() == app.model_dump()
    app.schema("zh")
    try:
        needs(app, Inputs(app).parse({}))
    except BadRequest as bad:
        assert {fault.code for fault in bad.faults} == {"missing"}
