"""The broker's web application: `create_app(settings)` puts the real parts together, `application` any parts."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncssh
import perijove
from fastapi import APIRouter, FastAPI
from perijove.hub.broker import (
    api_apps,
    api_budgets,
    api_centres,
    api_clusters,
    api_files,
    api_ledger,
    api_operator,
    api_reconcile,
    api_runs,
    api_sessions,
    api_shares,
    errors,
)
from perijove.hub.broker.auth import Auth
from perijove.hub.broker.broker import Broker, Parts
from perijove.hub.broker.config import Timing
from perijove.hub.broker.context import Context
from perijove.hub.broker.database import Database
from perijove.hub.broker.hubclient import HubClient
from perijove.hub.broker.identity import Identities
from perijove.hub.broker.metrics import Metrics, Timed
from perijove.hub.broker.metrics import router as metrics_router
from perijove.hub.broker.sessions import Sessions, utc_now
from perijove.hub.locks import exclusive
from perijove.hub.settings import Settings
from perijove.spawners.apps.catalogue import Catalogue
from perijove.spawners.batch import batch_system
from perijove.spawners.centre import Centre
from perijove.spawners.centres import Centres
from perijove.spawners.link import Links
from perijove.spawners.tunnel import Tunnel


def create_app(settings: Settings) -> FastAPI:
    """The broker for these settings. Nothing is opened before the application starts."""
    centres = Centres(settings.centres_dir)
    hub = HubClient(settings.hub_api_url, settings.secret("broker.token"))
    parts, links = real_parts(settings, centres, hub)
    broker = Broker(parts)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # One broker per state directory: it may take its predecessor's leases at once, as that one is dead.
        with exclusive(settings.directory() / "broker.lock"):
            await asyncio.to_thread(centres.reload)
            await broker.start()
            try:
                yield
            finally:
                await broker.stop()
                await links.close()
                await hub.close()

    auth = Auth(settings.secret("broker.token"), hub, settings.secret("metrics.token"))
    app = application(broker, auth, settings.broker_prefix, lifespan)
    if importlib.util.find_spec("perijove.hub.pages.install") is not None:
        from perijove.hub.pages.install import install

        install(app, settings)
    return app


def real_parts(
    settings: Settings, centres: Centres, hub: HubClient, timing: Timing | None = None
) -> tuple[Parts, Links]:
    """The parts of a broker in earnest, and the links, which whoever made them closes."""
    timing = timing or Timing()
    database = Database(_with_folder(settings))
    links = Links()
    key = asyncssh.import_private_key(settings.secret("agent_key"))
    public = key.export_public_key().decode("ascii").strip()
    hub_at = urlsplit(settings.hub_url)
    api = (hub_at.hostname or "127.0.0.1", hub_at.port or 8081)

    def context(centre: Centre, sessions: Sessions) -> Context:
        return Context(
            centre=centre,
            system=batch_system(centre),
            links=links,
            sessions=sessions,
            hub=hub,
            timing=timing,
            tunnels=Tunnel,
            client_key=key,
            api=api,
            gateway=settings.proxy_address,
            clock=utc_now,
            authorised=(public,),
            submitting=asyncio.Semaphore(settings.launch_limits.per_centre),
        )

    folders = (settings.apps_folder,)
    identities = Identities(database, settings.state_dir / "keys", settings.identities_file, utc_now)
    parts = Parts(
        database=database,
        centres=centres,
        links=links,
        hub=hub,
        identities=identities,
        clock=utc_now,
        timing=timing,
        ports=settings.session_ports,
        per_person=settings.launch_limits.per_person,
        context=context,
        reload=centres.reload,
        holder=_holder(settings),
        retention=settings.retention,
        cluster_limits=settings.cluster_limits,
        ledger=settings.ledger,
        app_limits=settings.apps,
        catalogue=Catalogue(folders),
        app_folders=folders,
    )
    return parts, links


def _holder(settings: Settings) -> str:
    """Who the broker of this state directory on this machine is, after a restart, too; it tells no secret."""
    return hashlib.sha256(f"{socket.gethostname()} {settings.secret('broker.token')}".encode()).hexdigest()[:16]


def _with_folder(settings: Settings) -> str:
    """The store's address; its folder is there and private."""
    Path(settings.directory()).mkdir(parents=True, exist_ok=True)
    return settings.database_url


def application(broker: Broker, auth: Auth, prefix: str, lifespan: object = None) -> FastAPI:
    """The API of `broker` below `prefix` (which ends in "/")."""
    root = f"{prefix}api/v1"
    app = FastAPI(
        title="Perijove broker",
        version=perijove.__version__,
        description="Sessions, Dask clusters and runs of apps at supercomputing centres: choose, start, follow, stop.",
        openapi_url=f"{root}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,  # type: ignore[arg-type]
    )
    app.state.broker = broker
    errors.install(app, root)
    app.add_middleware(errors.BoundedBody, files=re.compile(rf"{re.escape(root)}/runs/[^/]+/files/."))
    metrics = Metrics(broker)
    app.add_middleware(Timed, metrics=metrics, root=prefix)
    api = APIRouter(prefix=root)
    api.include_router(api_sessions.router(broker, auth.caller))
    api.include_router(api_clusters.router(broker, auth.caller))
    api.include_router(api_apps.router(broker, auth.caller, root))
    api.include_router(api_runs.router(broker, auth.caller))
    api.include_router(api_budgets.router(broker, auth.caller))
    api.include_router(api_ledger.router(broker, auth.caller))
    api.include_router(api_reconcile.router(broker, auth.caller))
    api.include_router(api_shares.router(broker, auth.caller, prefix))
    api.include_router(api_centres.router(broker, auth.caller))
    api.include_router(api_files.router(broker, auth.caller))
    api.include_router(api_operator.router(broker, auth.caller))
    api.include_router(api_operator.health(broker))
    api.include_router(metrics_router(metrics, auth))
    app.include_router(api)
    return app
