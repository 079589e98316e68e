"""From the API's JSON of a run to what a template shows. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from perijove.hub.pages.appwords import (
    BRINGING,
    CANCELLING,
    FAILURES,
    LIVE,
    OTHER_FAILURE,
    RELATIONS,
    RUNS,
    STEPS,
    UNKNOWN,
)
from perijove.hub.pages.formats import Formats, clock, moment
from perijove.hub.pages.inputs import fields_of
from perijove.hub.pages.languages import Language
from perijove.hub.pages.pictures import MEDIA
from perijove.hub.pages.runfigures import agreement, figure, percent, plain_words, size, took
from perijove.hub.pages.views import centre_name, named, queue_title, text_in
from perijove.hub.pages.words import STAGES, Look, Words

Json = Mapping[str, Any]
#: Gives a picture's address below the pages the mark that lets an `<img>` show it.
Mark = Callable[[str], str]
#: The file that makes the results a record that others can read.
CRATE = "ro-crate-metadata.json"
#: Lines and characters of a failed command's words.
LINES, WIDTH = 20, 400


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of a run."""

    data: Json
    fmt: Formats

    @property
    def look(self) -> Look:
        """Word, icon and colour of its state."""
        return STEPS.get(str(self.data.get("state")), STEPS["waiting"])

    @property
    def title(self) -> str:
        """What it does."""
        return text_in(self.data.get("title"), self.fmt.language) or str(self.data.get("name") or "")

    @property
    def live(self) -> bool:
        """It is being done."""
        return self.data.get("state") == "running"

    @property
    def percent(self) -> int:
        """How much of it is done."""
        return percent(self.data.get("progress"))

    @property
    def facts(self) -> str:
        """Parts, time, memory and tries, as far as they are known."""
        gettext, parts = self.fmt.language.gettext, []
        fan = self.data.get("parts") or {}
        if int(fan.get("total") or 1) > 1:
            parts.append(gettext("{done} of {total} parts").format(done=fan.get("done", 0), total=fan["total"]))
        if self.data.get("state") != "waiting" and self.data.get("seconds"):
            parts.append(took(self.fmt, self.data["seconds"]))
        if self.data.get("memory"):
            parts.append(size(self.fmt, self.data["memory"]))
        if int(self.data.get("tries") or 1) > 1:
            parts.append(gettext("{n} tries").format(n=self.data["tries"]))
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as pages show it."""

    data: Json
    language: Language
    centres: Mapping[str, Json]
    mark: Mark
    #: Its app, or an empty one if the gateway has it no more.
    app: Json
    #: The address below the pages at which its files are.
    path: str
    now: datetime

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.data.get("id") or "")

    @property
    def fmt(self) -> Formats:
        """Amounts and times."""
        return Formats(self.language)

    @property
    def title(self) -> str:
        """What its owner calls it, or the app's title."""
        return str(self.data.get("label") or "") or self.app_title

    @property
    def app_title(self) -> str:
        """The title of the app."""
        return text_in(self.data.get("title"), self.language) or str(self.data.get("app") or "")

    @property
    def state(self) -> str:
        """The broker's word."""
        return str(self.data.get("state") or "")

    @property
    def live(self) -> bool:
        """It changes by itself."""
        return self.state in LIVE

    @property
    def unknown_since(self) -> datetime | None:
        """Since when nothing was heard of it."""
        return moment(self.data.get("unknown_since")) if self.live else None

    @property
    def look(self) -> Look:
        """Word, icon and colour of its state."""
        if self.live and self.data.get("wanted"):
            return CANCELLING
        return UNKNOWN if self.unknown_since else RUNS.get(self.state, UNKNOWN)

    @property
    def stage(self) -> Look | None:
        """How far the session is that a run waits for."""
        stages = {**STAGES, "files": BRINGING}
        return stages.get(str(self.data.get("stage"))) if self.state == "starting" else None

    @property
    def coming(self) -> list[Json]:
        """The files that are brought before it begins: name, from where, how much of it is there."""
        if self.data.get("stage") != "files":
            return []
        rows: list[Json] = []
        for row in self.data.get("staging") or ():
            total, moved = row.get("total"), row.get("moved") or 0
            source = row.get("from") or {}
            rows.append(
                {
                    "name": str(source.get("path") or "").rpartition("/")[2],
                    "centre": centre_name(source.get("centre"), self.centres, self.language),
                    "size": f"{size(self.fmt, moved)} / {size(self.fmt, total)}" if total else "",
                    "percent": 100 if row.get("state") == "done" else percent(moved / total if total else 0),
                }
            )
        return rows

    @property
    def not_brought(self) -> bool:
        """It never began because a file could not be brought."""
        return any(str(fault.get("code")).startswith("file-") for fault in self.data.get("problem") or ())

    @property
    def problem(self) -> list[str]:
        """Why no session could be opened for it, in words."""
        return [
            self.fmt.input_fault(named(fault, self.centres, self.language)) for fault in self.data.get("problem") or ()
        ]

    @property
    def centre(self) -> str:
        """Where it runs."""
        return centre_name(self.data.get("centre"), self.centres, self.language)

    @property
    def queue(self) -> str:
        """The title of the queue in which it runs; "" where it is not said (of a shared one)."""
        queue = str(self.data.get("queue") or "")
        return queue_title(self.centres.get(str(self.data.get("centre"))), queue, self.language) if queue else ""

    @property
    def report(self) -> Json:
        """What the runner said last."""
        return self.data.get("report") or {}

    @property
    def results(self) -> Json:
        """What came out."""
        return self.report.get("results") or {}

    @property
    def percent(self) -> int:
        """How much of it is done."""
        return 100 if self.state == "done" else percent(self.data.get("progress") or self.report.get("progress"))

    @property
    def left(self) -> str:
        """How long it will still take, in words; "" if that is not known."""
        left = self.report.get("left")
        return self.fmt.run_time(float(left)) if self.live and isinstance(left, int | float) else ""

    @property
    def version(self) -> int:
        """What the API's `after` takes."""
        version = self.data.get("version")
        return version if isinstance(version, int) else 0

    def when(self, key: str) -> datetime | None:
        """The moment `key`."""
        return moment(self.data.get(key))

    @property
    def duration(self) -> str:
        """How long it took, or takes up to now, as h:mm:ss."""
        start, end = self.when("started"), self.when("ended")
        return clock(((end or self.now) - start).total_seconds()) if start else ""

    @property
    def steps(self) -> list[StepView]:
        """Its steps."""
        return [StepView(row, self.fmt) for row in self.report.get("steps") or ()]

    @property
    def failure(self) -> Json | None:
        """Why it failed."""
        return self.report.get("failure")

    @property
    def failure_words(self) -> Words:
        """That in our words."""
        return FAILURES.get(str((self.failure or {}).get("code")), OTHER_FAILURE)

    def said(self, key: str) -> str:
        """What the app says of the failure ("message") and advises ("advice")."""
        return text_in((self.failure or {}).get(key), self.language)[:2000]

    @property
    def failed_step(self) -> str:
        """The title of the step that failed."""
        name = (self.failure or {}).get("step")
        return next((step.title for step in self.steps if step.data.get("name") == name), str(name or ""))

    @property
    def command(self) -> str:
        """The command that failed, as one would type it."""
        words = (self.failure or {}).get("command") or ()
        return shlex.join(str(word) for word in words)[:4000]

    @property
    def lines(self) -> str:
        """The last lines of it, bounded."""
        lines = [str(line) for line in (self.failure or {}).get("lines") or ()][-LINES:]
        return "\n".join(line if len(line) <= WIDTH else f"{line[:WIDTH]} …" for line in lines)

    @property
    def reading(self) -> str:
        """The results in plain words."""
        return text_in(self.results.get("reading"), self.language)

    @property
    def limits(self) -> str:
        """What they cannot say."""
        return text_in(self.results.get("limits"), self.language)

    @property
    def numbers(self) -> list[tuple[str, str, str]]:
        """Each number: title, value, unit."""
        return [
            (self.title_of(row), figure(self.fmt, row.get("value")), text_in(row.get("unit"), self.language))
            for row in self.results.get("numbers") or ()
        ]

    def title_of(self, row: Json) -> str:
        """The title of a result."""
        return text_in(row.get("title"), self.language) or str(row.get("name") or row.get("file") or "")

    @property
    def figures(self) -> list[Json]:
        """Each figure: title, alt, address, width, height."""
        return [
            {
                "title": self.title_of(row),
                "alt": text_in(row.get("alt"), self.language) or self.title_of(row),
                "src": self.picture(str(row.get("file") or "")),
                "width": row.get("width"),
                "height": row.get("height"),
            }
            for row in self.results.get("figures") or ()
        ]

    @property
    def thumbnail(self) -> str:
        """The address of its first figure; "" for none."""
        return self.figures[0]["src"] if self.figures else ""

    def picture(self, file: str) -> str:
        """The address of a picture of its results."""
        return self.mark(f"{self.path}/files/{quote(file)}")

    @property
    def tables(self) -> list[Json]:
        """Each table: title, columns, rows (in words), how many there are, and its file."""
        return [
            {
                "title": self.title_of(row),
                "columns": [str(column)[:100] for column in row.get("columns") or ()],
                "rows": [[figure(self.fmt, cell) for cell in cells] for cells in row.get("rows") or ()],
                "more": int(row.get("count") or 0) > len(row.get("rows") or ()),
                "count": int(row.get("count") or 0),
                "file": str(row.get("file") or ""),
            }
            for row in self.results.get("tables") or ()
        ]

    @property
    def files(self) -> list[Json]:
        """Each file: its path, title, size, checksum, and whether a page shows it."""
        return [
            {
                "file": str(row.get("file") or ""),
                "title": self.title_of(row),
                "size": size(self.fmt, row.get("bytes") or 0),
                "sha256": str(row.get("sha256") or ""),
                "picture": any(str(row.get("file") or "").lower().endswith(end) for end in MEDIA),
            }
            for row in self.results.get("files") or ()
        ]

    @property
    def crate(self) -> bool:
        """There is a record that others can read."""
        rows = (*(self.data.get("kept") or ()), *(self.results.get("files") or ()))
        return any(row.get("file") == CRATE for row in rows)

    @property
    def inputs(self) -> list[tuple[str, str]]:
        """Each input that was used: title and value, in words."""
        given = self.data.get("inputs") or {}
        fields = {field.name: field for field in fields_of(self.app, given, self.language)}
        titles = self.data.get("titles") or {}
        return [
            (fields[name].text("title") or name, fields[name].words)
            if name in fields
            else (text_in(titles.get(name), self.language) or name.replace("_", " ").capitalize(), plain_words(value))
            for name, value in given.items()
            if value is not None  # it was not asked for
        ]

    @property
    def codes(self) -> list[Json]:
        """The codes that ran."""
        return list(self.report.get("codes") or ())

    @property
    def datasets(self) -> list[Json]:
        """The data that it used."""
        return [{**row, "title": self.title_of(row)} for row in self.report.get("data") or ()]

    @property
    def relation(self) -> str:
        """What it has to do with its parent."""
        return RELATIONS.get(str(self.data.get("relation")), "") if self.data.get("parent") else ""

    @property
    def agreement(self) -> Json | None:
        """How it agrees with its parent: verdict and rows in words."""
        return agreement(self.data.get("agreement"), self.fmt)

    def can(self, what: str) -> bool:
        """The API lets this person do it."""
        return what in (self.data.get("can") or ())


def run_view(
    data: Json, language: Language, centres: Mapping[str, Json], mark: Mark, app: Json | None = None, path: str = ""
) -> RunView:
    """`data` as pages show it now; `path` is where its files are, if not at the run's own address."""
    here = path or f"/runs/{quote(str(data.get('id') or ''), safe='')}"
    return RunView(data, language, centres, mark, app or {}, here, datetime.now(UTC))
