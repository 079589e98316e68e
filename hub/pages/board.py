"""The board of centres: state, load, waits, forecasts and their scores, for each queue. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from perijove.hub.pages import charts
from perijove.hub.pages.formats import Formats, moment
from perijove.hub.pages.offerwords import CLOSED, DRAINED, MAINTENANCE, OPEN, SILENT
from perijove.hub.pages.views import text_in
from perijove.hub.pages.words import Look

Json = Mapping[str, Any]
#: Forecasts that must have been scored before a share of them says anything.
ENOUGH = 10


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue on the board."""

    data: Json
    fmt: Formats
    now: datetime

    @property
    def title(self) -> str:
        """What people call it."""
        return text_in(self.data.get("title"), self.fmt.language) or str(self.data["name"])

    @property
    def status(self) -> Json:
        """What the centre said last."""
        return self.data.get("status") or {}

    @property
    def node(self) -> str:
        """What a node of it has."""
        gpus, kind = int(self.data.get("gpus") or 0), str(self.data.get("gpu_type") or "")
        parts = [self.fmt.amount("cores", int(self.data["cores"])), self.fmt.memory(int(self.data["memory"]))]
        return self.fmt.commas([*parts, f"{self.fmt.amount('gpus', gpus)} {kind}".strip()] if gpus else parts)

    @property
    def load_words(self) -> str:
        """The load now, in words; "" if the centre has not said."""
        free, cores, waiting = (self.status.get(key) for key in ("cores_free", "cores", "jobs_queued"))
        _, ngettext, number = self.fmt.language.gettext, self.fmt.language.ngettext, self.fmt.number
        parts = []
        if free is not None and cores:
            parts.append(_("{free} of {cores} cores free").format(free=number(free), cores=number(cores)))
        if waiting is not None:
            text = ngettext("{count} job waits", "{count} jobs wait", waiting)
            parts.append(text.format(count=number(waiting)))
        return self.fmt.commas(parts)

    @property
    def load(self) -> str:
        """The points of the curve of free cores over the last 24 hours."""
        rows = [(moment(row[0]), row[1], row[2]) for row in self.data.get("load") or ()]
        return charts.load([(at, f, c) for at, f, c in rows if at and f is not None and c], self.now)

    @property
    def load_area(self) -> str:
        """The area below it."""
        return charts.area(self.load)

    @property
    def load_alternative(self) -> str:
        """What the curve shows, in a sentence."""
        rows = [row for row in self.data.get("load") or () if row[1] is not None and row[2]]
        text = self.fmt.language.gettext("Free cores in the last 24 hours: between {least} and {most} of {cores}.")
        number = self.fmt.number
        free = [row[1] for row in rows] or [0]
        cores = number(rows[-1][2]) if rows else "0"
        return text.format(least=number(min(free)), most=number(max(free)), cores=cores)

    @property
    def recent(self) -> list[float]:
        """Recent waits in seconds, newest last."""
        return [float(wait) for wait in (self.data.get("waits") or {}).get("recent") or ()]

    @property
    def end(self) -> int:
        """Seconds at which the axis of the waits ends."""
        return charts.axis(max(self.recent, default=0))

    @property
    def dots(self) -> list[tuple[float, float]]:
        """The recent waits as dots on a logarithmic axis."""
        return charts.dots(self.recent, self.end)

    @property
    def ticks(self) -> list[tuple[float, int]]:
        """The marks of that axis."""
        return charts.ticks(self.end)

    @property
    def labels(self) -> list[tuple[float, int]]:
        """Those of them that have words."""
        return charts.labels(self.end)

    @property
    def median_at(self) -> float | None:
        """Where the median is."""
        median = (self.data.get("waits") or {}).get("median")
        return charts.place(float(median), self.end) if median is not None else None

    @property
    def wait_words(self) -> str:
        """The typical wait, in a sentence; "" without any start."""
        waits = self.data.get("waits") or {}
        if waits.get("median") is None:
            return ""
        _, fmt = self.fmt.language.gettext, self.fmt
        if waits.get("p90") is None:
            return _("half start within {median}").format(median=fmt.brief(waits["median"]))
        text = _("half start within {median}, nine of ten within {most}")
        return text.format(median=fmt.brief(waits["median"]), most=fmt.brief(waits["p90"]))

    @property
    def wait_basis(self) -> str:
        """What that rests on."""
        waits = self.data.get("waits") or {}
        count, days = int(waits.get("count") or 0), int(waits.get("days") or 7)
        ngettext = self.fmt.language.ngettext
        text = ngettext("from {count} start in {days} days", "from {count} starts in {days} days", count)
        return text.format(count=self.fmt.number(count), days=days)

    @property
    def score_words(self) -> str:
        """How good the forecasts were, in a sentence; "" before any was scored."""
        scores = self.data.get("scores") or {}
        count = int(scores.get("count") or 0)
        if count < ENOUGH or scores.get("cover90") is None:
            return ""
        _, fmt = self.fmt.language.gettext, self.fmt
        text = _("{part} of {count} starts fell into the range that was forecast (goal: {goal})")
        return text.format(part=fmt.percent(scores["cover90"]), count=fmt.number(count), goal=fmt.percent(0.9))

    @property
    def score_more(self) -> list[str]:
        """The narrower range and the error, in words."""
        scores, _ = self.data.get("scores") or {}, self.fmt.language.gettext
        parts = []
        if scores.get("cover50") is not None:
            text = _("{part} into its middle half (goal: {goal})")
            parts.append(text.format(part=self.fmt.percent(scores["cover50"]), goal=self.fmt.percent(0.5)))
        if scores.get("median_error") is not None:
            parts.append(_("typically off by {error}").format(error=self.fmt.brief(scores["median_error"])))
        return parts


@dataclass(frozen=True, slots=True)
class CentreView:
    """One centre on the board."""

    data: Json
    fmt: Formats
    now: datetime

    def text(self, key: str) -> str:
        """The words `key` of the centre in the person's language."""
        return text_in(self.data.get(key), self.fmt.language)

    @property
    def look(self) -> Look:
        """Its state as word, icon and colour."""
        if not self.data.get("enabled", True):
            return CLOSED
        if self.silent_since:
            return SILENT
        if self.data.get("maintenance"):
            return MAINTENANCE
        return DRAINED if self.data.get("drained") else OPEN

    @property
    def takes(self) -> bool:
        """New sessions may start there."""
        return bool(self.data.get("enabled", True)) and not self.data.get("drained")

    @property
    def silent_since(self) -> datetime | None:
        """Since when it has not answered."""
        return moment(self.data.get("unknown_since"))

    @property
    def drained_note(self) -> str:
        """Why operators let nothing start there."""
        return str((self.data.get("drained") or {}).get("note") or "")[:500]

    @property
    def notice(self) -> str:
        """What the operators say."""
        return text_in((self.data.get("notice") or {}).get("text"), self.fmt.language)

    @property
    def notice_level(self) -> str:
        """The colour of that."""
        return "wait" if (self.data.get("notice") or {}).get("level") == "warning" else "move"

    @property
    def maintenance(self) -> list[tuple[datetime, datetime, str]]:
        """The windows to come or under way: from, to, why."""
        rows = [
            (moment(w.get("start")), moment(w.get("end")), text_in(w.get("note"), self.fmt.language))
            for w in self.data.get("next_maintenance") or ()
        ]
        return [(start, end, note) for start, end, note in rows if start and end and end > self.now][:3]

    @property
    def queues(self) -> list[QueueView]:
        """Its queues."""
        return [QueueView(queue, self.fmt, self.now) for queue in self.data.get("queues") or ()]

    @property
    def free(self) -> int | None:
        """Cores that are free in all queues together; None if the centre has not said."""
        known = [queue.status.get("cores_free") for queue in self.queues]
        return sum(free for free in known if free is not None) if any(f is not None for f in known) else None

    @property
    def datasets(self) -> list[tuple[str, str]]:
        """The data sets that lie there: title and size."""
        return [
            (
                text_in(one.get("title"), self.fmt.language) or str(one["name"]),
                self.fmt.memory(int(one["bytes"]) // 2**20) if one.get("bytes") else "",
            )
            for one in self.data.get("datasets") or ()
        ]

    def when(self, key: str) -> datetime | None:
        """The moment `key`."""
        return moment(self.data.get(key))


def board(centres: Mapping[str, Json], fmt: Formats) -> list[CentreView]:
    """Every centre."""
    now = datetime.now(UTC)
    return [CentreView(row, fmt, now) for row in centres.values()]


def short_names(views: Sequence[CentreView]) -> list[tuple[str, CentreView]]:
    """Each centre by its place, where that tells them apart; else by its name."""
    places = [view.text("place") for view in views]
    distinct = all(places) and len(set(places)) == len(places)
    return [(place if distinct else view.text("name"), view) for place, view in zip(places, views, strict=True)]
