"""Batch systems, one file each; `batch_system` gives the one of a centre."""

from __future__ import annotations

from importlib import import_module

from perijove.spawners.batch.base import BatchError, BatchProblem, BatchSystem, Command, Output
from perijove.spawners.centre import Centre

_CLASSES = {
    "slurm": "slurm:Slurm",
    "gridengine": "gridengine:GridEngine",
    "pbs": "pbs:PBS",
    "lsf": "lsf:LSF",
    "htcondor": "htcondor:HTCondor",
    "oar": "oar:OAR",
    "local": "local:Local",
}


def batch_system(centre: Centre) -> BatchSystem:
    """The batch system of `centre`, in its dialect."""
    module, name = _CLASSES[centre.scheduler.system].split(":")
    system: BatchSystem = getattr(import_module(f"{__name__}.{module}"), name)(centre.scheduler)
    return system


__all__ = ["BatchError", "BatchProblem", "BatchSystem", "Command", "Output", "batch_system"]
