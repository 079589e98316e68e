"""Where a cluster is: found by name, made beside the session, or made as a session of its own at another centre."""

# Dask says that it is typed, and for the most part is not.
# mypy: allow-untyped-calls
from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from distributed.security import Security
from perijove.spawners.dask import resume
from perijove.spawners.facts import Facts
from perijove.widgets.clustererror import ClusterError
from perijove.widgets.way import Answer, Place, Unreachable, Way, own_server

#: Resources of the session in which a head runs by itself: it moves no data, and holds the graph.
HEAD = {"cores": 1, "memory": "2G"}
#: Seconds: of a long poll for a session's news; for a head that is known to run; for one that is being started.
POLL, KNOWN, NEW = 30.0, 60.0, 180.0
AGAIN = 0.5  # seconds between two attempts
_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for; see `perijove.widgets.cluster.Cluster`. `idle` in seconds."""

    name: str = ""
    centre: str | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 0
    minimum: int | None = None
    maximum: int | None = None
    idle: float = 0.0
    attach: bool = False

    @property
    def asks(self) -> bool:
        """Whether workers are asked for with the cluster."""
        return bool(self.workers) or self.maximum is not None


@dataclass(frozen=True, slots=True)
class Found:
    """A cluster whose head answers."""

    view: Mapping[str, Any]
    place: Place
    token: str = field(repr=False)
    way: Way | None
    scheduler: str
    security: Security = field(repr=False)
    dashboard: str
    #: The head was told how many workers are wanted.
    asked: bool = False

    @property
    def name(self) -> str:
        """The cluster's."""
        return str(self.view["name"])

    async def ask(self, method: str, what: str, data: Any = None) -> dict[str, Any]:
        """One request to the head. Raises ClusterError."""
        try:
            answer = await self.look(what, method, data)
        except Unreachable as error:
            raise ClusterError("unreachable", {"name": self.name, "detail": str(error)}) from None
        if answer.status >= 400:
            raise ClusterError.of_answer(answer.status, answer.data, name=self.name)
        return answer.data

    async def look(self, what: str, method: str = "GET", data: Any = None) -> Answer:
        """One request below the cluster's address. Raises Unreachable."""
        return await self.place.ask(method, f"perijove/clusters/{self.name}/{what}", self.token, data)

    async def close(self) -> None:
        """Have it end: the head in good order, and then the broker, which knows what else belongs to it."""
        refused = None
        try:
            await self.ask("POST", "close", {})
        except ClusterError as error:
            refused = error if error.code == "unreachable" else None  # else it has no head any more
        if self.way is not None:
            with suppress(Unreachable):
                await self.way.broker("DELETE", f"/clusters/{self.view['id']}")
                return
        if refused is not None:  # nobody has heard of it: the cluster runs on, and costs
            raise refused


class Finder:
    """Finds or makes one cluster. `say` tells a person what is being waited for."""

    def __init__(
        self, wanted: Wanted, gateway: str, token: str, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._wanted, self._say = wanted, say
        self._gateway, self._token = gateway, token
        self._environment = dict(environment)
        self._facts = Facts.read(environment)
        self._way: Way | None = None
        #: The session that was started here and that nobody has yet: `give_up` stops it.
        self.made = ""

    @property
    def way(self) -> Way:
        """The way to the gateway. Raises ClusterError."""
        if self._way is None:
            try:
                self._way = Way.find(self._gateway, self._token, self._environment)
            except ClusterError as error:
                if error.code == "no-gateway" and self._facts.session:
                    raise ClusterError("too-old", {}) from None
                raise
        return self._way

    @property
    def _own(self) -> Place | None:
        """The server of the session in which this runs; not asked where another gateway is meant."""
        return None if self._gateway else own_server(self._environment)

    async def listing(self) -> list[dict[str, Any]]:
        """All live clusters. Raises ClusterError."""
        try:
            found = (await self.way.broker("GET", "/clusters?live=true")).good()
        except Unreachable as error:
            raise ClusterError("unreachable", {"name": "", "detail": str(error)}) from None
        rows: list[dict[str, Any]] = found["clusters"]
        return rows

    async def find(self) -> Found:
        """The cluster, its head answering. Raises ClusterError, Unreachable."""
        wanted = self._wanted
        if wanted.name and not _NAME.fullmatch(wanted.name):
            words = f"name: {wanted.name!r} is none; a name has lower-case letters, digits and -, at most 30"
            raise ClusterError("bad-request", {}, words)
        if wanted.name:
            answer = await self.way.broker("GET", f"/clusters/{wanted.name}")
            if answer.status == 200 and answer.data.get("live"):
                return await self._reach(answer.data, KNOWN)
            if answer.status not in (200, 404):
                answer.good()
            if wanted.attach:
                raise ClusterError("no-cluster", {"name": wanted.name})
        if self._own is not None and wanted.centre in (None, self._facts.centre):
            return await self._beside(self._own)
        if wanted.centre is None:
            raise ClusterError("centre-needed", {})
        return await self._apart(wanted.centre)

    async def give_up(self) -> None:
        """Stop the session that was started for nothing."""
        made, self.made = self.made, ""
        if made:
            with suppress(Unreachable):
                await self.way.broker("DELETE", f"/sessions/{made}", seconds=10)

    async def _beside(self, own: Place) -> Found:
        """A head in this session's server."""
        wanted = self._wanted
        body = {"name": wanted.name, "shape": dict(wanted.shape), "idle": wanted.idle}
        answer = await own.ask(
            "POST", "perijove/clusters", self._environment.get("JUPYTERHUB_API_TOKEN", ""), body, seconds=120
        )
        if answer.status == 404:
            raise ClusterError("too-old", {})
        status = answer.good()
        view = {"id": status["id"], "name": status["name"], "session": self._facts.session}
        return self._with(view, own, status, asked=False)

    async def _apart(self, centre: str) -> Found:
        """A head in a session of its own. Raises ClusterError, Unreachable."""
        wanted = self._wanted
        name = wanted.name or f"dask-{secrets.token_hex(2)}"
        told: dict[str, Any] = {"name": name, "shape": dict(wanted.shape), "idle": wanted.idle}
        for key in ("workers", "minimum", "maximum"):
            if (value := getattr(wanted, key)) is not None:
                told[key] = value
        short = json.dumps(told, separators=(",", ":"))  # an option of a request has room for 500 characters
        options: dict[str, Any] = {"kind": "dask", "centre": centre, **HEAD, "options": {"cluster": short}}
        for key in ("walltime", "project"):
            if key in wanted.shape:
                options[key] = wanted.shape[key]
        session = (await self.way.start({"server": name, "options": options})).good()
        if session["kind"] != "dask":
            raise ClusterError("name-taken", {"name": name})
        self.made = str(session["id"])
        await self._until_ready(session, name)
        view = await self._registered(name, self.made)
        return await self._reach(view, NEW, asked=True)

    async def _until_ready(self, session: Mapping[str, Any], name: str) -> None:
        """Tell what happens until the session is up. Raises ClusterError if it ends instead."""
        seen = 0
        while True:
            try:
                path = f"/sessions/{session['id']}/events?after={seen}&wait={POLL:g}"
                news = (await self.way.broker("GET", path, seconds=POLL + 30)).good()["events"]
            except Unreachable:
                await asyncio.sleep(AGAIN)
                continue
            for event in news:
                seen = max(seen, int(event["id"]))
                self._say(f"{name}: {event.get('message') or event.get('code')}")
                if event.get("stage") == "ready":
                    return
                if event.get("stage") == "ended":
                    await self._ended(str(session["id"]), name)

    async def _ended(self, session: str, name: str) -> None:
        """Raises ClusterError with the reason."""
        row = (await self.way.broker("GET", f"/sessions/{session}")).good()
        if row.get("stage") != "ended":
            return
        self.made = ""
        detail = "\n".join(str(row[key]) for key in ("detail", "log_tail") if row.get(key)) or str(row.get("outcome"))
        raise ClusterError("session-ended", {"name": name, "detail": detail})

    async def _registered(self, name: str, session: str) -> dict[str, Any]:
        """The broker's view of the cluster, once its head has made itself known. Raises ClusterError."""
        deadline = asyncio.get_running_loop().time() + NEW
        while True:
            with suppress(Unreachable):
                answer = await self.way.broker("GET", f"/clusters/{name}")
                if answer.status == 200 and answer.data.get("live") and answer.data.get("session") == session:
                    return answer.data
                await self._ended(session, name)
            if asyncio.get_running_loop().time() > deadline:
                raise ClusterError("unreachable", {"name": name, "detail": "its head has not made itself known."})
            await asyncio.sleep(AGAIN)

    async def _reach(self, view: Mapping[str, Any], seconds: float, asked: bool = False) -> Found:
        """The cluster of `view`, as soon as its head answers within `seconds`. Raises ClusterError, Unreachable."""
        here = view["session"] == self._facts.session and not self._gateway
        own = self._own if here else None
        place = own or await self.way.server(str(view["owner"]), str(view.get("server") or ""))
        token = self._environment.get("JUPYTERHUB_API_TOKEN", "") if own else self.way.token
        path = f"perijove/clusters/{view['name']}/status"
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                answer = await place.ask("GET", path, token, seconds=30)
                if answer.status == 200:
                    return self._with(view, place, answer.data, asked)
                # A route that the hub has not made yet, or a head that has not begun to listen.
                refusal = ClusterError.of_answer(answer.status, answer.data, name=view["name"])
                if answer.status != 503 and not (asked and answer.status == 404):
                    raise refusal
            except Unreachable as error:
                refusal = ClusterError("unreachable", {"name": view["name"], "detail": str(error)})
            if asyncio.get_running_loop().time() > deadline:
                raise refusal
            await asyncio.sleep(AGAIN)

    def _with(self, view: Mapping[str, Any], place: Place, status: Mapping[str, Any], asked: bool) -> Found:
        """The cluster with its head's status."""
        if place.socket:
            way, token = None, self._environment.get("JUPYTERHUB_API_TOKEN", "")
            with suppress(ClusterError):
                way = self.way
        else:
            way, token = self.way, self.way.token
        link = f"{self._public(place)}{status['dashboard']}"
        keys = Path(str(status["folder"]))
        if place.socket and os.access(keys / "client-key.pem", os.R_OK):
            security = Security(
                require_encryption=True,
                tls_ca_file=str(keys / "ca.pem"),
                tls_client_cert=str(keys / "client.pem"),
                tls_client_key=str(keys / "client-key.pem"),
            )
            return Found(view, place, token, way, str(status["address"]), security, link, asked)
        if way is None:
            raise ClusterError("unreachable", {"name": view["name"], "detail": f"its keys in {keys} cannot be read."})
        return self._through(view, place, way, link, asked)

    def _through(self, view: Mapping[str, Any], place: Place, way: Way, link: str, asked: bool) -> Found:
        """The cluster through the gateway."""
        resume.register()
        parts = urlsplit(place.origin)
        scheme = "pjwss" if parts.scheme == "https" else "pjws"
        address = f"{scheme}://{parts.netloc}{place.prefix}perijove/clusters/{quote(str(view['name']))}/comm"
        security = Security(extra_conn_args={"headers": place.headers(way.token)})
        return Found(view, place, way.token, way, address, security, link, asked)

    def _public(self, place: Place) -> str:
        """What stands before a path in an address for a browser; "" where the page itself is at that place."""
        public = urlsplit(self._environment.get("JUPYTERHUB_PUBLIC_URL", ""))
        if place.socket or (self._way is not None and self._way.inside):
            return f"{public.scheme}://{public.netloc}" if public.netloc else ""
        return place.origin
