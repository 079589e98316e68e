"""The last lines of jobs' logs. Requests of one moment go together: a centre that loses a thousand jobs is asked a
few times, not a thousand times. It runs no command of the batch system."""

from __future__ import annotations

import asyncio
import contextlib

from perijove.hub.broker.config import TAILING
from perijove.spawners.centre import Centre
from perijove.spawners.link import Account, LinkError
from perijove.spawners.watcher import LinkPool, status_request

#: Seconds that a call waits for others to go with it, and for the centre's answer.
GATHER, TIMEOUT = 0.05, 8.0


class Tails:
    """Reads logs at one centre."""

    def __init__(self, centre: Centre, links: LinkPool) -> None:
        self.centre = centre
        self.links = links
        self._waiting: dict[Account, dict[str, asyncio.Future[str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, account: Account, session: str) -> str:
        """The end of the log of `session`'s job; "" if there is none or the centre does not say."""
        waiting = self._waiting.setdefault(account, {})
        if session not in waiting:
            waiting[session] = asyncio.get_running_loop().create_future()
            if len(waiting) == 1:
                task = asyncio.create_task(self._read(account))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(waiting[session])

    async def _read(self, account: Account) -> None:
        await asyncio.sleep(GATHER)
        wanted = self._waiting.pop(account, {})
        names = list(wanted)
        for some in (names[i : i + TAILING] for i in range(0, len(names), TAILING)):
            found: dict[str, str] = {}
            with contextlib.suppress(LinkError, TimeoutError):
                async with asyncio.timeout(TIMEOUT):
                    request = status_request(self.centre, [], TIMEOUT, some)
                    answer = await self.links.get(self.centre, account).launch(request, timeout=TIMEOUT)
                    if isinstance(answer.get("tails"), dict):
                        found = answer["tails"]
            for name in some:
                if not wanted[name].done():
                    wanted[name].set_result(str(found.get(name) or ""))
