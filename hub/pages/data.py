"""The page of data sets: what there is, its licence, where it lies, and which apps read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from perijove.hub.datasets import Listed, catalogue
from perijove.hub.pages.api import Refused
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.transfers import transfers_of
from perijove.hub.pages.views import text_in


@dataclass(frozen=True, slots=True)
class DataView:
    """A data set in the person's language."""

    listed: Listed
    fmt: Formats
    names: dict[str, str]

    @property
    def title(self) -> str:
        """What people read."""
        return text_in(self.listed.title, self.fmt.language) or self.listed.name

    @property
    def about(self) -> str:
        """What is in it."""
        return text_in(self.listed.description, self.fmt.language)

    @property
    def size(self) -> str:
        """How large it is, or ""."""
        return self.fmt.memory(self.listed.bytes // 2**20) if self.listed.bytes else ""

    @property
    def places(self) -> list[tuple[str, str, str]]:
        """Centre, its name, and the path there."""
        return [(centre, self.names.get(centre, centre), path) for centre, path in self.listed.places]

    @property
    def apps(self) -> list[tuple[str, str]]:
        """Name and title of the apps that read it."""
        return [(name, text_in(title, self.fmt.language) or name) for name, title in self.listed.apps]


def routes(router: APIRouter, site: Site) -> None:
    """Add /data."""

    @router.get("/data")
    async def data(request: Request) -> Response:
        person = await site.person(request)
        api, fmt = site.api(person), Formats(language_of(request))
        centres = await api.centres()
        try:
            apps: list[Any] = list((await api.call("GET", "/apps"))["apps"])
        except Refused as refused:
            if refused.status != 404:
                raise
            apps = []
        names = {name: text_in(row.get("name"), fmt.language) or name for name, row in centres.items()}
        shown = [DataView(one, fmt, names) for one in catalogue(centres.values(), apps)]
        ways = await transfers_of(api, fmt, centres)
        return site.page(request, "data.html", {"datasets": shown, "transfers": ways}, person=person)
