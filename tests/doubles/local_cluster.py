"""`perijove.widgets.Cluster` for the example notebooks: the same words, on Dask's own local cluster.

Its workers are processes with the memory that was asked for, so that what is larger than one of them is so here, too.
"""

from __future__ import annotations

from typing import Any

from distributed import LocalCluster


class Cluster(LocalCluster):  # type: ignore[misc]
    """Workers on this machine; `centre` is told apart by nothing."""

    def __init__(
        self, *, centre: str | None = None, workers: int = 0, cores: int = 1, memory: str = "1G", **more: Any
    ) -> None:
        assert not more, f"the double does not know {sorted(more)}"
        super().__init__(
            n_workers=workers,
            threads_per_worker=cores,
            memory_limit=memory,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            worker_dashboard_address=None,
        )
        self.centre = centre

    def _ipython_display_(self, **_: Any) -> None:
        """The panel has tests of its own."""
        print(repr(self))
