"""The addresses of signing in and out, and the words of the hub's own pages, which show before anybody is in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from perijove.hub.pages import login
from perijove.hub.pages.context import Site
from perijove.hub.pages.forms import read_form
from perijove.hub.pages.languages import languages
from perijove.hub.pages.words import HUB


def routes(router: APIRouter, site: Site) -> None:
    """Add /login, /oauth_callback, /logout and /hub-words/LANGUAGE."""

    @router.get("/hub-words/{code}")
    async def hub_words(code: str) -> Response:
        language = languages().get(code)
        words = {message: language.gettext(message) for message in HUB} if language else {}
        return JSONResponse(words, headers={"Cache-Control": "max-age=300"})

    @router.get("/login")
    async def sign_in(request: Request) -> Response:
        return login.begin(site.config, site.signer, request.query_params.get("next", ""))

    @router.get("/oauth_callback")
    async def come_back(request: Request) -> Response:
        async with site.http() as client:
            return await login.finish(site.config, site.signer, client, request)

    @router.post("/logout")
    async def sign_out(request: Request) -> Response:
        await site.writer(request, await read_form(request))
        site.people.forget()
        return login.leave(site.config)
