"""A Chromium, and the pages over the fake API of `tests/pages` in a server of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi.responses import HTMLResponse, RedirectResponse
from pages import fake, fakemoney, national
from playwright.sync_api import Browser, Page, Request, sync_playwright

TOP = Path(__file__).parent.parent.parent
SHOTS = TOP / "screenshots"
CHROMIUM = Path("/usr/bin/chromium")
DOMAIN = "perijove.test"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # For per-user domains, which need a wildcard in DNS elsewhere.
    f"--host-resolver-rules=MAP *.{DOMAIN} 127.0.0.1, MAP {DOMAIN} 127.0.0.1",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def port() -> int:
    """A free port below those that the kernel gives to clients."""
    for candidate in range(18200, 18900, 7):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", candidate)):
                return candidate
    raise AssertionError("no free port")


def eventually(what: Callable[[], Any], seconds: float = 20.0, every: float = 0.1) -> Any:
    """The first true value of `what`, or a failure after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "did not happen in time"
        threading.Event().wait(every)
    return value


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("PERIJOVE_REAL") == "1":
            pytest.fail("Chromium is not installed: apt-get install chromium")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Gateway:
    """Pages that a browser can reach."""

    url: str
    broker: Any = None
    #: A federation with realistic figures, for the broker's centres.
    national: Any = None
    #: Fills the broker's books.
    busy: Any = None


@pytest.fixture(scope="session")
def fake_gateway() -> Iterator[Gateway]:
    """The real pages over the fake API; the hub signs everybody in as alice."""
    app, broker, _site = fake.create()

    @app.get("/hub/api/oauth2/authorize")
    async def authorize(redirect_uri: str, state: str) -> RedirectResponse:
        return RedirectResponse(f"{redirect_uri}?state={state}&code=good-code", 302)

    @app.get("/user/{path:path}")
    @app.get("/hub/user/{path:path}")
    async def server(path: str) -> HTMLResponse:
        return HTMLResponse(f"<title>the session</title><h1>{len(path)}</h1>")

    @app.get("/favicon.ico")
    async def icon() -> HTMLResponse:
        return HTMLResponse("")

    port = free_port()
    server_ = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server_.run, daemon=True)
    thread.start()
    eventually(lambda: server_.started)
    yield Gateway(f"http://127.0.0.1:{port}", broker, national.national, fakemoney.busy)
    server_.should_exit = True
    thread.join(10)


@dataclass
class Visit:
    """A page of a browser that notes what it must not do."""

    page: Page
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, origin: str) -> None:
        """Note requests to other origins, script errors and breaches of the content security policy."""

        def asked(request: Request) -> None:
            if not request.url.startswith((origin, "data:", "blob:", "about:")):
                self.foreign.append(request.url)

        self.page.on("request", asked)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.errors.append(message.text) if "Content Security Policy" in message.text else None,
        )

    def faults(self) -> list[str]:
        """What is serious for axe, scrolls sideways, comes from elsewhere, or breaks a script."""
        found = [f"from elsewhere: {url}" for url in self.foreign] + [f"script: {text}" for text in self.errors]
        for violation in Axe().run(self.page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                nodes = [(node["target"], node["failureSummary"][:300]) for node in violation["nodes"][:3]]
                found.append(f"axe: {violation['id']} {nodes}")
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{wide} px too wide")
        self.errors.clear()  # axe's own inline styles
        return found

    def shot(self, name: str) -> None:
        """A picture for people, in a folder that git ignores."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=str(SHOTS / f"{name}.png"), full_page=True)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens a fresh browser: `visit(url, width=..., dark=..., lang=...)`."""
    contexts = []

    def begin(url: str, *, width: int = 1280, dark: bool = False, lang: str = "en") -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            locale="zh-CN" if lang == "zh" else "en-GB",
        )
        contexts.append(context)
        made = Visit(context.new_page())
        made.watch("/".join(url.split("/")[:3]))
        made.page.goto(url)
        return made

    yield begin
    for context in contexts:
        context.close()


@dataclass
class Demo:
    """A demo that runs."""

    url: str
    passwords: dict[str, str]

    def sign_in(self, page: Any, name: str = "alice") -> None:
        """Sign in at the hub's page and land on ours."""
        page.goto(f"{self.url}/")
        page.fill("#username_input", name)
        page.fill("#password_input", self.passwords[name])
        page.keyboard.press("Enter")
        page.wait_for_url("**/services/perijove/")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Demo]:
    state: Path = tmp_path_factory.mktemp("demo")
    words = [
        sys.executable,
        "-m",
        "perijove.hub.cli",
        "demo",
        "--no-load",
        "--port",
        str(port),
        "--state-dir",
        str(state),
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    said = "".join(lines)
    url = re.search(r"http://127\.0\.0\.1:\d+", said)
    assert url, said
    yield Demo(url[0], dict(re.findall(r"^ {4}(\w+) +(\S+)$", said, re.MULTILINE)))
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=90)[0]
    assert process.returncode == 0, rest
