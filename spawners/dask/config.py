"""What a head is told when it starts: one JSON object on its standard input, checked before anything is done.

No pydantic: the head of a busy node should start fast, and these few values come from our own server extension.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_KNOWN = {
    *("id", "name", "centre", "queue", "beside", "socket_dir", "folder", "address", "ports", "shape", "price", "api"),
    *("api_host", "prefix", "idle", "minimum", "maximum", "workers", "scratch", "ends_by", "confirmed", "times"),
}


class BadConfig(ValueError):
    """The configuration is not one; the text names the key."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds; tests make them small.

    `margin`: before a worker's end it must have let go of its results. `lead`: how early its successor is asked for,
    until the cluster knows better, but never later than `floor`. `gone`: how long a worker may be out of touch while
    its job runs. `quiet`: how long fewer workers must be enough before adaptive scaling cancels queued ones. `soon`:
    a start expected within that is not cancelled. `tick`: between two looks at everything. `death`: a worker without
    its head leaves after that. `silent`: how long a job may run without its worker connecting before that is told.
    `absent`: after that long it is replaced; a worker that can say so itself has left before (`death`), and hundreds
    of workers that read the same environment from a shared file system at once need minutes.
    """

    margin: float = 45.0
    lead: float = 120.0
    floor: float = 60.0
    gone: float = 60.0
    quiet: float = 30.0
    soon: float = 60.0
    tick: float = 1.0
    death: float = 60.0
    silent: float = 60.0
    absent: float = 300.0
    report: float = 20.0


@dataclass(frozen=True, slots=True)
class Config:
    """The fields are those of the JSON that `head.py` reads; `walltime` is None where workers have no end."""

    id: str
    name: str
    socket_dir: Path
    folder: Path
    address: str
    ports: tuple[int, int]
    cores: int
    memory: int
    walltime: float | None
    shape: Mapping[str, Any]
    api: str
    api_host: str = ""
    prefix: str = "/dashboard"
    price: int = 0
    idle: float = 0.0
    minimum: int | None = None
    maximum: int | None = None
    workers: int = 0
    confirmed: bool = False
    centre: str = ""
    queue: str = ""
    beside: bool = True
    scratch: str | None = None
    ends_by: str | None = None
    times: Times = field(default_factory=Times)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Config:
        """From the JSON object. `shape` has cores, memory (MiB) and walltime (seconds or null) of one worker.

        Raises:
            BadConfig: a key is missing, unknown or wrong.
        """
        if unknown := set(given) - _KNOWN:
            raise BadConfig(f"unknown keys: {', '.join(sorted(unknown))}")
        try:
            shape = dict(given["shape"])
            first, last = (int(port) for port in given["ports"])
            walltime = shape.get("walltime")
            found = cls(
                id=str(given["id"]),
                name=str(given["name"]),
                socket_dir=Path(given["socket_dir"]),
                folder=Path(given["folder"]),
                address=str(ipaddress.ip_address(given["address"])),
                ports=(first, last),
                cores=int(shape["cores"]),
                memory=int(shape["memory"]) * 2**20,
                walltime=float(walltime) if walltime else None,
                shape=shape,
                api=str(given["api"]),
                api_host=str(given.get("api_host") or ""),
                prefix="/" + str(given.get("prefix") or "dashboard").strip("/"),
                price=int(given.get("price") or 0),
                idle=float(given.get("idle") or 0),
                minimum=None if given.get("minimum") is None else int(given["minimum"]),
                maximum=None if given.get("maximum") is None else int(given["maximum"]),
                workers=int(given.get("workers") or 0),
                confirmed=given.get("confirmed") is True,
                centre=str(given.get("centre") or ""),
                queue=str(given.get("queue") or shape.get("queue") or ""),
                beside=bool(given.get("beside", True)),
                scratch=given.get("scratch") or None,
                ends_by=given.get("ends_by") or None,
                times=Times(**given.get("times") or {}),
            )
        except KeyError as error:
            raise BadConfig(f"{error.args[0]} is missing") from None
        except (TypeError, ValueError) as error:
            raise BadConfig(str(error)) from None
        return found._checked()

    def _checked(self) -> Config:
        if not _ID.fullmatch(self.id):
            raise BadConfig(f"id is no id: {self.id!r}")
        if not (self.folder.is_absolute() and self.folder.name == self.id):
            raise BadConfig(f"folder is the absolute path of a folder named {self.id}, not {self.folder}")
        if not 0 < self.ports[0] <= self.ports[1] < 65536:
            raise BadConfig(f"ports is no range of ports: {self.ports}")
        if self.cores < 1 or self.memory < 1:
            raise BadConfig("shape has at least one core and one MiB")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise BadConfig(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self

    @property
    def margin(self) -> float:
        """Seconds before a worker's end at which it retires at the latest; a short life keeps three quarters."""
        return self.times.margin if self.walltime is None else min(self.times.margin, self.walltime / 4)

    def worker_settings(self, scheduler: str) -> dict[str, Any]:
        """What worker.json says; see `worker.py`."""
        return {
            "scheduler": scheduler,
            "threads": self.cores,
            "memory": self.memory,
            # The head retires workers before this; it holds where the head does not know when the job began.
            "lifetime": None if self.walltime is None else self.walltime - self.margin / 2,
            "death_timeout": self.times.death,
            "ports": list(self.ports),
            "scratch": self.scratch,
        }
