"""The environment of a session's server: the hub's, made fit for a compute node.

The server believes to be at `SERVICE_ADDRESS` (it listens on a unix socket) and reaches the hub through the agent's
loopback listener, whose port the agent fills in for `{api_port}`: nobody knows it before the agent has said hello.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from perijove.spawners.facts import GATEWAY_PORT
from perijove.spawners.kinds import SERVICE_ADDRESS, Kind

#: Addresses of the hub's API, which a compute node cannot reach itself.
_TO_HUB = ("JUPYTERHUB_API_URL", "JUPYTERHUB_ACTIVITY_URL")


def way_to_gateway(api: str, host: str, user_host: str) -> dict[str, str]:
    """How a session reaches the gateway's proxy: through its agent's second listener, with the names of the outside.

    `api` is the path of the broker's API; `host` the hub's name where people have domains of their own, else "";
    `user_host` the address of the person's domain, which counts only there.
    """
    return {
        "PERIJOVE_GATEWAY": f"http://127.0.0.1:{GATEWAY_PORT}",
        "PERIJOVE_GATEWAY_HOST": host,
        "PERIJOVE_USER_HOST": urlsplit(user_host).netloc if host else "",
        "PERIJOVE_API": api,
    }


def server_environment(hubs: Mapping[str, str], kind: Kind) -> dict[str, str]:
    """What the server of `kind` gets, from what the hub gives (`Spawner.get_env`); done twice it is the same."""
    found = {key: str(value) for key, value in hubs.items() if value is not None}
    for key in _TO_HUB:
        if key in found:
            found[key] = "http://127.0.0.1:{api_port}" + urlsplit(found[key]).path
    found["JUPYTERHUB_SERVICE_URL"] = SERVICE_ADDRESS + found.get("JUPYTERHUB_SERVICE_PREFIX", "/")
    if kind.default_url:
        found.setdefault("JUPYTERHUB_DEFAULT_URL", kind.default_url)
    return found | dict(kind.environment)
