"""A login at the simulated centre."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perijove.spawners.centre import Centre
from perijove.spawners.link import Account

if TYPE_CHECKING:
    from broker.simulated import SimulatedCentre


@dataclass
class SimLink:
    """One account there."""

    simulated: SimulatedCentre
    centre: Centre
    account: Account

    async def launch(self, request: dict[str, Any], *, timeout: float = 30.0) -> dict[str, Any]:  # noqa: ASYNC109
        async with asyncio.timeout(timeout):
            user = self.account.run_as or self.account.name or self.centre.login.account
            # What is sent and answered is JSON: nothing else survives the way.
            body = {"body": request.pop("body")} if "body" in request else {}
            request = json.loads(json.dumps(request)) | body
            return await self.simulated.launch(request, user)
