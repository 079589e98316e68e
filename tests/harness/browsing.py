"""What a person does in a browser, from the home page to the output of a cell."""

from __future__ import annotations

from typing import Any

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
