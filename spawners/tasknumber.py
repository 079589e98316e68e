"""The number of the task of a job array that runs, for what runs in it.

A module of its own, since hundreds of workers start at once: with the batch systems' modules each would need 0.2 s of
processor time more (measured here).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Where each batch system puts a task's number. Grid Engine says "undefined" and LSF 0 in a job that is no array.
VARIABLES = (
    "SLURM_ARRAY_TASK_ID",
    "SGE_TASK_ID",
    "PBS_ARRAY_INDEX",
    "PBS_ARRAYID",  # Torque
    "LSB_JOBINDEX",
    "OAR_ARRAY_INDEX",
    "PERIJOVE_TASK",  # HTCondor has none of its own: the submit description sets it
    "PERIJOVE_LOCAL_TASK",
)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def task_of(environment: Mapping[str, str]) -> int:
    """The number of the task that runs with `environment`, from 1; 1 in a job that is no array."""
    return next((int(value) for name in VARIABLES if _NUMBER.fullmatch(value := environment.get(name, ""))), 1)
