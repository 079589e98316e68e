"""What a person sees inside a notebook or an app. `Cluster` and `ClusterError` are for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perijove.widgets.cluster import Cluster
    from perijove.widgets.clustererror import ClusterError

if __name__ != "perijove.widgets":
    raise ImportError("import perijove.widgets, not widgets: install the package with `pip install -e .`")

__all__ = ["Cluster", "ClusterError"]


def __getattr__(name: str) -> Any:
    """Dask is loaded when a cluster is wanted, not with every server of a session."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from perijove.widgets import cluster, clustererror

    return cluster.Cluster if name == "Cluster" else clustererror.ClusterError
