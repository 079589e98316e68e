"""Point-and-click apps, one folder each, and all that their authors import.

A pipeline is `from perijove.apps import Call, Case, Command, Step` and a function `steps(case) -> list[Step]`; an app's
notebook is `from perijove.apps import show; show()`.
"""

if __name__ != "perijove.apps":
    raise ImportError("import perijove.apps, not apps: install the package with `pip install -e .`")

from importlib import import_module
from typing import Any

from perijove.spawners.apps.case import Case
from perijove.spawners.apps.progress import Progress, report
from perijove.spawners.apps.steps import Call, Command, Pipe, Step, Unfit

__all__ = ["Call", "Case", "Command", "Pipe", "Progress", "Step", "Unfit", "report", "show"]


def __getattr__(name: str) -> Any:
    # Widgets are for the notebook; a pipeline at a compute node must not wait for them.
    if name == "show":
        return import_module("perijove.widgets.app").show
    raise AttributeError(f"perijove.apps has no {name}")
