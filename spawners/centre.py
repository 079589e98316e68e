"""A centre, described once: every other part of the gateway reads this model and nothing else.

A centre is written by its operator as a TOML file (`deploy/centres/` has annotated examples) and read by
`perijove.spawners.centres`. The models are frozen and refuse unknown keys, so that a slip in a file stops the
start instead of changing what a session costs. Units: memory in MiB, time in seconds, money in micro-credits;
the files may write "64G", "2d" and decimal credits, which is what people write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from perijove.spawners.units import credits_from, memory_from, time_from
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

Identity = Literal["self", "community", "key", "sudo"]
System = Literal["slurm", "gridengine", "pbs", "lsf", "htcondor", "oar", "local"]

#: A word that stands in a directive or a command as it is: no white space, quotes, shell or template characters.
WORD = r"[A-Za-z0-9_][A-Za-z0-9_.:@+/-]{0,127}"
Word = Annotated[str, Field(pattern=f"^{WORD}$")]
#: The id of a centre or queue in links and in the store.
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
#: MiB; written as a number of MiB or as "64G".
Memory = Annotated[int, BeforeValidator(memory_from), Field(ge=1, le=2**40)]
#: Seconds; written as a number of seconds or as "90m", "2h", "3d", "1-12:00:00".
Duration = Annotated[int, BeforeValidator(time_from), Field(ge=60, le=366 * 86400)]
#: Micro-credits; written in credits, as a decimal number or string.
Credits = Annotated[int, BeforeValidator(credits_from), Field(ge=0)]


def _absolute(path: str) -> str:
    """A path at a centre: absolute or under `~/`, of plain characters, `{account}` for the person's account name."""
    if not re.fullmatch(r"(~|/)(/?[A-Za-z0-9_.+@-]|/?\{account\})*/?", path):
        raise ValueError("a path starts with / or ~/ and has letters, digits, _ . + @ - and {account} only")
    if ".." in path.split("/"):
        raise ValueError("a path has no '..' in it")
    return path


Path = Annotated[str, AfterValidator(_absolute)]


class Frozen(BaseModel):
    """A part of a description: immutable, and an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(Frozen):
    """Words for people, in English and in Simplified Chinese."""

    en: str = Field(min_length=1, max_length=2000)
    zh: str = Field(min_length=1, max_length=2000)

    def in_language(self, language: str) -> str:
        """The words in `language` ("zh", "zh-CN", ...); English for any other."""
        return self.zh if language.lower().startswith("zh") else self.en


class Scheduler(Frozen):
    """The batch system of a centre and how its site differs from the textbook."""

    system: System
    #: Renamed commands, by their usual name: `{sbatch = "yhbatch"}`. A value is a name or an absolute path.
    commands: Mapping[str, Word] = Field(default_factory=dict)
    #: Grid Engine: the parallel environment that keeps all slots on one node.
    parallel_environment: Word = "smp"
    #: PBS: the dialect of resource requests.
    dialect: Literal["pbspro", "torque"] = "pbspro"
    #: How a memory request is counted by a Grid Engine site: the `complex` to ask for (per slot), or "" for none.
    memory_resource: str = Field(default="", pattern=rf"^({WORD})?$")
    #: Directives that every job of this site carries, as words, e.g. ["--constraint=ib", "--qos=normal"].
    extra: tuple[Annotated[str, Field(pattern=r"^-{1,2}[A-Za-z0-9][A-Za-z0-9_.:@+/=,-]{0,200}$")], ...] = ()
    #: A status query shows other people's jobs to any account (false: ask with each person's own account).
    sees_all: bool = True


class Login(Frozen):
    """How the gateway reaches the centre: an ordinary SSH account at a login node."""

    host: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9.:-]{0,252})?$")
    port: int = Field(default=22, ge=1, le=65535)
    #: Public host keys ("ssh-ed25519 AAAA..."); any other key is refused, there is no trust on first use.
    host_keys: tuple[str, ...] = ()
    #: Whose account a person's jobs run under; see docs of `perijove.hub.broker.identity`.
    identity: Identity = "self"
    #: The account of the gateway (`self`), the shared one (`community`) or the service account (`sudo`).
    account: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_.-]{0,63})?$")
    #: The file on the gateway with the private key for `account`.
    key_file: str = ""
    #: The installed launcher (required for `sudo`); without it the gateway hands its own over standard input.
    launcher: Path | None = None
    #: The Python that runs the launcher at the login node.
    python: Path = "/usr/bin/python3"
    #: At most this many commands at once at the login node (sshd's MaxSessions is 10 by default).
    sessions: int = Field(default=8, ge=1, le=100)


class Environment(Frozen):
    """How the software of a session is found on a compute node."""

    #: A Python that can `import perijove.spawners.agent`.
    python: Path
    #: Shell lines of the centre's operator that come first in each job, e.g. "module load python/3.11".
    prolog: tuple[Annotated[str, Field(pattern=r"^[^\r\n\x00]{1,500}$")], ...] = ()
    #: What is there, for people to read: "JupyterLab 4.6", "CDO 2.1".
    software: tuple[str, ...] = ()


class Ports(Frozen):
    """The TCP ports on compute nodes on which an agent may listen."""

    first: int = Field(default=20000, ge=1024, le=65535)
    last: int = Field(default=59999, ge=1024, le=65535)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"last ({self.last}) is below first ({self.first})")
        return self


class DataPath(Frozen):
    """A data set that lies at a centre."""

    name: Slug
    path: Path
    title: Text | None = None


class Paths(Frozen):
    """Where things lie at a centre."""

    #: The directory of the gateway's own files per person; each session has one folder in it, mode 0700.
    base: Path = "~/.perijove"
    #: Where notebooks start.
    home: Path = "~"
    scratch: Path | None = None
    data: tuple[DataPath, ...] = ()


class Price(Frozen):
    """What a queue costs, in micro-credits (written in credits) per hour of each thing."""

    core_hour: Credits = 0
    gpu_hour: Credits = 0
    memory_hour: Credits = Field(default=0, description="per GiB and hour")


class Queue(Frozen):
    """A queue (partition) of a centre: what one job in it may have, on one node."""

    name: Slug
    #: The batch system's own name for it, if that is not a slug.
    at_centre: Word | None = None
    title: Text | None = None
    nodes: int = Field(default=1, ge=1, le=1_000_000)
    cores: int = Field(ge=1, le=4096, description="cores of a node")
    memory: Memory = Field(description="memory of a node that jobs may have")
    gpus: int = Field(default=0, ge=0, le=64, description="GPUs of a node")
    gpu_type: Word | None = None
    max_time: Duration = Field(default=86400, description="longest walltime")
    default_time: Duration = Field(default=3600, description="walltime where none is asked for, at most max_time")
    #: Bill jobs to this account of the batch system where the person's project names none.
    account: Word | None = None
    price: Price = Price()

    @property
    def label(self) -> str:
        """What the batch system calls this queue."""
        return self.at_centre or self.name

    @property
    def usual_time(self) -> int:
        """Seconds of walltime for a request that names none."""
        return min(self.default_time, self.max_time)


class Maintenance(Frozen):
    """A window in which a centre takes no jobs; jobs that would reach into it are refused with its times."""

    start: AwareDatetime
    end: AwareDatetime
    note: Text | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end is not after start")
        return self


class Centre(Frozen):
    """One centre of the federation."""

    id: Slug
    name: Text
    place: Text | None = None
    description: Text | None = None
    scheduler: Scheduler
    login: Login = Login()
    environment: Environment
    ports: Ports = Ports()
    paths: Paths = Paths()
    queues: tuple[Queue, ...] = Field(min_length=1)
    maintenance: tuple[Maintenance, ...] = ()
    #: False takes the centre out of offers; sessions that run there stay.
    enabled: bool = True

    def queue(self, name: str) -> Queue | None:
        """The queue called `name`, or None."""
        return next((queue for queue in self.queues if queue.name == name), None)

    def maintenance_between(self, start: datetime, end: datetime) -> Maintenance | None:
        """The first maintenance window that touches the time from `start` to `end`, or None."""
        touching = [m for m in self.maintenance if m.start < end and start < m.end]
        return min(touching, key=lambda m: m.start, default=None)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [queue.name for queue in self.queues]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"queue named twice: {', '.join(twice)}")
        if self.scheduler.system != "local":
            if not self.login.host:
                raise ValueError(
                    "login.host is missing: every centre but a `local` one is reached through its login node"
                )
            if not self.login.host_keys:
                raise ValueError(
                    "login.host_keys is missing: give the login node's public host key (ssh-keyscan, checked)"
                )
        elif self.login.identity != "self":
            raise ValueError('a `local` centre has login.identity = "self"')
        if self.login.identity == "sudo" and self.login.launcher is None:
            raise ValueError('login.launcher is missing: identity "sudo" runs exactly that program')
        return self


def parse(data: Mapping[str, Any]) -> Centre:
    """A centre from the parsed content of its file.

    Raises:
        pydantic.ValidationError: with every fault of the description.
    """
    return Centre.model_validate(data)


__all__ = [
    "Centre",
    "DataPath",
    "Environment",
    "Frozen",
    "Login",
    "Maintenance",
    "Paths",
    "Ports",
    "Price",
    "Queue",
    "Scheduler",
    "Text",
    "parse",
]
