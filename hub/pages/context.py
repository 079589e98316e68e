"""What every page has at hand: the person, the language, the API and the templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlencode

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from perijove.hub.pages.api import Api
from perijove.hub.pages.config import PagesConfig
from perijove.hub.pages.cookies import Signer
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.languages import Language, language_of, languages
from perijove.hub.pages.people import People, Person


class LoginNeeded(Exception):
    """Nobody is signed in."""


class XsrfMissing(Exception):
    """A form came without its XSRF token, or with another login's."""


def environment(language: Language) -> Environment:
    """The templates in one language. Everything is escaped; a forgotten value is an error and not a blank."""
    env = Environment(
        loader=PackageLoader("perijove.hub.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    env.install_gettext_callables(language.gettext, language.ngettext, newstyle=True)  # type: ignore[attr-defined]
    env.globals["fmt"] = Formats(language)
    return env


@dataclass
class Site:
    """The pages of one gateway: made once, in `install`."""

    app: FastAPI
    config: PagesConfig
    http: Callable[[], httpx.AsyncClient] = httpx.AsyncClient
    environments: dict[str, Environment] = field(default_factory=dict)

    @cached_property
    def signer(self) -> Signer:
        """The key of our cookies."""
        return Signer(self.config.cookie_secret)

    @cached_property
    def people(self) -> People:
        """Who is signed in."""
        return People(self.config, self.signer, self.http)

    def templates(self, language: Language) -> Environment:
        """The templates in `language`."""
        if language.code not in self.environments:
            self.environments[language.code] = environment(language)
        return self.environments[language.code]

    def api(self, person: Person | None) -> Api:
        """The API as `person`, or as nobody."""
        return Api(self.app, f"{self.config.prefix}/api/v1", person.token if person else "")

    async def person(self, request: Request) -> Person:
        """Who opens a page.

        Raises:
            LoginNeeded: nobody.
            HubAway: the hub cannot be asked.
        """
        person = await self.people.of_request(request)
        if person is None:
            raise LoginNeeded
        return person

    async def onlooker(self, request: Request) -> Person:
        """Who looks at a picture of a page: an `<img>` carries the page's own mark of its address (`picture`).

        Raises:
            LoginNeeded, HubAway: as `person`.
        """
        token = self.people.token(request)
        if token is None or not self.signer.picture_good(token, request.url.path, request.query_params.get("see")):
            return await self.person(request)
        person = await self.people.of_token(token, request.cookies.get("jupyterhub-session-id", ""))
        if person is None:
            raise LoginNeeded
        return person

    def picture(self, person: Person | None, path: str) -> str:
        """The address of the picture at `path` (below the pages, quoted) for a page that `person` looks at."""
        address = f"{self.config.prefix}{path}"
        return f"{address}?see={self.signer.picture(person.token, unquote(address))}" if person else address

    async def writer(self, request: Request, form: Mapping[str, str]) -> Person:
        """Who sends a form.

        Raises:
            LoginNeeded, HubAway: as `person`.
            XsrfMissing: the form is not one of ours.
        """
        token = self.people.token(request)
        if token is None:
            raise LoginNeeded
        if not (self.people.proven(request, token) or self.signer.xsrf_good(token, form.get("_xsrf"))):
            raise XsrfMissing
        person = await self.people.of_page(request, form.get("_xsrf"))
        if person is None:
            raise LoginNeeded
        return person

    def page(
        self,
        request: Request,
        template: str,
        values: Mapping[str, Any],
        *,
        person: Person | None = None,
        status: int = 200,
        address: str | None = None,
    ) -> HTMLResponse:
        """A rendered page or fragment; `address` is what the language switch leads to, if not this very address."""
        language = language_of(request)
        query = [(key, value) for key, value in request.query_params.multi_items() if key != "lang"]
        here = address or f"{request.url.path}?{urlencode(query)}".rstrip("?")
        common = {
            "person": person,
            "xsrf": self.signer.xsrf(person.token) if person else "",
            "root": self.config.prefix,
            "hub": f"{self.config.hub_host}{self.config.base_url}hub",
            "base_url": self.config.base_url,
            "language": language,
            "languages": [
                (other, f"{here}{'&' if '?' in here else '?'}lang={other.code}") for other in languages().values()
            ],
            "path": request.url.path.removeprefix(self.config.prefix),
        }
        text = self.templates(language).get_template(template).render({**common, **values})
        return HTMLResponse(text, status_code=status)
