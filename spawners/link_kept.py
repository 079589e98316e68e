"""A connection that is made when it is needed, kept, and made again when it broke; with a pause between failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from perijove.spawners.link import LinkError

T = TypeVar("T")

#: Seconds between attempts: doubled from the first to the last.
BACKOFF = (0.5, 30.0)


class Kept(Generic[T]):
    """One thing that `opener` makes and `alive` judges. Never more than one attempt at a time."""

    def __init__(self, opener: Callable[[], Awaitable[T]], alive: Callable[[T], bool]) -> None:
        self.now: T | None = None
        self._opener, self._alive = opener, alive
        self._lock = asyncio.Lock()
        self._wait = self._not_before = 0.0
        self._failure: LinkError | None = None

    async def get(self) -> T:
        """The thing, alive. Raises LinkError: at once, with the last reason, until the next attempt is due."""
        async with self._lock:
            if self.now is not None and self._alive(self.now):
                return self.now
            loop = asyncio.get_running_loop()
            if self._failure is not None and loop.time() < self._not_before:
                raise LinkError(self._failure.problem, self._failure.detail)
            try:
                self.now = await self._opener()
            except LinkError as failure:
                self._wait = min(max(2 * self._wait, BACKOFF[0]), BACKOFF[1])
                self._not_before = loop.time() + self._wait
                self._failure = failure
                raise
            self._failure, self._wait = None, 0.0
            return self.now
