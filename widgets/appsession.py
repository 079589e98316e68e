"""The app's part of a session's server: what the page is told, the page itself, and the runs.

Made by the extension (`perijove.widgets.server`) where `PERIJOVE_APP_FOLDER` names an app, which only
`perijove.widgets.appserver` sets.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from html import escape
from pathlib import Path
from typing import Any

from perijove.spawners.apps.manifest import App, load
from perijove.spawners.facts import Facts
from perijove.widgets import apppage
from perijove.widgets.appserver import options
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.packed import Packed, PackedHandler
from perijove.widgets.runs import Runs
from perijove.widgets.way import Unreachable, Way

#: Seconds between attempts to tell the broker what was found here.
AGAIN = 10.0
_ENGLISH = {
    "skip": "Skip to the app",
    "loading": "Making the form ready …",
    "slow": "This takes longer than usual. The form comes by itself as soon as it is there.",
    "failed": "The form did not load: {why}. Load the page again; if that does not help, stop this session and open "
    "the app once more.",
    "out": "You are signed out: load the page again to sign in.",
    "offline": "The session does not answer: it may be over. Look at your sessions, or load the page again.",
    "noscript": "This page needs JavaScript: please allow it for this address.",
    "queue-one": "One person is before you.",
    "queue-many": "{ahead} people are before you.",
    "queue-more": "The page comes by itself when it is your turn; you need not do anything.",
    "broken": "The app’s page cannot be shown.",
    "broken-more": "Its notebook did not run. Load the page again; if that does not help, tell whoever made the app.",
}
_CHINESE = {
    "skip": "跳到应用",
    "loading": "正在准备表单……",
    "slow": "比平时慢一些。准备好后表单会自动出现。",
    "failed": "表单未能加载：{why}。请重新加载页面；如仍不行，请停止此会话并重新打开应用。",
    "out": "您已退出登录：请重新加载页面以登录。",
    "offline": "会话没有应答，可能已结束。请查看您的会话，或重新加载页面。",
    "noscript": "此页面需要 JavaScript：请允许此地址使用。",
    "queue-one": "您前面还有 1 人。",
    "queue-many": "您前面还有 {ahead} 人。",
    "queue-more": "轮到您时页面会自动打开，无需任何操作。",
    "broken": "无法显示应用页面。",
    "broken-more": "其笔记本未能运行。请重新加载页面；如仍不行，请告知应用作者。",
}


class AppSession:
    """One app in one session."""

    def __init__(self, facts: Facts, server: Any, log: Any, most: int) -> None:
        """`most` kernels at once."""
        self.facts, self._server, self._log = facts, server, log
        self.app: App = load(Path(os.environ["PERIJOVE_APP_FOLDER"]))
        self.options = options(facts.options)
        self.language = "zh" if facts.language == "zh" else "en"
        self.found: dict[str, Any] = {}
        self.runs = Runs(facts, self.app, lambda: Way.find("", "", os.environ), log)
        self.files: dict[str, Packed] = apppage.files()
        self._probing: asyncio.Task[None] | None = None
        self.warm: apppage.Warm
        self._most = most

    @property
    def words(self) -> dict[str, str]:
        """The page's words before its script is there."""
        return _CHINESE if self.language == "zh" else _ENGLISH

    def begin(self) -> None:
        """Make a kernel ready, and look what is there for the app."""
        self.warm = apppage.Warm(self._server, self._voila(), self._resources(), self._most)
        self.warm.fill()
        self._probing = asyncio.create_task(self._probe())

    async def end(self) -> None:
        """Stop the runs in good order."""
        if self._probing is not None:
            self._probing.cancel()
        await self.warm.end()
        await self.runs.end()

    def _voila(self) -> Any:
        from voila.configuration import VoilaConfiguration

        return VoilaConfiguration(
            parent=None,
            template=apppage.TEMPLATE,
            allow_template_override="NO",
            allow_theme_override="NO",
            theme="light",
            show_tracebacks=False,
            strip_sources=True,
            extension_allowlist=list(apppage.EXTENSIONS),
        )

    def _resources(self) -> dict[str, Any]:
        """What the template reads beside what Voila gives it."""
        base = self._server.base_url
        at = {name: f"{base}{place}/{self.files[name].version}" for name, place in PLACES.items()}
        return {
            "lang": "zh-CN" if self.language == "zh" else "en",
            "title": self.text(self.app.question),
            "name": self.text(self.app.title),
            "words": self.words,
            "base": f"{base}perijove/",
            "ui": at["ui"],
            "scripts": [f"{at['ui']}/{name}.js" for name in _SCRIPTS],
            "page_config": {"fullStaticUrl": at["page"], "fullLabextensionsUrl": at["labextensions"]},
        }

    def text(self, words: Any) -> str:
        """A text of the manifest in the person's language."""
        return str(getattr(words, self.language, None) or words.en)

    async def _probe(self) -> None:
        """Look which codes and data are here, and tell the broker, until it knows."""
        from perijove.spawners.apps import probe

        await self.runs.data.ask()
        found = await asyncio.to_thread(probe.look, self.app, self.runs.data.paths())
        self.found = _plain(found)
        while self.facts.centre:
            with suppress(Unreachable, ClusterError):
                way = Way.find("", "", os.environ)
                told = self.found | {"digest": self.app.digest}
                answer = await way.broker("PUT", f"/apps/{self.app.name}/places/{self.facts.centre}", told)
                if answer.status >= 400:
                    self._log.warning("perijove: the gateway does not take what was found here: %s", answer.status)
                return
            await asyncio.sleep(AGAIN)

    def json(self) -> dict[str, Any]:
        """What the page's script reads first."""
        app = self.app.model_dump(mode="json", by_alias=True, exclude_none=True)
        app["inputs"] = [{"name": name, **one} for name, one in app["inputs"].items()]
        app["digest"] = self.app.digest
        facts = self.facts
        gateway = facts.api.removesuffix("api/v1").rstrip("/") if facts.api else ""
        return {
            "app": app,
            "found": self.found,
            "language": self.language,
            "words": _words() if self.language == "zh" else {},
            "options": self.options,
            "centre": {"id": facts.centre, "en": facts.centre_en, "zh": facts.centre_zh},
            "queue": {"id": facts.queue, "en": facts.queue_en, "zh": facts.queue_zh},
            "can_upload": (Path(__file__).parent / "app" / "ui" / "upload.js").is_file(),
            "ends_by": facts.end(os.environ) or None,
            "cores": facts.cores,
            "memory": facts.memory,
            "runs_page": f"{gateway}/runs/" if gateway else "",
            "gallery": f"{gateway}/apps" if gateway else "",
        }

    def plain_page(self, kind: str, **values: Any) -> str:
        """A page without a kernel: others come first, or the notebook does not run."""
        words = self.words
        title = words["broken"] if kind == "broken" else self.ahead_words(values["ahead"])
        more = words[f"{kind}-more"]
        detail = f'<pre class="pja-Log">{escape(values["detail"])}</pre>' if values.get("detail") else ""
        resources = self._resources()
        script = f'<script type="module" src="{resources["ui"]}/queue.js"></script>' if kind == "queue" else ""
        said = {"one": words["queue-one"], "many": words["queue-many"]}
        return (
            f'<!DOCTYPE html>\n<html lang="{resources["lang"]}"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(resources['title'])}</title>"
            f'<link rel="icon" href="data:;base64,="><link rel="stylesheet" href="{resources["ui"]}/app.css">{script}'
            f'</head><body class="pja-Page"><main id="app" class="pja pja-Wait" data-base="{resources["base"]}" '
            f'data-ask="{apppage.ASK}" data-words="{escape(json.dumps(said))}"><h1>{escape(resources["title"])}</h1>'
            f'<div class="pja-Panel"><p class="pja-Big" id="ahead" role="status">{escape(title)}</p>'
            f"<p>{escape(more)}</p>{detail}</div></main></body></html>\n"
        )

    def ahead_words(self, ahead: int) -> str:
        """How many are before."""
        return self.words["queue-one"] if ahead == 1 else self.words["queue-many"].format(ahead=ahead)

    def handlers(self) -> list[Any]:
        """Our addresses; those of files carry what they are."""
        from perijove.widgets.runroutes import ROUTES

        served = [(rf"/{place}/(.+)", PackedHandler, {"files": self.files[name]}) for name, place in PLACES.items()]
        return [
            *served,
            (r"/voila/render/app\.ipynb", apppage.PageHandler),
            (r"/perijove/place", apppage.PlaceHandler),
            *ROUTES,
        ]


#: The modules that the page's script imports, told ahead, so that a browser does not find them one after the other.
_SCRIPTS = ("app", "api", "dom", "words", "form", "fields", "file", "region", "run", "results")


def _words() -> dict[str, str]:
    """The words of the page's script in Chinese."""
    path = Path(__file__).parent / "app" / "ui" / "words.zh.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


#: Where the page's files are, below the server's address.
PLACES = {"page": "voila/page", "labextensions": "voila/labextensions", "ui": "perijove/ui"}


def _plain(found: Any) -> dict[str, Any]:
    """What the probe found, as JSON."""
    if is_dataclass(found) and not isinstance(found, type):
        made: Mapping[str, Any] = asdict(found)
    else:
        made = found.model_dump(mode="json")
    return dict(json.loads(json.dumps(made, default=str)))
