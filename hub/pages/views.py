"""From the API's JSON to what a template shows: words, looks and links for sessions, centres and offers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from perijove.hub.pages import again
from perijove.hub.pages.forecast import Forecast, Progress
from perijove.hub.pages.formats import Formats, clock, moment
from perijove.hub.pages.languages import Language
from perijove.hub.pages.words import CALM_ENDS, FAILED, REASONS, STAGES, UNKNOWN, Look, Words

Json = Mapping[str, Any]
#: The stages that a person waits through, in order.
WAY = ("checked", "submitted", "queued", "granted", "starting", "ready")
#: Those of them in which it has no node yet.
PENDING = WAY[:3]
#: Lines and characters of a log that a page shows.
LOG_LINES, LOG_WIDTH = 40, 400


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as pages show it; the words are English and go through the catalogue in the template."""

    data: Json
    language: Language
    centres: Mapping[str, Json]
    base_url: str
    now: datetime
    #: The apps of the gateway by name, for the titles of their sessions.
    apps: Mapping[str, Json] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """The stage's code."""
        return str(self.data.get("stage", ""))

    @property
    def live(self) -> bool:
        """It has not ended."""
        return self.stage != "ended"

    @property
    def open_now(self) -> bool:
        """A person can open it."""
        return self.stage == "ready"

    @property
    def failed(self) -> bool:
        """It ended, and not as anybody meant it to."""
        return self.stage == "ended" and str(self.data.get("outcome") or "") not in CALM_ENDS

    @property
    def unknown_since(self) -> datetime | None:
        """Since when the centre has not answered."""
        return moment(self.data.get("unknown_since")) if self.live else None

    @property
    def look(self) -> Look:
        """Words, icon and colour of the state."""
        if self.unknown_since and not self.open_now:
            return UNKNOWN
        return FAILED if self.failed else STAGES.get(self.stage, UNKNOWN)

    @property
    def reason(self) -> Words | None:
        """Why it waits."""
        known = self.stage in ("submitted", "queued") and self.data.get("reason")
        return REASONS.get(str(self.data["reason"]), REASONS["other"]) if known else None

    @property
    def outcome(self) -> Words | None:
        """How it ended."""
        return None if self.live else REASONS.get(str(self.data.get("outcome") or "other"), REASONS["other"])

    @property
    def help(self) -> str:
        """The place in the help (`help/troubleshooting#...`) that tells more of why it waits or how it ended."""
        code = str(self.data.get("reason" if self.live else "outcome") or "other")
        return f"reason-{code if code in REASONS else 'other'}"

    @property
    def way(self) -> list[tuple[Look, str]]:
        """Each stage of the way to a running session, with "done", "now" or "next"."""
        at = WAY.index(self.stage) if self.stage in WAY else -1
        return [
            (STAGES[name], "done" if place < at or self.open_now else "now" if place == at else "next")
            for place, name in enumerate(WAY)
        ]

    @property
    def centre(self) -> str:
        """The centre's name."""
        return centre_name(self.data.get("centre"), self.centres, self.language)

    @property
    def title(self) -> str:
        """What a person calls it: the app, or the centre where it runs."""
        return self.app_title or self.centre

    @property
    def beside(self) -> str:
        """What stands beside its title to tell it from others: an app's centre, or the server's name."""
        return self.centre if self.app_title else str(self.data.get("server") or "")

    @property
    def app_title(self) -> str:
        """The title of the app that it shows; "" for any other session, and for an app that is gone."""
        return text_in((self.apps.get(app_of(self.data)) or {}).get("title"), self.language)

    @property
    def url(self) -> str:
        """Where the session opens.

        A named server is reached by way of the hub: until its route is there, its address leads to the person's
        default server, which knows nothing of it.
        """
        server = str(self.data.get("server") or "")
        path = f"user/{quote(str(self.data.get('owner', '')), safe='@')}/"
        return f"{self.base_url}hub/{path}{quote(server, safe='')}/" if server else f"{self.base_url}{path}"

    @property
    def log(self) -> str:
        """The last lines of the job's log, bounded."""
        lines = str(self.data.get("log_tail") or "").splitlines()[-LOG_LINES:]
        return "\n".join(line if len(line) <= LOG_WIDTH else f"{line[:LOG_WIDTH]} …" for line in lines)

    def when(self, key: str) -> datetime | None:
        """The moment `key` of the session."""
        return moment(self.data.get(key))

    def since(self, key: str) -> str:
        """The time since the moment `key`, as h:mm:ss."""
        start = self.when(key)
        return clock((self.now - start).total_seconds()) if start else ""

    @property
    def left(self) -> str:
        """The time left, as h:mm:ss."""
        end = self.when("ends_by")
        return clock((end - self.now).total_seconds()) if end else ""

    @property
    def part_left(self) -> float:
        """How much of the time is left: 0 to 1."""
        end, whole = self.when("ends_by"), float(self.data.get("walltime") or 0)
        return min(max((end - self.now).total_seconds() / whole, 0.0), 1.0) if end and whole else 0.0

    @property
    def money(self) -> Json | None:
        """What it has cost so far and what is on hold for it; None from a broker that keeps no books."""
        return self.data.get("money") or None

    @property
    def pending(self) -> bool:
        """It is on its way to a node."""
        return self.stage in PENDING

    @property
    def submitted(self) -> datetime | None:
        """When the centre took the job; when it was asked for, before that is known."""
        return self.when("submitted") or self.when("created")

    @property
    def progress(self) -> Progress | None:
        """Where a waiting session is in the forecast that it was given."""
        forecast = Forecast.parse(self.data.get("forecast")) if self.pending else None
        return Progress(forecast, (self.now - self.submitted).total_seconds()) if forecast and self.submitted else None

    @property
    def ahead(self) -> int | None:
        """How many jobs come first, where the centre says so."""
        known = self.data.get("ahead") if self.pending else None
        return int(known) if known is not None else None

    @property
    def queue(self) -> Json:
        """The API's description of its queue; empty if it is not known (any more)."""
        queues = (self.centres.get(str(self.data.get("centre"))) or {}).get("queues") or ()
        return next((queue for queue in queues if queue.get("name") == self.data.get("queue")), {})

    @property
    def mend(self) -> again.Mend | None:
        """The button that mends how it ended."""
        return None if self.live else again.mend(self.data, self.queue, Formats(self.language))

    @property
    def again(self) -> list[tuple[str, str]]:
        """The fields of a form that starts the same again."""
        return again.fields(self.data, str(self.data.get("server") or ""))

    @property
    def like_this(self) -> str:
        """The query of the start page, filled in with the same options."""
        return again.query(self.data)

    @property
    def elsewhere(self) -> str:
        """The query of the start page for the same at another centre."""
        return again.elsewhere(self.data)


def session_view(
    data: Json, language: Language, centres: Mapping[str, Json], base_url: str, apps: Iterable[Json] = ()
) -> SessionView:
    """`data` as pages show it now."""
    return SessionView(
        data, language, centres, base_url, datetime.now(UTC), {str(app.get("name")): app for app in apps}
    )


def app_of(data: Json) -> str:
    """The name of the app that a session was started for; "" for none."""
    options = (data.get("request") or {}).get("options") if data.get("kind") == "app" else None
    return str((options or {}).get("app") or "")


def text_in(words: Any, language: Language) -> str:
    """`{"en": ..., "zh": ...}` (or a plain text) in `language`."""
    if isinstance(words, Mapping):
        return str(words.get(language.code) or words.get("en") or "")
    return str(words or "")


def centre_name(centre: object, centres: Mapping[str, Json], language: Language) -> str:
    """The name of a centre by its id; the id if it is not known (any more)."""
    found = centres.get(str(centre))
    return (text_in(found.get("name"), language) if found else "") or str(centre or "")


def named(fault: Json, centres: Mapping[str, Json], language: Language, at: Json | None = None) -> dict[str, Any]:
    """A fault whose values name centres, and queues of the centre `at`, as people read them, not by their ids."""
    values = dict(fault.get("values") or {})
    places = {key: centre_name(values[key], centres, language) for key in ("centre", "from", "to") if key in values}
    if at and "queue" in values:
        places["queue"] = queue_title(at, str(values["queue"]), language)
    return {**fault, "values": values | places}


def queue_title(centre: Json | None, queue: str, language: Language) -> str:
    """The title of a queue, or its name."""
    found: Json = next((q for q in (centre or {}).get("queues", ()) if q.get("name") == queue), {})
    return text_in(found.get("title"), language) or queue


def queue_status(centre: Json | None, queue: str) -> Json:
    """What the centre said last of a queue: `cores`, `cores_free`, `jobs_queued` (None: it did not say)."""
    found: Json = next((q for q in (centre or {}).get("queues", ()) if q.get("name") == queue), {})
    return found.get("status") or {}
