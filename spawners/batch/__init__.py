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


def _class(system: str) -> type[BatchSystem]:
    module, name = _CLASSES[system].split(":")
    found: type[BatchSystem] = getattr(import_module(f"{__name__}.{module}"), name)
    return found


def batch_system(centre: Centre) -> BatchSystem:
    """The batch system of `centre`, in its dialect."""
    return _class(centre.scheduler.system).of(centre)


def programs(system: str) -> tuple[str, ...]:
    """The usual names of the commands of the batch system `system`, which a centre may rename; () if there is none."""
    return _class(system).programs if system in _CLASSES else ()


__all__ = ["BatchError", "BatchProblem", "BatchSystem", "Command", "Output", "batch_system", "programs"]
