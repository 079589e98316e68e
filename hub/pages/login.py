"""Signing in and out with the hub: OAuth's authorization-code flow with state and PKCE (RFC 6749 4.1, RFC 7636).

The state lives in a signed cookie of its own, so that any broker process can finish what another began.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from urllib.parse import urlencode, urlsplit

import httpx
from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from perijove.hub.pages.config import PagesConfig
from perijove.hub.pages.cookies import Signer
from perijove.hub.pages.people import COOKIE, LOGIN_AGE

STATE_COOKIE = "perijove-login-state"
#: Seconds that a person has for signing in at the hub.
STATE_AGE = 900


class LoginFailed(Exception):
    """The hub sent the browser back without a login that we can use; the text is for the log."""


def own_page(config: PagesConfig, address: str | None) -> str:
    """`address` if it is a page of ours, else the home page: nobody is sent elsewhere after signing in."""
    parts = urlsplit(address or "")
    ours = not parts.scheme and not parts.netloc and parts.path.startswith(f"{config.prefix}/")
    plain = "\\" not in (address or "") and (address or "").isprintable()
    return address if address and ours and plain and len(address) < 2000 else f"{config.prefix}/"


def begin(config: PagesConfig, signer: Signer, wanted: str) -> Response:
    """Send the browser to the hub; it comes back to `wanted`."""
    state, verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "client_id": config.client_id,
        "redirect_uri": config.callback,
        "response_type": "code",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    response = RedirectResponse(f"{config.authorize_url}?{urlencode(query)}", status_code=302)
    content = signer.sign(STATE_COOKIE, {"state": state, "verifier": verifier, "next": own_page(config, wanted)})
    _set(config, response, STATE_COOKIE, content, STATE_AGE)
    return response


async def finish(config: PagesConfig, signer: Signer, client: httpx.AsyncClient, request: Request) -> Response:
    """Take the hub's code for a token, and set the login cookie.

    Raises:
        LoginFailed: the state is not ours, or the hub refused.
        httpx.HTTPError: the hub does not answer.
    """
    pending = signer.read(STATE_COOKIE, request.cookies.get(STATE_COOKIE), STATE_AGE)
    state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
    if not pending or not code or not secrets.compare_digest(str(pending["state"]).encode(), state.encode()):
        raise LoginFailed("state missing, too old or not the one of this browser")
    answer = await client.post(
        f"{config.hub_api}/oauth2/token",
        data={
            "client_id": config.client_id,
            "client_secret": config.client_secret,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": config.callback,
            "code_verifier": str(pending["verifier"]),
        },
        timeout=15,
    )
    if answer.is_server_error:
        answer.raise_for_status()
    if answer.status_code != 200:
        raise LoginFailed(f"the hub answered {answer.status_code} to the code")
    response = RedirectResponse(own_page(config, str(pending["next"])), status_code=302)
    _set(config, response, COOKIE, signer.sign(COOKIE, {"token": answer.json()["access_token"]}), LOGIN_AGE)
    _clear(config, response, STATE_COOKIE)
    return response


def leave(config: PagesConfig) -> Response:
    """Drop the login cookie, and sign out at the hub, which revokes its token."""
    response = RedirectResponse(config.logout_url, status_code=303)
    _clear(config, response, COOKIE)
    return response


def _set(config: PagesConfig, response: Response, name: str, value: str, age: int) -> None:
    response.set_cookie(
        name, value, max_age=age, path=f"{config.prefix}/", httponly=True, samesite="lax", secure=config.secure
    )


def _clear(config: PagesConfig, response: Response, name: str) -> None:
    response.delete_cookie(name, path=f"{config.prefix}/", httponly=True, samesite="lax", secure=config.secure)
