"""The API's addresses for apps and their runs, as one person sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from perijove.hub.pages.api import Api, Json


def _q(text: str) -> str:
    return quote(text, safe="")


@dataclass(frozen=True, slots=True)
class AppsApi:
    """Apps and runs; each call raises `Refused` where the API says no."""

    api: Api

    async def apps(self) -> list[Json]:
        """Every app of the gateway."""
        return list((await self.api.call("GET", "/apps"))["apps"])

    async def app(self, name: str) -> Json:
        """One app."""
        return dict(await self.api.call("GET", f"/apps/{_q(name)}"))

    async def estimate(self, name: str, inputs: Mapping[str, Any]) -> Json:
        """What these inputs take, and what each place says to that."""
        return dict(await self.api.call("POST", f"/apps/{_q(name)}/estimate", {"inputs": dict(inputs)}))

    async def picture(self, name: str, path: str) -> httpx.Response:
        """The picture of an app, or one of its example."""
        return await self.api.send("GET", f"/apps/{_q(name)}/{quote(path)}")

    async def runs(self, owner: str, *, app: str = "", state: str = "", limit: int = 100) -> list[Json]:
        """A person's runs, newest first."""
        query = {"owner": owner, "limit": limit} | ({"app": app} if app else {}) | ({"state": state} if state else {})
        rows = list((await self.api.call("GET", "/runs", query=query))["runs"])
        return sorted(rows, key=lambda row: str(row.get("created", "")), reverse=True)

    async def run(self, run: str) -> Json:
        """One run."""
        return dict(await self.api.call("GET", f"/runs/{_q(run)}"))

    async def wait(self, run: str, after: int, seconds: int) -> Json:
        """The run as soon as its version is another than `after`, or when `seconds` have passed."""
        return dict(await self.api.call("GET", f"/runs/{_q(run)}", query={"after": after, "wait": seconds}))

    async def file(self, run: str, path: str) -> httpx.Response:
        """A file of a run's results."""
        return await self.api.send("GET", f"/runs/{_q(run)}/files/{quote(path)}")

    async def begin(self, body: Mapping[str, Any]) -> Json:
        """Begin a run, perhaps with the inputs of another one changed: it spends."""
        return dict(await self.api.call("POST", "/runs", body))

    async def replay(self, run: str, centre: str) -> Json:
        """The same again at a centre, to see whether the results agree."""
        return dict(await self.api.call("POST", f"/runs/{_q(run)}/replay", {"centre": centre}))

    async def resume(self, run: str) -> None:
        """Go on with an interrupted run."""
        await self.api.call("POST", f"/runs/{_q(run)}/resume")

    async def cancel(self, run: str) -> None:
        """Stop a live run."""
        await self.api.call("DELETE", f"/runs/{_q(run)}")

    async def forget(self, run: str) -> None:
        """Delete a run's record and what the gateway keeps of it."""
        await self.api.call("DELETE", f"/runs/{_q(run)}/record")

    async def label(self, run: str, label: str) -> None:
        """Give a run a name."""
        await self.api.call("PATCH", f"/runs/{_q(run)}", {"label": label})

    async def compare(self, one: str, other: str) -> Json:
        """Two runs side by side."""
        return dict(await self.api.call("GET", f"/runs/{_q(one)}/compare/{_q(other)}"))

    async def shares(self, run: str) -> list[Json]:
        """The links to a run that still open it."""
        return list((await self.api.call("GET", f"/runs/{_q(run)}/shares"))["shares"])

    async def share(self, run: str, mode: str, days: int) -> Json:
        """A new link; its token is shown once."""
        return dict(await self.api.call("POST", f"/runs/{_q(run)}/shares", {"mode": mode, "days": days}))

    async def unshare(self, run: str, share: str) -> None:
        """End a link."""
        await self.api.call("DELETE", f"/runs/{_q(run)}/shares/{_q(share)}")

    async def shared(self, token: str) -> Json:
        """The run of a link, without what is its owner's alone."""
        return dict(await self.api.call("GET", f"/shared/{_q(token)}"))

    async def shared_file(self, token: str, path: str) -> httpx.Response:
        """A file of the run of a link."""
        return await self.api.send("GET", f"/shared/{_q(token)}/files/{quote(path)}")
