"""Runs of apps through a gateway: started, followed to their end, and what they must have made."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import httpx

from harness.basics import eventually
from harness.flow import Flow

#: A small real case of each app.
SMALL: dict[str, dict[str, Any]] = {
    "climate": {"scenario": "both", "region": [-95, 40, -75, 50]},
    "variants": {"sample": "measles"},
}


async def begin(flow: Flow, app: str, owner: str = "alice", **more: Any) -> dict[str, Any]:
    """A run of `owner`'s, just asked for."""
    body = {"app": app, "owner": owner, "inputs": SMALL.get(app, {})} | more
    answer = await flow.broker("POST", "/runs", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def run_of(flow: Flow, run: str) -> dict[str, Any]:
    """The run now."""
    found: dict[str, Any] = (await flow.broker("GET", f"/runs/{run}")).json()
    return found


async def done(flow: Flow, run: str, seconds: float = 150.0, state: str = "done") -> dict[str, Any]:
    """The run, once it has ended; as `state`, or the test fails with what it says."""

    async def there() -> dict[str, Any] | None:
        found = await run_of(flow, run)
        return found if found["state"] not in ("starting", "running") else None

    found: dict[str, Any] = await eventually(there, seconds)
    assert found["state"] == state, json.dumps({key: found[key] for key in ("state", "report", "problem")})[:3000]
    return found


def numbers(run: dict[str, Any]) -> dict[str, float]:
    """Its numbers by name."""
    return {one["name"]: one["value"] for one in run["report"]["results"]["numbers"]}


async def archive(flow: Flow, run: str) -> dict[str, bytes]:
    """All its files, as somebody downloads them."""
    answer = await flow.broker("GET", f"/runs/{run}/download")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


async def ask(person: httpx.AsyncClient, server: str, method: str, path: str, body: Any = None) -> Any:
    """What the app's own page asks its session; the page was opened before, which gave the cookie."""
    root = f"/user/alice/{server}"
    xsrf = next(c.value for c in person.cookies.jar if c.name == "_xsrf" and c.path.rstrip("/") == root)
    headers = {"X-XSRFToken": xsrf or ""}
    answer = await person.request(method, f"{root}/perijove/{path}", json=body, headers=headers)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def page(flow: Flow, server: str) -> httpx.AsyncClient:
    """Alice's browser on the app's page of her session `server`."""
    person = await flow.person("alice")

    async def shown() -> bool:
        answer = await person.get(f"/user/alice/{server}/voila/render/app.ipynb")
        return answer.status_code == 200 and "voila" in answer.text.lower()

    await eventually(shown, 90)
    return person
