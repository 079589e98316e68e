"""From the click to a form that can be used: an app's page against stock Voila, in Chromium, on this machine.

    python deploy/bench/appopen.py [--times 20] [--viewers 30] [--app FOLDER]

A session of kind `app` without a gateway in front, over the tests' double of the broker, so that no network is counted.
Each page is opened in a fresh browser context: nothing is kept from the one before. `warm`: a kernel waits ready. Stock
Voila shows the same inputs as plain ipywidgets. Payload is what Chromium received. Then many viewers at once, each in a
context of its own that stays open; memory is the proportional set size of the server and its kernels over what it was
before, shared by the viewers.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

TOP = Path(__file__).parent.parent.parent
sys.path.insert(0, str(TOP / "tests"))

from doubles.run_broker import TINY, run_broker  # noqa: E402
from harness.app_session import app_server  # noqa: E402
from harness.lab import notebook  # noqa: E402
from perijove.spawners.apps.manifest import App, load  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

FLAGS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --no-first-run"
USABLE = ".pja-Form button[type=submit]"
#: What an author writes today, for the same inputs.
STOCK = """\
import ipywidgets as w
box = [{fields}, w.Button(description="Run")]
w.VBox(box)"""


def stock(app: App) -> str:
    """The app's inputs as ipywidgets."""
    fields = []
    for one in app.inputs.values():
        label = repr(one.title.en)
        match one.type:
            case "integer" | "number":
                kind = "IntSlider" if one.type == "integer" else "FloatSlider"
                fields.append(f"w.{kind}(min={one.min:g}, max={one.max:g}, description={label})")
            case "range":
                fields.append(f"w.FloatRangeSlider(min={one.min}, max={one.max}, description={label})")
            case "choice":
                fields.append(f"w.RadioButtons(options={[c.value for c in one.choices]!r}, description={label})")
            case "boolean":
                fields.append(f"w.Checkbox(description={label})")
            case _:
                fields.append(f"w.Text(description={label})")
    return notebook(STOCK.format(fields=", ".join(fields)))


def opened(browser: Browser, address: str, usable: str) -> tuple[float, int, int]:
    """Seconds until it can be used; bytes and requests until the network is quiet."""
    context = browser.new_context()
    page = context.new_page()
    got = [0, 0]
    session = context.new_cdp_session(page)
    session.send("Network.enable")

    def loaded(event: Any) -> None:
        got[0] += int(event["encodedDataLength"])
        got[1] += 1

    session.on("Network.loadingFinished", loaded)
    begin = time.perf_counter()
    page.goto(address, wait_until="commit", timeout=120_000)
    page.wait_for_selector(usable, timeout=120_000)
    seconds = time.perf_counter() - begin
    page.wait_for_load_state("networkidle", timeout=120_000)
    page.close(run_before_unload=True)
    context.close()
    return seconds, got[0], got[1]


def crowd(browser: Browser, address: str, viewers: int) -> tuple[list[float], list[Page]]:
    """So many people open the page at once; seconds until each can use it. Raises where one cannot."""
    pages = [browser.new_context().new_page() for _ in range(viewers)]
    begin = time.perf_counter()
    for page in pages:
        page.evaluate("address => { setTimeout(() => { location.href = address; }); }", address)
    times = []
    for page in pages:
        page.wait_for_selector(USABLE, timeout=300_000)
        times.append(time.perf_counter() - begin)
    return times, pages


def row(name: str, found: list[tuple[float, int, int]]) -> None:
    """One line of the table."""
    times = sorted(one[0] for one in found)
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    size, requests = max(one[1] for one in found) / 1e6, max(one[2] for one in found)
    print(f"| {name} | {len(found)} | {statistics.median(times):.2f} | {p95:.2f} | {size:.2f} | {requests} |")


def memory(pid: int) -> int:
    """Proportional set size of a process and all below it, in bytes."""
    children: dict[int, list[int]] = {}
    for name in (one.name for one in Path("/proc").iterdir()):
        if name.isdigit():
            try:
                parent = int((Path("/proc") / name / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    total, left = 0, [pid]
    while left:
        one = left.pop()
        left += children.get(one, [])
        try:
            found = re.search(r"^Pss: +(\d+) kB", (Path("/proc") / str(one) / "smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        total += int(found[1]) * 1024 if found else 0
    return total


def stock_voila(stack: ExitStack, app: App, home: Path) -> str:
    """Stock Voila over the same inputs; the address of the page."""
    (home / "stock.ipynb").write_text(stock(app))
    argv = [sys.executable, "-m", "voila", "stock.ipynb", "--no-browser", "--port=18931", "--Voila.ip=127.0.0.1"]
    log = stack.enter_context((home / "stock.log").open("wb"))
    process = subprocess.Popen(argv, cwd=home, env={**os.environ, "HOME": str(home)}, stdout=log, stderr=log)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)
    return "http://127.0.0.1:18931/"


def until_warm(server: Any) -> None:
    """Wait until a kernel is ready: the server has been quiet since it started one."""
    kernels = server.log.read_text().count("Kernel started")
    deadline = time.monotonic() + 20
    quiet = time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet < 4:
        time.sleep(0.2)
        if (now := server.log.read_text().count("Kernel started")) != kernels:
            kernels, quiet = now, time.monotonic()


def main() -> None:
    """Measure and print tables in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--viewers", type=int, default=30)
    parser.add_argument("--app", type=Path, default=TINY)
    given = parser.parse_args()
    app = load(given.app)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pj-bench-")))
        broker = stack.enter_context(run_broker(app))
        option = f"--Perijove.app_kernels={given.viewers + 2}"
        server = stack.enter_context(app_server(home, broker.facts(), option, token=""))
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path="/usr/bin/chromium", args=FLAGS.split()
        )
        ours, theirs = f"{server.address}voila/render/app.ipynb", stock_voila(stack, app, home)
        found: dict[str, list[tuple[float, int, int]]] = {"ours, warm": [], "stock Voila": []}
        opened(browser, ours, USABLE)
        for place in range(given.times):
            until_warm(server)
            found["ours, warm"].append(opened(browser, ours, USABLE))
            if place % 4 == 0:  # side by side, and fewer of them: each takes long
                found["stock Voila"].append(opened(browser, theirs, ".widget-button, .jupyter-button"))
        print("| page | opened | median, s | p95, s | MB | requests |\n|---|---|---|---|---|---|")
        for name, rows in found.items():
            row(name, rows)
        until_warm(server)
        before = memory(server.process.pid)
        times, pages = crowd(browser, ours, given.viewers)
        until_warm(server)
        each = (memory(server.process.pid) - before) / given.viewers / 2**20
        said = f"{given.viewers} viewers at once, none with an error: first {min(times):.1f} s, last {max(times):.1f} s"
        print(f"\n{said}; {each:.0f} MiB for each viewer.")
        for page in pages:
            page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
