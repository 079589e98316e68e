"""The addresses of an app's page, below `{base_url}perijove/`; answers and refusals are JSON.

    GET    app                     what the form is made of, and where this is
    POST   app/estimate            {"inputs"} -> faults, what it needs, what it will cost and where it could run
    GET    files?path=&formats=    the person's own files below their home
    GET    runs                    the runs of this app: those here, then those that the gateway knows
    POST   runs                    {"inputs", "label"?, "key", "parent"?, "relation"?, "request"?}
    GET    runs/ID?after=&wait=    one run; waits until it changes
    DELETE runs/ID                 cancel it
    POST   runs/ID/resume          go on with one that has ended; finished steps are kept
    GET    runs/ID/log             the end of its log
    GET    runs/ID/download        all of its results as a zip
    GET    runs/ID/files/PATH      one of its results, or a part of it (Range)

A page that only watches is no sign that somebody works; a run that goes on is (`Perijove._note_work`).
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from perijove.spawners.apps.inputwords import words
from perijove.spawners.request import BadRequest
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.ownfiles import NotYours, listing
from perijove.widgets.runs import ID, NoRun, Run, Runs
from perijove.widgets.way import Unreachable, Way
from tornado import web

#: Seconds that a page may wait for a change; of a listing at the gateway.
WAIT, GATEWAY = 25.0, 8.0
#: Bytes of a log that are shown; of a zip that are sent at once.
LOG, PIECE = 64 << 10, 1 << 20
_ID = rf"(?P<identity>{ID.pattern})"
_STATUS = {"bad-request": 400, "no-gateway": 503, "no-token": 503, "no-cluster": 404, "forbidden": 403}


class _App(ExtensionHandlerMixin):
    """What all of them share."""

    _track_activity = False

    @property
    def session(self) -> Any:
        """The server's app (`perijove.widgets.appsession.AppSession`)."""
        return self.extensionapp.app  # type: ignore[attr-defined]

    @property
    def runs(self) -> Runs:
        """Its runs."""
        found: Runs = self.session.runs
        return found

    def run_of(self, identity: str) -> Run:
        """Raises HTTPError 404."""
        try:
            return self.runs.get(identity)
        except NoRun:
            raise web.HTTPError(404, "there is no such run in this session") from None


class _Json(_App, APIHandler):
    """Answers and refusals are JSON."""

    def asked(self) -> dict[str, Any]:
        """The body. Raises HTTPError 400."""
        try:
            found = json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise web.HTTPError(400, "the body is no JSON object")
        return found

    def say(self, content: Any, status: int = 200) -> None:
        """An answer that nobody keeps."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(content))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, BadRequest):
            faults = faults_of(error, self.session.language)
            self.say({"error": "bad-request", "message": str(error), "faults": faults}, 400)
        elif isinstance(error, ClusterError):
            said = {"error": error.code, "message": str(error), "values": error.values}
            self.say(said, _STATUS.get(error.code, 409))
        elif isinstance(error, Unreachable):
            self.say({"error": "broker-silent", "message": str(error), "values": {}}, 503)
        else:
            message = str(getattr(error, "log_message", None) or self._reason)
            self.say({"error": f"http-{status_code}", "message": message, "values": {}}, status_code)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, ClusterError | Unreachable | BadRequest):
            super().log_exception(typ, value, tb)


def faults_of(bad: BadRequest, language: str) -> list[dict[str, Any]]:
    """Its faults as JSON, in words of `language`."""
    return [
        {"field": one.field, "code": one.code, "message": words(one, language), "values": dict(one.values)}
        for one in bad.faults
    ]


class AppHandler(_Json):
    """`app`."""

    @web.authenticated
    def get(self) -> None:
        """What the form is made of."""
        self.say(self.session.json())


class EstimateHandler(_Json):
    """`app/estimate`."""

    @web.authenticated
    async def post(self) -> None:
        """Faults in words, and what it takes; prices and places where the gateway answers."""
        asked = self.asked()
        raw = asked.get("inputs")
        await self.runs.data.ask(again=False)
        answer = await asyncio.to_thread(self._here, raw if isinstance(raw, dict) else {})
        if not answer["faults"]:
            way = None
            with suppress(ClusterError, Unreachable):
                way = Way.find("", "", os.environ)
                body = {"inputs": answer["inputs"]}
                said = await way.broker("POST", f"/apps/{self.session.app.name}/estimate", body, seconds=GATEWAY)
                answer |= {key: said.good().get(key) for key in ("offers", "recommended")}
            answer["gateway"] = "offers" in answer
        self.say(answer)

    def _here(self, raw: dict[str, Any]) -> dict[str, Any]:
        from perijove.spawners.apps.inputs import Inputs
        from perijove.spawners.apps.needs import needs

        app = self.session.app
        try:
            inputs = Inputs(app).parse(raw)
            takes = needs(app, inputs, self.session.facts.cores or os.cpu_count())
        except BadRequest as bad:
            return {"faults": faults_of(bad, self.session.language), "needs": None, "small": False}
        if takes.small and (away := self.runs.data.away(inputs)):  # a large one goes to where they lie
            return {"faults": faults_of(BadRequest(away), self.session.language), "needs": None, "small": False}
        return {"faults": [], "inputs": inputs, "needs": takes.as_dict(), "small": takes.small}


class FilesHandler(_Json):
    """`files`."""

    @web.authenticated
    async def get(self) -> None:
        """Folders and files of the person's below one folder of their home."""
        formats = tuple(one for one in self.get_query_argument("formats", "")[:200].split(",") if one)
        path = self.get_query_argument("path", "")[:4096]
        try:
            self.say(await asyncio.to_thread(listing, path, formats, self.session.facts.scratch))
        except NotYours as error:
            raise web.HTTPError(404, str(error)) from None


class RunsHandler(_Json):
    """`runs`."""

    @web.authenticated
    async def get(self) -> None:
        """Those here first, then what else the gateway knows of this app's."""
        here = [run.json() for run in self.runs.listing()]
        known = {run["id"] for run in here}
        others: list[dict[str, Any]] = []
        with suppress(ClusterError, Unreachable, AttributeError, TypeError):
            way = Way.find("", "", os.environ)
            query = f"/runs?app={self.session.app.name}&limit=30"
            said = (await way.broker("GET", query, seconds=GATEWAY)).good()
            others = [one | {"here": False} for one in said.get("runs", []) if one.get("id") not in known]
        self.say({"runs": here + others})

    @web.authenticated
    async def post(self) -> None:
        """A new run: here, or with `request` in a session of its own."""
        from perijove.spawners.apps.inputs import Inputs

        asked = self.asked()
        app = self.session.app
        raw = asked.get("inputs")
        inputs = await asyncio.to_thread(Inputs(app).parse, raw if isinstance(raw, dict) else {})
        kept = {name: asked[name] for name in ("label", "key", "parent", "relation") if asked.get(name)}
        body = {**kept, "inputs": inputs, "language": self.session.language}
        if isinstance(asked.get("request"), dict):
            way = Way.find("", "", os.environ)
            answer = await way.broker("POST", "/runs", {**body, "app": app.name, "request": asked["request"]})
            self.say(answer.good() | {"here": False}, 201)
            return
        if away := self.runs.data.away(inputs):
            raise BadRequest(away)
        run = await self.runs.create(body)
        self.say(run.json(), 201)


class RunHandler(_Json):
    """`runs/ID`."""

    @web.authenticated
    async def get(self, identity: str) -> None:
        """One run; with `after` and `wait`, once it has changed."""
        run = self.run_of(identity)
        try:
            after = int(self.get_query_argument("after", "-1"))
            seconds = min(WAIT, max(0.0, float(self.get_query_argument("wait", "0"))))
        except ValueError:
            raise web.HTTPError(400, "after and wait are numbers") from None
        if seconds and run.version <= after:
            await self.runs.wait(run, after, seconds)
        self.say(run.json())

    @web.authenticated
    def delete(self, identity: str) -> None:
        """Cancel it."""
        self.run_of(identity)
        self.say(self.runs.cancel(identity).json(), 202)


class ResumeHandler(_Json):
    """`runs/ID/resume`."""

    @web.authenticated
    async def post(self, identity: str) -> None:
        """Go on with it here."""
        self.say((await self.runs.resume(identity)).json(), 202)


class LogHandler(_Json):
    """`runs/ID/log`."""

    @web.authenticated
    async def get(self, identity: str) -> None:
        """`{"log": text}`: the end of what its steps said, the newest part last."""
        self.say({"log": await asyncio.to_thread(_log, self.run_of(identity).folder)})


def _log(folder: Path) -> str:
    parts = []
    paths = [path for path in (folder / "log").glob("*") if path.is_file() and not path.is_symlink()]
    for path in sorted(paths, key=lambda one: one.stat().st_mtime)[-20:]:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG))
            parts.append(f"== {path.stem}\n{file.read(LOG).decode('utf-8', 'replace')}")
    return "\n".join(parts)[-LOG:]


def safe(handler: web.RequestHandler, name: str) -> None:
    """Headers under which a result can be shown, but no script of it runs."""
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    handler.set_header("Content-Security-Policy", policy)
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.set_header("Cache-Control", "private, no-cache")
    if not name.lower().endswith((".png", ".jpg", ".jpeg", ".svg", ".webp")) or handler.get_query_argument("save", ""):
        handler.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(Path(name).name, safe='')}")


class FileHandler(_App, JupyterHandler, web.StaticFileHandler):
    """`runs/ID/files/PATH`."""

    def initialize(self, **more: Any) -> None:  # type: ignore[override]
        """The folder depends on the run."""
        super().initialize(**more)
        self.root, self.default_filename = "/nowhere", None

    @web.authenticated
    async def get(self, identity: str, path: str) -> None:  # type: ignore[override]
        """The file, or the part that Range asks for; below the results alone, and through no link."""
        await self._serve(identity, path, True)

    @web.authenticated
    async def head(self, identity: str, path: str) -> None:  # type: ignore[override]
        """Its headers."""
        await self._serve(identity, path, False)

    async def _serve(self, identity: str, path: str, include_body: bool) -> None:
        results = (self.run_of(identity).folder / "results").resolve()
        self.root = str(results)
        found = results / path
        if "\0" in path or not found.resolve().is_relative_to(results) or found.is_symlink() or not found.is_file():
            raise web.HTTPError(404)
        await web.StaticFileHandler.get(self, path, include_body)

    def set_extra_headers(self, path: str) -> None:
        """See `safe`."""
        safe(self, path)


class DownloadHandler(_App, JupyterHandler):
    """`runs/ID/download`."""

    @web.authenticated
    async def get(self, identity: str) -> None:
        """All results as a zip, made on disk and sent in pieces."""
        run = self.run_of(identity)
        with tempfile.TemporaryFile(dir=run.folder) as file:
            await asyncio.to_thread(_zip, run.folder / "results", file)
            self.set_header("Content-Type", "application/zip")
            self.set_header("Content-Length", str(file.tell()))
            self.set_header("Content-Disposition", f'attachment; filename="{run.told.get("app")}-{run.id}.zip"')
            file.seek(0)
            while piece := await asyncio.to_thread(file.read, PIECE):
                self.write(piece)
                await self.flush()
        await self.finish()


def _zip(results: Path, file: Any) -> None:
    """Write all plain files below `results`, none through a link; what is packed already is not packed again."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False) as archive:
        for path in sorted(results.rglob("*")):
            if path.is_file() and not path.is_symlink():
                packed = path.suffix in (".png", ".gz", ".bam", ".nc", ".zip", ".jpg")
                how = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
                archive.write(path, str(path.relative_to(results)), how)
    file.seek(0, os.SEEK_END)


ROUTES = [
    (r"/perijove/app", AppHandler),
    (r"/perijove/app/estimate", EstimateHandler),
    (r"/perijove/files", FilesHandler),
    (r"/perijove/runs", RunsHandler),
    (rf"/perijove/runs/{_ID}", RunHandler),
    (rf"/perijove/runs/{_ID}/resume", ResumeHandler),
    (rf"/perijove/runs/{_ID}/log", LogHandler),
    (rf"/perijove/runs/{_ID}/download", DownloadHandler),
    (rf"/perijove/runs/{_ID}/files/(?P<path>.+)", FileHandler),
]
