"""What a tunnel and its agent say to each other and to their users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from perijove.spawners.link import printable


class TunnelProblem(StrEnum):
    """Why there is no tunnel, or no answer through it."""

    NO_AGENT = "no-agent"  # nothing listens yet: ask again
    WRONG_KEY = "wrong-key"  # only strangers listen on the ports tried
    LINK = "link"  # the login node cannot be reached or refuses; the cause is a LinkError
    LOST = "lost"  # the connection broke, or there is no sensible answer
    REFUSED = "refused"  # the agent says that it cannot do it


class TunnelError(Exception):
    """The tunnel cannot do what was asked; `detail` is for operators."""

    def __init__(self, problem: TunnelProblem, detail: str) -> None:
        self.problem = problem
        self.detail = printable(detail)
        super().__init__(f"{problem}: {self.detail}")


@dataclass(frozen=True, slots=True)
class AgentAddress:
    """Where a session's agent is to be found, and how it is known."""

    session: str
    node: str
    ports: tuple[int, int]
    host_key: str  # public, "ssh-ed25519 AAAA..."


@dataclass(frozen=True, slots=True)
class ServerState:
    """The session's server, as the agent sees it."""

    state: str = "none"  # "none", "running", "ended"
    exit_code: int | None = None  # negative: the signal that ended it

    @classmethod
    def parse(cls, data: object) -> ServerState:
        """From an agent's answer; anything odd is "none"."""
        if not isinstance(data, Mapping) or data.get("state") not in ("running", "ended"):
            return cls()
        code = data.get("exit_code")
        return cls(str(data["state"]), code if isinstance(code, int) else None)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who an agent is."""

    session: str
    pid: int
    node: str
    started: float  # seconds since 1970
    server: ServerState
    socket: str  # path on the node
    api_port: int  # of the agent's loopback, the way to the hub
    job: Mapping[str, Any]  # "id", and "walltime_end" (seconds since 1970) where the batch system says it
    gateway_port: int = 0  # of the agent's loopback, the way to the gateway's proxy; 0: an older agent has none

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Hello:
        """From an agent's answer. Raises TunnelError."""
        try:
            hello = cls(
                printable(str(data["session"]), 64),
                int(data["pid"]),
                printable(str(data["node"]), 255),
                float(data["started"]),
                ServerState.parse(data["server"]),
                str(data["socket"])[:108],
                int(data["api_port"]),
                data["job"] if isinstance(data["job"], Mapping) else {},
                int(data.get("gateway_port", 0)),
            )
        except (KeyError, ValueError, TypeError):
            raise TunnelError(TunnelProblem.LOST, "the agent does not say who it is") from None
        good = 0 < hello.api_port < 65536 and 0 <= hello.gateway_port < 65536
        if not good or not hello.socket.startswith("/"):
            raise TunnelError(TunnelProblem.LOST, "the agent does not say where it is")
        return hello


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What an agent knows of its job."""

    server: ServerState
    log: tuple[str, ...]  # last lines of the server's output
    memory: int  # bytes, resident, of all the session's processes
    cpu: float  # seconds
    cores: int  # that the job may use
    processes: int

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> AgentInfo:
        """From an agent's answer. Raises TunnelError."""
        try:
            return cls(
                ServerState.parse(data["server"]),
                tuple(printable(str(line)) for line in data["log"][:1000]),
                int(data["memory"]),
                float(data["cpu"]),
                int(data["cores"]),
                int(data["processes"]),
            )
        except (KeyError, ValueError, TypeError):
            raise TunnelError(TunnelProblem.LOST, "the agent does not say how the job is") from None
