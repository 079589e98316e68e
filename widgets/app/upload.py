"""A widget that sends a file from the browser to the centre: `Upload(formats=["nc"])` in a notebook of one's own.

The file goes to the session's server (`perijove.widgets.upload`), never through the kernel; the kernel hears its path.
The script is the app page's own (`ui/upload.js`), put behind what it imports, since a widget's script is one module.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import anywidget
from perijove.spawners.facts import Facts
from traitlets import Dict, Int, List, Unicode

_UI = Path(__file__).parent / "ui"
#: Where the session's server is, as the page knows: JupyterLab and Voila both say it in their configuration.
_RENDER = """
function sessionBase() {
  const config = document.getElementById("jupyter-config-data");
  const root = config ? JSON.parse(config.textContent).baseUrl : document.body.dataset.baseUrl;
  return `${root || "/"}perijove/`;
}

export default {
  render({ model, el }) {
    const say = speech(model.get("language"), model.get("language") === "zh" ? model.get("words") : {});
    el.lang = model.get("language") === "zh" ? "zh-CN" : "en";
    makeUpload(el, {
      say, base: sessionBase(), formats: model.get("formats"), label: model.get("label"),
      done(path, file) {
        model.set({ path: file.path, name: file.name, size: file.size, sha256: file.sha256 });
        model.save_changes();
      },
    });
  },
};
"""


def _script() -> str:
    """The files as one module."""
    files = [(_UI / name).read_text(encoding="utf-8") for name in ("dom.js", "words.js", "upload.js")]
    lines = [line for file in files for line in file.splitlines() if not line.startswith("import ")]
    return "\n".join(lines) + _RENDER


class Upload(anywidget.AnyWidget):
    """A place to choose or drop one file. `path`, `size` (bytes) and `sha256` are those of the last one sent."""

    _esm = _script()
    _css = _UI / "upload.css"

    label = Unicode().tag(sync=True)
    #: Endings of the files that are wanted, without the first dot; none: any.
    formats: List[str] = List(Unicode()).tag(sync=True)
    language = Unicode("en").tag(sync=True)
    words = Dict().tag(sync=True)
    path = Unicode().tag(sync=True)
    name = Unicode().tag(sync=True)
    size = Int().tag(sync=True)
    sha256 = Unicode().tag(sync=True)

    def __init__(self, label: str = "", formats: tuple[str, ...] = ()) -> None:
        language = Facts.read(os.environ).language or "en"
        words = json.loads((_UI / "words.zh.json").read_text(encoding="utf-8")) if language == "zh" else {}
        super().__init__(label=label, formats=list(formats), language=language, words=words)
