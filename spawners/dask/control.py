"""The head's own HTTP interface, JSON on its unix socket: whoever may open that is the cluster's owner."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perijove.spawners.dask.broker import Refused, Silent
from tornado.web import HTTPError, RequestHandler

if TYPE_CHECKING:
    from perijove.spawners.dask.cluster import HeadCluster

#: No sensible number of workers is greater.
MOST = 100_000


class Handler(RequestHandler):
    """What all of them do: bodies and answers are JSON objects, refusals come through as they are."""

    cluster: HeadCluster
    close_head: Callable[[str], None]

    def initialize(self, cluster: HeadCluster, close: Callable[[str], None]) -> None:
        self.cluster, self.close_head = cluster, close

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, Refused):
            self.set_status(error.status)
            self.finish({"error": error.code, "message": error.message, "values": error.values})
        elif isinstance(error, Silent):
            self.set_status(503)
            message = "The gateway does not answer the cluster's head; try again in a minute."
            self.finish({"error": "broker-silent", "message": message, "values": {"detail": str(error)}})
        else:
            message = str(getattr(error, "log_message", None) or self._reason)
            self.finish({"error": f"http-{status_code}", "message": message, "values": {}})

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, (Refused, Silent)):
            super().log_exception(typ, value, tb)

    def body(self, *known: str) -> dict[str, Any]:
        """The request's body, an object with no other keys than `known`."""
        try:
            found = json.loads(self.request.body or b"{}")
        except ValueError:
            raise HTTPError(400, "the body is no JSON") from None
        if not isinstance(found, dict) or set(found) - set(known):
            raise HTTPError(400, f"the body is an object with {', '.join(known)}")
        return found


def count(found: dict[str, Any], key: str, default: int | None = None) -> int:
    """A number of workers from a body. Raises HTTPError 400."""
    number = found.get(key, default)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST:
        raise HTTPError(400, f"{key} is a whole number from 0 to {MOST}, not {number!r}")
    return number


class Status(Handler):
    async def get(self) -> None:
        self.finish(self.cluster.state())


class Scale(Handler):
    async def post(self) -> None:
        found = self.body("n", "confirmed")
        await self.cluster.scale_to(count(found, "n"), confirmed=found.get("confirmed") is True)
        self.finish(self.cluster.state())


class Adapt(Handler):
    async def post(self) -> None:
        found = self.body("minimum", "maximum", "confirmed")
        minimum, maximum = count(found, "minimum", 0), count(found, "maximum")
        if minimum > maximum:
            raise HTTPError(400, f"minimum {minimum} is above maximum {maximum}")
        await self.cluster.adapt_to(minimum, maximum, confirmed=found.get("confirmed") is True)
        self.finish(self.cluster.state())


class Logs(Handler):
    async def get(self) -> None:
        self.finish({"logs": await self.cluster.logs(self.get_query_argument("worker", ""))})


class Close(Handler):
    async def post(self) -> None:
        self.body("")
        self.finish({"closing": True})
        self.close_head("asked")


def routes(cluster: HeadCluster, close: Callable[[str], None]) -> list[Any]:
    """For the head's application."""
    given = {"cluster": cluster, "close": close}
    handlers: dict[str, type[Handler]] = {
        "status": Status,
        "scale": Scale,
        "adapt": Adapt,
        "logs": Logs,
        "close": Close,
    }
    return [(f"/control/{name}", handler, given) for name, handler in handlers.items()]
