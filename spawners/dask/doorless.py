"""The worker of a cluster: distributed's, without its HTTP server.

`--no-dashboard` only leaves the pages out: distributed's worker still listens, in plain HTTP, on every address of the
node, and tells anybody there its state and its metrics.
"""

from __future__ import annotations

from typing import Any

from distributed.http.routing import RoutingApplication
from distributed.worker import Worker


class DoorlessWorker(Worker):
    """Listens on its TLS port alone."""

    def start_http_server(
        self, routes: Any, dashboard_address: Any, default_port: int = 0, ssl_options: Any = None
    ) -> None:
        """Make the HTTP application, and listen nowhere."""
        self.http_application = RoutingApplication(routes)
