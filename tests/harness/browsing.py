"""What a person does in a browser, from the home page to the output of a cell."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from perijove.hub.people import passwords
from perijove.hub.settings import Settings

#: Milliseconds for JupyterLab to start on a busy machine.
START = 180_000


def start_by_keyboard(page: Any) -> None:
    """From the home page to a start at the first place that fits, without a mouse."""
    page.get_by_role("link", name="Start", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/start")
    page.focus("#f-cores")
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "place":
            break
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions/*")


def run_a_cell(page: Any, code: str) -> str:
    """The output of `code` in a new notebook of JupyterLab."""
    page.get_by_title("Python 3 (ipykernel)").first.click(timeout=START)
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click(timeout=START)
    # JupyterLab forgets what is run before its kernel is there, and says nothing.
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=START)
    page.keyboard.type(code)
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output pre").first
    output.wait_for(timeout=START)
    return str(output.inner_text()).strip()


@contextmanager
def serving(settings: Settings) -> Iterator[None]:
    """`perijove serve` with these settings, in a process of its own."""
    argv = [sys.executable, "-m", "perijove.hub.cli", "serve", "--config", str(settings.save())]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    try:
        said = ""
        while "Perijove is at" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)


def sign_in(page: Any, settings: Settings, name: str = "alice") -> None:
    """At the hub's page, which leads to ours."""
    page.goto(f"{settings.url}/")
    page.fill("#username_input", name)
    page.fill("#password_input", passwords(settings.state_dir)[name])
    page.keyboard.press("Enter")
    page.wait_for_url(f"{settings.url}/services/perijove/")
