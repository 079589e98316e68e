"""What a person sees of an app inside Voila: form, run, results. `show()` is all that a notebook calls.

One widget with native, labelled controls, and not a heap of ipywidgets: every slider is paired with a number box and
both are named, a screen reader and the keyboard find a form, and it is there within the second, as neither a kernel
nor JupyterLab's machinery has to be there first. It talks to the session's server (`perijove.widgets.runroutes`), so
that a run and its page live on when a kernel does not. Authors may put cells with widgets of their own below it.
"""

from __future__ import annotations

from typing import Any


def show() -> Any:
    """The app of this session: the form, its runs and their results.

    Raises:
        RuntimeError: this is no session of an app.
    """
    from perijove.widgets.app.widget import AppWidget

    return AppWidget()


__all__ = ["show"]
