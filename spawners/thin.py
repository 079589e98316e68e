"""`ThinSpawner`: batchspawner's class with all its own ways closed, for a spawner that leaves the work to a broker.

batchspawner formats shell strings, runs them on the hub's machine, and takes any answer that it does not recognise for
the end of a job; JupyterHub stops what is not up in time. Neither may happen to a session that waits in a queue.
"""

from __future__ import annotations

from typing import Any, NoReturn

from batchspawner import BatchSpawnerBase
from traitlets import default


class ThinSpawner(BatchSpawnerBase):  # type: ignore[misc]
    """Runs nothing and gives up nothing."""

    # A queue may be long; a session that is up may be out of reach for hours. Neither is a reason to stop anything.
    @default("start_timeout")
    def _long_start(self) -> int:
        return 366 * 86400

    @default("http_timeout")
    def _long_wait(self) -> int:
        return 6 * 3600

    @default("poll_interval")
    def _usual_poll(self) -> int:
        return 30

    @default("env_keep")
    def _keep_nothing(self) -> list[str]:
        """The gateway's own PATH and the like mean nothing on a compute node."""
        return []

    @default("apply_user_options")
    def _all_in_start(self) -> Any:
        return lambda spawner, user_options: None

    async def run_command(self, cmd: Any, input: Any = None, env: Any = None) -> NoReturn:
        """Never: nothing is run on the hub's machine."""
        raise NotImplementedError("CentreSpawner runs no command; the broker does what is to be done")

    submit_batch_script = query_job_status = cancel_batch_job = run_command
