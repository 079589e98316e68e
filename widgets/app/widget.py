"""The notebook's side of the form: which script draws it. Nothing of a person or of a run passes through the kernel."""

from __future__ import annotations

import os

import anywidget
from traitlets import Unicode

#: Set by the server for its kernels: the address of the script's folder, and of the session's own part.
UI, BASE = "PERIJOVE_APP_UI", "PERIJOVE_APP_BASE"
_SCRIPT = """\
export default {
  async render({ model, el }) {
    const app = await import(new URL(`${model.get("ui")}/app.js`, document.baseURI).href);
    if (document.getElementById("perijove-app")) return;  // the page has drawn it
    const sheet = { rel: "stylesheet", href: `${model.get("ui")}/app.css` };
    document.head.append(Object.assign(document.createElement("link"), sheet));
    await app.mount(el, model.get("base"));
  },
};
"""


class AppWidget(anywidget.AnyWidget):
    """The app of this session."""

    _esm = _SCRIPT

    ui = Unicode().tag(sync=True)
    base = Unicode().tag(sync=True)

    def __init__(self) -> None:
        """Raises RuntimeError outside of a session of an app."""
        ui, base = os.environ.get(UI, ""), os.environ.get(BASE, "")
        if not ui or not base:
            raise RuntimeError("this is no session of an app: open the app from the gallery")
        super().__init__(ui=ui, base=base)
