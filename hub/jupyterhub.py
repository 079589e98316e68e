"""The gateway's JupyterHub, configured from the settings: `configure(c, Settings.load(path))` is a whole configuration.

The hub is kept thin. Its proxy is started apart from it (`should_start = False`) and its servers stay when it stops,
so that a restart of the hub is noticed by nobody. The broker is its one service.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from perijove.hub.logsecrets import keep_out
from perijove.hub.settings import DEMO, SERVICE, Settings

#: What the broker may do at the hub: start and stop servers, see who there is, have routes checked.
BROKER_SCOPES = ("admin:servers", "list:users", "read:users", "read:hub", "proxy", f"access:services!service={SERVICE}")
#: What a session's token may do: open all sessions of its own person (a notebook uses a cluster in another one), ask
#: the broker as that person, and tell the hub that somebody works. Not: read other people, or the person's account.
SERVER_SCOPES = ("access:servers!user", f"access:services!service={SERVICE}", "users:activity!user")
#: Seconds between two looks at the proxy's routes; `perijove serve` asks at once when the proxy was restarted.
ROUTES_EVERY = 30


def configure(c: Any, settings: Settings) -> None:
    """Writes the whole configuration of the hub into the traitlets configuration `c`."""
    drop_batchspawner_endpoint()
    _addresses(c, settings)
    _stores(c, settings)
    _sessions(c, settings)
    _people(c, settings)
    _broker(c, settings)
    keep_out()
    c.JupyterHub.template_paths = [str(Path(__file__).parent / "templates")]
    c.JupyterHub.template_vars = {
        "perijove_prefix": settings.broker_prefix,
        "perijove_start": f"{settings.broker_prefix}start",
    }


def drop_batchspawner_endpoint() -> None:
    """Takes batchspawner's handler out of the hub: it lets any server set any attribute of its spawner."""
    import batchspawner  # noqa: F401  (its import is what adds the handler)
    from jupyterhub.apihandlers import default_handlers

    default_handlers[:] = [handler for handler in default_handlers if handler[0] != "/api/batchspawner"]


def _addresses(c: Any, settings: Settings) -> None:
    c.JupyterHub.bind_url = f"{settings.bind_url}/"
    c.JupyterHub.hub_bind_url = settings.hub_url
    if settings.public_url:
        c.JupyterHub.public_url = f"{settings.url}/"
    if settings.subdomain_host:
        c.JupyterHub.subdomain_host = settings.subdomain_host
        c.JupyterHub.subdomain_hook = domain_of
    c.JupyterHub.default_url = settings.broker_prefix
    c.JupyterHub.proxy_class = "configurable-http-proxy"
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = settings.proxy_api_url
    c.ConfigurableHTTPProxy.auth_token = settings.secret("proxy.token")
    c.JupyterHub.last_activity_interval = ROUTES_EVERY


def domain_of(name: str, domain: str, kind: str) -> str:
    """The domain of a person's sessions, or of a service: our own pages stay at the hub's, `domain`."""
    from jupyterhub.utils import subdomain_hook_idna

    return domain if (kind, name) == ("service", SERVICE) else str(subdomain_hook_idna(name, domain, kind))


def _stores(c: Any, settings: Settings) -> None:
    c.JupyterHub.db_url = settings.hub_database_url
    c.JupyterHub.cookie_secret_file = str(settings.secret_file("cookie_secret"))


def _sessions(c: Any, settings: Settings) -> None:
    c.JupyterHub.spawner_class = "perijove"
    c.CentreSpawner.broker_url = settings.broker_api_url
    c.CentreSpawner.broker_token_file = str(settings.secret_file("broker.token"))
    # A session at a domain of its own finds the page at the hub's.
    at = urlsplit(settings.url)
    c.CentreSpawner.start_page = (
        f"{at.scheme}://{at.netloc}" if settings.subdomain_host else ""
    ) + f"{settings.broker_prefix}start"
    c.CentreSpawner.api_path = f"{settings.broker_prefix}api/v1"
    c.CentreSpawner.gateway_host = at.netloc if settings.subdomain_host else ""
    c.CentreSpawner.server_token_scopes = list(SERVER_SCOPES)
    if settings.authenticator.name == DEMO and os.geteuid() == 0:
        # In a container the demo may run as root; its centres are this machine, so its sessions do, too. Nowhere else.
        c.CentreSpawner.args = ["--allow-root"]
    # How many start at once is the centres' business; the broker takes turns.
    c.JupyterHub.concurrent_spawn_limit = 0
    c.JupyterHub.active_server_limit = 0
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.cleanup_proxy = False
    # Sessions whose centre does not answer are waited for in the background; the hub itself comes up.
    c.JupyterHub.init_spawners_timeout = 2
    # A start that is refused says so in the answer to the request; one that queues answers "pending" soon.
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 2}


def _people(c: Any, settings: Settings) -> None:
    who = settings.authenticator
    c.JupyterHub.authenticator_class = who.name
    c.Authenticator.allow_all = who.allow_all
    c.Authenticator.allowed_users = set(who.allowed)
    c.Authenticator.admin_users = set(settings.admins)
    for class_name, traits in who.config.items():
        for trait, value in traits.items():
            c[class_name][trait] = value


def _broker(c: Any, settings: Settings) -> None:
    c.JupyterHub.services = [
        {
            "name": SERVICE,
            "url": settings.broker_url,
            "api_token": settings.secret("broker.token"),
            "oauth_no_confirm": True,
            "oauth_redirect_uri": f"{settings.broker_prefix}oauth_callback",
            "display": False,
        }
    ]
    c.JupyterHub.load_roles = [
        {"name": "perijove-broker", "services": [SERVICE], "scopes": list(BROKER_SCOPES)},
        {"name": "user", "scopes": ["self", f"access:services!service={SERVICE}"]},
    ]
