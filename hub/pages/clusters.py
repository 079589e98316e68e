"""Dask clusters on the home page, below the session whose job has their head, and the operator's count of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Api
from perijove.hub.pages.context import Site
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import Language
from perijove.hub.pages.words import N_, REASONS, Look

Json = Mapping[str, Any]
RUNS = Look(N_("Running"), "circle-play", "ok")
WAITS = Look(N_("Queued"), "hourglass-half", "wait")
LOSES = Look(N_("Workers lost"), "triangle-exclamation", "bad")
RESTS = Look(N_("No workers"), "circle-stop", "calm")


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A live cluster as the home page shows it."""

    data: Json
    #: Its workers as the batch system knows them; read only where some of them wait.
    workers: tuple[Json, ...]
    language: Language
    #: Where its session opens.
    session_url: str

    def count(self, state: str) -> int:
        """Workers in a state: requested, queued, running, lost."""
        return int((self.data.get("counts") or {}).get(state) or 0)

    @property
    def target(self) -> int:
        """How many workers there should be: what the head said last, or what has been asked for."""
        asked = self.count("requested") + self.count("queued") + self.count("running")
        said = (self.data.get("report") or {}).get("target")
        return max(said if isinstance(said, int) and not isinstance(said, bool) else 0, asked)

    @property
    def look(self) -> Look:
        """The state: word, icon and colour."""
        running, target = self.count("running"), self.target
        if self.count("lost") and running < target:
            return LOSES
        return RESTS if not target else RUNS if running else WAITS

    @property
    def words(self) -> str:
        """How its workers are, e.g. "12 of 20 workers run, 8 wait (other jobs first)"."""
        gettext, fmt = self.language.gettext, Formats(self.language)
        if not self.target:
            return gettext("no workers at the moment")
        parts = [gettext("{running} of {target} workers run").format(running=self.count("running"), target=self.target)]
        if waiting := self.count("queued") + self.count("requested"):
            parts.append(gettext("{n} wait").format(n=waiting) + self._why())
        if lost := self.count("lost"):
            parts.append(gettext("{n} lost").format(n=lost))
        return fmt.commas(parts)

    def _why(self) -> str:
        """Why most of those in the queue wait, in brackets."""
        reasons = Counter(str(row.get("reason") or "") for row in self.workers if row.get("state") == "queued")
        code = reasons.most_common(1)[0][0] if reasons else ""
        if not code:
            return ""
        short = self.language.gettext(REASONS.get(code, REASONS["other"]).short)
        return f"（{short}）" if self.language.code == "zh" else f" ({short})"

    @property
    def cost(self) -> str:
        """What runs now costs an hour."""
        money = Formats(self.language).money(int(self.data.get("cost_per_hour") or 0))
        return self.language.gettext("{cost} an hour").format(cost=money)

    @property
    def dashboard(self) -> str:
        """The dashboard, by way of the session: the head's own word for it is not asked."""
        return (
            f"{self.session_url}perijove/clusters/{quote(str(self.data.get('name') or ''), safe='')}/dashboard/status"
        )


async def clusters_of(
    api: Api, owner: str, urls: Mapping[str, str], language: Language
) -> dict[str, list[ClusterView]]:
    """The live clusters of a person by their session's id; `urls` says where each session opens."""
    found: dict[str, list[ClusterView]] = {}
    for row in await api.clusters(owner):
        session = str(row.get("session") or "")
        waits = (row.get("counts") or {}).get("queued")
        workers: Iterable[Json] = await api.workers(str(row.get("id") or "")) if waits else ()
        view = ClusterView(row, tuple(workers), language, urls.get(session, ""))
        found.setdefault(session, []).append(view)
    return found


def counted(rows: Iterable[Json]) -> dict[str, tuple[int, int]]:
    """By centre: how many live clusters there are, and how many workers run."""
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        clusters, running = found.get(centre := str(row.get("centre")), (0, 0))
        found[centre] = (clusters + 1, running + int((row.get("counts") or {}).get("running") or 0))
    return found


def routes(router: APIRouter, site: Site) -> None:
    """Add POST /clusters/{id}/stop."""

    @router.post("/clusters/{cluster}/stop")
    async def stop(request: Request, cluster: str) -> Response:
        form = await read_form(request)
        person = await site.writer(request, form)
        await site.api(person).stop_cluster(cluster)
        return RedirectResponse(f"{site.config.prefix}/", status_code=303)
