"""A session's events and its end in the hub's words: what the progress stream and a failed start show.

The pages turn codes into the person's language; the English here is for logs, the REST API and the hub's own pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from html import escape
from typing import Any

from jupyterhub.spawner import SpawnException
from perijove.spawners.client import BrokerClient, BrokerError
from perijove.spawners.visible import visible

#: How far a start has come, in per cent, by stage.
PERCENT = {"checked": 5, "submitted": 10, "queued": 20, "granted": 60, "starting": 80, "ready": 100}


def event_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The hub's progress event for one of the broker's: its own keys stay, for pages that know them."""
    plain = {key: value for key, value in event.items() if isinstance(value, str | int | float | bool | None)}
    shown = plain | {"message": visible(str(event.get("message") or event.get("code") or "..."), 500)}
    percent = PERCENT.get(str(event.get("stage", "")))
    # "ready" and "failed" are the hub's own last events.
    for key in ("html_message", "ready", "failed", "url", "raw_message"):
        shown.pop(key, None)
    return shown if percent is None else shown | {"progress": min(percent, 99)}


async def events(broker: BrokerClient, session: Callable[[], str]) -> AsyncIterator[dict[str, Any]]:
    """The hub's progress events of the session that `session` names (once it does), from its first event to its
    readiness or end."""
    seen = 0
    while True:
        if not session():
            await asyncio.sleep(0.2)
            continue
        try:
            news = await broker.events(session(), seen)
        except BrokerError:
            yield {"message": "The gateway's broker does not answer; nothing is lost.", "code": "broker-silent"}
            await asyncio.sleep(2)
            continue
        seen = news.last
        for event in news.events:
            yield event_of(event)
            if event.get("stage") in ("ready", "ended"):
                return


class HubRefusal(SpawnException):  # type: ignore[misc]
    """A spawn that ends with words for the person: in the page, after a reload and in the REST answer.

    `SpawnException(message_html=...)` alone does not reach the page: the hub reads these two attributes.
    """

    def __init__(self, message: str, reason: str, *, html: str = "", status: int = 400) -> None:
        super().__init__(message, reason=reason, status_code=status)
        self.jupyterhub_message = message
        self.jupyterhub_html_message = html or f"<p>{escape(message)}</p>"


class SessionEnded(HubRefusal):
    """The session ended before it was ready: what happened, and the job's last lines."""

    def __init__(self, session: Mapping[str, Any]) -> None:
        what = str(session.get("detail") or session.get("outcome") or "it ended")
        message = f"The session ended before it was ready: {visible(what, 500)}"
        tail = str(session.get("log_tail") or "").strip()
        lines = "\n".join(visible(line, 500) for line in tail[-8000:].splitlines()[-40:])
        more = f"<details open><summary>Last lines of the job</summary><pre>{escape(lines)}</pre></details>"
        html = f"<p>{escape(message)}</p>" + (more if lines else "")
        super().__init__(message, "session-ended", html=html)
