"""Calls of the broker's API as somebody: two people, an operator, a service and the gateway itself."""

from __future__ import annotations

from typing import Any

import httpx
from broker.harness import Gateway
from perijove.hub.broker.app import application
from perijove.hub.broker.auth import Auth
from perijove.hub.broker.hubclient import HubClient

API = "/services/perijove/api/v1"
PEOPLE = {
    "t-ada": {"kind": "user", "name": "ada", "admin": False},
    "t-bob": {"kind": "user", "name": "bob", "admin": False},
    "t-root": {"kind": "user", "name": "root", "admin": True},
    "t-service": {"kind": "service", "name": "other"},
}


class Api:
    """Calls as somebody."""

    def __init__(self, gateway: Gateway) -> None:
        self.asked = 0
        self.hub_up = True
        hub = HubClient("http://hub/hub/api", "service", httpx.MockTransport(self._hub))
        self.app = application(gateway.broker, Auth("service", hub), "/services/perijove/")
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://broker")

    def _hub(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if not self.hub_up:
            raise httpx.ConnectError("down")
        model = PEOPLE.get(request.headers["Authorization"].removeprefix("token "))
        return httpx.Response(200, json=model) if model else httpx.Response(403, json={"message": "no"})

    async def __call__(self, method: str, path: str, who: str = "t-ada", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"token {who}"} if who else {}
        return await self.client.request(method, API + path, headers=headers, **more)
