"""What a session of kind `dask` runs, `python -m perijove.widgets.daskserver`: the head of a cluster, its addresses.

A Jupyter server with our extension and no other one, so that the head is reached, listed, stopped and culled as any
session. It makes its cluster from `PERIJOVE_OPTIONS` (the request's `options.cluster`, JSON of
`perijove.widgets.heads.NewCluster`) and ends when that ends: well, if the cluster ended well.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from perijove.widgets.clustererror import ClusterError
from perijove.widgets.lab import prepare
from perijove.widgets.way import Unreachable

if TYPE_CHECKING:
    from perijove.widgets.heads import Heads

_OURS = "perijove.widgets.server"
#: Seconds between two attempts to reach the broker, and for how long a job is worth the attempts.
RETRY, PATIENCE = 2.0, 600.0
#: Exit code of a session whose cluster could not be made or died, from sysexits.h: a service is not available.
FAILED = 69
_failed = False


async def serve_cluster(heads: Heads, options: str, server: Any, log: Any) -> None:
    """Make the cluster, and stop the server once it is over."""
    global _failed  # noqa: PLW0603 - the process has one purpose, and this is what became of it
    try:
        head = await _make(heads, options)
        _failed = await heads.wait_for_end(head) == "died"
    except (ClusterError, Unreachable) as error:
        log.error("perijove: the cluster cannot be made: %s", error)
        _failed = True
    except Exception:
        log.exception("perijove: the cluster cannot be made")
        _failed = True
    server.stop()


async def _make(heads: Heads, options: str) -> Any:
    """The head. Raises ClusterError, Unreachable."""
    from perijove.widgets.heads import NewCluster

    try:
        wanted = json.loads(json.loads(options)["cluster"])
    except (ValueError, KeyError, TypeError):
        raise ClusterError("bad-request", {}, "options.cluster is no JSON of a cluster") from None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        try:
            return await heads.make(NewCluster.parse(wanted))
        except Unreachable:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(RETRY)


def only_ours() -> dict[str, bool]:
    """All other extensions of the centre's environment, switched off: JupyterLab alone takes 100 MB and a second."""
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    found = ExtensionConfigManager(read_config_path=jupyter_config_path()).get_jpserver_extensions()  # type: ignore[no-untyped-call]
    return {name: name == _OURS for name in found}


def main() -> None:
    """The session's command; arguments are those of `jupyterhub-singleuser`."""
    prepare(os.environ)
    os.environ["PERIJOVE_SERVES_CLUSTER"] = os.environ.get("PERIJOVE_OPTIONS") or "{}"
    sys.argv.append(f"--ServerApp.jpserver_extensions={only_ours()!r}")
    from jupyterhub.singleuser import main as serve

    serve()
    # `serve_cluster` ran in the module of that name, not in this script.
    from perijove.widgets import daskserver

    sys.exit(FAILED if daskserver._failed else 0)


if __name__ == "__main__":
    main()
