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
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any

from perijove.spawners.request import BadRequest
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.ownfiles import NotYours, listing
from perijove.widgets.runbase import Json, faults_of
from perijove.widgets.runfiles import DownloadHandler, FileHandler, LogHandler
from perijove.widgets.runs import ID
from perijove.widgets.way import Unreachable, Way
from tornado import web

#: Seconds that a page may wait for a change; of a listing at the gateway.
WAIT, GATEWAY = 25.0, 8.0
_ID = rf"(?P<identity>{ID.pattern})"


class AppHandler(Json):
    """`app`."""

    @web.authenticated
    def get(self) -> None:
        """What the form is made of."""
        self.say(self.session.json())


class EstimateHandler(Json):
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


class FilesHandler(Json):
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


class RunsHandler(Json):
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


class RunHandler(Json):
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


class ResumeHandler(Json):
    """`runs/ID/resume`."""

    @web.authenticated
    async def post(self, identity: str) -> None:
        """Go on with it here."""
        self.say((await self.runs.resume(identity)).json(), 202)


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
