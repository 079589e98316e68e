"""What the broker tells Prometheus: counts and ages as they are now, and how long starts, the store and requests take.

In a registry of its own, so that two brokers in one process (tests) share nothing and no figure of the process's own
libraries is published. Labels come from descriptions, codes and routes alone, never from what anybody typed: their
number is bounded. Who may read it: an operator, or whoever has the token in the file `metrics.token`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from perijove.hub.broker import watching
from perijove.hub.broker.clusterrecords import WorkerState
from perijove.hub.broker.clusters import Clusters
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.records import Record
from perijove.hub.broker.runrecords import RunState
from perijove.spawners.session import Stage
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from perijove.hub.broker.auth import Auth
    from perijove.hub.broker.broker import Broker

#: Upper bounds in seconds: a start takes from half a second to a week, a request from a millisecond to a long poll.
STARTS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 259200, 604800)
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Metrics:
    """The figures of one broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.registry = CollectorRegistry()
        self._starts = Histogram(
            "perijove_start_seconds",
            'Time of a start: step "node" until the job has its node, "ready" from there until the session opens.',
            ["centre", "step"],
            buckets=STARTS,
            registry=self.registry,
        )
        self._store = Histogram(
            "perijove_store_seconds",
            "Time of one read or write of the store, with the wait for its turn.",
            ["kind"],
            buckets=SHORT,
            registry=self.registry,
        )
        self._requests = Histogram(
            "perijove_http_request_seconds",
            "Time of one HTTP request; those for events and live pages wait on purpose.",
            ["method", "route", "status"],
            buckets=SHORT,
            registry=self.registry,
        )
        self._now = _Now(broker)
        self.registry.register(self._now)
        broker.sessions.on_change = self.changed
        broker.parts.database.on_done = self.stored

    def changed(self, before: Record, after: Record) -> None:
        """A session was changed in the store."""
        if before.stage is after.stage:
            return
        if after.stage is Stage.GRANTED and after.started and after.submitted:
            waited = (after.started - after.submitted).total_seconds()
            self._starts.labels(after.centre, "node").observe(max(waited, 0.0))  # two machines' clocks
        elif after.stage is Stage.READY and after.ready and after.started:
            self._starts.labels(after.centre, "ready").observe(max((after.ready - after.started).total_seconds(), 0.0))

    def stored(self, kind: str, seconds: float) -> None:
        """The store was read or written."""
        self._store.labels(kind).observe(seconds)

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).observe(seconds)

    async def text(self, accept: str) -> tuple[bytes, str]:
        """All figures and their content type, in the format that `accept` prefers."""
        self._now.counts = await self.broker.sessions.counts()
        self._now.clusters, self._now.workers = await Clusters(self.broker.sessions).counts()
        self._now.runs = await self.broker.runs.runs.counts()
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _Now(Collector):
    """What is so at the moment it is asked for."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.counts: Mapping[str, Mapping[str, int]] = {}
        self.clusters: Mapping[str, int] = {}
        self.workers: Mapping[tuple[str, str], int] = {}
        self.runs: Mapping[tuple[str, str], int] = {}

    def collect(self) -> Iterator[Metric]:
        """One family each."""
        broker, now = self.broker, self.broker.parts.clock()
        sessions = GaugeMetricFamily("perijove_sessions", "Sessions that have not ended.", labels=["centre", "stage"])
        clusters = GaugeMetricFamily("perijove_clusters", "Dask clusters that are not closed.", labels=["centre"])
        workers = GaugeMetricFamily("perijove_workers", "Dask workers that have not ended.", labels=["centre", "state"])
        runs = GaugeMetricFamily("perijove_runs", "Runs of apps that have not ended.", labels=["app", "state"])
        for app in broker.apps.apps:
            for told in RunState:
                if told.live:
                    runs.add_metric([app, told.value], self.runs.get((app, told.value), 0))
        drained = GaugeMetricFamily("perijove_centre_drained", "1: no new sessions are taken.", labels=["centre"])
        lease = GaugeMetricFamily("perijove_lease_held", "1: this broker looks after the centre.", labels=["centre"])
        commands = CounterMetricFamily(
            "perijove_batch_commands", "Commands of the batch system that the watcher asked.", labels=["centre"]
        )
        failures = GaugeMetricFamily(
            "perijove_watcher_failures", "Queries in a row that the centre did not answer.", labels=["centre"]
        )
        age = GaugeMetricFamily(
            "perijove_watcher_answer_age_seconds", "Since the newest listing was asked for.", labels=["centre"]
        )
        tunnels = GaugeMetricFamily(
            "perijove_tunnels", "Tunnels to sessions that are up, or being made again.", labels=["centre", "up"]
        )
        for centre in broker.parts.centres:
            for stage in Stage:
                if stage is not Stage.ENDED:
                    sessions.add_metric([centre, stage.value], self.counts.get(centre, {}).get(stage.value, 0))
            clusters.add_metric([centre], self.clusters.get(centre, 0))
            for now_in in WorkerState:
                if not now_in.over:
                    workers.add_metric([centre, now_in.value], self.workers.get((centre, now_in.value), 0))
            drained.add_metric([centre], centre in broker.orders.drains)
            keeper = broker.keepers.get(centre)
            lease.add_metric([centre], keeper is not None and keeper.held)
            if keeper is None or not keeper.held:
                continue
            watcher = keeper.watcher
            commands.add_metric([centre], watcher.commands)
            failures.add_metric([centre], watcher.worst.count if watcher.worst else 0)
            if watcher.answered is not None:
                age.add_metric([centre], (now - watcher.answered).total_seconds())
            for state, count in watching.tunnels(broker, centre).items():
                tunnels.add_metric([centre, "true" if state == "up" else "false"], count)
        yield from (sessions, clusters, workers, runs, drained, lease, commands, failures, age, tunnels)


class Timed:
    """Times every request. The route's pattern is the label, not the address."""

    def __init__(self, app: ASGIApp, metrics: Metrics, root: str) -> None:
        self.app = app
        self.metrics = metrics
        self.root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with a look at the clock."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.metrics.requested(scope["method"], self._route(scope), status, time.perf_counter() - begun)

    def _route(self, scope: Scope) -> str:
        """The pattern of the address below the broker's prefix; "other" for what is no address of ours."""
        pattern = getattr(scope.get("route"), "path", None)
        if pattern is None:
            return "other"
        # FastAPI gives a route's own pattern, with or without that of the router it is in.
        below = str(pattern).removeprefix(self.root).removeprefix("/api/v1").removeprefix("api/v1")
        return f"/api/v1{below}" if scope["path"].startswith(f"{self.root}api/v1/") else f"/{below.lstrip('/')}"


def router(metrics: Metrics, auth: Auth) -> APIRouter:
    """GET /metrics."""
    routes = APIRouter(tags=["health"])

    @routes.get("/metrics", response_class=Response)
    async def read(request: Request) -> Response:
        """The figures, for Prometheus: with the token in `metrics.token`, or as an operator."""
        if not auth.reads_metrics(request) and not (await auth.caller(request)).operator:
            raise Refusal(403, "forbidden", "this takes the token in the gateway's metrics.token, or an operator")
        content, content_type = await metrics.text(request.headers.get("Accept", ""))
        return Response(content, media_type=content_type)

    return routes
