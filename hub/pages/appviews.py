"""From the API's JSON of an app to what a template shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from perijove.hub.pages.appwords import DOMAINS, HOW, PLACES
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.languages import Language
from perijove.hub.pages.startform import OPTION
from perijove.hub.pages.views import centre_name, text_in
from perijove.hub.pages.words import Look

Json = Mapping[str, Any]
#: The end of a first sentence.
_SENTENCE = re.compile(r"(?<=[.!?])\s|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class PlaceView:
    """A centre, and whether the app can run there."""

    data: Json
    centre: str
    language: Language

    @property
    def id(self) -> str:
        """The centre's id."""
        return str(self.data.get("centre") or "")

    @property
    def state(self) -> str:
        """ready, missing or unknown."""
        state = str(self.data.get("state") or "")
        return state if state in PLACES else "unknown"

    @property
    def look(self) -> Look:
        """Word, icon and colour."""
        return PLACES[self.state]

    @property
    def missing(self) -> list[tuple[str, list[str]]]:
        """Each code that is missing, and the ways to get it, in words."""
        found = []
        for one in self.data.get("missing") or ():
            how = one.get("how") or {}
            ways = [
                self.language.gettext(words).format(how=str(how[key])[:200])
                for key, words in HOW.items()
                if how.get(key)
            ]
            found.append((str(one.get("code") or "")[:60], ways))
        return found


@dataclass(frozen=True, slots=True)
class AppView:
    """An app as pages show it."""

    data: Json
    language: Language
    centres: Mapping[str, Json]

    @property
    def name(self) -> str:
        """Its name, which is also its address."""
        return str(self.data.get("name") or "")

    @property
    def path(self) -> str:
        """The address of its page, below the pages."""
        return f"/apps/{quote(self.name, safe='')}"

    def text(self, key: str) -> str:
        """A text of the manifest in the person's language."""
        return text_in(self.data.get(key), self.language)

    @property
    def domain(self) -> str:
        """What it is about."""
        domain = str(self.data.get("domain") or "")
        return domain if domain in DOMAINS else "other"

    @property
    def domain_words(self) -> str:
        """That in words."""
        return self.language.gettext(DOMAINS[self.domain][0])

    @property
    def domain_icon(self) -> str:
        """And as an icon."""
        return DOMAINS[self.domain][1]

    @property
    def purpose(self) -> str:
        """The first sentence of what it does."""
        return _SENTENCE.split(self.text("about").strip(), maxsplit=1)[0]

    @property
    def picture(self) -> str:
        """The address of its picture, below the pages; "" if it has none."""
        return f"{self.path}/picture" if self.data.get("picture") else ""

    @property
    def words(self) -> str:
        """All that a search looks through, in both languages, in small letters."""
        fields = [self.data.get(key) for key in ("title", "question", "about")]
        keywords = self.data.get("keywords") or {}
        parts = [str(text) for field in fields if isinstance(field, Mapping) for text in field.values()]
        parts += [str(word) for words in (keywords.values() if isinstance(keywords, Mapping) else ()) for word in words]
        parts += [str(code.get("title") or "") for code in self.data.get("codes") or ()]
        return " ".join([self.name, self.domain, self.domain_words, *parts]).casefold()

    @property
    def places(self) -> list[PlaceView]:
        """Where it can run: the ready centres first."""
        rows = [
            PlaceView(row, centre_name(row.get("centre"), self.centres, self.language), self.language)
            for row in self.data.get("places") or ()
        ]
        return sorted(rows, key=lambda place: list(PLACES).index(place.state))

    @property
    def ready(self) -> list[PlaceView]:
        """The centres where all that it needs was found."""
        return [place for place in self.places if place.state == "ready"]

    @property
    def lacking(self) -> list[PlaceView]:
        """The centres where something was not."""
        return [place for place in self.places if place.state == "missing"]

    @property
    def where(self) -> tuple[Look, str]:
        """Where it can run, in a few words."""
        n = len(self.ready)
        if n == 1:
            return PLACES["ready"], self.language.gettext("ready at {centre}").format(centre=self.ready[0].centre)
        if n:
            return PLACES["ready"], self.language.ngettext("ready at {n} centre", "ready at {n} centres", n).format(n=n)
        if self.lacking and len(self.lacking) == len(self.places):
            return PLACES["missing"], self.language.gettext("not ready at any centre")
        return PLACES["unknown"], self.language.gettext("not tried at any centre yet")

    @property
    def usual(self) -> str:
        """What it usually takes and costs, e.g. "about 2 min, 0.02–0.10 credits"; "" if that is not known."""
        usual, fmt = self.data.get("usual") or {}, Formats(self.language)
        parts = []
        if usual.get("seconds"):
            parts.append(fmt.run_time(float(usual["seconds"])))
        if usual.get("price_high") is not None:
            parts.append(fmt.money_between(int(usual.get("price_low") or 0), int(usual["price_high"])))
        return " · ".join(parts)

    @property
    def presets(self) -> list[tuple[str, str, str]]:
        """Each preset: its name, title and help."""
        return [
            (str(one.get("name")), text_in(one.get("title"), self.language), text_in(one.get("help"), self.language))
            for one in self.data.get("presets") or ()
        ]

    def start_query(self, **more: str) -> str:
        """The query of the start page that opens it."""
        return urlencode({"kind": "app", f"{OPTION}app": self.name} | more)

    @property
    def example(self) -> Json | None:
        """The report of its example."""
        return ((self.data.get("example") or {}).get("report") or {}).get("results")


def app_view(data: Json, language: Language, centres: Mapping[str, Json]) -> AppView:
    """`data` as pages show it."""
    return AppView(data, language, centres)


def found(apps: Sequence[AppView], words: str, domain: str) -> list[AppView]:
    """The apps of a domain ("": of all) with all the `words` in them."""
    wanted = words.casefold().split()
    return [app for app in apps if (not domain or app.domain == domain) and all(word in app.words for word in wanted)]


def only_where(answer: Json, app: Json) -> dict[str, Any]:
    """The offers of `answer`, each with what is known of the app there: none fits where something of it is missing.

    Offers at centres where it is ready come before those where nobody has tried.
    """
    states = {str(row.get("centre")): str(row.get("state") or "unknown") for row in app.get("places") or ()}
    fault: dict[str, Any] = {"field": "centre", "code": "app-missing", "message": "", "values": {}, "fix": None}
    rows = []
    for row in answer.get("offers") or ():
        state, shown = states.get(str(row.get("centre")), "unknown"), dict(row)
        if row.get("fits") and state == "missing":
            shown = {
                "centre": row["centre"],
                "queue": row["queue"],
                "fits": False,
                "faults": [fault],
                "as_of": row.get("as_of"),
            }
        rows.append({**shown, "ready": state == "ready"})
    rows.sort(key=lambda row: (not row.get("fits"), not row["ready"]))
    best = answer.get("recommended")
    good = [row for row in rows if row.get("fits")]
    if best and not any(
        (row["centre"], row["queue"]) == (best["centre"], best["queue"])
        for row in good
        if row["ready"] or not good[0]["ready"]
    ):
        best = (
            {
                "centre": good[0]["centre"],
                "queue": good[0]["queue"],
                "reasons": [{"code": "app-ready", "values": {}}] if good[0]["ready"] else [],
            }
            if good
            else None
        )
    return {**answer, "offers": rows, "recommended": best}
