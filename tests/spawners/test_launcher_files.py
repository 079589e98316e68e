"""The launcher's verbs for a person's own files, run as the gateway runs it, with a home of its own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from perijove.spawners import launcher
from perijove.spawners.centre import parse
from perijove.spawners.link import LinkError, decode, encode

PART = "abcdefg"
#: A centre where the launcher is installed.
INSTALLED = {
    "id": "here",
    "name": {"en": "Here", "zh": "这里"},
    "scheduler": {"system": "local"},
    "login": {"launcher": "/opt/perijove/launcher"},
    "environment": {"python": "/usr/bin/python3"},
    "queues": [{"name": "day", "cores": 2, "memory": "4G"}],
}


class Stream(NamedTuple):
    """Standard input or output, of which the launcher uses the bytes."""

    buffer: io.BytesIO


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory for the account that the launcher runs as."""
    place = tmp_path / "home"
    place.mkdir()
    person = launcher.pwd.getpwuid(os.getuid())

    class Person:
        pw_name, pw_dir = person.pw_name, str(place)

    monkeypatch.setattr(launcher.pwd, "getpwuid", lambda _: Person)
    return place


def ask(verb: str, path: str, **more: Any) -> dict[str, Any]:
    """The answer, as it goes over a link."""
    request = {"verb": verb, "base": "~/.perijove", "path": path} | more
    sent, out = encode(parse(INSTALLED), request), io.BytesIO()
    with mock.patch.object(sys, "stdin", Stream(io.BytesIO(sent))), mock.patch.object(sys, "stdout", Stream(out)):
        launcher.main()
    try:
        return decode(0, b"Welcome!\n" + out.getvalue(), b"")
    except LinkError as error:
        return {"ok": False, "problem": error.code, "detail": error.detail}


def read(path: str, offset: int = 0, length: int = 1 << 20, **more: Any) -> dict[str, Any]:
    return ask("read", path, offset=offset, length=length, **more)


def write(path: str, data: bytes, offset: int = 0, **more: Any) -> dict[str, Any]:
    return ask("write", path, part=PART, offset=offset, length=len(data), body=data, **more)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_file_is_read_in_pieces_with_its_size_and_its_digest(home: Path) -> None:
    (home / "x.nc").write_bytes(b"0123456789")
    first = read("~/x.nc", 2, 3, sha256=True)
    assert first["body"] == b"234"
    assert (first["total"], first["sha256"]) == (10, sha(b"0123456789"))
    assert read(str(home / "x.nc"), 8)["body"] == b"89"
    assert "body" not in read("x.nc", 50)


def test_a_piece_is_bounded(home: Path) -> None:
    with (home / "big").open("wb") as file:
        file.truncate(launcher.PIECE * 2)
    assert len(read("big", 0, 1 << 40)["body"]) == launcher.PIECE
    assert write("copy", b"x" * (launcher.PIECE + 1))["problem"] == "offset"


@pytest.mark.parametrize(
    "path", ["../x", "~/../x", "a/../../x", "/etc/passwd", "~root/x/../y", ".ssh/id", "~/.bashrc", "a/.b/c", "x\0y"]
)
@pytest.mark.parametrize("verb", ["read", "list", "write"])
def test_a_path_that_leads_elsewhere_or_to_hidden_files_is_refused(verb: str, path: str) -> None:
    answer = ask(verb, path, offset=0, length=1, part=PART, body=b"x", done=sha(b"x"))
    assert (answer["ok"], answer["problem"]) == (False, "outside")


def test_links_may_stay_below_the_home_and_never_lead_out_of_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no")
    (tmp_path / "elsewhere").mkdir()
    (home / "inside").write_text("yes")
    (home / "to-inside").symlink_to("inside")
    (home / "to-secret").symlink_to(tmp_path / "secret")
    (home / "to-folder").symlink_to(tmp_path / "elsewhere")
    (home / ".ssh").mkdir()
    (home / "to-hidden").symlink_to(".ssh")
    assert read("to-inside")["body"] == b"yes"
    for path in ("to-secret", "to-folder/x", "to-hidden/id"):
        assert read(path)["problem"] == "outside", path
        if "/" in path:
            assert write(path, b"x", done=sha(b"x"))["problem"] == "outside", path
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert [entry["name"] for entry in ask("list", "~")["entries"]] == ["inside", "to-inside"]


def test_what_is_written_replaces_a_link_and_does_not_follow_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (home / "out").symlink_to(tmp_path / "victim")
    assert write("out", b"new", done=sha(b"new"))["problem"] == "exists"
    assert write("out", b"new", done=sha(b"new"), replace=True)["ok"]
    assert (tmp_path / "victim").read_text() == "kept"
    assert (home / "out").read_text() == "new"
    assert not (home / "out").is_symlink()


def test_a_planted_partial_file_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (home / f".perijove-{PART}.part").symlink_to(tmp_path / "victim")
    assert write("out", b"new")["problem"] == "not-a-file"
    assert (tmp_path / "victim").read_text() == "kept"


@pytest.mark.parametrize("part", ["", "../x", "A", "a/b", "abc\n", None])
def test_a_name_for_a_partial_file_that_is_none_is_refused(home: Path, part: object) -> None:
    assert ask("write", "x", part=part)["problem"] == "request"


def test_pipes_devices_and_folders_are_no_files(home: Path) -> None:
    os.mkfifo(home / "pipe")
    (home / "folder").mkdir()
    assert read("pipe")["problem"] == "not-a-file"
    assert read("folder")["problem"] == "not-a-file"
    assert read("nothing")["problem"] == "no-file"
    assert ask("list", "pipe")["problem"] == "no-folder"
    assert {e["name"]: e["kind"] for e in ask("list", "~")["entries"]} == {"pipe": "other", "folder": "folder"}
    assert write("folder", b"x", done=sha(b"x"), replace=True)["problem"] == "exists"
    assert write("~", b"x", done=sha(b"x"), replace=True)["problem"] == "outside"


def test_a_file_is_written_in_pieces_resumed_and_there_only_at_the_end(home: Path) -> None:
    assert write("sub/folder/x", b"hello ")["size"] == 6
    assert not (home / "sub/folder/x").exists()
    assert ask("write", "sub/folder/x", part=PART)["size"] == 6  # a cut: what is there?
    assert write("sub/folder/x", b"lost", offset=9)["problem"] == "offset"
    assert write("sub/folder/x", b"world", offset=6)["size"] == 11
    assert write("sub/folder/x", b"World", offset=6, done=sha(b"hello World"))["size"] == 11  # sent twice
    assert (home / "sub/folder/x").read_bytes() == b"hello World"
    assert stat.S_IMODE((home / "sub/folder/x").stat().st_mode) == 0o600
    assert [path.name for path in (home / "sub/folder").iterdir()] == ["x"]


def test_what_arrives_broken_is_removed_and_never_a_result(home: Path) -> None:
    assert write("x", b"half", done=sha(b"whole"))["problem"] == "checksum"
    assert list(home.iterdir()) == []


def test_what_a_broken_connection_brought_is_kept(home: Path) -> None:
    assert ask("write", "x", part=PART, offset=0, length=9, body=b"half")["size"] == 4
    assert write("x", b"-and-half", offset=4, done=sha(b"half-and-half"))["ok"]
    assert (home / "x").read_bytes() == b"half-and-half"


def test_any_bytes_are_a_piece(home: Path) -> None:
    content = b'\n{"ok":true,"body":1}\n\xff\n\n' * 3
    assert write("x", content, done=sha(content))["ok"]
    assert read("x")["body"] == content


def test_dropped_is_gone(home: Path) -> None:
    write("x", b"half")
    assert len(list(home.iterdir())) == 1
    assert ask("write", "x", part=PART, drop=True)["size"] == 0
    assert ask("write", "x", part=PART, drop=True)["ok"]
    assert list(home.iterdir()) == []


def test_the_gateways_own_directory_is_open_with_its_hidden_files(home: Path) -> None:
    assert write("~/.perijove/runs/abc/.x", b"1", done=sha(b"1"))["ok"]
    assert [e["name"] for e in ask("list", "~/.perijove/runs/abc")["entries"]] == [".x"]
    assert read("~/.perijove/runs/abc/.x")["body"] == b"1"


def test_a_persons_own_files_are_not_the_gateways(home: Path) -> None:
    assert write("~/.perijove/runs/abc/x", b"1", done=sha(b"1"))["ok"]
    assert read("~/.perijove/runs/abc/x", own=True)["problem"] == "outside"
    answer = launcher.answer_to(json.dumps({"verb": "list", "base": "~/gateway", "path": "~/gateway", "own": True}))
    assert answer["problem"] == "outside"


def test_a_long_folder_is_cut_and_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "NAMES", 3)
    for number in range(5):
        (home / f"f{number}").touch()
    answer = ask("list", "~")
    assert ([entry["name"] for entry in answer["entries"]], answer["more"]) == (["f0", "f1", "f2"], True)


NAMES = st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, content=st.binary(max_size=50))
@example(name=b"$(touch pwned) `id` ; \" ' \n *.nc", content=b"x")
@example(name="区域 温度.nc".encode(), content=b"x")
@example(name=b"\xff\xfe", content=b"x")
@example(name=b"-rf", content=b"x")
@example(name=b"..", content=b"x")
def test_any_name_is_a_name(home: Path, name: bytes, content: bytes) -> None:
    path = "~/" + name.decode("utf-8", "surrogateescape")
    answer = write(path, content, done=sha(content), replace=True)
    if name.startswith(b"."):
        assert answer["problem"] == "outside"
        return
    assert answer["ok"], answer
    assert read(path).get("body", b"") == content
    (there,) = home.iterdir()
    assert os.fsencode(there.name) == name
    listed = ask("list", "~")["entries"]
    assert [entry["name"].encode("utf-8", "surrogateescape") for entry in listed] == [name]
    there.unlink()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["..", ".", "~", "", "a", "out", "in", "~root", ".ssh", "etc"]), max_size=6))
def test_no_path_leads_out(home: Path, words: list[str]) -> None:
    outside = home.parent / "outside"
    outside.mkdir(exist_ok=True)
    for name, target in (("out", outside), ("in", home / "a")):
        if not os.path.lexists(home / name):
            (home / name).symlink_to(target)
    before = sorted(outside.rglob("*"))
    write("/".join(words), b"x", done=sha(b"x"), replace=True)
    assert sorted(outside.rglob("*")) == before
    assert {path.name for path in home.parent.iterdir()} == {"home", "outside"}
    assert not any(path.is_file() for path in home.rglob(".ssh/*"))
