"""What happens to sessions, as codes with values; the words are made from them when they are read.

Pages turn a code into the person's language; the English here is for logs, the API and the hub. Whoever waits for
news of a session waits at the `Bulletin`; what they then read is in the store, which is the truth.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

#: Every code there is, and how it reads.
MESSAGES = {
    "checked": "The request is accepted: {cores} cores at {centre}, queue {queue}.",
    "submitting": "The job is being submitted to {centre}.",
    "submitted": "The batch system has the job: {job_id}.",
    "answer-lost": "The answer to the submission was lost; looking for the job: {detail}",
    "found": "The job was found: {job_id}.",
    "not-found": "No job came of the submission; it is made again.",
    "centre-refused": "The centre cannot be asked now, trying again: {detail}",
    "queued": "The job waits in queue {queue}: {reason}.",
    "waiting": "The job waits: {reason}.",
    "granted": "The job has node {node}.",
    "requeued": "The centre put the job back into the queue.",
    "agent-silent": "The agent on {node} does not answer yet: {detail}",
    "kept-warm": "A job that was kept warm at {centre} is taken over: no wait for a queue.",
    "starting": "The session is starting on {node}.",
    "environment-needed": "The session waits for the hub.",
    "start-failed": "The server could not be started: {detail}",
    "ready": "The session is ready.",
    "connection-lost": "The connection to the session is interrupted; reconnecting.",
    "connection-back": "The connection to the session is back.",
    "centre-silent": "{centre} does not answer: {detail}",
    "centre-back": "{centre} answers again.",
    "hub-refused": "The hub does not start the server: {detail}",
    "budget-withdrawn": "The money for this session was withdrawn from {budget}: it will be stopped at {ends_at}.",
    "stop-asked": "{by} asked that the session be stopped.",
    "cancelling": "The job is being cancelled.",
    "cancel-failed": "The job could not be cancelled, trying again: {detail}",
    "gave-up": "The session did not come up in time and is stopped: {detail}",
    "ended": "The session ended: {outcome}. {detail}",
    "cluster-opened": "Dask cluster {cluster} is there; its workers will be in queue {queue}.",
    "workers-asked": "Workers for cluster {cluster} are asked for in queue {queue}: {count}.",
    "workers-queued": "The batch system has the job {job_id} for workers of cluster {cluster}: {count}.",
    "workers-started": "Workers of cluster {cluster} have their nodes: {count} more.",
    "worker-lost": "Worker {worker} of cluster {cluster} was lost: {reason}.",
    "cluster-closed": "Dask cluster {cluster} is being closed, asked by {by}.",
}
#: Characters of one value that are kept.
LONGEST = 500


class _Values(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def message(code: str, values: Mapping[str, Any], gettext: Callable[[str], str] = str) -> str:
    """The words for an event: English, or those of `gettext`'s language."""
    return gettext(MESSAGES.get(code, code)).format_map(_Values(values)).strip()


def bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` fit to be kept: texts cut, without control characters."""
    return {key: _clean(value) if isinstance(value, str) else value for key, value in values.items()}


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text[:LONGEST])


class Bulletin:
    """Wakes those who wait for news of a session."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def announce(self, session: str) -> None:
        """There is news of `session`."""
        for future in self._waiting.pop(session, ()):
            if not future.done():
                future.set_result(None)

    def listen(self, session: str) -> asyncio.Future[None]:
        """Done at the next news; to be taken before one looks into the store, so that nothing is missed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[session].add(future)
        return future

    def leave(self, session: str, future: asyncio.Future[None]) -> None:
        """No longer interested."""
        if (waiting := self._waiting.get(session)) is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[session]
        future.cancel()


__all__ = ["MESSAGES", "Bulletin", "bounded", "message"]
