"""Who calls the API: the gateway itself, a person by a token of the hub, or a person by the pages' login cookie.

Tokens come in `Authorization: token ...` (or Bearer). The gateway's own token is the service's; any other one is shown
to the hub, whose answer counts for 30 seconds and is kept under the token's hash. Cookies are the pages' business:
they put `cookie_person` into the app's state, which answers only for requests that carry their XSRF token.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.hubclient import HubClient
from perijove.hub.broker.hubtrouble import HubTrouble

#: Seconds for which the hub's answer counts, and how many are kept.
FRESH, KEPT = 30.0, 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `gateway`: the hub's spawner or a command on the gateway's machine; it may do everything."""

    name: str
    admin: bool = False
    gateway: bool = False

    @property
    def operator(self) -> bool:
        """May see and stop everybody's sessions."""
        return self.admin or self.gateway

    def may_see(self, owner: str) -> bool:
        """May see and stop the sessions of `owner`."""
        return self.operator or self.name == owner


GATEWAY = Caller("the gateway", admin=True, gateway=True)


@dataclass(slots=True)
class Auth:
    """Finds the caller of a request."""

    token: str
    hub: HubClient
    #: Reads the metrics, and nothing else; "" is nobody's.
    metrics_token: str = ""
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, Caller | None]] = field(default_factory=dict)

    def reads_metrics(self, request: Request) -> bool:
        """The request carries the token for the metrics."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        good = self.metrics_token and hmac.compare_digest(token.strip().encode(), self.metrics_token.encode())
        return scheme.lower() in ("token", "bearer") and bool(good)

    async def caller(self, request: Request) -> Caller:
        """Who calls.

        Raises:
            Refusal: 401 nobody that we know; 503 the hub cannot be asked.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() in ("token", "bearer") and token:
            if hmac.compare_digest(token.strip().encode(), self.token.encode()):
                return GATEWAY
            found = await self._of_token(token.strip())
        else:
            found = await _of_cookie(request)
        if found is None:
            raise Refusal(401, "login-needed", "give a token of the hub: Authorization: token ...")
        return found

    async def _of_token(self, token: str) -> Caller | None:
        key = hashlib.sha256(token.encode()).hexdigest()
        known = self._known.get(key)
        if known is not None and self.clock() - known[0] < FRESH:
            return known[1]
        try:
            model = await self.hub.person(token)
        except HubTrouble as error:
            raise Refusal(503, "hub-silent", f"the hub cannot be asked who you are: {error}") from None
        caller = None
        if model is not None and model.get("kind") == "user" and model.get("name"):
            admin = bool(model.get("admin")) or "admin:users" in (model.get("scopes") or ())
            caller = Caller(str(model["name"]), admin)
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[key] = (self.clock(), caller)
        return caller


async def _of_cookie(request: Request) -> Caller | None:
    find: Any = getattr(request.app.state, "cookie_person", None)
    if find is None:
        return None
    try:
        person = find(request)
        if inspect.isawaitable(person):
            person = await person
    except Exception as error:
        raise Refusal(503, "hub-silent", f"the hub cannot be asked who you are: {error}") from None
    return Caller(person.name, bool(person.admin)) if person is not None else None
