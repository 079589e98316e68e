"""The allow-list of an app's server: which addresses there are. Everything else is not found.

One rule in front of all routes of the server, in Tornado's own terms: whatever Jupyter, JupyterHub or an extension of
the centre's adds now or later stays behind it. What is open is a page, its files, the channels of its kernel, our own
addresses and the hub's login; not contents, files, terminals, kernels to start, sessions, configuration or nbconvert.
"""

from __future__ import annotations

import re
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from tornado import httputil, web
from tornado.routing import Matcher, Rule

_KERNEL = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
#: What is open below the server's base address, by method. A path that is not plain matches nothing.
OPEN: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (methods, re.compile(path))
    for methods, path in (
        ("GET HEAD", r""),
        ("GET HEAD", r"voila/render/app\.ipynb"),
        ("GET HEAD", r"voila/(?:page|labextensions)/[\w.@/+-]+"),
        ("POST", rf"voila/api/shutdown/{_KERNEL}"),
        ("GET", rf"api/kernels/{_KERNEL}(?:/channels)?"),
        # How the hub and the agent see that the server is there.
        ("GET HEAD", r"api/?|api/status"),
        ("GET", r"oauth_callback|logout"),
        ("GET HEAD", r"favicon\.ico|static/favicons/[\w.-]+"),
        ("GET HEAD POST PUT DELETE", r"perijove/[^\\]*"),
    )
)


def is_open(method: str, path: str) -> bool:
    """Whether `path`, below the base address and as the browser sent it, may be asked for with `method`."""
    if "//" in f"/{path}" or any(part in (".", "..") for part in path.split("/")):
        return False
    return any(method in methods.split() and pattern.fullmatch(path) for methods, pattern in OPEN)


class _Closed(Matcher):
    """Matches what is not open."""

    def __init__(self, base: str) -> None:
        self._base = base

    def match(self, request: httputil.HTTPServerRequest) -> dict[str, Any] | None:
        path, method = request.path, str(request.method)
        inside = path.startswith(self._base) and is_open(method, path.removeprefix(self._base))
        # Without the last slash, and the root itself, both of which lead to the page.
        return None if inside or path == self._base.rstrip("/") else {}


class NothingHere(JupyterHandler):
    """404 for everybody, signed in or not: no word of what the server would have there."""

    _track_activity = False

    def prepare(self) -> None:  # type: ignore[override]
        """Answer before anything is read or checked."""
        raise web.HTTPError(404)

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        """Plain words: an error page would link to addresses that are not there."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("404: there is nothing here\n")


def close(app: web.Application, base: str) -> None:
    """Put the gate in front of all routes of `app`, whose addresses are below `base`."""
    app.default_router.rules.insert(0, Rule(_Closed(base), NothingHere))
