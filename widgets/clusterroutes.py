"""The addresses of Dask clusters at a session's server, `{base_url}perijove/...`, for whoever may use the server.

    GET  perijove/clusters                    what heads there are and were
    POST perijove/clusters                    start one beside this session: `NewCluster` -> its status
    GET  perijove/clusters/NAME/status, logs
    POST perijove/clusters/NAME/scale, adapt, close
    WS   perijove/clusters/NAME/comm          a Dask client from elsewhere
    GET  perijove/clusters/NAME/dashboard/... Dask's own pages
    GET  perijove/dashboard                   the page of the first cluster: where a session of kind `dask` begins

None of them counts as somebody's activity. What does: a cluster that computes (`Perijove._note_work`), so that a
session is not culled under a long computation, and is culled when nothing but an open page or an idle client is left.
The proxy in front counts bytes by itself: a client that is connected through the gateway keeps its session as an open
page does.
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.heads import Head, Heads, NewCluster
from perijove.widgets.splice import pass_on, wants_websocket
from perijove.widgets.way import Unreachable
from tornado import web

NAME = r"(?P<name>[a-z][a-z0-9-]{0,29})"
#: What a refusal of the broker's is to the client, by code; 409 otherwise.
_STATUS = {"head-failed": 502, "head-died": 410, "bad-request": 400, "no-gateway": 503, "no-token": 503}


class _Clusters(ExtensionHandlerMixin):
    """What all of them share."""

    _track_activity = False

    @property
    def heads(self) -> Heads:
        """The server's heads."""
        found: Heads = self.extensionapp.heads  # type: ignore[attr-defined]
        return found

    def running(self, name: str) -> Head:
        """The head with that name, running. Raises HTTPError 404, or ClusterError where it died."""
        head = self.heads.get(name)
        if head is None or head.state == "ended":
            raise web.HTTPError(404, "there is no such cluster here")
        if head.state == "died":
            raise ClusterError("head-died", {"name": name, "detail": head.last_words})
        return head


class _Json(_Clusters, APIHandler):
    """Answers and refusals are JSON."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, ClusterError):
            self.set_status(_STATUS.get(error.code, 409))
            self.finish(json.dumps({"error": error.code, "message": str(error), "values": error.values}))
        elif isinstance(error, Unreachable):
            self.set_status(503)
            said = {"error": "broker-silent", "message": f"The gateway does not answer: {error}", "values": {}}
            self.finish(json.dumps(said))
        else:
            code = {403: "forbidden", 404: "no-cluster"}.get(status_code, f"http-{status_code}")
            message = str(getattr(error, "log_message", None) or self._reason)
            self.finish(json.dumps({"error": code, "message": message, "values": {}}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, ClusterError | Unreachable):
            super().log_exception(typ, value, tb)


class ClustersHandler(_Json):
    """`perijove/clusters`."""

    @web.authenticated
    def get(self) -> None:
        """All heads."""
        self.finish(json.dumps({"clusters": self.heads.listing()}))

    @web.authenticated
    async def post(self) -> None:
        """A head beside this session."""
        try:
            given = json.loads(self.request.body or b"{}")
        except ValueError:
            raise web.HTTPError(400, "the body is no JSON") from None
        head = await self.heads.make(NewCluster.parse(given))
        answer = await self.heads.control(head, "GET", "status")
        self.set_status(201 if answer.status == 200 else answer.status)
        self.finish(json.dumps(answer.data))


class ControlHandler(_Json):
    """`perijove/clusters/NAME/WHAT` with JSON, and a client's websocket."""

    @web.authenticated
    async def get(self, name: str, what: str) -> None:
        """`status`, `logs`, `comm`."""
        head = self.running(name)
        if what == "comm":
            if not wants_websocket(self.request):
                raise web.HTTPError(426, "a Dask client speaks websocket here")
            await pass_on(self, "/comm", str(head.directory / "h"))
            return
        await pass_on(self, f"/control/{what}", str(head.directory / "h"))

    @web.authenticated
    async def post(self, name: str, what: str) -> None:
        """`scale`, `adapt`, `close`."""
        await pass_on(self, f"/control/{what}", str(self.running(name).directory / "h"))


class DashboardHandler(_Clusters, JupyterHandler):
    """`perijove/clusters/NAME/dashboard/...`: pages, and their websockets from their own pages alone."""

    @property
    def content_security_policy(self) -> str:
        """Dask's pages may be shown in a pane of JupyterLab; JupyterHub's default forbids that for all of a session."""
        return "frame-ancestors 'self'"

    def get_login_url(self) -> str:
        """A websocket cannot be led to the login page. Raises HTTPError 403."""
        if wants_websocket(self.request):
            raise web.HTTPError(403)
        return str(super().get_login_url())

    @web.authenticated
    async def get(self, name: str, rest: str) -> None:
        """A page, a file, or a websocket."""
        if wants_websocket(self.request) and not self.check_origin():
            raise web.HTTPError(403, "a page of another site may not listen here")
        try:
            head = self.running(name)
        except ClusterError as error:
            raise web.HTTPError(410, str(error)) from None
        await pass_on(self, self.request.path, str(head.directory / "h"))


class FirstDashboardHandler(_Clusters, JupyterHandler):
    """`perijove/dashboard`."""

    @web.authenticated
    def get(self) -> None:
        """Go to the dashboard of the first cluster that runs."""
        head = self.heads.first()
        if head is None:
            raise web.HTTPError(404, "no cluster runs here")
        self.redirect(f"{self.base_url}perijove/clusters/{head.name}/dashboard/status")


ROUTES = [
    (r"/perijove/clusters/?", ClustersHandler),
    (rf"/perijove/clusters/{NAME}/(?P<what>status|logs|comm|scale|adapt|close)", ControlHandler),
    (rf"/perijove/clusters/{NAME}/dashboard(?P<rest>/.*)?", DashboardHandler),
    (r"/perijove/dashboard/?", FirstDashboardHandler),
]
