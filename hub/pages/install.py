"""Puts the pages into the broker's app: routes, static files, sign-in, and the headers that every page carries."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute, APIRouter
from perijove.hub import docs
from perijove.hub.pages import (
    apps,
    budget,
    clusters,
    comparing,
    data,
    help,
    home,
    keys,
    operator,
    operatormoney,
    runform,
    runs,
    sharing,
    signin,
    start,
    transfers,
    waiting,
)
from perijove.hub.pages.api import Refused
from perijove.hub.pages.config import PagesConfig
from perijove.hub.pages.context import LoginNeeded, Site, XsrfMissing
from perijove.hub.pages.forms import FormTooLarge
from perijove.hub.pages.languages import COOKIE, languages
from perijove.hub.pages.login import LoginFailed
from perijove.hub.pages.people import HubAway
from perijove.hub.pages.words import ERRORS
from perijove.hub.settings import SERVICE, Settings
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)
#: Seconds for which a browser remembers the language.
_YEAR = 365 * 86400


def config_of(settings: Settings) -> PagesConfig:
    """What the pages need of the gateway's settings."""
    host = ""
    if settings.subdomain_host:
        parts = urlsplit(settings.url)
        host = f"{parts.scheme}://{parts.netloc}"
    return PagesConfig(
        hub_api=settings.hub_api_url,
        client_secret=settings.secret("broker.token"),
        cookie_secret=hmac.digest(settings.secret("cookie_secret").encode(), b"perijove pages", hashlib.sha256),
        hub_host=host,
        base_url=settings.base_path,
        client_id=f"service-{SERVICE}",
        secure=settings.url.startswith("https:"),
    )


def install(app: FastAPI, settings: Settings) -> None:
    """Add the pages to `app`; call it after the API's routes are in, for unknown addresses end here.

    Sets `app.state.cookie_person`: the person of a request's login cookie, or None (see `people.People.of_request`).
    """
    install_site(app, config_of(settings))


def install_site(app: FastAPI, config: PagesConfig, http: Callable[[], httpx.AsyncClient] | None = None) -> Site:
    """As `install`; `http` makes the client that talks to the hub (a test's double)."""
    site = Site(app, config, http or httpx.AsyncClient)
    app.state.cookie_person = site.people.of_request
    folders = {"static": Path(__file__).parent / "static", "hub-static": _hub_static(), "help-images": docs.images()}
    for name, folder in folders.items():
        app.mount(f"{config.prefix}/{name}", Static(directory=folder), name=f"pages-{name}")
    router = APIRouter(prefix=config.prefix, route_class=_route_class(site), include_in_schema=False)
    for part in (
        signin,
        home,
        budget,
        data,
        transfers,
        clusters,
        start,
        waiting,
        apps,
        runform,
        runs,
        comparing,
        sharing,
        keys,
        operator,
        operatormoney,
        help,
    ):
        part.routes(router, site)

    @router.get("/{path:path}")
    async def nothing_here(path: str) -> Response:
        raise HTTPException(404)

    app.include_router(router)
    return site


def _hub_static() -> Path:
    """The hub's own static files (Bootstrap, Font Awesome), as installed: nothing is copied or fetched."""
    from jupyterhub._data import DATA_FILES_PATH

    return Path(DATA_FILES_PATH) / "static"


class Static(StaticFiles):
    """Static files that a browser takes for nothing but what they say they are."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file."""

        async def sealed(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"x-content-type-options", b"nosniff"),
                    (b"cache-control", b"no-cache"),
                ]
            await send(message)

        await super().__call__(scope, receive, sealed)


def protect(config: PagesConfig, response: Response) -> Response:
    """The headers of every page: nothing from elsewhere, no frames, no cache, no referrer to anybody."""
    own = f"'self' {config.hub_host}".strip()
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": own,
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    rules = "; ".join(f"{key} {value}" for key, value in policy.items())
    response.headers.setdefault("Content-Security-Policy", rules)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _route_class(site: Site) -> type[APIRoute]:
    class PageRoute(APIRoute):
        """A route whose every answer is a page of ours, errors too."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def handler(request: Request) -> Response:
                try:
                    response = await answer(request)
                except Exception as error:
                    response = await _error(site, request, error)
                _remember_language(site, request, response)
                return protect(site.config, response)

            return handler

    return PageRoute


def _remember_language(site: Site, request: Request, response: Response) -> None:
    chosen = request.query_params.get("lang")
    if chosen and chosen in languages():
        response.set_cookie(COOKIE, chosen, max_age=_YEAR, path=site.config.base_url, samesite="lax")


async def _error(site: Site, request: Request, error: Exception) -> Response:
    """The page for an error, or the error itself if it is a fault of ours."""
    if isinstance(error, LoginNeeded) and request.method == "GET" and not _by_script(request):
        wanted = f"{request.url.path}?{request.url.query}".rstrip("?")
        return RedirectResponse(f"{site.config.prefix}/login?{urlencode({'next': wanted})}", status_code=302)
    status, name = _kind(error)
    if name == "unexpected":
        log.exception("a page failed: %s %s", request.method, request.url.path)
    elif status >= 500:
        log.warning("a page could not be made: %s %s: %s", request.method, request.url.path, error)
    if _by_script(request):
        return JSONResponse({"error": name}, status_code=status)
    person = None
    if name not in ("login", "hub-away"):
        try:
            person = await site.people.of_request(request)
        except HubAway:
            person = None
    values = {"name": name, "status": status, "says": ERRORS[name]}
    return site.page(request, "error.html", values, person=person, status=status)


def _by_script(request: Request) -> bool:
    """A script asks, which wants no page and follows no redirect to the sign-in."""
    return request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"


def _kind(error: Exception) -> tuple[int, str]:
    """Status and name of an error."""
    kinds: tuple[tuple[type[Exception], int, str], ...] = (
        (LoginNeeded, 401, "login"),
        (XsrfMissing, 403, "xsrf"),
        (LoginFailed, 400, "login-failed"),
        (FormTooLarge, 413, "too-large"),
        (HubAway, 503, "hub-away"),
        (httpx.HTTPError, 502, "hub-away"),
    )
    for kind, status, name in kinds:
        if isinstance(error, kind):
            return status, name
    if isinstance(error, Refused | HTTPException):
        status = error.status if isinstance(error, Refused) else error.status_code
        names = {401: "login", 403: "forbidden", 404: "not-found"}
        return (status, names[status]) if status in names else (502 if status >= 500 else status, "broker")
    return 500, "unexpected"
