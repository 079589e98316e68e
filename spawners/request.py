"""What is asked for, in the words of the person: the one model behind form, REST, links and widgets.

`Request.parse` takes raw options from any door (JSON values, or lists of strings as forms and queries give them)
and either returns a request or raises `BadRequest` with every fault by field. `fit` holds a request against a
queue of a centre; both are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

from perijove.spawners.fields import BudgetKey, Slug, Word
from perijove.spawners.units import count_text, memory_from, memory_text, time_from, time_text
from perijove.spawners.visible import visible
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from perijove.spawners.centre import Centre, Price, Queue


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request.

    `code` is for catalogues and programs, `message` is English for logs and the API, `values` are what the words
    of another language need. `field` names the option ("cores"), or "" for the request as a whole.
    """

    field: str
    code: str
    message: str
    values: Mapping[str, Any]


class BadRequest(ValueError):
    """A request that cannot be served; `faults` has every reason."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{f.field}: {f.message}" if f.field else f.message for f in faults))


def _whole(value: object) -> object:
    """Forms send "4"; a fraction, a sign or an exponent is not a number of cores."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        return int(value)
    return value


def _names(value: object) -> object:
    """Names as a list, or as one text with commas: forms and links send texts."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value[:5000].split(",") if name.strip())
    return tuple(value) if isinstance(value, list) else value


def below(path: str) -> str:
    """A file's path below a directory; it goes into addresses only (encoded), yet nothing odd is taken.

    Raises:
        ValueError: it is none.
    """
    parts = path.split("/")
    if len(path) > 300 or not path.isprintable() or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be the path of a file below the home directory, such as work/notes.ipynb")
    return path


Count = Annotated[int, BeforeValidator(_whole)]


class Request(BaseModel):
    """Resources for one session on one node of one centre."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    #: The centre's id.
    centre: Slug
    #: None: the first queue of the centre in which the request fits.
    queue: Slug | None = None
    #: The kind of session; see `perijove.spawners.kinds`.
    kind: Slug = "lab"
    #: Cores, on one node.
    cores: Count = Field(default=1, ge=1, le=100_000)
    #: MiB; None: this request's share of the node by its cores, at least 1 GiB where the node has it.
    memory: Annotated[int | None, BeforeValidator(lambda v: v if v is None else memory_from(v))] = Field(
        default=None, ge=64, le=2**40
    )
    #: GPUs, on one node.
    gpus: Count = Field(default=0, ge=0, le=1000)
    #: Seconds of walltime; None: the queue's usual time.
    walltime: Annotated[int | None, BeforeValidator(lambda v: v if v is None else time_from(v))] = Field(
        default=None, ge=60, le=366 * 86400
    )
    #: What pays: "person:NAME", "project:SLUG" or "course:SLUG"; "" is the person's own budget.
    budget: BudgetKey = ""
    #: The project to bill, at centres whose batch system keeps accounts.
    project: Word | None = None
    #: Data sets that are to lie at the centre, by name: a wish that offers weigh, no condition.
    data: Annotated[tuple[Slug, ...], BeforeValidator(_names)] = Field(default=(), max_length=20)
    #: The file to open first: a path below the directory in which sessions start.
    open: Annotated[str | None, AfterValidator(lambda v: v if v is None else below(v))] = None
    #: The person's language, in which JupyterLab opens.
    language: Literal["en", "zh"] | None = None
    #: What the kind of session needs to know (e.g. which app); short plain words only.
    options: Mapping[Slug, Annotated[str, Field(max_length=500)]] = Field(default_factory=dict, max_length=50)

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Request:
        """A request from raw options of any door.

        An empty text is "not given"; a list of one element is that element (forms and queries send lists).

        Raises:
            BadRequest: with every fault, by field.
        """
        if not isinstance(raw, Mapping):
            raise BadRequest([Fault("", "no-options", "must be a table of options", {})])
        options = {
            visible(key, 60): value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
            for key, value in islice(raw.items(), 100)
        }
        given = {
            key: value
            for key, value in options.items()
            if not (value is None or (isinstance(value, str) and not value))
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise BadRequest([_fault(e) for e in error.errors(include_url=False, include_input=False)[:100]]) from None


#: How a limit of a field reads in words.
_IN_WORDS: dict[str, Callable[[int], str]] = {
    "cores": lambda n: count_text(n, "core"),
    "memory": memory_text,
    "gpus": lambda n: count_text(n, "GPU"),
    "walltime": time_text,
}
_SLUG = "must be a lower-case letter, then up to 31 lower-case letters, digits and hyphens"
_NAMES = {
    "project": "must be a word of letters, digits and _ . : @ + / -",
    "budget": "must be person:NAME, project:NAME or course:NAME",
}
#: Code and words by pydantic's kind of error.
_WORDS = {
    "extra_forbidden": ("unknown-option", "is not an option of a session"),
    "missing": ("missing", "is missing"),
    "greater_than_equal": ("too-small", "must be at least {ge}"),
    "less_than_equal": ("too-large", "must be at most {le}"),
    "value_error": ("unreadable", "{said}"),
    "literal_error": ("unreadable", "{said}"),
    "string_too_long": ("too-long", "has a text of more than {max_length} characters"),
    "too_long": ("too-long", "has more than {max_length} entries"),
    "string_pattern_mismatch": ("bad-name", "{name}"),
}
_TYPES = {
    "cores": "must be a whole number",
    "gpus": "must be a whole number",
    "data": "must be a list of names",
    "options": "must be a table of texts",
}


def _fault(error: Any) -> Fault:
    """One error of pydantic's as field, code, plain words and the values that the words of another language need."""
    field = str(error["loc"][0]) if error["loc"] else ""
    given = error.get("ctx") or {}
    code, words = _WORDS.get(str(error["type"]), ("wrong-type", _TYPES.get(field, "must be a text")))
    limits = {key: given[key] for key in ("ge", "le", "max_length") if key in given}
    shown = {key: _IN_WORDS.get(field, str)(limit) for key, limit in limits.items()}
    name = _NAMES.get(field, _SLUG)
    message = words.format(**shown, said=error["msg"].removeprefix("Value error, "), name=name)
    return Fault(field, code, message, limits)


@dataclass(frozen=True, slots=True)
class Placement:
    """A request held against a queue: what the job will ask for, every default filled in."""

    centre: Centre
    queue: Queue
    cores: int
    memory: int
    gpus: int
    walltime: int
    #: The queue's price when it was asked for; None: that which the description has first.
    tariff: Price | None = None

    @property
    def hourly(self) -> int:
        """Micro-credits an hour."""
        price = self.tariff or self.queue.price
        return self.cores * price.core_hour + self.gpus * price.gpu_hour + self.memory * price.memory_hour // 1024

    @property
    def price(self) -> int:
        """Micro-credits for the whole walltime: the most that this request can cost."""
        return self.hourly * self.walltime // 3600


def fit(request: Request, centre: Centre, queue: Queue, now: datetime) -> Placement | list[Fault]:
    """Where `request` would run in `queue`, or every reason why it cannot.

    `now` (aware) is held against maintenance windows.
    """
    walltime = request.walltime or queue.usual_time
    share = queue.memory * min(request.cores, queue.cores) // queue.cores
    memory = request.memory or min(max(share, 1024), queue.memory)
    faults = [
        Fault(
            field,
            "too-much",
            f"at most {_IN_WORDS[field](most)} in queue {queue.name} of {centre.id}",
            {"most": most, "asked": asked, "queue": queue.name, "centre": centre.id},
        )
        for field, asked, most in (
            ("cores", request.cores, queue.cores),
            ("memory", memory, queue.memory),
            ("gpus", request.gpus, queue.gpus),
            ("walltime", walltime, queue.max_time),
        )
        if asked > most
    ]
    if not centre.enabled:
        faults.append(Fault("centre", "centre-closed", f"{centre.id} takes no new sessions", {"centre": centre.id}))
    if window := centre.maintenance_between(now, now + timedelta(seconds=walltime)):
        faults.append(
            Fault(
                "centre",
                "maintenance",
                f"{centre.id} is in maintenance from {window.start:%F %H:%M %Z} to {window.end:%F %H:%M %Z}",
                {"centre": centre.id, "start": window.start.isoformat(), "end": window.end.isoformat()},
            )
        )
    return faults or Placement(centre, queue, request.cores, memory, request.gpus, walltime, queue.price_at(now))


def named_queues(request: Request, centres: Mapping[str, Centre]) -> tuple[Centre, list[Queue]]:
    """The centre that `request` names, and those of its queues that it may mean.

    Raises:
        BadRequest: there is no such centre or queue.
    """
    centre = centres.get(request.centre)
    if centre is None:
        words, values = f"there is no centre {request.centre!r}", {"centre": request.centre}
        raise BadRequest([Fault("centre", "unknown-centre", words, values)])
    queues = [queue for queue in centre.queues if request.queue in (None, queue.name)]
    if not queues:
        known = ", ".join(queue.name for queue in centre.queues)
        words = f"{centre.id} has no queue {request.queue!r}; it has {known}"
        values = {"queue": str(request.queue), "centre": centre.id, "queues": known}
        raise BadRequest([Fault("queue", "unknown-queue", words, values)])
    return centre, queues


def place(request: Request, centres: Mapping[str, Centre], now: datetime) -> Placement:
    """The placement of `request`: in the queue it names, or in the first of its centre that fits.

    Raises:
        BadRequest: the centre or queue is unknown, or nothing fits (the faults of the queue that came closest).
    """
    centre, queues = named_queues(request, centres)
    outcomes = [fit(request, centre, queue, now) for queue in queues]
    for outcome in outcomes:
        if isinstance(outcome, Placement):
            return outcome
    raise BadRequest(min((o for o in outcomes if isinstance(o, list)), key=len))
