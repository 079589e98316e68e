"""Descriptions of centres: every fault of every file at once, and a good version is never lost to a slip."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import perijove.spawners.centre as centre_module
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perijove.spawners.centre import Centre, Text, parse
from perijove.spawners.centrefaults import CentreFault
from perijove.spawners.centrereference import reference
from perijove.spawners.centres import CentreFaults, Centres, load, read, schema
from perijove.spawners.tomllines import Lines
from pydantic import BaseModel, ValidationError

EXAMPLES = Path(__file__).parents[2] / "deploy/centres"
GOOD = """\
id = "here"
name = { en = "Here", zh = "这里" }
[scheduler]
system = "local"
[environment]
python = "/usr/bin/python3"
[[queues]]
name = "a"
cores = 4
memory = "8G"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here.toml").write_text(GOOD)
    return tmp_path


def faults_of(folder: Path, text: str | bytes, name: str = "bad.toml") -> list[CentreFault]:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(CentreFaults) as caught:
        load(folder)
    assert len(str(caught.value)) < 60_000
    assert str(caught.value).replace("\n", "").isprintable()
    return list(caught.value.faults)


def test_every_example_loads() -> None:
    assert len(load(EXAMPLES)) == 7
    national = load(EXAMPLES / "national")
    cities = "tianjin guangzhou shenzhen changsha jinan wuxi zhengzhou kunshan chengdu"
    assert set(national) == set(cities.split())
    assert national["tianjin"].name.zh == "国家超级计算天津中心"
    assert national["tianjin"].scheduler.commands["sbatch"] == "yhbatch"
    assert national["wuxi"].scheduler.system == "lsf"


def fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        for inner in schema()["$defs"]:
            if re.search(rf"(centre|described)\.{inner}\b", repr(field.annotation)):
                yield from fields(getattr(centre_module, inner))


def test_the_annotated_example_and_the_reference_have_every_key() -> None:
    found: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            found.update(value)
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)

    collect(tomllib.loads((EXAMPLES / "example-slurm.toml").read_text()))
    keys = set(fields(Centre))
    assert {"memory_hour", "accounts", "zh", "note"} <= keys
    only_local = {"root"}  # of embedded centres alone; the gateway's own
    assert keys - found <= only_local
    assert all(f"`{key}`" in reference() for key in keys - {"en", "zh"})


def test_the_committed_reference_is_what_the_models_say() -> None:
    assert (EXAMPLES / "README.md").read_text() == reference(), "perijove config reference > deploy/centres/README.md"


def test_every_key_is_described_in_the_schema() -> None:
    described = schema()
    for model in [described, *described["$defs"].values()]:
        assert model["additionalProperties"] is False
        for key, field in model["properties"].items():
            assert field.get("description"), key


def test_all_faults_of_all_files_come_at_once_with_file_line_and_what_was_meant(folder: Path) -> None:
    (folder / "other.toml").write_text(GOOD.replace("memory", "memroy").replace('"here"', '"other"'))
    faults = faults_of(
        folder, GOOD.replace('"local"', '"slrum"').replace("cores = 4", "cores = 0").replace("here", "x")
    )
    told = {(Path(f.file).name, f.line, f.key): f for f in faults}
    assert told["bad.toml", 4, "scheduler.system"].nearest == "slurm"
    assert told["bad.toml", 9, "queues[1].cores"].given == "0"
    assert told["bad.toml", 9, "queues[1].cores"].message == "must be at least 1"
    assert told["other.toml", 10, "queues[1].memroy"].nearest == "memory"
    assert told["other.toml", 7, "queues[1].memory"].message == "is missing"
    assert {name for name, *_ in told} == {"bad.toml", "other.toml"}


def test_what_does_not_go_together_is_told_with_other_faults(folder: Path) -> None:
    text = GOOD.replace("here", "far").replace('"local"', '"slurm"').replace("cores = 4", "cores = -1")
    keys = {fault.key for fault in faults_of(folder, text + '[login]\nidentity = "sudo"\n')}
    assert keys == {"login.host", "login.host_keys", "login.launcher", "login.account", "queues[1].cores"}


def test_data_sets_are_described_and_their_faults_told_with_their_place(folder: Path) -> None:
    era5 = '[[datasets]]\nname = "era5"\ntitle = { en = "ERA5", zh = "再分析资料" }\npath = "/data/era5"\nsize = "2T"\n'
    (folder / "here.toml").write_text(GOOD + era5)
    (data,) = load(folder)["here"].datasets
    assert (data.name, data.title.zh, data.path, data.size) == ("era5", "再分析资料", "/data/era5", 2 * 1024**2)
    text = GOOD.replace("here", "far") + era5 + era5.replace("/data", "data").replace("title", "titel")
    told = {(fault.line, fault.key): fault for fault in faults_of(folder, text)}
    assert told[17, "datasets[2].name"].message == "'era5' is the name of an earlier one, too"
    assert told[18, "datasets[2].titel"].nearest == "title"
    assert "starts with /" in told[19, "datasets[2].path"].message
    assert "datasets[2].title" in {key for _, key in told}


def test_a_misspelt_command_is_a_fault(folder: Path) -> None:
    text = GOOD.replace("here", "far").replace('"local"', '"slurm"\ncommands = { sbacth = "yhbatch" }')
    (fault,) = [fault for fault in faults_of(folder, text) if "sbacth" in fault.key]
    assert (fault.line, fault.nearest) == (5, "sbatch")


def test_an_id_that_two_files_claim_is_told_and_the_first_file_keeps_it(folder: Path) -> None:
    (fault,) = faults_of(folder, "\n" + GOOD, "later.toml")
    assert (Path(fault.file).name, fault.line, fault.key) == ("later.toml", 2, "id")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('id = "a"\nname = {', 2, "is not TOML"),
        ("a = 1\na = 2\n", 2, "is not TOML"),
        (b'id = "a"\nname = "\xff"\n', 2, "is not UTF-8"),
        (b"\x00", 1, "is not TOML"),
        ("id = " + "[" * 7_000, 1, "nested too deeply"),
        ('id = "' + "x" * 900_000 + '"', 1, "has a line of more than"),
        ("x" * 10_000_000, 1, "is larger than 1 MiB"),
        ("id = " + "9" * 7_000, 1, "a number too long"),
        (".".join("a" * 3_900) + " = 1", 1, ""),
    ],
    ids=range(9),
)
def test_a_file_that_is_no_description_is_told_with_its_line(
    folder: Path, text: str | bytes, line: int, words: str
) -> None:
    fault = faults_of(folder, text)[0]
    assert words in fault.message
    assert fault.line == line


def test_a_file_of_ten_thousand_wrong_keys_gives_a_bounded_report(folder: Path) -> None:
    text = "".join(f'"key\\u202e{n}{"x" * 60}" = {n}\n' for n in range(10_000))
    faults = faults_of(folder, text + GOOD.replace("here", "far"))
    assert len(faults) < 60
    assert faults[-1].message.endswith("more faults") or any("more faults" in f.message for f in faults)


def test_what_cannot_be_read_is_told(folder: Path) -> None:
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(CentreFaults, match="cannot be read: No such file"):
        load(folder / "gone.toml")
    with pytest.raises(CentreFaults, match="no file"):
        load(empty)


def test_a_reload_keeps_the_last_good_version_and_tells_the_faults(folder: Path) -> None:
    centres = Centres(folder)
    assert len(centres) == 0
    assert centres.reload() == ()
    first = centres["here"]
    assert centres.reload() == ()
    assert centres["here"] is first, "an unchanged file is not read again"
    (folder / "here.toml").write_text(GOOD.replace("cores = 4", "cores = 0"))
    (fault,) = centres.reload()
    assert fault.key == "queues[1].cores"
    assert centres["here"].queues[0].cores == 4
    assert centres.reload() == (fault,), "a fault is told until it is mended"
    (folder / "here.toml").write_text(GOOD.replace("cores = 4", "cores = 8888"))
    (folder / "here.toml").write_text(GOOD.replace("cores = 4", "cores = 16"))
    assert centres.reload() == ()
    assert centres["here"].queues[0].cores == 16
    (folder / "two.toml").write_text(GOOD.replace("here", "two"))
    centres.reload()
    (folder / "here.toml").unlink()
    centres.reload()
    assert set(centres) == {"two"}
    (folder / "two.toml").unlink()
    assert "no file" in centres.reload()[0].message
    assert set(centres) == {"two"}, "a folder that is not there takes no centre away"


def test_a_file_replaced_within_the_same_instant_is_seen(folder: Path) -> None:
    centres = Centres(folder)
    centres.reload()
    path, new = folder / "here.toml", folder / "new"
    status = path.stat()
    new.write_text(GOOD.replace("cores = 4", "cores = 5"))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)
    centres.reload()
    assert centres["here"].queues[0].cores == 5


TOML = """\
# [not] a = "table"
a = 1
"b.c" = '''
[x]
d = 2'''
e.f = { g = [1, { h = "]" }], "i" = "}" } # k = 1
[t]
list = [
  "x", # ]
  'y',
]
[[q]]
n = 1
[q.sub]
m = 2
[[q]]
n = \"\"\"a\\"\"\"\"\"
[[q.r]]
z = 1
[[q.r]]
z = 2
"""


def test_lines_of_keys_are_found() -> None:
    lines = Lines(TOML)
    wanted: dict[tuple[str | int, ...], int] = {
        ("a",): 2, ("b.c",): 3, ("e", "f", "g"): 6, ("e", "f", "g", 1, "h"): 6, ("e", "f", "i"): 6, ("t",): 7,
        ("t", "list", 0): 9, ("t", "list", 1): 10, ("q",): 12, ("q", 0, "n"): 13, ("q", 0, "sub", "m"): 15,
        ("q", 1): 16, ("q", 1, "n"): 17, ("q", 1, "r", 0, "z"): 19, ("q", 1, "r", 1, "z"): 21,
        ("q", 1, "gone"): 16, ("k",): 1, ("d",): 1,
    }  # fmt: skip
    tomllib.loads(TOML)
    assert {key: lines.of(key) for key in wanted} == wanted


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab=[]{}\"'#\n.,1\\ é", max_size=60))
def test_the_scanner_ends_on_any_text(text: str) -> None:
    assert Lines(text).of(("a", 1, "b")) >= 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_file_is_read_without_an_exception(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "x.toml"
    path.write_bytes(content)
    assert read(path).faults


HOSTILE: list[Any] = [
    None, "", "x" * 100_000, "a\nb", "a;b", "$(x)", "\u202e", "-x", "a b", 0, -1, 10**30, float("nan"), [], {}, "\x00",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("key", ["at_centre", "gpu_type", "account", "name"])
def test_no_hostile_word_gets_into_a_queue(key: str, value: Any) -> None:
    queue = {"name": "a", "cores": 1, "memory": 1, key: value}
    data = tomllib.loads(GOOD) | {"queues": [queue]}
    if value is None and key != "name":
        assert parse(data).queues[0].model_dump()[key] is None
        return
    with pytest.raises(ValidationError):
        parse(data)


@pytest.mark.parametrize("text", ["a\u202eb", "a\x00", "a\u200bb", ""])
def test_words_for_people_cannot_hide_anything(text: str) -> None:
    with pytest.raises(ValidationError):
        Text(en=text, zh="好")


@pytest.mark.parametrize(
    ("path", "good"),
    [("~", True), ("/a/b_c.d", True), ("/s/{account}/x", True), ("~root/x", False), ("/a/../b", False), ("a", False),
     ("/a b", False), ("/{other}", False), ("/" + "a" * 2000, False), ("/a\n", False)],
)  # fmt: skip
def test_paths_are_absolute_and_plain(path: str, good: bool) -> None:
    data = tomllib.loads(GOOD) | {"paths": {"scratch": path}}
    if good:
        assert parse(data).paths.scratch == path
    else:
        with pytest.raises(ValidationError):
            parse(data)
