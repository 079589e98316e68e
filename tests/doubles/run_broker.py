"""The broker as an app's session sees it: bundles, places, estimates, runs, reports and kept files. In a thread."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from perijove.spawners.apps import bundle
from perijove.spawners.apps.manifest import App
from perijove.spawners.facts import Facts

API = "/services/perijove/api/v1"
TOKEN = "token-of-the-test"


class RunBroker:
    """What it was told, for tests to look at; `away` makes it answer as a gateway does that has no broker."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.away = False
        self.wanted: str | None = None
        self.runs: dict[str, dict[str, Any]] = {}
        self.reports: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.places: dict[str, Any] = {}
        self.asked: list[str] = []
        #: What was asked without the token.
        self.strangers: list[str] = []
        self.offers: list[dict[str, Any]] = []
        #: Where data of centres lie, by their names in the app.
        self.lies: dict[str, list[dict[str, Any]]] = {}
        self.port = 0

    def run(self, identity: str, **more: Any) -> dict[str, Any]:
        """A run that is known here."""
        known = {"id": identity, "app": self.app.name, "inputs": {}, "owner": "alice", "state": "starting"}
        self.runs[identity] = known | {"created": "2026-11-24T10:00:00Z", "label": ""} | more
        return self.runs[identity]

    def facts(self, **more: Any) -> Facts:
        """The facts of a session of this app."""
        known: dict[str, Any] = {"session": "s-app", "centre": "guangzhou"}
        known |= {"centre_en": "Guangzhou", "centre_zh": "广州"}
        known |= {"gateway": f"http://127.0.0.1:{self.port}", "api": API, "cores": 2, "memory": 2048, "walltime": 3600}
        return Facts(**known | {"options": json.dumps({"app": self.app.name})} | more)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:  # noqa: PLR0911 - one line for each
        """Status, and JSON or bytes."""
        name = self.app.name
        if path == f"/apps/{name}/bundle":
            return 200, bundle.pack(self.app)
        if path == f"/apps/{name}":
            return 200, {"name": name, "data": [{"name": one, "lies": lies} for one, lies in self.lies.items()]}
        data = json.loads(body) if body and "/files/" not in path else {}
        if path.startswith(f"/apps/{name}/places/"):
            self.places[path.rpartition("/")[2]] = data
            return 200, {}
        if path.startswith("/clusters"):
            return 200, {"clusters": []}
        if path == f"/apps/{name}/estimate":
            return 200, {"faults": [], "offers": self.offers, "recommended": None}
        if path.partition("?")[0] == "/runs":
            return self._runs(method, data)
        if found := re.fullmatch(r"/runs/([\w-]+)(?:/(report|resume|files/.+))?", path):
            return self._run(found[1], found[2] or "", data, body)
        return 404, {"error": "not-found", "message": path}

    def _runs(self, method: str, data: dict[str, Any]) -> tuple[int, Any]:
        if method == "GET":
            return 200, {"runs": list(self.runs.values())}
        same = next((run for run in self.runs.values() if data.get("key") and run.get("key") == data["key"]), None)
        made = same or self.run(f"run-{len(self.runs) + 1}", **data)
        return 201, made

    def _run(self, identity: str, what: str, data: dict[str, Any], body: bytes) -> tuple[int, Any]:
        if identity not in self.runs:
            return 404, {"error": "not-found", "message": identity}
        if what == "report":
            self.reports.setdefault(identity, []).append(data["report"])
            self.runs[identity]["state"] = data["report"]["state"]
            return 200, {"wanted": self.wanted} if self.wanted else {}
        if what == "resume":
            # As the broker does: one that goes on already is told as it is.
            if self.runs[identity].get("state") not in ("starting", "running"):
                self.runs[identity] |= {"state": "starting", "session": data.get("session")}
            return 200, self.runs[identity]
        if what:
            self.files.setdefault(identity, {})[what.removeprefix("files/")] = body
            return 200, {}
        return 200, self.runs[identity]


@contextmanager
def run_broker(app: App) -> Iterator[RunBroker]:
    """A broker that answers on a port of its own."""
    broker = RunBroker(app)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.removeprefix(API)
            broker.asked.append(f"{self.command} {path}")
            if broker.away:
                status, content = 503, b"nobody is there"
            elif self.headers.get("Authorization") != f"token {TOKEN}":
                status, content = 403, b"{}"
                broker.strangers.append(f"{self.command} {path}")
            else:
                status, said = broker.answer(self.command, path, body)
                content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("ETag", f'"{broker.app.digest}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, *_words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        broker.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield broker
        server.shutdown()


TINY = Path(__file__).parent / "apps" / "tiny"
