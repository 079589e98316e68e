"""A bundle is the same each time, and a hostile one writes nothing."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from perijove.spawners.apps import folder as folders
from perijove.spawners.apps.bundle import BadBundle, pack, unpack
from perijove.spawners.apps.manifest import App, load

DIGEST = "0" * 64


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in entries:
            bundle.writestr(name, content)
    return whole.getvalue()


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


def nothing_outside(tmp_path: Path) -> bool:
    """Nothing but the folder of apps was made, and it is empty."""
    return [path.name for path in tmp_path.iterdir()] in ([], ["apps"]) and not list((tmp_path / "apps").rglob("*"))


def test_an_app_arrives_as_it_left(every: App, tmp_path: Path) -> None:
    data = pack(every)
    os.utime(every.folder / "pipeline.py", (1, 1))
    assert pack(every) == data
    there = unpack(data, every.digest, tmp_path / "apps")
    assert there == tmp_path / "apps" / every.digest
    assert load(there).digest == every.digest
    assert load(there).model_dump() == every.model_dump()
    assert [path.name for path in (tmp_path / "apps").iterdir()] == [every.digest]


def test_what_is_there_and_good_is_kept_and_what_is_damaged_replaced(every: App, tmp_path: Path) -> None:
    there = unpack(pack(every), every.digest, tmp_path)
    before = there.stat().st_ino
    assert unpack(b"not even a zip", every.digest, tmp_path).stat().st_ino == before
    (there / "pipeline.py").write_text("damaged")
    assert unpack(pack(every), every.digest, tmp_path) == there
    assert load(there).digest == every.digest
    assert [path.name for path in tmp_path.iterdir()] == [every.digest]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 and nothing",
        zipped(("../out", b"x")),
        zipped(("/tmp/out", b"x")),
        zipped(("a/../../out", b"x")),
        zipped(("a\\..\\out", b"x")),
        zipped(("a//b", b"x")),
        zipped(("./a", b"x")),
        zipped(("a\nb", b"x")),
        zipped(("d/", b"")),
        zipped(("a", b"x"), ("a/b", b"x")),
        zipped(("a/b", b"x"), ("a", b"x")),
        zipped((entry("link", stat.S_IFLNK | 0o777), b"/etc/passwd")),
        zipped((entry("pipe", stat.S_IFIFO | 0o666), b"")),
        zipped(*((f"f{number}", b"") for number in range(folders.MOST_FILES + 1))),
        zipped(("bomb", b"\0" * (folders.MOST_BYTES + 1))),
        zipped(("app.toml", b"another app")),
    ],
)
def test_a_hostile_bundle_is_refused_and_leaves_nothing(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadBundle):
        unpack(data, DIGEST, tmp_path / "apps")
    assert nothing_outside(tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="twice"):
        unpack(zipped(("a", b"x"), ("a", b"y")), DIGEST, tmp_path / "apps")


def test_a_size_that_the_directory_lies_about_is_counted(tmp_path: Path) -> None:
    data = bytearray(zipped(("a", b"x" * 100_000)))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")  # the uncompressed size in the directory
    with pytest.raises(BadBundle):
        unpack(bytes(data), DIGEST, tmp_path / "apps")


@pytest.mark.parametrize("digest", ["", "..", "a/b", "0" * 63, "0" * 64 + "\n"])
def test_a_digest_that_is_none_is_no_way_out(digest: str, tmp_path: Path) -> None:
    with pytest.raises(BadBundle):
        unpack(b"", digest, tmp_path / "apps")
    assert list(tmp_path.iterdir()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.binary(max_size=20), st.integers(0, 0xFFFF))
def test_no_name_and_no_mode_leads_out(tmp_path: Path, name: str, content: bytes, mode: int) -> None:
    try:
        data = zipped((entry(name, mode), content))
    except (ValueError, UnicodeError):  # no zip can hold it
        return
    with pytest.raises(BadBundle):
        unpack(data, DIGEST, tmp_path / "apps")
    assert nothing_outside(tmp_path)


@given(data=st.binary(max_size=300), at=st.integers(0, 400), byte=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_is_refused_in_words(tmp_path: Path, data: bytes, at: int, byte: int) -> None:
    good = bytearray(zipped(("a/b", b"content" * 10), ("c", b"d")))
    good[at % len(good)] = byte
    for one in (data, bytes(good)):
        with pytest.raises(BadBundle):
            unpack(one, DIGEST, tmp_path / "apps")
    assert nothing_outside(tmp_path)
