"""Two runs side by side: what was put in that differs, what came out, and whether it agrees."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.api import Json
from perijove.hub.pages.appsapi import AppsApi
from perijove.hub.pages.context import Site
from perijove.hub.pages.inputs import fields_of
from perijove.hub.pages.languages import language_of
from perijove.hub.pages.runfigures import agreement, figure, plain_words
from perijove.hub.pages.runs import app_of
from perijove.hub.pages.runviews import RunView, run_view
from perijove.hub.pages.views import text_in


def difference(one: Any, other: Any) -> float | None:
    """How much the second number is more than the first."""
    numbers = [value for value in (one, other) if isinstance(value, int | float) and not isinstance(value, bool)]
    return numbers[1] - numbers[0] if len(numbers) == 2 else None


def rows_of(found: Json, a: RunView, b: RunView) -> dict[str, Any]:
    """What the page shows of the API's comparison."""
    fmt, language = a.fmt, a.language

    def title(row: Json) -> str:
        return text_in(row.get("title"), language) or str(row.get("name") or "")

    def worded(side: RunView, key: str) -> dict[str, str]:
        given = {str(row["name"]): row.get(key) for row in found.get("inputs") or ()}
        fields = {field.name: field.words for field in fields_of(side.app, given, language)}
        return {name: fields.get(name) or plain_words(value) for name, value in given.items()}

    ours, theirs = worded(a, "a"), worded(b, "b")
    inputs = [
        (title(row), ours[str(row["name"])], theirs[str(row["name"])], row.get("a") != row.get("b"))
        for row in found.get("inputs") or ()
        if row.get("a") is not None or row.get("b") is not None  # it was asked for in one of them
    ]
    numbers = []
    for row in found.get("numbers") or ():
        more = difference(row.get("a"), row.get("b"))
        words = "" if more is None else f"{'+' if more > 0 else '−' if more < 0 else ''}{figure(fmt, abs(more))}"
        numbers.append(
            (
                title(row),
                text_in(row.get("unit"), language),
                figure(fmt, row.get("a")),
                figure(fmt, row.get("b")),
                words,
                bool(more),
            )
        )
    figures = [
        (title(row), a.picture(str(row["a"])) if row.get("a") else "", b.picture(str(row["b"])) if row.get("b") else "")
        for row in found.get("figures") or ()
    ]
    return {
        "differing": [row for row in inputs if row[3]],
        "same": [row for row in inputs if not row[3]],
        "numbers": numbers,
        "figures": figures,
        "alts": {figure["src"]: figure["alt"] for view in (a, b) for figure in view.figures},
        "agreement": agreement(found.get("agreement"), fmt),
    }


def routes(router: APIRouter, site: Site) -> None:
    """Add /runs/{a}/compare/{b}, and /runs/{a}/compare that leads there."""

    @router.get("/runs/{one}/compare/{other}")
    async def compare(request: Request, one: str, other: str) -> Response:
        person = await site.person(request)
        api, language = AppsApi(site.api(person)), language_of(request)
        found, a, b, centres = await asyncio.gather(
            api.compare(one, other), api.run(one), api.run(other), api.api.centres()
        )
        app = await app_of(api, str(a.get("app") or ""))
        views = [run_view(row, language, centres, lambda path: site.picture(person, path), app) for row in (a, b)]
        return site.page(
            request, "compare.html", {"a": views[0], "b": views[1]} | rows_of(found, *views), person=person
        )

    @router.get("/runs/{one}/compare")
    async def choose(request: Request, one: str) -> Response:
        person = await site.person(request)
        api, language = AppsApi(site.api(person)), language_of(request)
        if other := request.query_params.get("with", "")[:64]:
            return RedirectResponse(f"{site.config.prefix}/runs/{one}/compare/{other}", status_code=303)
        row, centres = await api.run(one), await api.api.centres()
        rows = [each for each in await api.runs(person.name, app=str(row.get("app") or "")) if each.get("id") != one]
        view, *others = [
            run_view(each, language, centres, lambda path: site.picture(person, path)) for each in (row, *rows)
        ]
        return site.page(request, "comparewith.html", {"view": view, "others": others}, person=person)
