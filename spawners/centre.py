"""A centre, described once: every other part of the gateway reads this model and nothing else.

A centre is written by its operator as a TOML file (`deploy/centres/` has annotated examples) and read by
`perijove.spawners.centres`. The models are frozen and refuse unknown keys, so that a slip in a file stops the
start instead of changing what a session costs. Units: memory in MiB, time in seconds, money in micro-credits;
the files may write "64G", "2d" and decimal credits, which is what people write.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from perijove.spawners.described import Frozen, Text
from perijove.spawners.fields import (
    ACCOUNT,
    WORD,
    Credits,
    Duration,
    HostKey,
    Memory,
    Path,
    Program,
    Regular,
    Slug,
    Word,
    inconsistencies,
)
from pydantic import AwareDatetime, Field, model_validator

Identity = Literal["self", "community", "key", "sudo"]
System = Literal["slurm", "gridengine", "pbs", "lsf", "htcondor", "oar", "local"]


class Scheduler(Frozen):
    """The batch system of a centre and how its site differs from the textbook."""

    system: System
    """Which one it is; `local` runs jobs as processes on the gateway's own machine."""
    commands: Mapping[str, Program] = Field(default_factory=dict)
    """Renamed commands, by their usual name: `{sbatch = "yhbatch"}`. A value is a name or an absolute path."""
    parallel_environment: Word = "smp"
    """Grid Engine: the parallel environment that keeps all slots on one node."""
    dialect: Literal["pbspro", "torque"] = "pbspro"
    """PBS: the dialect of resource requests."""
    memory_resource: str = Field(default="", pattern=rf"^({WORD})?$")
    """How a memory request is counted by a Grid Engine site: the `complex` to ask for (per slot), or "" for none."""
    extra: tuple[Annotated[str, Field(pattern=r"^-{1,2}[A-Za-z0-9][A-Za-z0-9_.:@+/=,-]{0,200}$")], ...] = ()
    """Directives that every job of this site carries, as words, e.g. ["--constraint=ib", "--qos=normal"]."""
    root: Path | None = None
    """`local`: the directory of the embedded batch system's state; by default one per centre in the home directory."""
    max_array: int = Field(default=1000, ge=1, le=10_000)
    """The most tasks of one job array (Dask workers are submitted as arrays); 1: this site has no arrays."""
    sees_all: bool = True
    """A status query shows other people's jobs to any account (false: ask with each person's own account)."""


class Login(Frozen):
    """How the gateway reaches the centre: an ordinary SSH account at a login node."""

    host: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9.:-]{0,252})?$")
    """The login node's name or address; only a `local` centre has none."""
    port: int = Field(default=22, ge=1, le=65535)
    """The port of its SSH server."""
    host_keys: tuple[HostKey, ...] = ()
    """Its public host keys ("ssh-ed25519 AAAA..."); any other key is refused, there is no trust on first use."""
    identity: Identity = "self"
    """Whose account a person's jobs run under: `self` the gateway's own, `community` one that all share, `key` the
    person's own with a key registered at the gateway, `sudo` the person's own through a service account."""
    account: str = Field(default="", pattern=rf"^({ACCOUNT})?$")
    """The account of the gateway (`self`), the shared one (`community`) or the service account (`sudo`)."""
    key_file: str = Field(default="", pattern=r"^(/[^\x00-\x1f\x7f]{1,1000})?$")
    """The file on the gateway with the private key for `account`: an absolute path, readable by the gateway only."""
    accounts: Regular = Field(default=ACCOUNT, min_length=1, max_length=500)
    """The account names that persons may have here, as a regular expression for the whole name."""
    launcher: Path | None = None
    """The installed launcher (required for `sudo`); without it the gateway hands its own over standard input."""
    python: Path = "/usr/bin/python3"
    """The Python that runs the launcher at the login node."""
    sessions: int = Field(default=8, ge=1, le=100)
    """At most this many commands at once at the login node (sshd's MaxSessions is 10 by default)."""


class Environment(Frozen):
    """How the software of a session is found on a compute node."""

    python: Path
    """A Python that can `import perijove.spawners.agent`."""
    prolog: tuple[Annotated[str, Field(pattern=r"^[^\r\n\x00]{1,500}$")], ...] = ()
    """Shell lines of the centre's operator that come first in each job, e.g. "module load python/3.11"."""
    software: tuple[str, ...] = ()
    """What is there, for people to read: "JupyterLab 4.6", "CDO 2.1"."""


class Ports(Frozen):
    """The TCP ports on compute nodes on which an agent may listen."""

    first: int = Field(default=20000, ge=1024, le=65535)
    """The lowest port."""
    last: int = Field(default=59999, ge=1024, le=65535)
    """The highest port."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"last ({self.last}) is below first ({self.first})")
        return self


Sentence = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]


class DataSet(Frozen):
    """A data set that lies at a centre; work that wants it comes to it."""

    name: Slug
    """Its id in links; the same data set has the same name at every centre."""
    title: Text
    """What people read."""
    path: Path
    """Where it is."""
    size: Memory | None = None
    """How large it is, for people to read: "20T", or a number of MiB."""
    description: Text | None = None
    """What is in it, in a sentence or two."""
    licence: Sentence = ""
    """Under which licence it may be used: "CC-BY-4.0", or in words."""
    cite: Sentence = ""
    """How it is cited: a text or a DOI."""


class Paths(Frozen):
    """Where things lie at a centre."""

    base: Path = "~/.perijove"
    """The directory of the gateway's own files per person; each session has one folder in it, mode 0700."""
    home: Path = "~"
    """Where notebooks start."""
    scratch: Path | None = None
    """Room for large files that may be removed by the centre."""


class Price(Frozen):
    """What a queue costs, in micro-credits (written in credits) per hour of each thing."""

    core_hour: Credits = 0
    """Credits for one core for one hour."""
    gpu_hour: Credits = 0
    """Credits for one GPU for one hour."""
    memory_hour: Credits = 0
    """Credits for one GiB of memory for one hour."""


class LaterPrice(Price):
    """A price that is told ahead: what is asked for from then on costs so much, what was asked for before does not."""

    start: AwareDatetime
    """From when on, with the time zone."""


class Queue(Frozen):
    """A queue (partition) of a centre: what one job in it may have, on one node."""

    name: Slug
    """Its id in links and in the store."""
    at_centre: Word | None = None
    """The batch system's own name for it, if that is not `name`."""
    title: Text | None = None
    """What people read instead of the name."""
    nodes: int = Field(default=1, ge=1, le=1_000_000)
    """How many nodes it has."""
    cores: int = Field(ge=1, le=4096)
    """Cores of a node."""
    memory: Memory
    """Memory of a node that jobs may have."""
    gpus: int = Field(default=0, ge=0, le=64)
    """GPUs of a node."""
    gpu_type: Word | None = None
    """What the batch system calls these GPUs where it wants to hear it, e.g. "a100"."""
    max_time: Duration = 86400
    """The longest walltime."""
    default_time: Duration = 3600
    """The walltime where none is asked for; never more than `max_time`."""
    account: Word | None = None
    """Bill jobs to this account of the batch system where the person's project names none."""
    price: Price = Price()
    """What it costs, before the first of `prices`."""
    prices: tuple[LaterPrice, ...] = ()
    """What it costs later, each from its `start` on."""

    @model_validator(mode="after")
    def _one_price_at_a_time(self) -> Self:
        if len({price.start for price in self.prices}) < len(self.prices):
            raise ValueError("two of its prices start at the same time: keep one of them")
        return self

    def price_at(self, when: datetime) -> Price:
        """What holds at `when` (aware)."""
        past = [price for price in self.prices if price.start <= when]
        return max(past, key=lambda price: price.start, default=self.price)

    @property
    def label(self) -> str:
        """What the batch system calls this queue."""
        return self.at_centre or self.name

    @property
    def usual_time(self) -> int:
        """Seconds of walltime for a request that names none."""
        return min(self.default_time, self.max_time)


class Warm(Frozen):
    """Jobs that are kept running for the next persons who open an app, so that they wait seconds and not for a queue.

    They run under the account that all share (identity `self` or `community`), and cost while they wait. Off by
    default.
    """

    number: int = Field(default=0, ge=0, le=100)
    """How many wait at once; 0: none."""
    idle: Duration = 4 * 3600
    """With no app opened at this centre for so long, none are kept until somebody opens one again."""
    queue: Slug | None = None
    """The queue they wait in; by default the first one."""
    cores: int = Field(default=1, ge=1, le=4096)
    """Cores of each: an app that asks for more gets a job of its own."""
    memory: Memory | None = None
    """Memory of each; by default the share of the node that goes with the cores."""
    walltime: Duration | None = None
    """Walltime of each; by default the queue's longest. One whose time runs out is replaced."""


class Maintenance(Frozen):
    """A window in which a centre takes no jobs; jobs that would reach into it are refused with its times."""

    start: AwareDatetime
    """When it begins, with its zone: 2026-12-01T08:00:00+08:00."""
    end: AwareDatetime
    """When jobs are taken again."""
    note: Text | None = None
    """What people read about it."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end is not after start")
        return self


class Centre(Frozen):
    """One centre of the federation."""

    id: Slug
    """Its id in links and in the store. Choose it once: the history of sessions hangs on it."""
    name: Text
    """What people call it."""
    place: Text | None = None
    """Where it is."""
    description: Text | None = None
    """A few sentences for the page where people choose."""
    scheduler: Scheduler
    """Its batch system."""
    login: Login = Login()
    """How the gateway gets in."""
    environment: Environment
    """The software that sessions run."""
    ports: Ports = Ports()
    """Ports on compute nodes that an agent may use."""
    paths: Paths = Paths()
    """Where things lie."""
    queues: tuple[Queue, ...] = Field(min_length=1, max_length=200)
    """Its queues; the first one that fits is taken where a person names none."""
    datasets: tuple[DataSet, ...] = Field(default=(), max_length=1000)
    """Data sets that lie here."""
    maintenance: tuple[Maintenance, ...] = Field(default=(), max_length=200)
    """Times in which it takes no jobs."""
    warm: Warm = Warm()
    """App sessions that are kept ready."""
    enabled: bool = True
    """False takes the centre out of offers; sessions that run there stay."""

    def queue(self, name: str) -> Queue | None:
        """The queue called `name`, or None."""
        return next((queue for queue in self.queues if queue.name == name), None)

    def maintenance_between(self, start: datetime, end: datetime) -> Maintenance | None:
        """The first maintenance window that touches the time from `start` to `end`, or None."""
        touching = [m for m in self.maintenance if m.start < end and start < m.end]
        return min(touching, key=lambda m: m.start, default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = inconsistencies(self.model_dump())
        if faults:
            raise ValueError("; ".join(message for _, message in faults))
        return self


def parse(data: Mapping[str, Any]) -> Centre:
    """A centre from the parsed content of its file.

    Raises:
        pydantic.ValidationError: with every fault of the description.
    """
    return Centre.model_validate(data)


__all__ = [
    "WORD",
    "Centre",
    "DataSet",
    "Environment",
    "Frozen",
    "LaterPrice",
    "Login",
    "Maintenance",
    "Paths",
    "Ports",
    "Price",
    "Queue",
    "Scheduler",
    "Slug",
    "Text",
    "Warm",
    "Word",
    "inconsistencies",
    "parse",
]
