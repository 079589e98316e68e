"""A Jupyter server with a page for uploads and nothing else: `python upload_page.py PORT`, in the home directory."""

from __future__ import annotations

import sys
from pathlib import Path

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from perijove.widgets.app import upload as widget
from perijove.widgets.upload import ROUTES
from perijove.widgets.uploads import Uploads
from tornado import web

UI = Path(widget.__file__).parent / "ui"
TITLES = {"en": "Your file", "zh": "您的文件"}
PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><link rel="stylesheet" href="/ui/page.css"></head>
<body><main><h1>{title}</h1><div id="place"></div><pre id="done"></pre></main>
<script type="module" src="/ui/page.js"></script></body></html>"""
MADE = {
    "page.css": """
body { background: #f7f6f3; color: #1c2127; font-family: system-ui, sans-serif; margin: 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --pj-surface: #191f27; --pj-ink: #e9e7e2; --pj-quiet: #a6adb7; --pj-edge: #77818e;
    --pj-action: #8cb8f2; --pj-bad: #f79da3; --pj-sunken: #0c1015; --pj-focus: #a9caf6; --pj-move-bg: #14283f; }
  body { background: #11151b; color: #e9e7e2; }
}""",
    "page.js": """
import { makeUpload } from "/ui/upload.js";
import { speech } from "/ui/words.js";
const chinese = document.documentElement.lang === "zh";
const say = speech(chinese ? "zh" : "en", chinese ? await (await fetch("/ui/words.zh.json")).json() : {});
const done = (path, file) => { document.getElementById("done").textContent = JSON.stringify({ ...file, path }); };
makeUpload(document.getElementById("place"), { say, base: "/perijove/", formats: ["nc", "gz"], done });
""",
}
KINDS = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


class Page(JupyterHandler):
    """The page, under the policy of the gateway's pages."""

    @web.authenticated
    def get(self, lang: str) -> None:
        self.xsrf_token  # noqa: B018 - reading it sets the cookie
        self.set_header("Content-Security-Policy", "default-src 'self'")
        self.finish(PAGE.format(lang=lang, title=TITLES[lang]))


class Ui(JupyterHandler):
    """Its files."""

    @web.authenticated
    def get(self, name: str) -> None:
        self.set_header("Content-Type", KINDS[Path(name).suffix])
        self.finish(MADE.get(name) or (UI / name).read_text(encoding="utf-8"))


def main() -> None:
    app = ServerApp.instance()
    argv = [f"--ServerApp.port={sys.argv[1]}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    app.initialize([*argv, "--no-browser", "--allow-root"], find_extensions=False)
    app.web_app.settings |= {"perijove": None, "perijove_uploads": Uploads(config=app.config)}
    ours = [(path, handler, {"name": "perijove"}) for path, handler in ROUTES]
    app.web_app.add_handlers(".*", [*ours, (r"/page/(en|zh)", Page), (r"/ui/([a-z.]+)", Ui)])
    app.start()


if __name__ == "__main__":
    main()
