"""Kinds of session: what the agent starts in the job. An extension point.

A kind is an object with this module's `Kind` interface, found by name in the entry-point group `perijove.kinds` or
among the built-in ones. Every kind is a JupyterHub server on a unix socket, so routes, login and culling are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points

#: The address a session believes to have. jupyter-server refuses a unix socket with any other port.
SERVICE_ADDRESS = "http://127.0.0.1:8888"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a server of this kind is started.

    `arguments` follow the centre's Python on the command line; `{socket}` stands for the unix socket on which the
    server must listen, and the agent fills it in. `environment` is added to what the hub gives. No secret belongs
    into either: the token comes with the hub's environment, over the tunnel.
    """

    name: str
    arguments: tuple[str, ...]
    default_url: str = ""
    #: Where the file that a request names (`Request.open`) is opened: this, and the file's path.
    open_url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


LAB = Kind(
    "lab",
    (
        "-m",
        "perijove.widgets.lab",
        "--ServerApp.sock={socket}",
        "--ServerApp.sock_mode=0600",
        # Kernels on unix sockets: plain TCP on a shared node is open to its other users.
        "--KernelManager.transport=ipc",
        # JupyterLab's news come from outside, which a compute node cannot reach.
        "--LabApp.news_url=None",
    ),
    default_url="/lab",
    open_url="/lab/tree/",
    environment={
        "JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp",
        # JupyterLab's Dask sidebar makes our clusters.
        "DASK_LABEXTENSION__FACTORY__MODULE": "perijove.widgets",
        "DASK_LABEXTENSION__FACTORY__CLASS": "Cluster",
    },
)


#: The head of a Dask cluster apart from any notebook: a server that has no other purpose, and ends with it.
DASK = Kind(
    "dask",
    (
        "-m",
        "perijove.widgets.daskserver",
        "--ServerApp.sock={socket}",
        "--ServerApp.sock_mode=0600",
    ),
    default_url="/perijove/dashboard",
    environment={"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"},
)

#: An app: Voila's page over one notebook, and nothing else of a Jupyter server.
APP = Kind(
    "app",
    (
        "-m",
        "perijove.widgets.appserver",
        "--ServerApp.sock={socket}",
        "--ServerApp.sock_mode=0600",
        "--KernelManager.transport=ipc",
    ),
    default_url="/voila/render/app.ipynb",
    environment={"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"},
)
_BUILT_IN = {one.name: one for one in (LAB, DASK, APP)}


def kind(name: str) -> Kind:
    """The kind of session called `name`.

    Raises:
        LookupError: there is none; the message names those that are there.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    found = entry_points(group="perijove.kinds")
    for entry in found:
        if entry.name == name:
            loaded = entry.load()
            if not isinstance(loaded, Kind):
                raise LookupError(f"{entry.value} is not a perijove.spawners.kinds.Kind")
            return loaded
    known = ", ".join(sorted({*_BUILT_IN, *found.names}))
    raise LookupError(f"there is no kind of session {name!r}; there are: {known}")
