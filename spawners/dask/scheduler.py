"""The Dask scheduler of a head: nothing of it listens but `tls`, and its HTTP server speaks on a unix socket.

distributed's scheduler opens an HTTP server on every address before it does anything else. Ours keeps the application
(dashboard, metrics) and is given its socket later, by the head.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import dask
from distributed.comm.core import Comm
from distributed.http.routing import RoutingApplication
from distributed.scheduler import Scheduler, WorkerStatusPlugin
from perijove.spawners.ports import ports
from tornado.httpserver import HTTPServer

#: What a person's own dask configuration must not change: it would open a door, or ask for something else.
CONFIG: dict[str, Any] = {
    "distributed.comm.require-encryption": True,
    "distributed.scheduler.contact-address": None,
    "distributed.scheduler.idle-timeout": None,
    # For each worker the scheduler keeps the last messages with their tasks, 2 kB each: 1,000 of them times 300 workers
    # would be 600 MB, of a job that has 2 GiB or that a notebook lives in.
    "distributed.admin.low-level-log-length": 50,
    "distributed.scheduler.dashboard.tls": {"ca-file": None, "key": None, "cert": None},
    # The session's server has judged the origin before anything reaches the unix socket.
    "distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin": ["*"],
    # Without `proxy`, which would fetch pages from any port of the workers' nodes.
    "distributed.scheduler.http.routes": [
        "distributed.http.scheduler.prometheus",
        "distributed.http.scheduler.info",
        "distributed.http.scheduler.json",
        "distributed.http.health",
        "distributed.http.statics",
    ],
    "jobqueue.perijove": {
        "name": "perijove",
        "cores": None,
        "memory": None,
        "processes": 1,
        "python": None,
        "interface": None,
        "death-timeout": 60,
        "local-directory": None,
        "shared-temp-directory": None,
        "extra": None,
        "worker-command": "perijove.spawners.dask.worker",
        "worker-extra-args": [],
        "shebang": "#!/bin/sh",
        "env-extra": None,
        "job-script-prologue": [],
        "job-extra": None,
        "job-extra-directives": [],
        "header-skip": None,
        "job-directives-skip": [],
        "log-directory": None,
        "scheduler-options": {},
    },
}


def configure() -> None:
    """Set what `CONFIG` says, for this process."""
    dask.config.set(CONFIG)


def free_ports(cluster: str, address: str, first: int, last: int) -> Iterator[int]:
    """The ports of the cluster's sequence that are free on `address`, each looked at when it is asked for."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in ports(cluster, first, last):
        try:
            with socket.create_server((address, port), family=family):
                pass
        except OSError:
            continue
        yield port


class HeadScheduler(Scheduler):
    """distributed's scheduler without an HTTP port."""

    def start_http_server(
        self, routes: Any, dashboard_address: Any, default_port: int = 0, ssl_options: Any = None
    ) -> None:
        """Make the HTTP application, and listen nowhere; see the module's text."""
        self.http_application = RoutingApplication(routes)
        self.http_server = HTTPServer(self.http_application)
        self.http_server.address, self.http_server.port = "", 0  # type: ignore[attr-defined]
        self.services["dashboard"] = self.http_server

    def subscribe_worker_status(self, comm: Comm) -> dict[str, Any]:
        """As distributed's, for any number of subscribers: the head itself, and each `Cluster` of its owner."""
        _Subscriber(self, comm)
        ident = self.identity()
        for worker in ident["workers"].values():
            del worker["metrics"], worker["last_seen"]
        return ident


class _Subscriber(WorkerStatusPlugin):
    """distributed gives all of these one name, so that a second one silences the first."""

    def __init__(self, scheduler: Scheduler, comm: Comm) -> None:
        self.name = f"worker-status-{uuid.uuid4().hex}"  # type: ignore[misc]
        super().__init__(scheduler, comm)
