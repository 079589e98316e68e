"""Sending a file in Chromium: a cut in the middle, a reload, pause and stop; how it looks and reads."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

TOP = Path(__file__).parent.parent.parent
SHOTS = TOP / "screenshots"
PIECE = 4 << 20
expect.set_options(timeout=60_000)  # a busy machine is no fault of the page


class Site:
    """The server, and the home directory that files go to."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder = home, home / "perijove-data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/page"
        environment = os.environ | {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config")}
        argv = [sys.executable, str(TOP / "tests/harness/upload_page.py"), str(self.port)]
        with (home / "log").open("wb") as log:
            self.process = subprocess.Popen(argv, cwd=home, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self.port)):
                    return
            assert time.monotonic() < deadline
            assert self.process.poll() is None, (home / "log").read_text()
            threading.Event().wait(0.1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = Site(tmp_path_factory.mktemp("home"))
    yield one
    one.process.terminate()
    one.process.wait(20)


class Cut:
    """The way to the server, which breaks at a piece and stays broken until it is mended."""

    def __init__(self, page: Any, at: int) -> None:
        self.broken, self.offsets = False, list[int]()
        self._at = at
        page.route("**/perijove/upload/**", self._pass)

    def _pass(self, route: Any) -> None:
        request = route.request
        if request.method == "PUT":
            self.offsets.append(int(request.url.partition("offset=")[2].partition("&")[0]))
            self.broken = self.broken or len(self.offsets) == self._at
        if self.broken:
            route.abort("connectionfailed")
        else:
            route.continue_()


def file(tmp_path: Path, name: str, pieces: float) -> tuple[Path, bytes]:
    data = os.urandom(int(pieces * PIECE))
    (tmp_path / name).write_bytes(data)
    return tmp_path / name, data


def faults(visitor: Any) -> list[str]:
    found = [f"from elsewhere: {url}" for url in visitor.foreign] + visitor.errors
    for violation in Axe().run(visitor.page).response["violations"]:
        found.append(f"{violation['id']}: {[node['target'] for node in violation['nodes'][:3]]}")
    visitor.errors.clear()  # axe's own inline styles
    return found


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_goes_on_after_a_cut_and_looks_and_reads_well(
    site: Site, visit: Callable[..., Any], tmp_path: Path, language: str, dark: bool
) -> None:
    visitor = visit(f"{site.url}/{language}", lang=language, dark=dark)
    page = visitor.page
    words = {
        "en": ("Send a file from this computer", "The connection is lost", "is at the centre"),
        "zh": ("从本机上传文件", "连接已断开", "已存入超算中心"),
    }[language]
    name = f"reads of {language} {dark}.fastq.gz"
    path, data = file(tmp_path, name, 5.5)
    assert not faults(visitor)
    page.screenshot(path=str(SHOTS / f"upload-{language}-{dark}-empty.png"))
    cut = Cut(page, at=4)
    page.get_by_label(words[0]).set_input_files(path)
    expect(page.get_by_role("status")).to_contain_text(words[1])
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 600})
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        page.screenshot(path=str(SHOTS / f"upload-{language}-{dark}-{width}.png"))
        assert not faults(visitor)
    sent = page.locator("progress").evaluate("bar => bar.value")
    assert 0 < sent < 1
    cut.broken = False
    expect(page.get_by_role("status")).to_contain_text(words[2])
    assert cut.offsets.count(0) == 2  # the empty piece that asks, and the first one: what was sent is not sent again
    assert (site.folder / name).read_bytes() == data
    told = json.loads(page.locator("#done").inner_text())
    assert (told["path"], told["sha256"]) == (f"perijove-data/{name}", hashlib.sha256(data).hexdigest())
    page.screenshot(path=str(SHOTS / f"upload-{language}-{dark}-done.png"))


def test_after_a_reload_the_same_file_goes_on_where_it_stopped(
    site: Site, visit: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit(f"{site.url}/en").page
    path, data = file(tmp_path, "a $(b) 'c'.nc", 4)
    cut = Cut(page, at=4)
    page.get_by_label("Send a file from this computer").set_input_files(path)
    expect(page.get_by_role("status")).to_contain_text("The connection is lost")
    page.unroute("**/perijove/upload/**")
    page.reload()
    expect(page.get_by_text("“a $(b) 'c'.nc” was not sent to its end. Choose it again")).to_be_visible()
    again = Cut(page, at=0)
    page.get_by_label("Send a file from this computer").set_input_files(path)
    expect(page.get_by_role("status")).to_contain_text("is at the centre")
    assert min(again.offsets) == max(cut.offsets) > 0
    assert (site.folder / path.name).read_bytes() == data
    expect(page.get_by_text("was not sent to its end")).to_be_hidden()


def test_the_keyboard_pauses_goes_on_and_stops_it(site: Site, visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit(f"{site.url}/en").page
    path, _data = file(tmp_path, "paused.nc", 4)
    cut = Cut(page, at=3)
    page.get_by_label("Send a file from this computer").set_input_files(path)
    expect(page.get_by_role("status")).to_contain_text("The connection is lost")
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Paused.")
    cut.broken = False
    before = len(cut.offsets)
    page.get_by_role("button", name="Go on").press("Tab")
    expect(page.get_by_role("button", name="Stop and remove what was sent")).to_be_focused()
    assert len(cut.offsets) == before
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("what was sent is removed")
    expect(page.get_by_label("Send a file from this computer")).to_be_enabled()
    assert not list(site.folder.glob("*paused*"))
    assert not list(site.folder.glob(".upload-*"))


def test_what_is_no_such_file_or_has_no_room_is_said(site: Site, visit: Callable[..., Any], tmp_path: Path) -> None:
    visitor = visit(f"{site.url}/en")
    page = visitor.page
    path, _data = file(tmp_path, "picture.png", 0.1)
    page.get_by_label("Send a file from this computer").set_input_files(path)
    expect(page.get_by_role("status")).to_contain_text("“picture.png” is no file of this kind: nc, gz are read here.")
    answer = json.dumps({"error": "disk-full", "message": "full", "values": {}})
    page.route(
        "**/perijove/upload/**",
        lambda route: (
            route.fulfill(status=507, body=answer, content_type="application/json")
            if route.request.method == "PUT"
            else route.continue_()
        ),
    )
    path, _data = file(tmp_path, "large.nc", 0.1)
    page.get_by_label("Send a file from this computer").set_input_files(path)
    expect(page.get_by_role("status")).to_contain_text("There is no room left for this file")
    assert not faults(visitor)
