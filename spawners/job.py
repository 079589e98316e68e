"""A batch job as the gateway knows it: what is submitted, and what a batch system says of it.

Batch systems answer in their own words; `spawners/batch/` maps these to the codes here, and pages turn the codes
into words of the person's language. Nothing in this module does I/O.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: Lower-case base 32: safe in any batch system's job name, file name and DNS label.
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
#: Job names are this plus the session id: 15 characters, which every batch system keeps whole.
PREFIX = "pj"


def new_tag() -> str:
    """A gateway's own mark, made once: gateways that share an account tell their jobs apart by it."""
    return "".join(secrets.choice(ALPHABET) for _ in range(3))


def new_session_id(tag: str) -> str:
    """13 characters: the gateway's tag and 50 random bits."""
    return tag + "".join(secrets.choice(ALPHABET) for _ in range(10))


def job_name(session: str) -> str:
    """The name of the job of `session`."""
    return PREFIX + session


def session_of(name: str, tag: str = "") -> str | None:
    """The session whose job is called `name`, or None if it is no job of ours (of the gateway `tag`)."""
    session = name.removeprefix(PREFIX)
    ours = name.startswith(PREFIX) and len(session) == 13 and set(session) <= set(ALPHABET)
    return session if ours and session.startswith(tag) else None


class JobState(StrEnum):
    """The life of a job. Only `ENDED` is positive evidence of an end."""

    QUEUED = "queued"  # waits, for whatever reason
    STARTING = "starting"  # has its node, which is being prepared
    RUNNING = "running"
    SUSPENDED = "suspended"  # stopped by the centre, may go on
    ENDING = "ending"  # being taken down
    ENDED = "ended"
    UNKNOWN = "unknown"  # the batch system said something that we do not understand


class Reason(StrEnum):
    """Why a job waits, or how it ended."""

    # why it waits
    RESOURCES = "resources"  # its turn, but no node is free
    PRIORITY = "priority"  # other jobs come first
    LIMIT_PERSON = "limit-person"  # the person's own limit of jobs or cores
    LIMIT_ACCOUNT = "limit-account"  # the project's or account's limit
    LIMIT_QUEUE = "limit-queue"  # the queue's limit of jobs or cores
    HELD_PERSON = "held-person"
    HELD_CENTRE = "held-centre"
    DEPENDENCY = "dependency"
    BEGIN_TIME = "begin-time"
    RESERVATION = "reservation"
    MAINTENANCE = "maintenance"
    QUEUE_CLOSED = "queue-closed"
    NODES_DOWN = "nodes-down"
    NEVER = "never"  # can never start as it was asked for
    LICENCES = "licences"
    REQUEUED = "requeued"
    # how it ended
    COMPLETED = "completed"
    FAILED = "failed"  # exit code other than 0
    CANCELLED = "cancelled"
    WALLTIME = "walltime"
    MEMORY = "memory"
    NODE_FAILED = "node-failed"
    PREEMPTED = "preempted"
    LAUNCH_FAILED = "launch-failed"  # the batch system could not start it (home full, no such directory, ...)
    # any
    OTHER = "other"  # the raw reason says it
    NONE = ""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job to submit. Everything in it was validated: words, whole numbers, and a command of plain words."""

    session: str
    queue: str  # the batch system's own name for it
    cores: int
    memory: int  # MiB, of the whole job
    gpus: int
    walltime: int  # seconds
    directory: str  # the session's folder at the centre; absolute, or under "~/"
    command: tuple[str, ...]  # argument list of what the job runs
    prolog: tuple[str, ...] = ()  # shell lines of the centre's operator
    account: str | None = None
    gpu_type: str | None = None
    tasks: int = 0  # 0: a plain job; n: an array of tasks 1 to n, each with the cores, memory, GPUs and walltime above
    #: A job whose node was lost waits anew, where the site lets it. Workers do not: their cluster asks for others.
    #: (PBS Pro takes arrays only if they may run again, and HTCondor always runs jobs again.)
    requeue: bool = True

    @property
    def name(self) -> str:
        """The job's name."""
        return job_name(self.session)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What a batch system says of one job, or of one task of an array. Times are aware (UTC); None: it did not say."""

    job_id: str  # of a task: the array's
    name: str
    state: JobState
    reason: Reason = Reason.NONE
    raw: str = ""  # the batch system's own word, bounded, for the operator and for "other"
    node: str | None = None  # the first node, where the agent is
    user: str | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    expected: datetime | None = None  # the batch system's own estimate of the start
    restarts: int = 0
    exit_code: int | None = None
    signal: int | None = None
    core_seconds: int | None = None  # what was used, for the ledger
    ahead: int | None = None  # of a waiting one: jobs that come before it
    task: int | None = None  # of an array: its number, from 1


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """What a batch system says of a queue (by its own name); None: it did not say."""

    name: str
    open: bool = True
    cores: int | None = None
    cores_free: int | None = None
    cores_down: int | None = None
    jobs_running: int | None = None
    jobs_queued: int | None = None


@dataclass(frozen=True, slots=True)
class JobUsage:
    """What a centre's accounting says that a job of ours which is over, or one task of an array, used.

    Times are aware (UTC). None: it did not say.
    """

    job_id: str  # of a task: the array's
    name: str
    task: int | None = None
    user: str | None = None
    queue: str | None = None  # the batch system's own name for it
    started: datetime | None = None  # the first of its runs; None: it never ran
    ended: datetime | None = None
    elapsed: int | None = None  # seconds, of all its runs together; 0 if it never ran
    cores: int | None = None
    core_seconds: int | None = None
    runs: int = 1
    state: str = ""  # the batch system's own word


@dataclass(frozen=True, slots=True)
class Accounting:
    """What a centre said of the jobs that ended in a window of time; others may be among them.

    Without `complete` only those that are listed are told of: that one is missing means nothing.
    """

    jobs: tuple[JobUsage, ...]
    source: str  # the usual name of the command that said it, for reports
    complete: bool
