"""Uploads into a real Jupyter server, cut, resumed, refused; and any name that a file may have."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from perijove.widgets import upload, uploads
from perijove.widgets.upload import ROUTES
from perijove.widgets.uploads import NAME, Part, Uploads, UploadTrouble, safe_name
from traitlets.config import Config

TOKEN = "token-of-the-test"


class Site:
    """A Jupyter server with our addresses, in this process."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.folder = home, home / "perijove-data"
        monkeypatch.setenv("HOME", str(home))
        self.config = Config()
        self.app: Any = None
        self.url = ""

    async def __aenter__(self) -> Site:
        from jupyter_server.serverapp import ServerApp
        from tornado.httpserver import HTTPServer
        from tornado.testing import bind_unused_port

        ServerApp.clear_instance()
        self.config.IdentityProvider.token = TOKEN
        self.app = ServerApp.instance(config=self.config)
        self.app.initialize(argv=["--no-browser", "--allow-root"], find_extensions=False, new_httpserver=False)
        web = self.app.web_app
        web.settings["perijove"] = None  # an extension's handlers look for the extension there
        web.settings["perijove_uploads"] = Uploads(config=self.config)
        web.add_handlers(".*", [(f"/base{path}", handler, {"name": "perijove"}) for path, handler in ROUTES])
        sock, port = bind_unused_port()
        self._server = HTTPServer(web, max_body_size=512 << 20)
        self._server.add_socket(sock)
        self.url = f"http://127.0.0.1:{port}/base/perijove"
        self.port = port
        self.client = httpx.AsyncClient(headers={"Authorization": f"token {TOKEN}"}, trust_env=False, timeout=30)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        self._server.stop()
        await self._server.close_all_connections()
        await self.app._cleanup()
        self.app.clear_instance()

    def address(self, name: str, **query: Any) -> str:
        return f"{self.url}/upload/{quote(name, safe='')}?{urlencode(query)}"

    async def put(
        self, name: str, data: bytes, offset: int = 0, total: int | None = None, **more: Any
    ) -> httpx.Response:
        total = len(data) if total is None else total
        address = self.address(name, offset=offset, total=total, **{"key": "1"} | more)
        return await self.client.put(address, content=data)

    async def there(self, name: str, total: int, key: str = "1") -> int:
        answer = await self.client.head(self.address(name, total=total, key=key))
        return int(answer.headers["Upload-Offset"])

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    (tmp_path / "home").mkdir()
    yield Site(tmp_path / "home", monkeypatch)


async def test_a_file_comes_in_pieces_and_is_there_at_the_end_with_its_digest(site: Site) -> None:
    async with site:
        data = os.urandom(300_000)
        first = await site.put("reads.fastq.gz", data[:200_000], total=len(data))
        assert (first.status_code, first.json()) == (200, {"offset": 200_000, "done": None})
        assert all(name.startswith(".upload-") for name in site.files())
        assert await site.there("reads.fastq.gz", len(data)) == 200_000
        last = await site.put(
            "reads.fastq.gz", data[200_000:], 200_000, len(data), sha256=hashlib.sha256(data).hexdigest()
        )
        assert last.status_code == 201
        done = last.json()["done"]
        assert (done["name"], done["path"]) == ("reads.fastq.gz", "~/perijove-data/reads.fastq.gz")
        assert done["sha256"] == hashlib.sha256(data).hexdigest()
        assert (site.folder / "reads.fastq.gz").read_bytes() == data
        assert site.files() == ["reads.fastq.gz"]
        assert await site.there("reads.fastq.gz", len(data)) == len(data)


async def test_what_came_before_a_cut_is_kept_and_the_rest_follows(site: Site) -> None:
    async with site:
        data = os.urandom(400_000)
        with socket.create_connection(("127.0.0.1", site.port)) as raw:
            path = site.address("x.nc", offset=0, total=len(data), key="1").partition(str(site.port))[2]
            head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {TOKEN}\r\n"
            head += f"Content-Length: {len(data)}\r\n\r\n"
            await asyncio.to_thread(raw.sendall, head.encode() + data[:250_000])
            deadline = time.monotonic() + 20
            while await site.there("x.nc", len(data)) < 250_000:
                assert time.monotonic() < deadline
            busy = await site.put("x.nc", data)
            assert (busy.status_code, busy.json()["error"]) == (409, "busy")
        while (answer := await site.put("x.nc", data[250_000:], 250_000, len(data))).status_code == 409:
            assert time.monotonic() < deadline
        assert answer.status_code == 201
        assert (site.folder / "x.nc").read_bytes() == data


async def test_a_last_piece_whose_answer_was_lost_makes_no_second_file(site: Site) -> None:
    async with site:
        assert (await site.put("x", b"abc")).json()["done"]["name"] == "x"
        site.app.web_app.settings["perijove_uploads"].done.clear()  # the server was started again
        assert (await site.put("x", b"abc")).json()["done"]["name"] == "x"
        assert site.files() == ["x"]


async def test_another_file_of_that_name_gets_a_new_name(site: Site) -> None:
    async with site:
        answers = [await site.put("reads.fastq.gz", data, key=data.decode()) for data in (b"a", b"b", b"c")]
        names = [answer.json()["done"]["name"] for answer in answers]
        assert names == ["reads.fastq.gz", "reads (2).fastq.gz", "reads (3).fastq.gz"]
        (site.folder / "link.nc").symlink_to(site.home / "victim")
        assert (await site.put("link.nc", b"x")).json()["done"]["name"] == "link (2).nc"
        assert not (site.home / "victim").exists()


async def test_two_files_of_one_name_and_size_are_not_mixed(site: Site) -> None:
    async with site:
        await site.put("x", b"aaa", total=6, key="of monday")
        assert await site.there("x", 6, "of tuesday") == 0
        wrong = await site.put("x", b"bbb", 3, 6, key="of tuesday")
        assert (wrong.status_code, wrong.json()["error"]) == (409, "offset")


async def test_what_is_wrong_is_said_in_words_and_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.config.Uploads.most = 1000
    async with site:
        bad = await site.put("x", b"abc", sha256="0" * 64)
        assert (bad.status_code, bad.json()["error"]) == (422, "checksum")
        large = await site.put("x", b"abc", total=1001)
        assert (large.status_code, large.json()["message"]) == (413, "A file may have at most 1000 bytes here.")
        for query in ({"total": 2}, {"total": -1}, {"offset": -1}, {"offset": "x"}, {"total": 10**20}):
            assert (await site.put("x", b"abc", **query)).status_code in (400, 413), query
        monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: SimpleNamespace(free=2))
        full = await site.put("x", b"abc")
        assert (full.status_code, full.json()["error"]) == (507, "disk-full")
        assert "quota" in full.json()["message"]
        assert site.files() == []


async def test_a_disk_that_fills_up_meanwhile_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upload, "_write", full)
    async with site:
        answer = await site.put("x", b"abc")
        assert (answer.status_code, answer.json()["error"]) == (507, "disk-full")


async def test_forgotten_is_gone_and_old_parts_are_tidied(site: Site) -> None:
    async with site:
        await site.put("x", b"abc", total=6)
        assert (await site.client.delete(site.address("x", total=6, key="1"))).status_code == 204
        assert site.files() == []
        await site.put("y", b"abc", total=6)
        os.utime(next(site.folder.iterdir()), (1, 1))
        await site.put("z", b"abc")
        assert site.files() == ["z"]


async def test_nobody_else_uploads_or_looks(site: Site) -> None:
    async with site:
        async with httpx.AsyncClient(trust_env=False) as stranger:
            assert (await stranger.put(site.address("x", offset=0, total=1), content=b"x")).status_code == 403
            assert (await stranger.head(site.address("x", total=1))).status_code in (302, 403)
        assert not site.folder.exists()


async def test_a_planted_link_for_a_part_is_not_followed(site: Site) -> None:
    site.folder.mkdir()
    part = Part(site.folder, "x", 3, "1")
    part.path.symlink_to(site.home / "victim")
    async with site:
        assert (await site.put("x", b"abc")).status_code == 403
    assert not (site.home / "victim").exists()


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=300))
@example("../../.ssh/authorized_keys")
@example("C:\\temp\\x.nc")
@example("")
@example("..")
@example("-rf")
@example("~root")
@example("$(touch pwned) `id`; \" ' \n\r\0 *.nc")
@example("区域" * 200 + ".fastq.gz")
@example("a\u202egpj.exe")
def test_any_name_becomes_a_plain_name_in_the_folder(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= NAME
    assert "/" not in safe
    assert safe[0] not in ".-~"
    assert safe.isprintable()
    assert safe_name(safe) == safe
    with tempfile.TemporaryDirectory() as folder:
        part = Part(Path(folder), name, 1, "")
        handle = part.open(0)
        os.write(handle, b"x")
        os.close(handle)
        assert list(Path(folder).iterdir()) == [part.path]
        done = part.place("")
        assert [path.name for path in Path(folder).iterdir()] == [done.name] == [safe]


@pytest.mark.parametrize(
    "name",
    ["plain.nc", "with space.nc", 'it\'s "quoted".nc', "$(x) `y` ;&|.nc", "温度 2094.nc", "a.fastq.gz", "%2e%2e"],
)
def test_what_people_call_their_files_is_kept(name: str) -> None:
    assert safe_name(name) == name


def test_the_kind_of_a_long_name_is_kept() -> None:
    assert safe_name("x" * 300 + ".fastq.gz").endswith("x.fastq.gz")


def test_a_part_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UploadTrouble, match="another place"):
        Part(tmp_path, "x", 5, "").open(3)
    assert json.dumps(UploadTrouble(409, "offset").values) == "{}"
