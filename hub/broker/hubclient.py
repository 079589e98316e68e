"""The broker's side of the hub: its REST API, with the service's token. No answer is never taken for an answer.

Checked against the source of JupyterHub 6.1.1 (`apihandlers/users.py`): a POST to a server that is pending answers 202,
to one that runs 400 "is already running"; a DELETE answers 202 while it stops, 204 when it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

import httpx
from perijove.hub.broker.hubtrouble import HubRefused, HubSilent

#: Seconds for an answer; a start waits up to `slow_spawn_timeout` of the hub.
TIMEOUT = 30.0
#: Requests at once: the hub is one process.
AT_ONCE = 10
#: People in one answer: the hub answers nobody else while it makes one.
_PAGE = 50


class HubClient:
    """Starts and stops servers, and asks who is there. Raises HubSilent and HubRefused."""

    def __init__(self, api: str, token: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._token = token
        self._client = httpx.AsyncClient(
            base_url=api.rstrip("/"), timeout=TIMEOUT, transport=transport, trust_env=False
        )
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def start(self, owner: str, server: str, session: str) -> None:
        """Have the server started for `session`; well if it is pending or running already."""
        body = {"user_options": {"session": session}}
        answer = await self._call("POST", _server(owner, server), body)
        if answer.status_code == 400 and "already running" in _message(answer):
            return
        _check(answer)

    async def stop(self, owner: str, server: str) -> bool:
        """Have the server stopped; True once the hub has none."""
        answer = await self._call("DELETE", _server(owner, server))
        if answer.status_code in (204, 404):
            return True
        if answer.status_code in (202, 400, 500):
            return await self._gone(owner, server)
        _check(answer)
        return False

    async def _gone(self, owner: str, server: str) -> bool:
        answer = await self._call("GET", f"/users/{quote(owner, safe='')}")
        if answer.status_code == 404:
            return True
        _check(answer)
        return server not in (_object(answer).get("servers") or {})

    async def servers(self, owners: Collection[str] | None = None) -> dict[tuple[str, str], str]:
        """Active servers, of `owners` or of everybody: (owner, server) -> "ready" or what is pending."""
        found: dict[tuple[str, str], str] = {}
        if owners is not None:
            for owner in owners:
                answer = await self._call("GET", f"/users/{quote(owner, safe='')}")
                if answer.status_code != 404:
                    _check(answer)
                    found |= _servers_of(_object(answer))
            return found
        offset = 0
        while True:
            answer = await self._call("GET", f"/users?state=active&limit={_PAGE}&offset={offset}")
            _check(answer)
            people = answer.json()
            if not isinstance(people, list):
                raise HubRefused("the hub's answer is not a list of people")
            for person in people:
                found |= _servers_of(person)
            if len(people) < _PAGE:
                return found
            offset += _PAGE

    async def alive(self, token: str) -> bool:
        """Whether the hub still takes `token`."""
        answer = await self._call("GET", "/user", token=token)
        if answer.status_code in (401, 403, 404):
            return False
        _check(answer)
        return True

    async def person(self, token: str, cookie: str = "") -> dict[str, Any] | None:
        """Whose token this is, as the hub's model of it; None if nobody's."""
        answer = await self._call("GET", "/user", token=token)
        if answer.status_code in (401, 403, 404):
            return None
        _check(answer)
        return _object(answer)

    async def _call(self, method: str, path: str, body: object = None, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"token {token or self._token}"}
        try:
            async with self._turn:
                answer = await self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise HubSilent(f"{type(error).__name__}: {error}") from None
        if answer.status_code in (429, 502, 503, 504):
            raise HubSilent(f"the hub answered {answer.status_code}")
        return answer


def _servers_of(person: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """A person's servers, from the hub's model of the person."""
    return {
        (person["name"], name): str(server.get("pending") or ("ready" if server.get("ready") else ""))
        for name, server in (person.get("servers") or {}).items()
    }


def _server(owner: str, server: str) -> str:
    person = f"/users/{quote(owner, safe='')}"
    return f"{person}/servers/{quote(server, safe='')}" if server else f"{person}/server"


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message", ""))[:500]
    except (ValueError, AttributeError):
        return answer.text[:200]


def _check(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        raise HubRefused(f"{answer.status_code}: {_message(answer)}")


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        model = answer.json()
    except ValueError:
        model = None
    if not isinstance(model, dict):
        raise HubRefused("the hub's answer is not an object")
    return model
