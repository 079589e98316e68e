"""The dashboard panes of JupyterLab's Dask sidebar (dask-labextension), for clusters that have an address and no port.

The sidebar opens `dask/dashboard/ID/...` of the session's server, where the labextension's own handler looks for the
host and the port of a dashboard; ours are paths behind the hub's login (`perijove/clusters/NAME/dashboard/...`, of this
session or of another one of the same person). So a rule in front of it leads there, for our clusters alone: those of
any other class, which a person may have configured, stay the labextension's business.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_server.base.handlers import JupyterHandler
from perijove.widgets.way import Unreachable
from tornado import web
from tornado.routing import PathMatches, Rule

if TYPE_CHECKING:
    from perijove.widgets.cluster import Cluster
    from perijove.widgets.clusterfind import Found
    from tornado.httputil import HTTPServerRequest

#: Dask's list of single plots, which the sidebar shows as buttons.
PLOTS = "/individual-plots.json"


def cluster_of(identity: str) -> Cluster | None:
    """Our cluster which the sidebar knows by that id; None where it is none of ours."""
    manager = getattr(sys.modules.get("dask_labextension.manager"), "manager", None)
    found = manager._clusters.get(identity) if manager is not None else None
    if found is None:
        return None
    from perijove.widgets.cluster import Cluster

    return found if isinstance(found, Cluster) else None


class Ours(PathMatches):
    """Matches a pane of one of our clusters."""

    def __init__(self, base_url: str) -> None:
        super().__init__(rf"{base_url}dask/dashboard/(?P<identity>\w+(?:-\w+)*)(?P<rest>/.*)?")

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """The parts of the path; None leaves the request to the labextension."""
        found = super().match(request)
        return found if found and cluster_of(found["path_kwargs"]["identity"].decode()) else None


class PaneHandler(JupyterHandler):
    """`dask/dashboard/ID/...`."""

    #: Nor is a pane that is left open a sign that somebody works.
    _track_activity = False

    @web.authenticated
    async def get(self, identity: str, rest: str | None) -> None:
        """The list of plots; anything else is a page, to which the browser is led."""
        cluster = cluster_of(identity)
        found = cluster._found if cluster is not None else None
        if found is None:
            raise web.HTTPError(404, "there is no such cluster here")
        if rest == PLOTS:
            await self._plots(found)
            return
        # A path alone: whichever session of the person's it is in, it is at the address at which this page is.
        path = urlsplit(found.dashboard).path.removesuffix("/status")
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(f"{path}{rest or '/status'}{query}")

    async def _plots(self, found: Found) -> None:
        """Asked for here: a script would have to sign in at the other session first."""
        try:
            answer = await found.look(f"dashboard{PLOTS}")
        except Unreachable as error:
            raise web.HTTPError(503, f"the cluster does not answer: {error}") from None
        self.set_status(answer.status)
        self.finish(answer.data)


def install(web_app: web.Application, base_url: str) -> None:
    """Put the rule in front of all others, in whichever order the extensions are loaded."""
    web_app.default_router.rules.insert(0, Rule(Ours(base_url), PaneHandler))
