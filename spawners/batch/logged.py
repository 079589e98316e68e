"""Batch systems that hand over a job's output only at its end (PBS, LSF): the script itself writes to `log`.

What the batch system says before and after the script goes to `batch.log` beside it.
"""

from __future__ import annotations

from typing import ClassVar

from perijove.spawners.batch.base import BatchSystem
from perijove.spawners.job import JobSpec

#: The name of the batch system's own file in the session's folder.
OWN_LOG = "batch.log"


class LoggedBatchSystem(BatchSystem):
    """A batch system whose jobs write their own log."""

    #: Where the script finds the number of its task.
    task_variable: ClassVar[str]

    def script(self, job: JobSpec) -> str:
        """See `BatchSystem.script`."""
        log = f'"log.${self.task_variable}"' if job.tasks else "log"
        return super().script(job).replace(" || exit 71\n", f" || exit 71\nexec >>{log} 2>&1\n", 1)
