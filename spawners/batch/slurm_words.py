"""Slurm's words and ours: job states, reasons to wait, ends (squeue(1), sacct(1), `slurm.h`; 22.05 to 25.05)."""

from __future__ import annotations

from perijove.spawners.job import JobState, Reason

#: State -> ours, and the reason that the state alone tells.
STATES: dict[str, tuple[JobState, Reason]] = {
    "PENDING": (JobState.QUEUED, Reason.NONE),
    "REQUEUED": (JobState.QUEUED, Reason.REQUEUED),
    "REQUEUE_FED": (JobState.QUEUED, Reason.REQUEUED),
    "REQUEUE_HOLD": (JobState.QUEUED, Reason.HELD_CENTRE),
    "RESV_DEL_HOLD": (JobState.QUEUED, Reason.RESERVATION),
    "SPECIAL_EXIT": (JobState.QUEUED, Reason.HELD_CENTRE),
    "EXPEDITING": (JobState.QUEUED, Reason.REQUEUED),
    "CONFIGURING": (JobState.STARTING, Reason.NONE),
    "POWER_UP_NODE": (JobState.STARTING, Reason.NONE),
    "RUNNING": (JobState.RUNNING, Reason.NONE),
    "RESIZING": (JobState.RUNNING, Reason.NONE),
    "SIGNALING": (JobState.RUNNING, Reason.NONE),
    "SUSPENDED": (JobState.SUSPENDED, Reason.NONE),
    "STOPPED": (JobState.SUSPENDED, Reason.NONE),
    "COMPLETING": (JobState.ENDING, Reason.NONE),
    "STAGE_OUT": (JobState.ENDING, Reason.NONE),
    "COMPLETED": (JobState.ENDED, Reason.COMPLETED),
    "CANCELLED": (JobState.ENDED, Reason.CANCELLED),
    "REVOKED": (JobState.ENDED, Reason.CANCELLED),
    "FAILED": (JobState.ENDED, Reason.FAILED),
    "TIMEOUT": (JobState.ENDED, Reason.WALLTIME),
    "DEADLINE": (JobState.ENDED, Reason.WALLTIME),
    "OUT_OF_MEMORY": (JobState.ENDED, Reason.MEMORY),
    "NODE_FAIL": (JobState.ENDED, Reason.NODE_FAILED),
    "PREEMPTED": (JobState.ENDED, Reason.PREEMPTED),
    "BOOT_FAIL": (JobState.ENDED, Reason.LAUNCH_FAILED),
    "LAUNCH_FAILED": (JobState.ENDED, Reason.LAUNCH_FAILED),
    "RECONFIG_FAIL": (JobState.ENDED, Reason.LAUNCH_FAILED),
}

#: Why a job waits. Families of reasons (`Assoc...`, `QOS...`) are in `FAMILIES`.
REASONS: dict[str, Reason] = {
    "None": Reason.NONE,
    "Priority": Reason.PRIORITY,
    "Resources": Reason.RESOURCES,
    "Cleaning": Reason.REQUEUED,
    "BeginTime": Reason.BEGIN_TIME,
    "Dependency": Reason.DEPENDENCY,
    "DependencyNeverSatisfied": Reason.NEVER,
    "JobHeldUser": Reason.HELD_PERSON,
    "JobHeldAdmin": Reason.HELD_CENTRE,
    "JobHoldMaxRequeue": Reason.HELD_CENTRE,
    "launch_failed_requeued_held": Reason.LAUNCH_FAILED,
    "job_requeued_in_held_state": Reason.HELD_CENTRE,
    "Reservation": Reason.RESERVATION,
    "ReservationDeleted": Reason.RESERVATION,
    "InvalidReservation": Reason.RESERVATION,
    "ReqNodeNotAvail": Reason.NODES_DOWN,
    "NodeDown": Reason.NODES_DOWN,
    "Nodes_required_for_job_are_DOWN": Reason.NODES_DOWN,
    "PartitionDown": Reason.QUEUE_CLOSED,
    "PartitionInactive": Reason.QUEUE_CLOSED,
    "PartitionConfig": Reason.NEVER,
    "PartitionTimeLimit": Reason.NEVER,
    "PartitionNodeLimit": Reason.NEVER,
    "BadConstraints": Reason.NEVER,
    "AccountNotAllowed": Reason.NEVER,
    "QOSNotAllowed": Reason.NEVER,
    "InvalidAccount": Reason.NEVER,
    "InvalidQOS": Reason.NEVER,
    "AssociationJobLimit": Reason.LIMIT_ACCOUNT,
    "AssociationResourceLimit": Reason.LIMIT_ACCOUNT,
    "AssociationTimeLimit": Reason.LIMIT_ACCOUNT,
    "JobArrayTaskLimit": Reason.LIMIT_PERSON,
    "MaxBBPerUser": Reason.LIMIT_PERSON,
    "Licenses": Reason.LICENCES,
    "LicensesNotAvail": Reason.LICENCES,
    "JobLaunchFailure": Reason.LAUNCH_FAILED,
    "FrontEndDown": Reason.NODES_DOWN,
    "SchedDefer": Reason.PRIORITY,
    "PowerNotAvail": Reason.RESOURCES,
    "PowerReserved": Reason.RESOURCES,
    "MaxPowerPerAccount": Reason.LIMIT_ACCOUNT,
    "SystemFailure": Reason.NODES_DOWN,
}

#: The first text that is in the reason decides; asked for what `REASONS` does not name.
FAMILIES: tuple[tuple[str, Reason], ...] = (
    ("reservedformaintenance", Reason.MAINTENANCE),
    ("reserved_for_maintenance", Reason.MAINTENANCE),
    ("reserved for maintenance", Reason.MAINTENANCE),
    ("maxwallduration", Reason.NEVER),
    ("peruser", Reason.LIMIT_PERSON),
    ("qosgrp", Reason.LIMIT_QUEUE),
    ("peraccount", Reason.LIMIT_ACCOUNT),
    ("assocgrp", Reason.LIMIT_ACCOUNT),
    ("assocmax", Reason.LIMIT_ACCOUNT),
    ("qosmax", Reason.LIMIT_PERSON),
    ("qosjob", Reason.LIMIT_QUEUE),
    ("qosresource", Reason.LIMIT_QUEUE),
    ("qosusage", Reason.LIMIT_QUEUE),
    ("qostime", Reason.LIMIT_QUEUE),
    ("qosmin", Reason.NEVER),
    ("burstbuffer", Reason.RESOURCES),
)

#: In the words of any client command: the controller does not answer, so nothing is known.
UNAVAILABLE = (
    "unable to contact slurm controller",
    "socket timed out",
    "connection refused",
    "communication connection failure",
    "slurm backup controller in standby mode",
    "zero bytes were transmitted or received",
    "transport endpoint is not connected",
    "slurmctld is not running",
    "slurm temporarily unable to accept job",
    "resource temporarily unavailable",
    "problem talking to the database",
    "unable to establish",
    "could not establish a configuration source",
    "munge encode failed",
    "protocol authentication error",
)

#: How `scancel` says that there is nothing left to cancel.
NO_SUCH_JOB = (
    "invalid job id",
    "job/step already completing or completed",
)


def reason_of(word: str) -> Reason:
    """Our code for Slurm's reason `word`."""
    if not word or word in ("None", "(null)"):
        return Reason.NONE
    low = word.lower()
    for part, reason in FAMILIES[:3]:
        if part in low:
            return reason
    head = word.partition(",")[0].strip().replace(" ", "_")
    if head in REASONS:
        return REASONS[head]
    return next((reason for part, reason in FAMILIES if part in low), Reason.OTHER)
