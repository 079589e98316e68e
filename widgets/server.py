"""The Jupyter Server extension in a session: where it runs, how long it still has, and its end in good order.

`GET {base_url}perijove/session` is what JupyterLab's status bar reads; `EVENT` goes to Jupyter's event bus at each
warning and at the end, for apps and extensions (`serverapp.event_logger.add_listener`, or the websocket
`api/events/subscribe`). The server's clock alone counts, never the browser's. Before the centre would kill the job, the
kernels are shut down and the server stops: the job ends by itself, well. Settings of the operator:

    c.Perijove.warnings = [30, 10, 2]   # minutes
    c.Perijove.margin = 60              # seconds before the centre's end; a short session gives less away
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_server._tz import utcnow
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.extension.handler import ExtensionHandlerMixin
from perijove.spawners.agent_stats import usage
from perijove.spawners.facts import Facts
from perijove.widgets import upload
from perijove.widgets.clock import Plan
from tornado import web
from tornado.routing import PathMatches, Rule
from traitlets import Float, Integer, List

EVENT = "urn:perijove:time-left"
_SCHEMA = Path(__file__).parent / "jupyter" / "time-left.json"
#: Seconds that browsers have to save everything at the end; less in a short session.
SAVING = 20.0
#: Seconds after which the clock is looked at again: it may have been set.
LOOK = 30.0


class SessionHandler(ExtensionHandlerMixin, APIHandler):
    """`GET perijove/session`."""

    #: A page that only asks how much time is left is no sign that somebody works.
    _track_activity = False

    @web.authenticated
    def get(self) -> None:
        """The session's facts as JSON."""
        self.set_header("Cache-Control", "no-store")
        extension = self.extensionapp
        assert isinstance(extension, Perijove)  # noqa: S101 - it is registered by that one alone
        self.finish(json.dumps(extension.facts_now()))


class Perijove(ExtensionApp):
    """The extension."""

    name = "perijove"
    extension_url = "/lab"

    warnings = List(Integer(min=1), [30, 10, 2], help="Minutes before the end at which people are warned.").tag(
        config=True
    )
    # Not more: an end much earlier would not count as the end of the session's time (`perijove.hub.broker.ending`).
    margin = Float(60.0, min=0, max=150, help="Seconds before the centre's end at which the session ends itself.").tag(
        config=True
    )

    # The hub is told of activity every five minutes.
    work_look = Float(60.0, min=0.01, help="Seconds between two looks whether a Dask cluster computes.").tag(
        config=True
    )

    app_kernels = Integer(4, min=1, help="Kernels of an app's pages at once; who comes then waits in a queue.").tag(
        config=True
    )

    _watching: asyncio.Task[None] | None = None
    _noting: asyncio.Task[None] | None = None
    _serving: asyncio.Task[None] | None = None
    _tidying: asyncio.Task[None] | None = None
    heads: Any = None
    #: The app that a session of kind `app` shows.
    app: Any = None
    _ending = False
    _clock = 0.0

    @property
    def _server(self) -> Any:
        return self.serverapp

    def initialize_settings(self) -> None:
        """Read what is known of the session."""
        self.facts = Facts.read(os.environ)
        # A clock that is set while the session runs neither ends it nor lets it go on.
        self._clock = time.time() - time.monotonic()
        killed = self.facts.end(os.environ)
        walltime = self.facts.walltime or max(0.0, killed - self._now())
        self.plan = Plan.make(killed, walltime, self.warnings, self.margin) if killed else None
        if self.plan is not None and not self.plan.left(self._now()):
            # The session has just begun: it is the clock that is wrong, and the centre ends the job when it is time.
            self.log.warning("perijove: by this node's clock the session's time is over; no time is counted")
            self.plan = None
        self.packs = sorted(entry.name for entry in entry_points(group="jupyterlab.languagepack"))
        self._server.event_logger.register_event_schema(json.loads(_SCHEMA.read_text(encoding="utf-8")))
        # A kernel reaches its own server without the gateway.
        if sock := self._server.sock:
            os.environ["PERIJOVE_SOCKET"] = str(Path(sock).absolute())
        if os.environ.get("PERIJOVE_APP_FOLDER"):
            from perijove.widgets.appsession import AppSession

            self.app = AppSession(self.facts, self._server, self.log, self.app_kernels)
        self.heads = None if find_spec("distributed") is None else self._heads()

    def _heads(self) -> Any:
        """The heads of Dask clusters; a centre's environment may be without Dask."""
        from perijove.widgets.heads import Heads
        from perijove.widgets.way import Way

        return Heads(self.facts, self._server.base_url, lambda: Way.find("", "", os.environ), self.log)

    def initialize_handlers(self) -> None:
        """Add our addresses."""
        self.handlers.append((r"/perijove/session/?", SessionHandler))
        self.handlers.extend(upload.ROUTES)
        if self.app is not None:
            self.handlers.extend(self.app.handlers())
        if self.heads is not None:
            from perijove.widgets.clusterroutes import ROUTES
            from perijove.widgets.labpanes import install

            self.handlers.extend(ROUTES)
            install(self._server.web_app, self._server.base_url)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Begin to watch the clock and the clusters; a session that is for one cluster alone makes it."""
        if self.plan is not None:
            self._watching = asyncio.create_task(self._watch(self.plan))
        if self.app is not None:
            self._serve_app()
        if self.heads is not None or self.app is not None:
            self._noting = asyncio.create_task(self._note_work())
        if self.heads is not None:
            self._tidying = asyncio.create_task(self.heads.tidy())
            if serving_for := os.environ.pop("PERIJOVE_SERVES_CLUSTER", ""):
                from perijove.widgets.daskserver import serve_cluster

                self._serving = asyncio.create_task(serve_cluster(self.heads, serving_for, self._server, self.log))

    def _serve_app(self) -> None:
        """Close what is not the app's, and begin."""
        from perijove.widgets.appgate import close
        from perijove.widgets.appsocket import AppSocketHandler

        base, app = self._server.base_url, self._server.web_app
        channels = rf"{re.escape(base)}api/kernels/(?P<kernel_id>[\w-]+)/channels"
        shutdown = rf"{re.escape(base)}voila/api/shutdown/(.*)"
        app.default_router.rules[:0] = [
            Rule(PathMatches(channels), AppSocketHandler),
            Rule(PathMatches(shutdown), _shutdown_handler()),
        ]
        close(app, base)
        self.app.begin()
        if run := self.app.options.get("run"):
            from perijove.widgets.apprun import serve_run

            self._serving = asyncio.create_task(serve_run(self.app.runs, run, self._server, self.log))

    async def stop_extension(self) -> None:
        """End the clusters. Stop watching, unless it is the watch that stops the server."""
        for task in (None if self._ending else self._watching, self._noting, self._serving, self._tidying):
            if task is not None:
                task.cancel()
        if self.app is not None:
            await self.app.end()
        if self.heads is not None:
            await self.heads.end()

    async def _note_work(self) -> None:
        """A cluster that computes and a run are work: no culler is to think that idle which nobody touches."""
        while True:
            await asyncio.sleep(self.work_look)
            running = self.app is not None and self.app.runs.busy
            if running or (self.heads is not None and await self.heads.busy(self.work_look)):
                self._server.web_app.settings["perijove_last_activity"] = utcnow()

    def _now(self) -> float:
        """Seconds since 1970, by the node's clock as it was at the start."""
        return self._clock + time.monotonic()

    def facts_now(self) -> dict[str, Any]:
        """What the browser is told. `left` in seconds (None: not known), memory in bytes, `cpu` in seconds."""
        facts, plan = self.facts, self.plan
        left = plan.left(self._now()) if plan else None
        return {
            "session": facts.session,
            "centre": {"id": facts.centre, "en": facts.centre_en, "zh": facts.centre_zh},
            "queue": {"id": facts.queue, "en": facts.queue_en, "zh": facts.queue_zh},
            "node": os.uname().nodename,
            "job": facts.job,
            "server": facts.server,
            "cores": facts.cores,
            "gpus": facts.gpus,
            "memory": facts.memory << 20,
            "used": usage(),
            "left": left,
            "ends": plan.killed - plan.margin if plan else None,
            "warnings": plan.warnings if plan else (),
            "ending": self._ending,
            "language": facts.language,
            "packs": self.packs,
            "start_page": facts.start_page,
            "again": facts.again,
        }

    async def _watch(self, plan: Plan) -> None:
        """Say how much time is left when it is due, and end in good order."""
        told: int | None = None
        while (left := plan.left(self._now())) > 0:
            due = plan.due(left)
            if due is not None and due != told:
                told = due
                self._tell("warning", left)
            await asyncio.sleep(min(plan.pause(left), LOOK) + 0.01)
        self._ending = True
        self.log.info("perijove: the session's time is up; it ends now, before the centre ends it")
        self._tell("ending", 0.0)
        # Browsers save now. Where nobody looks on, nothing is lost by the wait.
        await asyncio.sleep(min(SAVING, plan.margin / 3))
        self._server.stop()

    def _tell(self, state: str, left: float) -> None:
        """Put an event on Jupyter's event bus."""
        data = {"state": state, "seconds": round(left), "session": self.facts.session}
        self._server.event_logger.emit(schema_id=EVENT, data=data)


def _shutdown_handler() -> Any:
    from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler

    return VoilaShutdownKernelHandler


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """What Jupyter asks a module for."""
    return [{"module": "perijove.widgets.server", "app": Perijove}]
