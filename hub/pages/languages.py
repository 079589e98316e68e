"""The language of a page is the person's choice: `?lang=`, then the cookie, then what the browser prefers."""

from __future__ import annotations

from fastapi import Request
from perijove.hub.languages import Language, languages, read_catalogue

COOKIE = "perijove-lang"


def language_of(request: Request) -> Language:
    """The language of a request."""
    known = languages()
    wanted = [request.query_params.get("lang"), request.cookies.get(COOKIE), *_accepted(request)]
    return next((known[code] for code in wanted if code and code in known), known["en"])


def _accepted(request: Request) -> list[str]:
    """The codes of the browser's languages, best first (RFC 9110 12.5.4)."""
    ranked: list[tuple[float, str]] = []
    for part in request.headers.get("accept-language", "")[:500].split(","):
        tag, _, quality = part.partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if weight > 0:
            ranked.append((-weight, tag.strip().lower().partition("-")[0]))
    return [code for _, code in sorted(ranked, key=lambda pair: pair[0])]


__all__ = ["COOKIE", "Language", "language_of", "languages", "read_catalogue"]
