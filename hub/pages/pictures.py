"""Pictures of apps and runs, as the person: each with the one media type that its name says, and nothing in it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath

import httpx
from fastapi import HTTPException
from fastapi.responses import Response

#: What a page shows in an `<img>`; anything else is downloaded.
MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
#: Bytes: what the broker keeps of one file.
MOST = 8 * 1024 * 1024
#: For a picture that somebody opens by itself: an SVG is a document, and gets nothing to run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"


async def picture(name: str, ask: Callable[[], Awaitable[httpx.Response]], media: str = "") -> Response:
    """The picture that `ask` gets from the API, by its `name`.

    Raises:
        HTTPException: 404, it is no picture by its name; 413, it is larger than a page should show.
        Refused: the API said no.
    """
    kind = media or MEDIA.get(PurePosixPath(name).suffix.lower(), "")
    if kind not in MEDIA.values():
        raise HTTPException(404)
    answer = await ask()
    if len(answer.content) > MOST:
        raise HTTPException(413)
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "private, max-age=3600"}
    return Response(answer.content, media_type=kind, headers=headers)
