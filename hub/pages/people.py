"""Who asks: the login cookie, checked with the hub, and the XSRF rule.

The cookie carries the person's OAuth token of this service. The hub is asked who that is, at most every 30 seconds.
While the hub restarts, an answer of the last ten minutes still counts: a page about a running session must not fail
because the hub is away, and nobody can sign out at a hub that is down.

Notebook servers share our origin unless the gateway has per-user domains, so their JavaScript could fetch our pages
with our cookie. As in JupyterHub, a request that is not a plain navigation counts as signed in only if it carries the
XSRF token, also for reading; frames are refused by the content security policy.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from fastapi import Request
from perijove.hub.pages.config import PagesConfig
from perijove.hub.pages.cookies import Signer

COOKIE = "perijove-login"
#: Seconds: how long a login cookie counts (the hub's own token expiry comes first if it is shorter).
LOGIN_AGE = 14 * 86400
#: Seconds: an answer of the hub is fresh for this long, and good enough for that long while the hub is away.
FRESH, STALE = 30.0, 600.0
XSRF_HEADER = "X-XSRFToken"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class HubAway(Exception):
    """The hub does not answer, and we do not know who asks."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in."""

    name: str
    admin: bool
    #: The OAuth token at the hub: for calls of the API on this person's behalf, never for a page or a log.
    token: str = field(repr=False)


@dataclass(slots=True)
class People:
    """Finds the person of a request."""

    config: PagesConfig
    signer: Signer
    http: Callable[[], httpx.AsyncClient]
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, Person | None]] = field(default_factory=dict)

    def token(self, request: Request) -> str | None:
        """The token in the login cookie, or None."""
        value = self.signer.read(COOKIE, request.cookies.get(COOKIE), LOGIN_AGE)
        token = value.get("token") if value else None
        return token if isinstance(token, str) else None

    async def of_request(self, request: Request) -> Person | None:
        """The person of the login cookie; None if nobody is signed in or the XSRF rule is broken.

        Raises:
            HubAway: the hub cannot be asked.
        """
        token = self.token(request)
        if token is None or not (_navigation(request) or self.proven(request, token)):
            return None
        return await self.of_token(token, request.cookies.get("jupyterhub-session-id", ""))

    async def of_page(self, request: Request, given: str | None) -> Person | None:
        """As `of_request`, for a form that carries its XSRF token `given` in a field."""
        token = self.token(request)
        if token is None or not self.signer.xsrf_good(token, given or request.headers.get(XSRF_HEADER)):
            return None
        return await self.of_token(token, request.cookies.get("jupyterhub-session-id", ""))

    def proven(self, request: Request, token: str) -> bool:
        """The request carries the XSRF token that belongs to the login."""
        return self.signer.xsrf_good(token, request.headers.get(XSRF_HEADER))

    async def of_token(self, token: str, browser: str = "") -> Person | None:
        """The person whom the hub knows by `token`; `browser` is the hub's id of this browser's login.

        Raises:
            HubAway: the hub cannot be asked.
        """
        key = hashlib.sha256(f"{browser}\0{token}".encode()).hexdigest()
        known = self._known.get(key)
        if known and self.clock() - known[0] < FRESH:
            return known[1]
        try:
            person = await self._ask(token)
        except httpx.HTTPError as error:
            if known and known[1] and self.clock() - known[0] < STALE:
                return known[1]
            raise HubAway(str(error)) from error
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[key] = (self.clock(), person)
        return person

    def forget(self) -> None:
        """Ask the hub anew about everybody (somebody signed out)."""
        self._known.clear()

    async def _ask(self, token: str) -> Person | None:
        async with self.http() as client:
            response = await client.get(
                f"{self.config.hub_api}/user", headers={"Authorization": f"token {token}"}, timeout=10
            )
        if response.status_code in (401, 403, 404):
            return None
        response.raise_for_status()
        model = response.json()
        if model.get("kind") != "user":
            return None
        scopes = model.get("scopes") or []
        return Person(str(model["name"]), bool(model.get("admin")) or "admin:users" in scopes, token)


def _navigation(request: Request) -> bool:
    """A person's browser opens this address as a page (or an old browser that does not say)."""
    return request.method in _READS and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
