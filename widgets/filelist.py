"""`GET {base_url}perijove/files?path=`: what is in a folder of one's own at the centre, for picking a file in a form.

It is the launcher's own listing: below the home directory, nothing hidden, no link that leads elsewhere, bounded.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from perijove.spawners import launcher
from perijove.spawners.facts import Facts
from tornado import web

_STATUS = {"outside": 403, "no-access": 403, "no-folder": 404, "home-missing": 404}
_WORDS = {
    "outside": "Only folders below your home directory, and none that are hidden, are shown here.",
    "no-access": "You may not read this folder.",
    "no-folder": "There is no such folder.",
    "home-missing": "You have no home directory here.",
}


class FilesHandler(ExtensionHandlerMixin, APIHandler):
    """`perijove/files`."""

    @web.authenticated
    async def get(self) -> None:
        """Folders and files, by name; `parent` is None at the top."""
        self.set_header("Cache-Control", "no-store")
        path = self.get_query_argument("path", "~") or "~"
        base = Facts.read(os.environ).base or "~/.perijove"
        request = {"verb": "list", "base": base, "path": path, "own": True}
        found: dict[str, Any] = await asyncio.to_thread(launcher.answer_to, json.dumps(request))
        if not found["ok"]:
            code = str(found["problem"])
            self.set_status(_STATUS.get(code, 400))
            self.finish(json.dumps({"error": code, "message": _WORDS.get(code, found["detail"]), "values": {}}))
            return
        parent = None if path.rstrip("/") in ("~", "") else path.rstrip("/").rpartition("/")[0] or "~"
        self.finish(json.dumps({"path": path, "parent": parent, "entries": found["entries"], "more": found["more"]}))


ROUTES = [(r"/perijove/files/?", FilesHandler)]
