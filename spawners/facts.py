"""What a session knows of itself: the broker writes it into the server's environment, what runs in the job reads it.

The names of the variables stand here alone: `PERIJOVE_` and the field's name. No secret is among them, so that scripts
and notebooks may use them, too (`$PERIJOVE_CENTRE`). Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

_PREFIX = "PERIJOVE_"
#: What the agent puts its own start in for: on the node's clock, not the gateway's.
AGENT_STARTED = "{agent_started}"
#: What the agent puts the port in for that leads to the gateway's proxy.
GATEWAY_PORT = "{gateway_port}"
#: The longest time in seconds from a job's start, as the centre counts it, to its agent's.
PROLOGUE = 900.0


@dataclass(frozen=True, slots=True)
class Facts:
    """A session's facts; "" and 0 where one is not known."""

    session: str = ""
    centre: str = ""
    centre_en: str = ""
    centre_zh: str = ""
    queue: str = ""
    queue_en: str = ""
    queue_zh: str = ""
    job: str = ""
    server: str = ""
    #: How the gateway is reached from within the job ("" where it cannot be): the address, the Host header for the hub
    #: and its services, the one for the person's own servers (both "" where everybody shares one domain), and the path
    #: of the broker's API.
    gateway: str = ""
    gateway_host: str = ""
    user_host: str = ""
    api: str = ""
    cores: int = 0
    #: MiB.
    memory: int = 0
    gpus: int = 0
    #: Seconds that were asked for.
    walltime: int = 0
    #: When the job began, as the agent saw it; seconds since 1970 on the node's clock.
    started: float = 0.0
    #: When the centre will end the job, as the gateway reckons; seconds since 1970.
    ends_by: float = 0.0
    #: The person's language: "en", "zh", or "" where it is not known.
    language: str = ""
    #: The path of the gateway's page to start a session, and the query with which it asks for one like this.
    start_page: str = ""
    again: str = ""
    #: The directory of the gateway's own files at the centre, which may begin with "~/".
    base: str = ""
    #: What the kind of session needs to know: JSON of a request's `options`.
    options: str = ""
    #: The ports on which a job may listen: "first-last".
    ports: str = ""
    #: Room for large files at the centre.
    scratch: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The facts of the session whose server has `environment`; what cannot be read is not known."""
        found: dict[str, str | int | float] = {}
        for field in fields(cls):
            text = environment.get(_PREFIX + field.name.upper(), "")
            if GATEWAY_PORT in text:
                text = ""  # an agent that knows no way to the proxy
            found[field.name] = text if isinstance(field.default, str) else _number(text, type(field.default))
        return cls(**found)  # type: ignore[arg-type]

    def environment(self) -> dict[str, str]:
        """The variables; the start is left for the agent to fill in, as nobody else knows the node's clock."""
        values = {_PREFIX + field.name.upper(): str(getattr(self, field.name)) for field in fields(self)}
        return values | {f"{_PREFIX}STARTED": str(self.started or AGENT_STARTED)}

    def end(self, job: Mapping[str, str]) -> float:
        """When the centre ends the job (seconds since 1970), from the job's own environment; 0.0 if nobody knows.

        The batch system's word goes first (Slurm says it to the job). Otherwise it is the earlier of what the agent
        and the gateway saw: the agent's start is on the right clock but may be late, after a long prologue. Where the
        two are further apart than any prologue takes, one of the clocks is wrong, and the node's own is believed.
        """
        said = job.get("SLURM_JOB_END_TIME", "")
        if said.isascii() and said.isdigit():
            return float(said)
        seen = self.started + self.walltime if self.started and self.walltime else 0.0
        if not seen or not self.ends_by:
            return seen or self.ends_by
        return self.ends_by if 0 <= seen - self.ends_by <= PROLOGUE else seen


def _number(text: str, kind: type) -> int | float:
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        return kind()  # type: ignore[no-any-return]
