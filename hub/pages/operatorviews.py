"""From the API's JSON to what the operator's templates show: one centre, as it is watched. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perijove.hub.pages.formats import moment
from perijove.hub.pages.languages import Language
from perijove.hub.pages.operatorwords import (
    ANSWERS,
    ELSEWHERE,
    LEVELS,
    NOBODY,
    NOT_ASKED,
    OTHER_PROBLEM,
    PROBLEMS,
    SILENT,
    Trouble,
)
from perijove.hub.pages.views import text_in
from perijove.hub.pages.words import STAGES, Look

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WatcherView:
    """A centre as the operator's pages show it; the words are English and go through the catalogue in the template."""

    data: Json
    language: Language
    #: Live Dask clusters there, and how many of their workers run.
    clusters: tuple[int, int] = (0, 0)

    @property
    def id(self) -> str:
        """The centre's id."""
        return str(self.data.get("id", ""))

    @property
    def name(self) -> str:
        """The centre's name."""
        return text_in(self.data.get("name"), self.language) or self.id

    @property
    def silent(self) -> bool:
        """It is known not to answer."""
        return self.data.get("answering") is False

    @property
    def look(self) -> Look:
        """Words, icon and colour of how it is watched."""
        if self.data.get("lease") == "elsewhere":
            return ELSEWHERE
        if self.data.get("lease") == "nobody":
            return NOBODY
        return SILENT if self.silent else ANSWERS if self.data.get("answering") else NOT_ASKED

    @property
    def problem(self) -> Trouble | None:
        """What is wrong, and what would mend it."""
        return PROBLEMS.get(str(self.data.get("problem")), OTHER_PROBLEM) if self.silent else None

    @property
    def detail(self) -> str:
        """What is wrong in the centre's own words, bounded."""
        return str(self.data.get("detail") or "")[:500]

    @property
    def launcher(self) -> Json | None:
        """An installed launcher that is older than this gateway's: its version, the wanted one, and where it is."""
        return self.data.get("launcher") or None

    @property
    def stages(self) -> list[tuple[str, Look, int]]:
        """How many sessions there are at each stage."""
        counts = self.data.get("sessions") or {}
        return [(stage, look, int(counts[stage])) for stage, look in STAGES.items() if counts.get(stage)]

    @property
    def drained(self) -> Json | None:
        """The drain, if there is one."""
        return self.data.get("drained") or None

    @property
    def notice(self) -> Json | None:
        """The notice, if there is one."""
        return self.data.get("notice") or None

    def when(self, key: str) -> datetime | None:
        """The moment `key` of the watcher; "drained" and "notice" are when these were ordered."""
        value = self.data.get(key)
        return moment(value.get("since") if isinstance(value, Mapping) else value)


def level_look(level: object) -> Look:
    """How loud a notice is."""
    return LEVELS.get(str(level), LEVELS["info"])
