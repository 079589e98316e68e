"""How a cluster shows itself in a notebook: the panel, where its libraries are there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any


def show(cluster: Any) -> bool:
    """Display the panel; False where there is none."""
    if find_spec("perijove.widgets.panel") is None or find_spec("anywidget") is None:
        return False
    from importlib import import_module

    from IPython.display import display  # type: ignore[import-not-found,unused-ignore]

    display(import_module("perijove.widgets.panel").panel(cluster))  # type: ignore[no-untyped-call]
    return True
